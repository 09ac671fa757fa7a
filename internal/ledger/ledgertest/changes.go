package ledgertest

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// changes: what Commit keeps.
func changes(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"a change keeps its state, subject, events, decisions and outbox rows", keepsAll},
		{"an empty change writes nothing", func(f *fixture) {
			f.commit(ledger.Change{Sinks: []string{"port"}})
			f.Expect(f.revision()).To(BeZero())
			f.Expect(f.figures("port")).To(BeZero())
		}},
		{"a state that was never written has version 0 and no data", func(f *fixture) {
			f.Expect(f.state("a")).To(Equal(ledger.State{Key: "a"}))
		}},
		{"each write of a state adds one to its version", func(f *fixture) {
			for i := range 3 {
				f.commit(ledger.Change{States: []ledger.State{{Key: "a", Version: int64(i), Data: []byte{byte(i)}}}})
				f.Expect(f.state("a")).To(Equal(ledger.State{Key: "a", Version: int64(i) + 1, Data: []byte{byte(i)}}))
			}
		}},
		{"a state without data is a state", func(f *fixture) {
			f.commit(ledger.Change{States: []ledger.State{{Key: "a"}}})
			f.Expect(f.state("a")).To(HaveField("Version", int64(1)))
			f.Expect(f.state("a").Data).To(BeEmpty())
		}},
		{"a state read before another's write conflicts, and nothing of the change is kept", conflictKeepsNothing},
		{"a new state conflicts with one that was written meanwhile", func(f *fixture) {
			f.commit(ledger.Change{States: []ledger.State{{Key: "a", Data: []byte("1")}}})
			f.Expect(f.Commit(f.ctx, ledger.Change{States: []ledger.State{{Key: "a", Data: []byte("2")}}})).
				To(MatchError(ledger.ErrConflict))
			f.Expect(f.state("a").Data).To(Equal([]byte("1")))
		}},
		{"a version that a state never had conflicts", func(f *fixture) {
			f.Expect(f.Commit(f.ctx, ledger.Change{States: []ledger.State{{Key: "a", Version: 7}}})).
				To(MatchError(ledger.ErrConflict))
			f.Expect(f.state("a").Version).To(BeZero())
		}},
		{"of several states one conflict keeps none", partialConflict},
		{"after a conflict the state is read and written again", func(f *fixture) {
			f.commit(ledger.Change{States: []ledger.State{{Key: "a"}}})
			f.Expect(f.Commit(f.ctx, ledger.Change{States: []ledger.State{{Key: "a"}}})).To(MatchError(ledger.ErrConflict))
			f.commit(ledger.Change{States: []ledger.State{f.state("a")}})
			f.Expect(f.state("a").Version).To(Equal(int64(2)))
		}},
		{"an event that is written again is no error, changes nothing and is owed to nobody again", duplicates},
		{"an event that is written again beside a new one owes the new one alone", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port"}})
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: []string{"port", "late"}})
			f.Expect(f.due("port", 9)).To(Equal([]string{"e1", "e2"}))
			f.Expect(f.due("late", 9)).To(Equal([]string{"e2"}))
		}},
		{"an event that stands twice in one change is one event", func(f *fixture) {
			event := Deployment("e1", "cart", start)
			f.commit(ledger.Change{Events: []dora.Event{event, event}, Sinks: []string{"port", "port"}})
			f.Expect(f.ids(ledger.EventQuery{})).To(Equal([]string{"e1"}))
			f.Expect(f.due("port", 9)).To(Equal([]string{"e1"}))
		}},
		{"an event may concern no sink", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
			f.Expect(f.ids(ledger.EventQuery{})).To(Equal([]string{"e1"}))
			f.Expect(f.Sinks(f.ctx)).To(BeEmpty())
		}},
		{"an event without an id, of no type or without its outcome is refused, with its change", refusesInvalid},
		{"what a caller does to its values later does not reach the ledger", func(f *fixture) {
			data, subject := []byte("data"), Subject("cart")
			f.commit(ledger.Change{States: []ledger.State{{Key: "a", Data: data}}, Subject: &subject})
			data[0], subject.Labels["app"] = 'X', "other"
			f.Expect(f.state("a").Data).To(Equal([]byte("data")))
			f.Expect(f.Subjects(f.ctx, ledger.SubjectQuery{})).To(ConsistOf(Subject("cart")))
		}},
	})
}

func wholeChange() ledger.Change {
	subject := Subject("cart")
	return ledger.Change{
		States:    []ledger.State{{Key: "a", Data: []byte("A")}, {Key: "b", Data: []byte("B")}},
		Subject:   &subject,
		Events:    []dora.Event{Deployment("e1", "cart", start), Degraded("e2", "cart", start.Add(time.Minute))},
		Sinks:     []string{"port", "lake"},
		Decisions: []ledger.Decision{Decision("cart", "Counted", start), Decision("cart", "Failing", start)},
	}
}

func keepsAll(f *fixture) {
	change := wholeChange()
	f.commit(change)
	f.Expect(f.state("a")).To(Equal(ledger.State{Key: "a", Version: 1, Data: []byte("A")}))
	f.Expect(f.state("b")).To(Equal(ledger.State{Key: "b", Version: 1, Data: []byte("B")}))
	f.Expect(f.Subjects(f.ctx, ledger.SubjectQuery{})).To(Equal([]ledger.Subject{*change.Subject}))
	var events []dora.Event
	for row, err := range f.Events(f.ctx, ledger.EventQuery{}) {
		f.Expect(err).NotTo(HaveOccurred())
		events = append(events, row.Event)
	}
	f.Expect(events).To(Equal(change.Events))
	for _, sink := range change.Sinks {
		f.Expect(f.due(sink, 9)).To(Equal([]string{"e1", "e2"}))
	}
	decisions, err := f.Decisions(f.ctx, "uid-cart", 0)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(decisions).To(HaveLen(2))
	for i, want := range []ledger.Decision{change.Decisions[1], change.Decisions[0]} {
		want.Seq = decisions[i].Seq
		f.Expect(decisions[i]).To(Equal(want))
	}
}

func conflictKeepsNothing(f *fixture) {
	f.commit(ledger.Change{States: []ledger.State{{Key: "a", Data: []byte("other")}}})
	before := f.fingerprint("uid-cart")
	change := wholeChange()
	change.States = change.States[:1] // still as it was read before the other's write
	f.Expect(f.Commit(f.ctx, change)).To(MatchError(ledger.ErrConflict))
	f.Expect(f.fingerprint("uid-cart")).To(Equal(before))
	f.Expect(f.state("a")).To(Equal(ledger.State{Key: "a", Version: 1, Data: []byte("other")}))
}

func partialConflict(f *fixture) {
	f.commit(ledger.Change{States: []ledger.State{{Key: "b", Data: []byte("b1")}, {Key: "c", Data: []byte("c1")}}})
	before := f.fingerprint("uid-cart")
	for _, conflicting := range []int{0, 1, 2} {
		change := wholeChange()
		change.States = []ledger.State{{Key: "a"}, {Key: "b", Version: 1}, {Key: "c", Version: 1}}
		change.States[conflicting].Version += 5
		f.Expect(f.Commit(f.ctx, change)).To(MatchError(ledger.ErrConflict))
		f.Expect(f.fingerprint("uid-cart")).To(Equal(before))
		f.Expect(f.state("a").Version).To(BeZero())
		f.Expect(f.state("b")).To(Equal(ledger.State{Key: "b", Version: 1, Data: []byte("b1")}))
		f.Expect(f.state("c")).To(Equal(ledger.State{Key: "c", Version: 1, Data: []byte("c1")}))
	}
}

func refusesInvalid(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
	before := f.fingerprint("uid-cart")
	for _, spoil := range []func(*dora.Event){
		func(e *dora.Event) { e.ID = "" },
		func(e *dora.Event) { e.Type = "guess" },
		func(e *dora.Event) { e.Outcome = "" },
		func(e *dora.Event) { e.Outcome = "guess" },
		func(e *dora.Event) { e.Type = dora.TypeDegraded },
	} {
		change := wholeChange()
		spoil(&change.Events[0])
		f.Expect(f.Commit(f.ctx, change)).To(And(HaveOccurred(), Not(MatchError(ledger.ErrConflict))))
		f.Expect(f.fingerprint("uid-cart")).To(Equal(before))
		f.Expect(f.state("a").Version).To(BeZero())
	}
}

func duplicates(f *fixture) {
	first := Deployment("e1", "cart", start)
	f.commit(ledger.Change{Events: []dora.Event{first}, Sinks: []string{"port"}})
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
	again := Deployment("e1", "cart", start.Add(time.Hour))
	again.Message = "seen again"
	f.commit(ledger.Change{
		States: []ledger.State{{Key: "a"}}, Events: []dora.Event{again},
		Sinks: []string{"port", "lake"}, Decisions: []ledger.Decision{Decision("cart", "SeenAgain", start)},
	})
	for row, err := range f.Events(f.ctx, ledger.EventQuery{}) {
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(row.Event).To(Equal(first))
	}
	f.Expect(f.due("port", 9)).To(BeEmpty())
	f.Expect(f.due("lake", 9)).To(BeEmpty())
	f.Expect(f.state("a").Version).To(Equal(int64(1)), "the rest of the change is kept")
	f.Expect(f.Decisions(f.ctx, "uid-cart", 0)).To(HaveLen(1))
}
