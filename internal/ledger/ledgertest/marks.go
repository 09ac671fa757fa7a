package ledgertest

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Mark is one that a person made.
func Mark(eventID string, verdict dora.Verdict, reason string, at time.Time) dora.Mark {
	return dora.Mark{EventID: eventID, Verdict: verdict, Reason: reason, By: "ada", At: at, Source: "DoraTarget shop/production"}
}

// said marks an event, for the sink of most sentences.
func (f *fixture) said(marks ...dora.Mark) {
	f.t.Helper()
	f.commit(ledger.Change{Marks: marks, Sinks: port})
}

// verdicts are those of the selected marks, in order.
func (f *fixture) verdicts(q ledger.MarkQuery) []dora.Verdict {
	f.t.Helper()
	marks, err := f.Marks(f.ctx, q)
	f.Expect(err).NotTo(HaveOccurred())
	verdicts := []dora.Verdict{}
	for _, m := range marks {
		verdicts = append(verdicts, m.Mark.Verdict)
	}
	return verdicts
}

// marking: what people say about events.
func marking(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"the newest mark is joined to its event wherever it is read", markJoined},
		{"all that was ever said is kept, in order", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2)})
			first, second := Mark("e1", dora.Ignore, "a drill", start), Mark("e1", dora.Withdrawn, "it was no drill", start.Add(time.Hour))
			other := Mark("e2", dora.Failure, "customers saw it", start.Add(time.Nanosecond))
			f.said(first)
			f.said(second, other)
			f.Expect(f.Marks(f.ctx, ledger.MarkQuery{})).To(Equal([]ledger.Marked{
				{Mark: first, Seq: f.seq("e1"), UID: "uid-cart"},
				{Mark: second, Seq: f.seq("e1"), UID: "uid-cart"},
				{Mark: other, Seq: f.seq("e2"), UID: "uid-cart"},
			}))
		}},
		{"marks are selected by event, by subject, and by whether they stand", selectsMarks},
		{"a mark that was withdrawn leaves the event as it was recorded", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
			f.said(Mark("e1", dora.Ignore, "a drill", start))
			f.said(Mark("e1", dora.Withdrawn, "", start.Add(time.Hour)))
			f.Expect(f.event("e1")).To(Equal(Deployment("e1", "cart", start)))
		}},
		{"every event can be marked, and facts and marks stand side by side", func(f *fixture) {
			f.commit(ledger.Change{Events: append(deployments("e", "cart", 1), Degraded("d1", "cart", start))})
			f.said(Mark("d1", dora.NotAFailure, "the probe was wrong", start), Mark("e1", dora.Failure, "slow", start))
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start.Add(-time.Hour))}})
			f.Expect(f.event("d1").Mark.Verdict).To(Equal(dora.NotAFailure))
			f.Expect(f.event("e1").Mark.Verdict).To(Equal(dora.Failure))
			f.Expect(f.event("e1").LeadTimeSeconds).To(HaveValue(Equal(3600.0)))
		}},
		{"a mark is kept beside the event of the same change", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Marks: []dora.Mark{Mark("e1", dora.Ignore, "a drill", start)}, Sinks: port})
			f.Expect(f.owed("port")).To(HaveExactElements(And(HaveField("Event", f.event("e1")), HaveField("Content", int64(1)))))
			f.Expect(f.event("e1").Mark.Verdict).To(Equal(dora.Ignore))
		}},
		{"what says nothing new is passed over: it owes nothing, and is not kept", passesOver},
		{"a verdict that there is not is refused, and nothing is kept", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
			before := f.fingerprint("uid-cart")
			f.Expect(f.Commit(f.ctx, ledger.Change{Marks: []dora.Mark{Mark("e1", "fine", "", start)}, Sinks: port})).NotTo(Succeed())
			f.Expect(f.fingerprint("uid-cart")).To(Equal(before))
		}},
		{"a delivered event is owed again once it is marked", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"), f.row("e2"))).To(Succeed())
			f.said(Mark("e1", dora.Ignore, "a drill", start))
			f.Expect(f.owed("port")).To(HaveExactElements(And(HaveField("Event", f.event("e1")), HaveField("Content", int64(1)))))
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.owed("port")...)).To(Succeed())
			f.said(Mark("e1", dora.Withdrawn, "", start))
			f.Expect(f.owed("port")).To(HaveExactElements(And(HaveField("Event", Deployment("e1", "cart", start)), HaveField("Content", int64(2)))))
		}},
		{"a delivery that was under way when its event was marked does not settle it", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: port})
			old := f.owed("port")
			f.said(Mark("e1", dora.Ignore, "a drill", start))
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), old...)).To(Succeed())
			f.Expect(f.owed("port")).To(HaveExactElements(HaveField("Content", int64(2))))
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.owed("port")...)).To(Succeed())
			f.Expect(f.due("port", 9)).To(BeEmpty())
			f.Expect(f.Deliveries(f.ctx, ledger.DeliveryQuery{})).To(HaveExactElements(HaveField("Content", int64(2)), HaveField("Content", int64(1))))
		}},
		{"a failed attempt is logged with what the event held then", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			f.said(Mark("e1", dora.Ignore, "a drill", start))
			f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
			f.Expect(f.Deliveries(f.ctx, ledger.DeliveryQuery{})).To(HaveExactElements(HaveField("Content", int64(1))))
			f.Expect(f.Outstanding(f.ctx, ledger.OutstandingQuery{})).To(HaveExactElements(And(
				HaveField("Content", int64(1)), HaveField("Event", f.event("e1")))))
		}},
		{"marks grow the revision, and survive opening again", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
			before := f.revision()
			f.said(Mark("e1", dora.Ignore, "a drill", start))
			f.Expect(f.revision()).To(BeNumerically(">", before))
			f.reopen()
			f.Expect(f.event("e1").Mark.Verdict).To(Equal(dora.Ignore))
		}},
		{"marks go with their event", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2)})
			f.commit(ledger.Change{Marks: []dora.Mark{Mark("e1", dora.Ignore, "a drill", start), Mark("e2", dora.Ignore, "a drill", start)}})
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.Add(time.Second)})).To(Equal(int64(1)))
			f.Expect(f.verdicts(ledger.MarkQuery{})).To(HaveLen(1))
			f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
			f.Expect(f.event("e1").Mark).To(BeNil(), "one that is recorded anew begins without")
		}},
	})
}

func markJoined(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port, Resolve: true})
	f.said(Mark("e1", dora.Ignore, "a drill", start))
	newest := Mark("e1", dora.Failure, "customers saw it", start.Add(time.Hour))
	f.said(newest)

	want := Deployment("e1", "cart", start)
	want.Say(newest)
	f.Expect(f.event("e1")).To(Equal(want))
	f.Expect(f.owed("port")).To(HaveExactElements(HaveField("Event", want), HaveField("Event.ID", "e2")))
	f.Expect(f.Unresolved(f.ctx, start, 9)).To(HaveExactElements(HaveField("Event", want), HaveField("Event.ID", "e2")))
	f.Expect(f.Outstanding(f.ctx, ledger.OutstandingQuery{EventID: "e1"})).To(HaveExactElements(HaveField("Event", want)))
}

func selectsMarks(f *fixture) {
	f.commit(ledger.Change{Events: append(deployments("e", "cart", 3), deployments("p", "pay", 1)...)})
	f.said(Mark("e1", dora.Ignore, "a drill", start), Mark("e2", dora.Failure, "slow", start), Mark("p1", dora.NotAFailure, "a test", start))
	f.said(Mark("e1", dora.Withdrawn, "", start), Mark("e2", dora.Ignore, "a drill", start))
	for _, c := range []struct {
		q    ledger.MarkQuery
		want []dora.Verdict
	}{
		{ledger.MarkQuery{EventIDs: []string{"e1", "e3", "none"}}, []dora.Verdict{dora.Ignore, dora.Withdrawn}},
		{ledger.MarkQuery{UIDs: []string{"uid-pay"}}, []dora.Verdict{dora.NotAFailure}},
		{ledger.MarkQuery{UIDs: []string{"uid-cart"}, Standing: true}, []dora.Verdict{dora.Ignore}},
		{ledger.MarkQuery{Standing: true}, []dora.Verdict{dora.Ignore, dora.NotAFailure}},
		{ledger.MarkQuery{Source: "DoraTarget shop/production", UIDs: []string{"uid-pay"}}, []dora.Verdict{dora.NotAFailure}},
		{ledger.MarkQuery{Source: "DoraTarget shop/other"}, []dora.Verdict{}},
		{ledger.MarkQuery{EventIDs: []string{}}, []dora.Verdict{}},
		{ledger.MarkQuery{UIDs: []string{}}, []dora.Verdict{}},
	} {
		f.Expect(f.verdicts(c.q)).To(Equal(c.want), "%+v", c.q)
	}
}

func passesOver(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port})
	f.said(Mark("e1", dora.Ignore, "a drill", start))
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.owed("port")...)).To(Succeed())
	f.said(Mark("e1", dora.Ignore, "a drill", start.Add(time.Hour)), Mark("e2", dora.Withdrawn, "", start), Mark("none", dora.Ignore, "a drill", start))
	f.Expect(f.due("port", 9)).To(BeEmpty())
	f.Expect(f.event("e1").Mark.At).To(Equal(start))
	f.Expect(f.verdicts(ledger.MarkQuery{})).To(Equal([]dora.Verdict{dora.Ignore}))
	f.said(Mark("e1", dora.Withdrawn, "", start))
	f.said(Mark("e1", dora.Withdrawn, "for good", start))
	f.Expect(f.verdicts(ledger.MarkQuery{})).To(Equal([]dora.Verdict{dora.Ignore, dora.Withdrawn}))
	f.said(Mark("e1", dora.Ignore, "a drill", start), Mark("e1", dora.Ignore, "a drill indeed", start))
	f.Expect(f.event("e1").Mark.Reason).To(Equal("a drill indeed"), "of two in one change the later one counts")
}
