package ledgertest

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// port is the sink of most sentences.
var port = []string{"port"}

// completion: what is found out later about a deployment.
func completion(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"facts are joined to their event wherever it is read", joined},
		{"facts take the place of earlier facts of the same event", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Facts: []dora.CommitFacts{Facts("e1", start.Add(-time.Hour))}})
			f.commit(ledger.Change{Facts: []dora.CommitFacts{{EventID: "e1", Reason: "NoBase"}}})
			want := Deployment("e1", "cart", start)
			want.Enrich(dora.CommitFacts{EventID: "e1", Reason: "NoBase"})
			f.Expect(f.event("e1")).To(Equal(want), "nothing of the first is left")
			f.commit(ledger.Change{Facts: []dora.CommitFacts{{EventID: "e1", Reason: "Rollback"}, Facts("e1", start.Add(-time.Minute))}})
			f.Expect(f.event("e1").LeadTimeSeconds).To(HaveValue(Equal(60.0)), "of two in one change the later one counts")
		}},
		{"facts are kept beside the event of the same change", func(f *fixture) {
			f.commit(ledger.Change{
				Events: deployments("e", "cart", 1), Facts: []dora.CommitFacts{Facts("e1", start.Add(-time.Hour))}, Sinks: port, Resolve: true,
			})
			f.Expect(f.event("e1").LeadTimeSeconds).To(HaveValue(Equal(3600.0)))
			f.Expect(f.due("port", 9)).To(Equal([]string{"e1"}))
			f.Expect(f.unresolved(9)).To(BeEmpty())
		}},
		{"facts of an event that is not there, or deploys nothing, are passed over, and the rest of the change is kept", func(f *fixture) {
			f.commit(ledger.Change{Events: []dora.Event{Degraded("d1", "cart", start)}})
			f.commit(ledger.Change{
				Facts: []dora.CommitFacts{Facts("none", start), Facts("d1", start), Facts("", start)}, Sinks: port,
				States: []ledger.State{{Key: "a"}},
			})
			f.Expect(f.event("d1")).To(Equal(Degraded("d1", "cart", start)))
			f.Expect(f.state("a").Version).To(Equal(int64(1)))
			f.Expect(f.due("port", 9)).To(BeEmpty())
			f.Expect(f.Resolutions(f.ctx, ledger.ResolutionQuery{})).To(BeZero())
		}},
		{"a conflict keeps no facts", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Resolve: true})
			f.Expect(f.Commit(f.ctx, ledger.Change{
				Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: port, States: []ledger.State{{Key: "a", Version: 7}},
			})).To(MatchError(ledger.ErrConflict))
			f.Expect(f.event("e1")).To(Equal(Deployment("e1", "cart", start)))
			f.Expect(f.unresolved(9)).To(Equal([]string{"e1"}))
			f.Expect(f.due("port", 9)).To(BeEmpty())
		}},
		{"facts and searches that are made again grow the revision, and nothing else of the search does", growsWithFacts},
		{"facts survive opening again", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Facts: []dora.CommitFacts{Facts("e1", start.Add(-time.Hour))}})
			before := f.event("e1")
			f.reopen()
			f.Expect(f.event("e1")).To(Equal(before))
		}},
		{"facts go with their event", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Facts: []dora.CommitFacts{Facts("e1", start), Facts("e2", start)}})
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.Add(time.Second)})).To(Equal(int64(1)))
			f.Expect(f.Resolutions(f.ctx, ledger.ResolutionQuery{})).To(Equal(ledger.Resolutions{Resolved: 1}))
			f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
			f.Expect(f.event("e1").LeadTimeSeconds).To(BeNil(), "one that is recorded anew begins without")
		}},
	})
}

func joined(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port, Resolve: true})
	known := Facts("e1", start.Add(-time.Hour-time.Nanosecond))
	known.Reason = "ForcePushed"
	f.commit(ledger.Change{Facts: []dora.CommitFacts{known}})
	f.Expect(f.Reopen(f.ctx, ledger.ReopenQuery{}, start)).To(Equal(int64(1)))

	want := Deployment("e1", "cart", start)
	want.Enrich(known)
	f.Expect(want.Version.Commit).To(Equal(known.Commit))
	f.Expect(f.event("e1")).To(Equal(want))
	for _, q := range []ledger.EventQuery{{}, {UIDs: []string{"uid-cart"}, Since: start}, {Newest: true}} {
		var read []dora.Event
		for row, err := range f.Events(f.ctx, q) {
			f.Expect(err).NotTo(HaveOccurred())
			read = append(read, row.Event)
		}
		f.Expect(read).To(ConsistOf(want, Deployment("e2", "cart", start.Add(time.Minute))))
	}
	f.Expect(f.Due(f.ctx, "port", start, 9)).To(HaveExactElements(HaveField("Event", want), HaveField("Event.ID", "e2")))
	f.Expect(f.Unresolved(f.ctx, start, 9)).To(HaveExactElements(HaveField("Event", want), HaveField("Event.ID", "e2")))
}

func growsWithFacts(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2), Resolve: true})
	before := f.revision()
	f.commit(ledger.Change{Facts: []dora.CommitFacts{{EventID: "e1", Reason: "NoBase"}}})
	after := f.revision()
	f.Expect(after).To(BeNumerically(">", before))
	f.Expect(f.PutOff(f.ctx, "e2", start, "Busy", "try again")).To(Succeed())
	f.Expect(f.Hurry(f.ctx, ledger.ResolutionQuery{}, start)).To(Equal(int64(1)))
	f.Expect(f.CachePut(f.ctx, "key", []byte("value"))).To(Succeed())
	f.Expect(f.revision()).To(Equal(after))
	f.Expect(f.Reopen(f.ctx, ledger.ReopenQuery{Missing: true}, start)).To(Equal(int64(1)))
	f.Expect(f.revision()).To(BeNumerically(">", after))
}

// redelivery: how a completed event is delivered again.
func redelivery(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"a delivered event is owed again once it is completed, to the sinks of the facts alone", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: []string{"port", "lake"}})
			for _, sink := range []string{"port", "lake"} {
				f.Expect(f.Delivered(f.ctx, sink, sentAt(start), f.row("e1"), f.row("e2"))).To(Succeed())
			}
			f.step(time.Hour)
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: []string{"port", "new"}})
			f.Expect(f.due("lake", 9)).To(BeEmpty())
			f.Expect(f.due("new", 9)).To(Equal([]string{"e1"}))
			f.Expect(f.Due(f.ctx, "port", f.clock.Now(), 9)).To(Equal([]ledger.Delivery{
				{Seq: f.seq("e1"), Sink: "port", Event: f.event("e1"), Content: 1, NextAt: start.Add(time.Hour)},
			}))
		}},
		{"a delivery that was under way when its event was completed does not settle it", underWay},
		{"a delivery that is recorded once more does not settle what came to light since", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			old := f.owed("port")
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), old...)).To(Succeed())
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: port})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), old...)).To(Succeed())
			f.Expect(f.due("port", 9)).To(Equal([]string{"e1"}))
			f.Expect(f.figures("port").Delivered).To(Equal(int64(1)))
		}},
		{"a sink that the facts do not name gets them with a row that was pending", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			old := f.owed("port")
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), old...)).To(Succeed())
			f.Expect(f.owed("port")).To(HaveExactElements(HaveField("Event", f.event("e1"))))
		}},
		{"a row that failed and went out with older content is due at once, as if it had never failed", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			f.Expect(f.Retry(f.ctx, "port", f.seq("e1"), start.Add(time.Minute), failed("busy"))).To(Succeed())
			f.step(time.Minute)
			old := f.owed("port")
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: port})
			f.step(time.Minute)
			f.Expect(f.Delivered(f.ctx, "port", sentAt(f.clock.Now()), old...)).To(Succeed())
			f.Expect(f.owed("port")).To(HaveExactElements(And(
				HaveField("Attempts", 0), HaveField("LastError", ""), HaveField("NextAt", f.clock.Now()))))
			f.Expect(f.figures("port").LastError).To(BeEmpty())
		}},
		{"a row that waits for its retry goes on waiting when its event is completed", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			f.Expect(f.Retry(f.ctx, "port", f.seq("e1"), start.Add(time.Hour), failed("busy"))).To(Succeed())
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: port})
			f.Expect(f.NextDue(f.ctx, "port")).To(Equal(start.Add(time.Hour)))
			f.step(time.Hour)
			f.Expect(f.owed("port")).To(HaveExactElements(And(HaveField("Attempts", 1), HaveField("Event", f.event("e1")))))
		}},
		{"a parked row stays parked, and once requeued it brings the newer content", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: port})
			f.Expect(f.due("port", 9)).To(BeEmpty())
			f.Expect(f.figures("port")).To(And(HaveField("Parked", int64(1)), HaveField("LastError", "refused")))
			f.Expect(f.Requeue(f.ctx, "port")).To(Equal(int64(1)))
			f.Expect(f.owed("port")).To(HaveExactElements(HaveField("Event", f.event("e1"))))
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.owed("port")...)).To(Succeed())
			f.Expect(f.due("port", 9)).To(BeEmpty())
		}},
		{"facts that change nothing that is read owe nothing", func(f *fixture) {
			known := Facts("e1", start.Add(-time.Hour))
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Facts: []dora.CommitFacts{known}, Sinks: port})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.owed("port")...)).To(Succeed())
			known.ResolvedAt = start.Add(time.Hour)
			f.commit(ledger.Change{Facts: []dora.CommitFacts{known}, Sinks: port})
			f.Expect(f.due("port", 9)).To(BeEmpty())
		}},
		{"facts that change nothing that is read leave a delivery that is under way as good as it was", func(f *fixture) {
			known := Facts("e1", start.Add(-time.Hour))
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Facts: []dora.CommitFacts{known}, Sinks: port})
			sent := f.owed("port")
			known.ResolvedAt = start.Add(time.Hour)
			f.commit(ledger.Change{Facts: []dora.CommitFacts{known}, Sinks: port})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), sent...)).To(Succeed())
			f.Expect(f.due("port", 9)).To(BeEmpty())
		}},
		{"an event that is owed again goes out before later ones of its service, and the figures say so", againInOrder},
		{"a forgotten sink may be owed a completed event", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			f.Expect(f.Forget(f.ctx, "port", time.Time{})).To(Equal(int64(1)))
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: port})
			f.Expect(f.due("port", 9)).To(Equal([]string{"e1"}))
		}},
		{"an event that is owed again is not pruned", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: port})
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.AddDate(1, 0, 0)})).To(BeZero())
			f.Expect(f.owed("port")).To(HaveExactElements(HaveField("Event.LeadTimeSeconds", HaveValue(BeZero()))))
		}},
	})
}

// underWay is the race of a delivery with what is found out meanwhile.
func underWay(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port})
	sent := f.owed("port")
	f.step(time.Second)
	f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start.Add(-time.Hour))}, Sinks: port})
	f.step(time.Second)
	f.Expect(f.Delivered(f.ctx, "port", sentAt(f.clock.Now()), sent...)).To(Succeed())

	f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(1)), HaveField("Pending", int64(1))), "the other one is settled")
	f.Expect(f.NextDue(f.ctx, "port")).To(Equal(f.clock.Now()))
	second := f.owed("port")
	f.Expect(second).To(HaveExactElements(And(HaveField("Event", f.event("e1")), HaveField("Content", sent[0].Content+1))))
	f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start.Add(-time.Minute))}, Sinks: port})
	f.Expect(f.Delivered(f.ctx, "port", sentAt(f.clock.Now()), second...)).To(Succeed())
	f.Expect(f.due("port", 9)).To(Equal([]string{"e1"}), "and once more")
	f.Expect(f.Delivered(f.ctx, "port", sentAt(f.clock.Now()), f.owed("port")...)).To(Succeed())
	f.Expect(f.due("port", 9)).To(BeEmpty())
}

func againInOrder(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
	f.step(time.Minute)
	f.commit(ledger.Change{Events: deployments("f", "cart", 1), Sinks: port})
	f.step(time.Minute)
	f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}, Sinks: port})
	f.Expect(f.due("port", 9)).To(Equal([]string{"e1", "f1"}))
	f.Expect(f.figures("port")).To(Equal(ledger.SinkState{
		Sink: "port", Cursor: f.seq("e1") - 1, Delivered: 1, Pending: 2, OldestPending: start.Add(time.Minute), LastDelivery: start,
	}), "the sink waits longest for the other")
	f.Expect(f.Delivered(f.ctx, "port", sentAt(f.clock.Now()), f.owed("port")...)).To(Succeed())
	f.Expect(f.figures("port")).To(Equal(ledger.SinkState{
		Sink: "port", Cursor: f.seq("f1"), Delivered: 3, LastDelivery: f.clock.Now(),
	}))
}

func hurries(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 3), Resolve: true})
	f.commit(ledger.Change{Events: []dora.Event{Deployment("p1", "pay", start)}, Resolve: true, Facts: []dora.CommitFacts{{EventID: "e3", Reason: "NoBase"}}})
	far := start.Add(24 * time.Hour)
	for _, id := range []string{"e1", "p1"} {
		f.Expect(f.PutOff(f.ctx, id, far, "Unreachable", "down")).To(Succeed())
	}
	before := f.revision()
	f.step(time.Minute)
	now := f.clock.Now()
	f.Expect(f.Hurry(f.ctx, ledger.ResolutionQuery{UIDs: []string{}}, now)).To(BeZero())
	f.Expect(f.Hurry(f.ctx, ledger.ResolutionQuery{UIDs: []string{"uid-cart"}}, now)).To(Equal(int64(1)), "the others did not fail, or are no longer queued")
	f.Expect(f.unresolved(9)).To(Equal([]string{"e1", "e2"}))
	f.Expect(f.Resolutions(f.ctx, ledger.ResolutionQuery{UIDs: []string{"uid-cart"}})).To(And(HaveField("Pending", int64(2)), HaveField("Failing", BeEmpty())))
	f.Expect(f.Unresolved(f.ctx, now, 1)).To(HaveExactElements(And(HaveField("Attempts", 0), HaveField("RecordedAt", now))))
	f.Expect(f.Resolutions(f.ctx, ledger.ResolutionQuery{Queued: true})).To(And(HaveField("Pending", int64(3)), HaveField("Unknown", BeEmpty())))
	f.Expect(f.Resolutions(f.ctx, ledger.ResolutionQuery{})).To(And(HaveField("Pending", int64(3)), HaveField("Unknown", HaveLen(1))))
	f.Expect(f.Hurry(f.ctx, ledger.ResolutionQuery{}, now)).To(Equal(int64(1)))
	f.Expect(f.unresolved(9)).To(Equal([]string{"e1", "e2", "p1"}))
	f.Expect(f.revision()).To(Equal(before))
}

// searches: the queue of deployments whose commits are to be found.
func searches(t *testing.T, open Open) {
	t.Helper()
	t.Run("each field of a query selects what is queued again", func(t *testing.T) { selectsReopened(t, open) })
	verify(t, open, []spec{
		{"a new deployment of an image is queued if the change says so, due at once", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Resolve: true})
			f.Expect(f.Unresolved(f.ctx, start, 9)).To(Equal([]ledger.Resolution{
				{Seq: f.seq("e1"), Event: Deployment("e1", "cart", start), NextAt: start, RecordedAt: start},
			}))
			f.Expect(f.NextUnresolved(f.ctx)).To(Equal(start))
		}},
		{"nothing else is queued", queuesNothingElse},
		{"what failed and was mended is due at once, as if it had not failed", hurries},
		{"the queue is in the order of recording, up to the limit", func(f *fixture) {
			f.commit(ledger.Change{Events: []dora.Event{Deployment("late", "cart", start.Add(time.Hour)), Deployment("early", "pay", start)}, Resolve: true})
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Resolve: true})
			f.Expect(f.unresolved(3)).To(Equal([]string{"late", "early", "e1"}))
			f.Expect(f.unresolved(0)).To(BeEmpty())
			f.Expect(f.unresolved(-1)).To(BeEmpty())
		}},
		{"a failed attempt is counted and put off, and holds up nobody", putOff},
		{"only what is queued can be put off", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2)})
			f.commit(ledger.Change{Events: deployments("q", "cart", 1), Facts: []dora.CommitFacts{Facts("q1", start), {EventID: "e2", Reason: "NoBase"}}, Resolve: true})
			for _, id := range []string{"none", "e1", "e2", "q1"} {
				f.Expect(f.PutOff(f.ctx, id, start, "Busy", "")).To(MatchError(ledger.ErrNotFound))
			}
		}},
		{"facts end a search, with a lead time or with a reason", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 3), Resolve: true})
			f.Expect(f.PutOff(f.ctx, "e2", start, "Busy", "try again")).To(Succeed())
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start), {EventID: "e2", Reason: "NoBase", Message: "no ancestor"}}})
			f.Expect(f.unresolved(9)).To(Equal([]string{"e3"}))
			f.Expect(f.Resolutions(f.ctx, ledger.ResolutionQuery{})).To(Equal(ledger.Resolutions{
				Pending: 1, Resolved: 1, Unknown: []ledger.ReasonCount{{Reason: "NoBase", Count: 1, Message: "no ancestor"}},
			}))
		}},
		{"a first commit that is younger than its deployment ends unknown", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Facts: []dora.CommitFacts{Facts("e1", start.Add(time.Hour))}, Resolve: true})
			f.Expect(f.Resolutions(f.ctx, ledger.ResolutionQuery{})).To(Equal(ledger.Resolutions{
				Unknown: []ledger.ReasonCount{{Reason: dora.NegativeLeadTime, Count: 1}},
			}))
		}},
		{"a queued deployment is pruned like any other", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Resolve: true})
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.Add(time.Second)})).To(Equal(int64(1)))
			f.Expect(f.unresolved(9)).To(Equal([]string{"e2"}))
			f.Expect(f.PutOff(f.ctx, "e1", start, "Busy", "")).To(MatchError(ledger.ErrNotFound))
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}})
		}},
		{"the queue survives opening again", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Resolve: true})
			f.Expect(f.PutOff(f.ctx, "e1", start.Add(time.Minute), "Busy", "try again")).To(Succeed())
			f.step(time.Hour)
			before, err := f.Unresolved(f.ctx, f.clock.Now(), 9)
			f.Expect(err).NotTo(HaveOccurred())
			f.reopen()
			f.Expect(f.Unresolved(f.ctx, f.clock.Now(), 9)).To(And(HaveLen(2), Equal(before)))
		}},
		{"what ended unknown is queued again as if it had never failed, and reads as before", reopened},
		{"more searches are queued again than one step takes", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1234)})
			f.Expect(f.Reopen(f.ctx, ledger.ReopenQuery{Missing: true}, start)).To(Equal(int64(1234)))
			f.Expect(f.unresolved(2000)).To(HaveLen(1234))
		}},
		{"searches are counted by what became of them", counted},
	})
}

func queuesNothingElse(f *fixture) {
	config := Deployment("config", "cart", start)
	config.Change = dora.ChangeConfig
	f.commit(ledger.Change{Events: deployments("unasked", "cart", 1), Sinks: port})
	f.commit(ledger.Change{Events: []dora.Event{config, Degraded("degraded", "cart", start), Recovered("recovered", "cart", start)}, Resolve: true})
	f.commit(ledger.Change{Events: deployments("unasked", "cart", 1), Resolve: true}) // it is not new
	f.Expect(f.unresolved(9)).To(BeEmpty())
	f.Expect(f.NextUnresolved(f.ctx)).To(BeZero())
	f.Expect(f.Resolutions(f.ctx, ledger.ResolutionQuery{})).To(BeZero())
}

func putOff(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2), Resolve: true})
	f.step(time.Minute)
	for _, message := range []string{"first", "second"} {
		f.Expect(f.PutOff(f.ctx, "e1", start.Add(time.Hour+1999*time.Nanosecond), "Unreachable", message)).To(Succeed())
	}
	f.Expect(f.unresolved(9)).To(Equal([]string{"e2"}))
	f.Expect(f.NextUnresolved(f.ctx)).To(Equal(start))
	f.Expect(f.PutOff(f.ctx, "e2", start.Add(2*time.Hour), "Unreachable", "third")).To(Succeed())
	next := start.Add(time.Hour + time.Microsecond)
	f.Expect(f.NextUnresolved(f.ctx)).To(Equal(next))
	f.Expect(f.Unresolved(f.ctx, next.Add(-time.Microsecond), 9)).To(BeEmpty())
	f.Expect(f.Unresolved(f.ctx, next, 9)).To(Equal([]ledger.Resolution{{
		Seq: f.seq("e1"), Event: Deployment("e1", "cart", start), Attempts: 2, Reason: "Unreachable", Message: "second",
		NextAt: next, RecordedAt: start,
	}}))
	f.Expect(f.PutOff(f.ctx, "e1", start.Add(3*time.Hour), "Unreachable", "fourth")).To(Succeed())
	f.step(4 * time.Hour)
	f.Expect(f.unresolved(9)).To(Equal([]string{"e1", "e2"}), "not in the order of their times")
	f.Expect(f.event("e1")).To(Equal(Deployment("e1", "cart", start)), "an attempt tells nothing about the event")
}

func reopened(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: port, Resolve: true})
	f.commit(ledger.Change{Facts: []dora.CommitFacts{{EventID: "e1", Reason: "NoBase", Message: "no ancestor"}, Facts("e2", start)}, Sinks: port})
	f.Expect(f.PutOff(f.ctx, "e3", start.Add(time.Hour), "Busy", "try again")).To(Succeed())
	before, sent := f.event("e1"), f.owed("port")
	now := start.Add(time.Minute)
	f.clock.SetTime(now)
	f.Expect(f.Reopen(f.ctx, ledger.ReopenQuery{}, now)).To(Equal(int64(1)))
	f.Expect(f.Reopen(f.ctx, ledger.ReopenQuery{Missing: true}, now)).To(BeZero(), "it is queued, and the others are or have ended")
	f.Expect(f.Unresolved(f.ctx, now, 9)).To(Equal([]ledger.Resolution{{Seq: f.seq("e1"), Event: before, NextAt: now, RecordedAt: now}}))
	f.Expect(f.event("e1").LeadTimeUnknown).To(Equal("NoBase"))
	f.Expect(f.Delivered(f.ctx, "port", sentAt(now), sent...)).To(Succeed())
	f.Expect(f.due("port", 9)).To(BeEmpty(), "it changed nothing that is read")

	f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start.Add(-time.Hour))}, Sinks: port})
	f.Expect(f.owed("port")).To(HaveExactElements(HaveField("Event.LeadTimeSeconds", HaveValue(Equal(3600.0)))))
}

func selectsReopened(t *testing.T, open Open) {
	t.Helper()
	tomorrow := start.AddDate(0, 0, 1)
	config, asia := Deployment("config", "cart", start), Deployment("asia", "cart", start)
	config.Change, asia.Cluster = dora.ChangeConfig, "asia-1"
	change := ledger.Change{
		Events: []dora.Event{
			Deployment("cart", "cart", start), Deployment("pay", "pay", start), Deployment("pay-later", "pay", tomorrow), asia,
			Deployment("resolved", "cart", start), Deployment("missing", "pay", start), config, Degraded("degraded", "pay", start),
		},
		Facts: []dora.CommitFacts{
			{EventID: "cart", Reason: "NoBase"},
			{EventID: "pay", Reason: "NoCommit"},
			{EventID: "pay-later", Reason: "NoBase"},
			{EventID: "asia", Reason: "NoBase"},
			Facts("resolved", start),
		},
	}
	for name, test := range map[string]struct {
		query ledger.ReopenQuery
		want  []string
	}{
		"nothing selects all that ended unknown": {ledger.ReopenQuery{}, []string{"cart", "pay", "pay-later", "asia"}},
		"subjects":                               {ledger.ReopenQuery{UIDs: []string{"uid-pay", "uid-none"}}, []string{"pay", "pay-later"}},
		"an empty list of subjects":              {ledger.ReopenQuery{UIDs: []string{}, Missing: true}, []string{}},
		"cluster":                                {ledger.ReopenQuery{Cluster: "asia-1"}, []string{"asia"}},
		"since is inclusive":                     {ledger.ReopenQuery{Since: tomorrow}, []string{"pay-later"}},
		"reasons":                                {ledger.ReopenQuery{Reasons: []string{"NoBase", "None"}}, []string{"cart", "pay-later", "asia"}},
		"an empty list of reasons is all":        {ledger.ReopenQuery{Reasons: []string{}}, []string{"cart", "pay", "pay-later", "asia"}},
		"missing ones too":                       {ledger.ReopenQuery{Missing: true}, []string{"cart", "pay", "pay-later", "asia", "missing"}},
		"missing ones, whatever the reasons":     {ledger.ReopenQuery{Missing: true, Reasons: []string{"NoCommit"}}, []string{"pay", "missing"}},
		"all fields together":                    {ledger.ReopenQuery{UIDs: []string{"uid-pay"}, Cluster: "eu-1", Since: start.Add(time.Second), Reasons: []string{"NoBase"}, Missing: true}, []string{"pay-later"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, open)
			f.commit(change)
			f.Expect(f.Reopen(f.ctx, test.query, start)).To(Equal(int64(len(test.want))))
			f.Expect(f.unresolved(99)).To(Equal(test.want))
		})
	}
}

func counted(f *fixture) {
	tomorrow := start.AddDate(0, 0, 1)
	asia := Deployment("asia", "cart", start)
	asia.Cluster = "asia-1"
	f.commit(ledger.Change{Events: []dora.Event{
		Deployment("new", "cart", start), Deployment("busy", "cart", start), Deployment("busier", "cart", tomorrow), Deployment("slow", "cart", start),
		Deployment("resolved", "cart", start), Deployment("orphan", "pay", start), Deployment("orphan-later", "pay", tomorrow), asia,
	}, Resolve: true})
	f.commit(ledger.Change{Events: deployments("unasked", "cart", 1), Facts: []dora.CommitFacts{
		Facts("resolved", start),
		{EventID: "asia", Reason: "NoCommit", Message: "no tag"},
		{EventID: "orphan-later", Reason: "NoBase", Message: "the newer"},
		{EventID: "orphan", Reason: "NoBase", Message: "the older"},
	}})
	for id, why := range map[string][2]string{"busier": {"Busy", "the newer"}, "busy": {"Busy", "the older"}, "slow": {"Timeout", "slow"}} {
		f.Expect(f.PutOff(f.ctx, id, start, why[0], why[1])).To(Succeed())
	}
	busy := func(n int64) []ledger.ReasonCount {
		return []ledger.ReasonCount{{Reason: "Busy", Count: n, Message: "the newer"}, {Reason: "Timeout", Count: 1, Message: "slow"}}
	}
	orphans := func(n int64) ledger.ReasonCount {
		return ledger.ReasonCount{Reason: "NoBase", Count: n, Message: "the newer"}
	}
	lost := ledger.ReasonCount{Reason: "NoCommit", Count: 1, Message: "no tag"}
	for name, test := range map[string]struct {
		query ledger.ResolutionQuery
		want  types.GomegaMatcher
	}{
		"all":                {ledger.ResolutionQuery{}, Equal(ledger.Resolutions{Pending: 4, Failing: busy(2), Resolved: 1, Unknown: []ledger.ReasonCount{orphans(2), lost}})},
		"subjects":           {ledger.ResolutionQuery{UIDs: []string{"uid-pay"}}, Equal(ledger.Resolutions{Unknown: []ledger.ReasonCount{orphans(2)}})},
		"no subjects":        {ledger.ResolutionQuery{UIDs: []string{}}, BeZero()},
		"cluster":            {ledger.ResolutionQuery{Cluster: "asia-1"}, Equal(ledger.Resolutions{Unknown: []ledger.ReasonCount{lost}})},
		"since is inclusive": {ledger.ResolutionQuery{Since: tomorrow}, Equal(ledger.Resolutions{Pending: 1, Failing: busy(1)[:1], Unknown: []ledger.ReasonCount{orphans(1)}})},
		"all fields together": {
			ledger.ResolutionQuery{UIDs: []string{"uid-cart"}, Cluster: "eu-1", Since: start.Add(time.Second)},
			Equal(ledger.Resolutions{Pending: 1, Failing: busy(1)[:1]}),
		},
	} {
		f.t.Run(name, func(t *testing.T) { NewWithT(t).Expect(f.Resolutions(f.ctx, test.query)).To(test.want) })
	}
}

// caching: what is kept of answers that can be had again.
func caching(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"a key that was never put is not found", func(f *fixture) { f.Expect(f.cached("a")).To(BeNil()) }},
		{"a value is found until another takes its place, also after opening again", func(f *fixture) {
			for _, value := range []string{"first", "second"} {
				f.Expect(f.CachePut(f.ctx, "a", []byte(value))).To(Succeed())
				f.Expect(f.cached("a")).To(HaveValue(Equal(value)))
				f.reopen()
				f.Expect(f.cached("a")).To(HaveValue(Equal(value)))
			}
		}},
		{"a value may be empty, and a key may not", func(f *fixture) {
			f.Expect(f.CachePut(f.ctx, "a", nil)).To(Succeed())
			f.Expect(f.cached("a")).To(HaveValue(BeEmpty()))
			f.Expect(f.CachePut(f.ctx, "", []byte("value"))).NotTo(Succeed())
		}},
		{"beyond the bound the keys that came first go first", func(f *fixture) {
			for _, key := range []string{"a", "b", "c", "d", "e", "a", "f", "g"} { // five are kept
				f.Expect(f.CachePut(f.ctx, key, []byte(key))).To(Succeed())
			}
			for key, want := range map[string]types.GomegaMatcher{"a": BeNil(), "b": BeNil(), "c": HaveValue(Equal("c")), "g": HaveValue(Equal("g"))} {
				f.Expect(f.cached(key)).To(want, key)
			}
			f.reopen()
			f.Expect(f.CachePut(f.ctx, "a", []byte("again"))).To(Succeed())
			f.Expect(f.cached("a")).To(HaveValue(Equal("again")), "one that went may come again")
			f.Expect(f.cached("c")).To(BeNil())
		}},
		{"what a caller does to a value later does not reach the cache", func(f *fixture) {
			value := []byte("value")
			f.Expect(f.CachePut(f.ctx, "a", value)).To(Succeed())
			value[0] = 'X'
			read, _, err := f.CacheGet(f.ctx, "a")
			f.Expect(err).NotTo(HaveOccurred())
			read[0] = 'Y'
			f.Expect(f.cached("a")).To(HaveValue(Equal("value")))
		}},
	})
}

// cached is the value of a key; nil if it is not found.
func (f *fixture) cached(key string) *string {
	f.t.Helper()
	value, found, err := f.CacheGet(f.ctx, key)
	f.Expect(err).NotTo(HaveOccurred())
	if !found {
		return nil
	}
	return new(string(value))
}
