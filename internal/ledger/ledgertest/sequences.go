package ledgertest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// sequences runs random commands against the store and against Memory, and after each compares all that can be read.
// LEDGERTEST_SEQUENCES sets how many sequences, -rapid.steps how long they are, -rapid.seed repeats a run.
func sequences(t *testing.T, open Open) {
	t.Helper()
	if err := flag.Set("rapid.checks", strconv.Itoa(sequenceCount(t))); err != nil {
		t.Fatal(err)
	}
	home, opened := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		opened++
		p := newPair(rt, func(place Place) ledger.Store { return open(t, place) }, filepath.Join(home, strconv.Itoa(opened)))
		defer p.close()
		rt.Repeat(map[string]func(*rapid.T){
			"": p.compare, "commit": p.commit, "deliver": p.deliver, "fail": p.fail, "wait": p.wait,
			"requeue": p.requeue, "forget": p.forget, "prune": p.prune, "reopen": p.reopen,
		})
	})
}

func sequenceCount(t *testing.T) int {
	t.Helper()
	text := os.Getenv("LEDGERTEST_SEQUENCES")
	if text == "" {
		return defaultSequences
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("cannot read LEDGERTEST_SEQUENCES: %v", err)
	}
	return count
}

// pair is a store beside its model. Sequences of both may differ, so rows are named by their event's id.
type pair struct {
	*rapid.T

	store ledger.Store
	model *Memory
	clock *clocktesting.FakePassiveClock
	open  func() ledger.Store
}

// Few names, so that commands meet.
var (
	keys     = []string{"a", "b", "c"}
	services = []string{"cart", "pay", "search"}
	sinks    = []string{"port", "lake"}
)

func newPair(t *rapid.T, open func(Place) ledger.Store, dir string) *pair {
	clock := clocktesting.NewFakePassiveClock(start)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := &pair{T: t, clock: clock, model: NewMemory(clock.Now)}
	p.model.LimitCache(5)
	p.open = func() ledger.Store { return open(Place{Dir: dir, Now: clock.Now, Cached: 5}) }
	p.store = p.open()
	return p
}

func (p *pair) close() {
	if err := p.store.Close(); err != nil {
		p.Error(err)
	}
}

// both runs a command on the store and on its model, which answer alike.
func (p *pair) both(t *rapid.T, doing string, run func(ledger.Store) (any, error)) {
	want, wantErr := run(p.model)
	got, err := run(p.store)
	if errors.Is(err, ledger.ErrConflict) != errors.Is(wantErr, ledger.ErrConflict) ||
		errors.Is(err, ledger.ErrNotFound) != errors.Is(wantErr, ledger.ErrNotFound) || (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: the store says %v, the model %v", doing, err, wantErr)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s: the store (+) differs from the model (-):\n%s", doing, diff)
	}
}

func (p *pair) commit(t *rapid.T) {
	change := ledger.Change{Sinks: rapid.SliceOfN(rapid.SampledFrom(sinks), 0, 2).Draw(t, "sinks")}
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, 3, rapid.ID[string]).Draw(t, "keys") {
		state, err := p.model.ReadState(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.IntRange(0, 9).Draw(t, "stale") == 0 {
			state.Version = rapid.Int64Range(0, 3).Draw(t, "version")
		}
		state.Data = rapid.SliceOfN(rapid.Byte(), 1, 3).Draw(t, "data")
		change.States = append(change.States, state)
	}
	for range rapid.IntRange(0, 4).Draw(t, "events") {
		change.Events = append(change.Events, p.event(t))
	}
	for range rapid.IntRange(0, 3).Draw(t, "decisions") {
		service := rapid.SampledFrom(services).Draw(t, "service")
		change.Decisions = append(change.Decisions, Decision(service, "Because", p.clock.Now()))
	}
	if rapid.Bool().Draw(t, "with a subject") {
		subject := Subject(rapid.SampledFrom(services).Draw(t, "subject"))
		subject.Gaps = rapid.IntRange(0, 5).Draw(t, "gaps")
		change.Subject = &subject
	}
	p.both(t, "commit", func(s ledger.Store) (any, error) { return nil, s.Commit(t.Context(), change) })
}

// event draws one of few ids, so that duplicates come.
func (p *pair) event(t *rapid.T) dora.Event {
	id := "e" + strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "id"))
	service := rapid.SampledFrom(services).Draw(t, "service")
	at := start.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "at")) * time.Second)
	return rapid.SampledFrom([]func(string, string, time.Time) dora.Event{Deployment, Degraded, Recovered}).Draw(t, "kind")(id, service, at)
}

// seqs are the rows of some events in one of the two stores; 4711 if it has not (or no longer) got one.
func (p *pair) seqs(t *rapid.T, s ledger.Store, ids []string) []int64 {
	found := make([]int64, len(ids))
	for i, id := range ids {
		found[i] = 4711
		for row, err := range s.Events(t.Context(), ledger.EventQuery{IDs: []string{id}}) {
			if err != nil {
				t.Fatal(err)
			}
			found[i] = row.Seq
		}
	}
	return found
}

// owedIDs draws events that a sink is owed, and sometimes one that it is not.
func (p *pair) owedIDs(t *rapid.T, sink string) []string {
	due, err := p.model.Due(t.Context(), sink, start.AddDate(10, 0, 0), 100)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{"e0"}
	for _, d := range due {
		ids = append(ids, d.Event.ID)
	}
	return rapid.SliceOfN(rapid.SampledFrom(ids), 1, 4).Draw(t, "ids")
}

func (p *pair) deliver(t *rapid.T) {
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	ids := p.owedIDs(t, sink)
	p.both(t, "deliver", func(s ledger.Store) (any, error) {
		var sent []ledger.Delivery
		for _, seq := range p.seqs(t, s, ids) {
			sent = append(sent, ledger.Delivery{Seq: seq})
		}
		return nil, s.Delivered(t.Context(), sink, p.clock.Now(), sent...)
	})
}

func (p *pair) fail(t *rapid.T) {
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	ids := p.owedIDs(t, sink)[:1]
	next := p.clock.Now().Add(time.Duration(rapid.IntRange(-1, 10).Draw(t, "wait")) * time.Minute)
	reason := rapid.SampledFrom([]string{"busy", "refused", "broken"}).Draw(t, "reason")
	park := rapid.Bool().Draw(t, "park")
	p.both(t, "fail", func(s ledger.Store) (any, error) {
		seq := p.seqs(t, s, ids)[0]
		if park {
			return nil, s.Park(t.Context(), sink, seq, reason)
		}
		return nil, s.Retry(t.Context(), sink, seq, next, reason)
	})
}

func (p *pair) wait(t *rapid.T) {
	p.clock.SetTime(p.clock.Now().Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "seconds")) * time.Second))
}

func (p *pair) requeue(t *rapid.T) {
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	p.both(t, "requeue", func(s ledger.Store) (any, error) { return s.Requeue(t.Context(), sink) })
}

func (p *pair) forget(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		t.Skip()
	}
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	p.both(t, "forget", func(s ledger.Store) (any, error) { return nil, s.Forget(t.Context(), sink) })
}

func (p *pair) prune(t *rapid.T) {
	r := ledger.Retention{
		EventsBefore:        start.Add(time.Duration(rapid.IntRange(0, 700).Draw(t, "before")) * time.Second),
		DecisionsPerSubject: rapid.IntRange(0, 5).Draw(t, "decisions"),
	}
	p.both(t, "prune", func(s ledger.Store) (any, error) { return s.Prune(t.Context(), r) })
}

func (p *pair) reopen(t *rapid.T) {
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	p.store = p.open()
}

// compare reads everything that can be read.
func (p *pair) compare(t *rapid.T) {
	for _, q := range []ledger.EventQuery{
		{},
		{Newest: true, Limit: 5},
		{Service: "cart", Types: []dora.Type{dora.TypeDeploy, dora.TypeDegraded}},
		{UIDs: []string{"uid-pay", "uid-cart"}, Since: start.Add(100 * time.Second), Until: start.Add(400 * time.Second)},
	} {
		p.both(t, fmt.Sprintf("events %+v", q), func(s ledger.Store) (any, error) { return eventIDs(t, s, q) })
	}
	for _, key := range keys {
		p.both(t, "state "+key, func(s ledger.Store) (any, error) { return s.ReadState(t.Context(), key) })
	}
	for _, service := range services {
		p.both(t, "decisions of "+service, func(s ledger.Store) (any, error) { return decisions(t, s, "uid-"+service) })
	}
	p.both(t, "subjects", func(s ledger.Store) (any, error) { return s.Subjects(t.Context(), ledger.SubjectQuery{}) })
	p.both(t, "since", func(s ledger.Store) (any, error) { return s.Since(t.Context()) })
	p.both(t, "figures", func(s ledger.Store) (any, error) { return p.figures(t, s) })
	for _, sink := range sinks {
		p.both(t, "due to "+sink, func(s ledger.Store) (any, error) { return p.due(t, s, sink) })
		p.both(t, "next due to "+sink, func(s ledger.Store) (any, error) { return s.NextDue(t.Context(), sink) })
	}
}

func eventIDs(t *rapid.T, s ledger.Store, q ledger.EventQuery) (ids []string, last error) {
	for row, err := range s.Events(t.Context(), q) {
		ids, last = append(ids, row.Event.ID+row.Event.Service+string(row.Event.Type)), err
	}
	return ids, last
}

func decisions(t *rapid.T, s ledger.Store, uid string) ([]ledger.Decision, error) {
	list, err := s.Decisions(t.Context(), uid, 0)
	for i := range list {
		list[i].Seq = 0
	}
	return list, err
}

func (p *pair) due(t *rapid.T, s ledger.Store, sink string) ([]ledger.Delivery, error) {
	due, err := s.Due(t.Context(), sink, p.clock.Now(), 7)
	for i := range due {
		due[i].Seq = 0
	}
	return due, err
}

// figures, with each cursor as the number of events up to it.
func (p *pair) figures(t *rapid.T, s ledger.Store) ([]ledger.SinkState, error) {
	states, err := s.Sinks(t.Context())
	for i := range states {
		cursor := states[i].Cursor
		states[i].Cursor = 0
		for row, err := range s.Events(t.Context(), ledger.EventQuery{}) {
			if err == nil && row.Seq <= cursor {
				states[i].Cursor++
			}
		}
	}
	return states, err
}
