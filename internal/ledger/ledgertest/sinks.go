package ledgertest

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// declared: sinks that choose, are mended, get what was before them, and go.
func declared(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"a row that a sink does not want is gone, uncounted and unlogged, and moves the cursor", passed},
		{"a row that is passed after a failure leaves no error", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port})
			f.Expect(f.Retry(f.ctx, "port", f.seq("e1"), start.Add(time.Hour), failed("busy"))).To(Succeed())
			f.Expect(f.Pass(f.ctx, "port", f.row("e1"))).To(Succeed())
			f.Expect(f.figures("port").LastError).To(BeEmpty())
			f.Expect(f.due("port", 9)).To(Equal([]string{"e2"}))
		}},
		{"a row whose event was completed before it was passed stays, due at once and as if it had never failed", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port})
			old := f.owed("port")
			f.Expect(f.Retry(f.ctx, "port", old[0].Seq, start.Add(time.Hour), failed("busy"))).To(Succeed())
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}})
			f.step(time.Second)
			f.Expect(f.Pass(f.ctx, "port", old...)).To(Succeed())
			f.Expect(f.owed("port")).To(HaveExactElements(And(
				HaveField("Event", f.event("e1")), HaveField("Attempts", 0), HaveField("LastError", ""), HaveField("NextAt", f.clock.Now()))))
		}},
		{"only pending rows are passed", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: []string{"port", "lake"}})
			f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
			f.Expect(f.Pass(f.ctx, "port", f.row("e1"), ledger.Delivery{Seq: 4711})).To(Succeed())
			f.Expect(f.Pass(f.ctx, "port")).To(Succeed())
			f.Expect(f.Pass(f.ctx, "none", f.row("e2"))).To(Succeed())
			f.Expect(f.figures("port")).To(And(HaveField("Parked", int64(1)), HaveField("Pending", int64(1))))
			f.Expect(f.due("lake", 9)).To(Equal([]string{"e1", "e2"}), "another sink may want them")
		}},
		{"what failed is due at once when it is hastened, as if it had not failed", hastened},
		{"an event is owed again, also one that was parked, but not one that is pending", owedAgain},
		{"a sink is owed what was recorded before it, as it is read now", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Facts: []dora.CommitFacts{Facts("e1", start)}})
			f.step(time.Hour)
			f.Expect(f.Owe(f.ctx, "late", ledger.EventQuery{}, f.clock.Now())).To(Equal(int64(2)))
			f.Expect(f.Due(f.ctx, "late", f.clock.Now(), 9)).To(Equal([]ledger.Delivery{
				{Seq: f.seq("e1"), Sink: "late", Event: f.event("e1"), Content: 1, NextAt: f.clock.Now()},
				{Seq: f.seq("e2"), Sink: "late", Event: f.event("e2"), NextAt: f.clock.Now()},
			}))
			f.Expect(f.figures("late")).To(Equal(ledger.SinkState{
				Sink: "late", Cursor: f.seq("e1") - 1, Pending: 2, OldestPending: f.clock.Now(),
			}))
		}},
		{"the newest events are owed in the order of writing", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 4)})
			f.Expect(f.Owe(f.ctx, "late", ledger.EventQuery{Newest: true, Limit: 2}, start)).To(Equal(int64(2)))
			f.Expect(f.due("late", 9)).To(Equal([]string{"e3", "e4"}))
		}},
		{"owing nothing makes no sink", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
			f.Expect(f.Owe(f.ctx, "late", ledger.EventQuery{Service: "pay"}, start)).To(BeZero())
			f.Expect(f.Sinks(f.ctx)).To(BeEmpty())
		}},
		{"more events are owed than one step takes", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1234)})
			f.Expect(f.Owe(f.ctx, "late", ledger.EventQuery{}, start)).To(Equal(int64(1234)))
			f.Expect(f.due("late", 9999)).To(HaveLen(1234))
			f.Expect(f.figures("late").Pending).To(Equal(int64(1234)))
		}},
		{"what is owed again is not pruned", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"), f.row("e2"))).To(Succeed())
			f.Expect(f.Owe(f.ctx, "port", ledger.EventQuery{IDs: []string{"e1"}}, start)).To(Equal(int64(1)))
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.AddDate(1, 0, 0)})).To(Equal(int64(1)))
			f.Expect(f.due("port", 9)).To(Equal([]string{"e1"}))
		}},
		{"a sink that is gone is so since it was first told, until it is back", gone},
		{"a sink that never had a row stays unknown when it goes", func(f *fixture) {
			f.Expect(f.Gone(f.ctx, "none", start)).To(Succeed())
			f.Expect(f.Sinks(f.ctx)).To(BeEmpty())
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"none"}})
			f.Expect(f.figures("none").GoneAt).To(BeZero())
		}},
		{"what a sink is owed that is gone is dropped when it is old", forgetsOld},
		{"more rows and records are forgotten than one step takes", forgetsMany},
	})
}

func passed(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: port})
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
	f.step(time.Hour)
	f.Expect(f.Pass(f.ctx, "port", f.row("e2"))).To(Succeed())
	f.Expect(f.due("port", 9)).To(Equal([]string{"e3"}))
	f.Expect(f.Pass(f.ctx, "port", f.row("e3"), f.row("e3"))).To(Succeed())
	f.Expect(f.figures("port")).To(Equal(ledger.SinkState{Sink: "port", Cursor: f.seq("e3"), Delivered: 1, LastDelivery: start}))
	f.Expect(f.fates("port")).To(Equal([]string{"e1 delivered"}))
	f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.AddDate(1, 0, 0)})).To(Equal(int64(3)), "nobody is owed them")
}

func hastened(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 4), Sinks: []string{"port", "lake"}})
	far := start.Add(time.Hour)
	for range 2 {
		f.Expect(f.Retry(f.ctx, "port", f.seq("e1"), far, failed("no route"))).To(Succeed())
	}
	f.Expect(f.Retry(f.ctx, "port", f.seq("e2"), far, failed("no route"))).To(Succeed())
	f.Expect(f.Park(f.ctx, "port", f.seq("e4"), failed("refused"))).To(Succeed())
	f.Expect(f.Retry(f.ctx, "lake", f.seq("e1"), far, failed("no route"))).To(Succeed())
	f.step(time.Minute)
	f.Expect(f.due("port", 9)).To(BeEmpty())

	f.Expect(f.Hasten(f.ctx, "port", f.clock.Now().Add(999*time.Nanosecond))).To(Equal(int64(2)), "one did not fail and one is parked")
	f.Expect(f.due("port", 9)).To(Equal([]string{"e1", "e2", "e3"}))
	f.Expect(f.owed("port")[0]).To(And(HaveField("Attempts", 0), HaveField("LastError", ""), HaveField("NextAt", f.clock.Now())))
	f.Expect(f.figures("port")).To(And(HaveField("OldestPending", start), HaveField("Parked", int64(1)), HaveField("LastError", "refused")))
	f.Expect(f.Hasten(f.ctx, "port", f.clock.Now())).To(BeZero())
	f.Expect(f.Hasten(f.ctx, "none", f.clock.Now())).To(BeZero())
	f.Expect(f.due("lake", 9)).To(BeEmpty(), "what stands in the way of another sink is not mended by it")
}

func owedAgain(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 4), Sinks: port})
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
	f.Expect(f.Park(f.ctx, "port", f.seq("e2"), failed("refused"))).To(Succeed())
	f.Expect(f.Retry(f.ctx, "port", f.seq("e3"), start.Add(time.Minute), failed("busy"))).To(Succeed())
	f.step(time.Hour)
	now := f.clock.Now()
	f.Expect(f.Owe(f.ctx, "port", ledger.EventQuery{IDs: []string{"e1", "e2", "e3"}}, now)).To(Equal(int64(2)))
	f.Expect(f.Due(f.ctx, "port", now, 9)).To(Equal([]ledger.Delivery{
		{Seq: f.seq("e1"), Sink: "port", Event: f.event("e1"), NextAt: now},
		{Seq: f.seq("e2"), Sink: "port", Event: f.event("e2"), NextAt: now},
	}), "the third has failed, and the fourth waits behind it")
	f.Expect(f.figures("port")).To(Equal(ledger.SinkState{
		Sink: "port", Cursor: f.seq("e1") - 1, Delivered: 1, Pending: 4, OldestPending: start, LastDelivery: start, LastError: "busy",
	}))
	f.Expect(f.Owe(f.ctx, "port", ledger.EventQuery{}, now)).To(BeZero())
	for range 2 {
		f.Expect(f.Delivered(f.ctx, "port", sentAt(now), f.owed("port")...)).To(Succeed())
	}
	f.Expect(f.Delivered(f.ctx, "port", sentAt(now), f.owed("port")...)).To(Succeed())
	f.Expect(f.figures("port").Delivered).To(Equal(int64(5)))
}

func gone(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port", "lake"}})
	f.Expect(f.Gone(f.ctx, "port", start.Add(time.Minute+time.Nanosecond))).To(Succeed())
	f.Expect(f.Gone(f.ctx, "port", start.Add(time.Hour))).To(Succeed())
	f.Expect(f.Gone(f.ctx, "port", start)).To(Succeed())
	f.commit(ledger.Change{Events: deployments("f", "cart", 1), Sinks: port})
	f.reopen()
	f.Expect(f.figures("port")).To(And(HaveField("GoneAt", start.Add(time.Minute)), HaveField("Pending", int64(2))))
	f.Expect(f.figures("lake").GoneAt).To(BeZero())
	f.Expect(f.Gone(f.ctx, "port", time.Time{})).To(Succeed())
	f.Expect(f.figures("port").GoneAt).To(BeZero())
	f.Expect(f.Gone(f.ctx, "port", start.Add(time.Hour))).To(Succeed())
	f.Expect(f.figures("port").GoneAt).To(Equal(start.Add(time.Hour)))
	f.Expect(f.Forget(f.ctx, "port", time.Time{})).To(Equal(int64(2)))
	f.commit(ledger.Change{Events: deployments("g", "cart", 1), Sinks: port})
	f.Expect(f.figures("port").GoneAt).To(BeZero(), "a sink of that name that comes later is another one")
}

// forgetsOld: what came while the sink was gone has its own time to wait.
func forgetsOld(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port})
	f.step(time.Hour)
	f.commit(ledger.Change{Events: deployments("f", "cart", 1), Sinks: port})
	f.Expect(f.Gone(f.ctx, "port", start)).To(Succeed())
	f.Expect(f.Forget(f.ctx, "port", start.Add(time.Minute))).To(Equal(int64(2)))
	f.Expect(f.due("port", 9)).To(Equal([]string{"f1"}))
	f.Expect(f.figures("port")).To(And(HaveField("Pending", int64(1)), HaveField("GoneAt", start)))
	f.Expect(f.Forget(f.ctx, "port", start.Add(time.Hour))).To(BeZero(), "not what came at that time")
	f.Expect(f.Forget(f.ctx, "port", start.Add(2*time.Hour))).To(Equal(int64(1)))
	f.Expect(f.Sinks(f.ctx)).To(BeEmpty())
}

func forgetsMany(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 1234), Sinks: []string{"port", "lake"}})
	for _, sink := range []string{"port", "lake"} {
		due, err := f.Due(f.ctx, sink, start, 1100)
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(f.Delivered(f.ctx, sink, sentAt(start), due...)).To(Succeed())
	}
	f.Expect(f.Owe(f.ctx, "port", ledger.EventQuery{}, start)).To(Equal(int64(1100)))
	f.Expect(f.Park(f.ctx, "port", f.seq("e7"), failed("refused"))).To(Succeed())
	f.Expect(f.Forget(f.ctx, "port", time.Time{})).To(Equal(int64(1234)), "pending and parked")
	f.Expect(f.log("port")).To(BeEmpty())
	f.Expect(f.due("port", 9)).To(BeEmpty())
	f.Expect(f.log("lake")).To(HaveLen(1100))
	f.Expect(f.Sinks(f.ctx)).To(HaveExactElements(And(HaveField("Sink", "lake"), HaveField("Pending", int64(134)))))
}
