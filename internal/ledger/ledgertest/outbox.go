package ledgertest

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// outbox: what sinks are owed, and in which order.
func outbox(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"a new row is due at once, with its event and no attempts", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port"}})
			f.Expect(f.Due(f.ctx, "port", start, 9)).To(Equal([]ledger.Delivery{
				{Seq: f.seq("e1"), Sink: "port", Event: Deployment("e1", "cart", start), NextAt: start},
			}))
			f.Expect(f.NextDue(f.ctx, "port")).To(Equal(start))
		}},
		{"a sink that is owed nothing has nothing due", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port"}})
			f.Expect(f.due("lake", 9)).To(BeEmpty())
			f.Expect(f.NextDue(f.ctx, "lake")).To(BeZero())
		}},
		{"rows are due oldest first, up to the limit", func(f *fixture) {
			f.commit(ledger.Change{Events: append(deployments("c", "cart", 2), deployments("p", "pay", 2)...), Sinks: []string{"port"}})
			f.Expect(f.due("port", 3)).To(Equal([]string{"c1", "c2", "p1"}))
			f.Expect(f.due("port", 0)).To(BeEmpty())
		}},
		{"a delivered row is due no more, for that sink", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: []string{"port", "lake"}})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"), f.row("e2"))).To(Succeed())
			f.Expect(f.due("port", 9)).To(Equal([]string{"e3"}))
			f.Expect(f.due("lake", 9)).To(Equal([]string{"e1", "e2", "e3"}))
		}},
		{"a retried row waits for its time, and its service waits with it", retried},
		{"a row that waits in the middle holds up what comes after it only", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: []string{"port"}})
			f.Expect(f.Retry(f.ctx, "port", f.seq("e2"), start.Add(time.Minute), failed("busy"))).To(Succeed())
			f.Expect(f.due("port", 9)).To(Equal([]string{"e1"}))
		}},
		{"a retried row tells its attempts and the last reason", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port"}})
			for _, reason := range []string{"first", "second"} {
				f.Expect(f.Retry(f.ctx, "port", f.seq("e1"), start.Add(1999*time.Nanosecond), failed(reason))).To(Succeed())
			}
			f.step(time.Second)
			f.Expect(f.Due(f.ctx, "port", f.clock.Now(), 9)).To(ConsistOf(And(
				HaveField("Attempts", 2), HaveField("LastError", "second"), HaveField("NextAt", start.Add(time.Microsecond)))))
		}},
		{"a parked row is due no more and holds nobody up", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: []string{"port"}})
			f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
			f.Expect(f.due("port", 9)).To(Equal([]string{"e2"}))
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e2"))).To(Succeed())
			f.Expect(f.NextDue(f.ctx, "port")).To(BeZero())
		}},
		{"the cursor moves over a parked row", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: []string{"port"}})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
			f.Expect(f.Park(f.ctx, "port", f.seq("e2"), failed("refused"))).To(Succeed())
			f.Expect(f.figures("port").Cursor).To(Equal(f.seq("e2")))
		}},
		{"the next time is that of the first row of a service, since the others wait for it", nextDue},
		{"only a pending row can be retried or parked", settledRows},
		{"a delivery that is recorded twice counts once", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: []string{"port"}})
			for range 2 {
				f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"), f.row("e1"), ledger.Delivery{Seq: 4711})).To(Succeed())
			}
			f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(1)), HaveField("Pending", int64(1))))
		}},
		{"what waits takes no room from what does not", crowded},
		{"a clock that was wrong holds nothing up", mistaken},
		{"a requeued row is due at once, as if it had never failed", requeued},
		{"a forgotten sink is owed nothing and has no figures", forgotten},
		{"the figures follow each row", figuresFollow},
		{"the last error is the newest of the rows that are in trouble", lastError},
		{"sinks are listed by name", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port", "lake", "audit"}})
			f.Expect(f.Sinks(f.ctx)).To(HaveExactElements(HaveField("Sink", "audit"), HaveField("Sink", "lake"), HaveField("Sink", "port")))
		}},
	})
}

func retried(f *fixture) {
	f.commit(ledger.Change{
		Events: []dora.Event{Deployment("c1", "cart", start), Deployment("p1", "pay", start), Deployment("c2", "cart", start)},
		Sinks:  []string{"port", "lake"},
	})
	f.Expect(f.Retry(f.ctx, "port", f.seq("c1"), start.Add(time.Minute), failed("busy"))).To(Succeed())
	f.Expect(f.due("port", 9)).To(Equal([]string{"p1"}))
	f.Expect(f.due("lake", 9)).To(Equal([]string{"c1", "p1", "c2"}), "another sink waits for nobody")
	f.step(time.Minute)
	f.Expect(f.due("port", 9)).To(Equal([]string{"c1", "p1"}), "what is behind a row that failed waits until that one has arrived")
	f.Expect(f.due("port", 1)).To(Equal([]string{"c1", "p1"}), "what failed takes no room from what did not")
}

// crowded: services that wait for their first row, with many behind it, take no room from the others; those are returned that have been due
// longest.
func crowded(f *fixture) {
	var all []dora.Event
	for _, service := range []string{"a", "b", "c"} {
		for i := range 5 {
			all = append(all, Deployment(fmt.Sprintf("%s%d", service, i), service, start))
		}
	}
	all = append(all, Deployment("z1", "z", start), Deployment("z2", "z", start))
	f.commit(ledger.Change{Events: all, Sinks: []string{"port"}})
	for i, id := range []string{"c0", "a0", "b0"} {
		f.Expect(f.Retry(f.ctx, "port", f.seq(id), start.Add(time.Duration(i+1)*time.Second), failed("busy"))).To(Succeed())
	}
	f.step(time.Minute)
	f.Expect(f.due("port", 2)).To(Equal([]string{"a0", "c0", "z1", "z2"}))
	f.Expect(f.due("port", 9)).To(Equal([]string{"a0", "b0", "c0", "z1", "z2"}))
}

// mistaken: the clock was two days ahead when rows were recorded and put off, and is right again.
func mistaken(f *fixture) {
	f.step(48 * time.Hour)
	f.commit(ledger.Change{Events: []dora.Event{Deployment("a1", "a", start), Deployment("b1", "b", start)}, Sinks: []string{"port"}})
	f.Expect(f.Retry(f.ctx, "port", f.seq("b1"), f.clock.Now().Add(time.Minute), failed("busy"))).To(Succeed())
	f.Expect(f.Due(f.ctx, "port", start, 9)).To(HaveExactElements(HaveField("Event.ID", "a1"), HaveField("Event.ID", "b1")))
}

func nextDue(f *fixture) {
	f.commit(ledger.Change{Events: deployments("c", "cart", 2), Sinks: []string{"port"}})
	f.Expect(f.Retry(f.ctx, "port", f.seq("c1"), start.Add(time.Hour), failed("busy"))).To(Succeed())
	f.Expect(f.NextDue(f.ctx, "port")).To(Equal(start.Add(time.Hour)))
	f.step(time.Minute)
	f.commit(ledger.Change{Events: deployments("p", "pay", 1), Sinks: []string{"port"}})
	f.Expect(f.NextDue(f.ctx, "port")).To(Equal(start.Add(time.Minute)))
	f.Expect(f.Retry(f.ctx, "port", f.seq("p1"), start.Add(2*time.Hour), failed("busy"))).To(Succeed())
	f.Expect(f.NextDue(f.ctx, "port")).To(Equal(start.Add(time.Hour)))
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("c1"))).To(Succeed())
	f.Expect(f.NextDue(f.ctx, "port")).To(Equal(start), "the second of the service has become its first")
}

func settledRows(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: []string{"port"}})
	delivered, parked := f.seq("e1"), f.seq("e2")
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
	f.Expect(f.Park(f.ctx, "port", parked, failed("refused"))).To(Succeed())
	before, err := f.Sinks(f.ctx)
	f.Expect(err).NotTo(HaveOccurred())
	for _, seq := range []int64{delivered, parked, 4711} {
		f.Expect(f.Retry(f.ctx, "port", seq, start, failed("again"))).To(MatchError(ledger.ErrNotFound))
		f.Expect(f.Park(f.ctx, "port", seq, failed("again"))).To(MatchError(ledger.ErrNotFound))
		f.Expect(f.Retry(f.ctx, "none", seq, start, failed("again"))).To(MatchError(ledger.ErrNotFound))
		f.Expect(f.Delivered(f.ctx, "port", sentAt(start.Add(time.Hour)), ledger.Delivery{Seq: seq})).To(Succeed())
	}
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start.Add(time.Hour)))).To(Succeed())
	f.Expect(f.Sinks(f.ctx)).To(Equal(before))
}

func requeued(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: []string{"port", "lake"}})
	for _, id := range []string{"e1", "e3"} {
		f.Expect(f.Park(f.ctx, "port", f.seq(id), failed("refused"))).To(Succeed())
	}
	f.Expect(f.Park(f.ctx, "lake", f.seq("e1"), failed("refused"))).To(Succeed())
	f.step(time.Hour)
	f.Expect(f.Requeue(f.ctx, "port")).To(Equal(int64(2)))
	f.Expect(f.Requeue(f.ctx, "port")).To(BeZero())
	due, err := f.Due(f.ctx, "port", f.clock.Now(), 9)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(due).To(HaveLen(3))
	f.Expect(due[0]).To(And(HaveField("Attempts", 0), HaveField("NextAt", f.clock.Now()), HaveField("LastError", "")))
	f.Expect(f.figures("port")).To(And(HaveField("Pending", int64(3)), HaveField("Parked", int64(0)), HaveField("LastError", "")))
	f.Expect(f.figures("lake")).To(HaveField("Parked", int64(1)), "another sink's rows stay where they are")
}

func forgotten(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: []string{"port", "lake"}})
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
	f.Expect(f.Park(f.ctx, "port", f.seq("e2"), failed("refused"))).To(Succeed())
	f.Expect(f.Forget(f.ctx, "port", time.Time{})).To(Equal(int64(2)), "what was delivered is not dropped")
	f.Expect(f.Forget(f.ctx, "none", time.Time{})).To(BeZero())
	f.Expect(f.due("port", 9)).To(BeEmpty())
	f.Expect(f.Sinks(f.ctx)).To(HaveExactElements(HaveField("Sink", "lake")))
	f.Expect(f.ids(ledger.EventQuery{})).To(HaveLen(3), "the events stay")
	f.commit(ledger.Change{Events: deployments("f", "cart", 1), Sinks: []string{"port"}})
	f.Expect(f.due("port", 9)).To(Equal([]string{"f1"}), "a sink of that name may come again")
	f.Expect(f.figures("port")).To(HaveField("Delivered", int64(0)))
}

func figuresFollow(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port"}})
	f.step(time.Minute)
	f.commit(ledger.Change{Events: append(deployments("p", "pay", 1), deployments("s", "search", 1)...), Sinks: []string{"port"}})
	e1, p1, s1 := f.seq("e1"), f.seq("p1"), f.seq("s1")
	f.Expect(f.figures("port")).To(Equal(ledger.SinkState{Sink: "port", Cursor: e1 - 1, Pending: 3, OldestPending: start}))

	f.Expect(f.Delivered(f.ctx, "port", sentAt(start.Add(time.Second+time.Nanosecond)), ledger.Delivery{Seq: p1})).To(Succeed())
	f.Expect(f.figures("port")).To(Equal(ledger.SinkState{
		Sink: "port", Cursor: e1 - 1, Delivered: 1, Pending: 2, OldestPending: start, LastDelivery: start.Add(time.Second),
	}))
	f.Expect(f.Park(f.ctx, "port", e1, failed("refused"))).To(Succeed())
	f.Expect(f.figures("port")).To(Equal(ledger.SinkState{
		Sink: "port", Cursor: s1 - 1, Delivered: 1, Pending: 1, Parked: 1, OldestPending: start.Add(time.Minute),
		LastDelivery: start.Add(time.Second), LastError: "refused",
	}))
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start.Add(time.Hour)), ledger.Delivery{Seq: s1})).To(Succeed())
	f.Expect(f.figures("port")).To(Equal(ledger.SinkState{
		Sink: "port", Cursor: s1, Delivered: 2, Parked: 1, LastDelivery: start.Add(time.Hour), LastError: "refused",
	}))
}

func lastError(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: []string{"port"}})
	f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
	f.step(time.Second)
	f.Expect(f.Retry(f.ctx, "port", f.seq("e2"), start.Add(time.Hour), failed("busy"))).To(Succeed())
	f.Expect(f.figures("port").LastError).To(Equal("busy"))
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e2"), f.row("e3"))).To(Succeed())
	f.Expect(f.figures("port").LastError).To(Equal("refused"), "that row is still parked")
	f.Expect(f.Requeue(f.ctx, "port")).To(Equal(int64(1)))
	f.Expect(f.figures("port").LastError).To(BeEmpty())
}
