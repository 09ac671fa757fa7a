package ledgertest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
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
			"": func(t *rapid.T) {
				p.compare(t)
				p.compareLog(t)
				p.compareSearches(t)
				p.compareHistories(t)
				p.compareMarks(t)
				p.compareObservations(t)
			}, "commit": p.commit, "deliver": p.deliver, "fail": p.fail, "wait": p.wait,
			"requeue": p.requeue, "forget": p.forget, "prune": p.prune, "reopen": p.reopen,
			"pass": p.pass, "hasten": p.hasten, "owe": p.owe, "gone": p.gone,
			"complete": p.complete, "mark": p.mark, "put off": p.putOff, "search again": p.searchAgain, "cache": p.cache,
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
	heard map[bool]int64 // up to which revision histories were told, by the model and by the store
}

// Few names, so that commands meet.
var (
	keys     = []string{"a", "b", "c"}
	services = []string{"cart", "pay", "search"}
	sinks    = []string{"port", "lake"}
	reasons  = []string{"NoBase", "NoCommit"}
)

func newPair(t *rapid.T, open func(Place) ledger.Store, dir string) *pair {
	clock := clocktesting.NewFakePassiveClock(start)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := &pair{T: t, clock: clock, model: NewMemory(clock.Now), heard: map[bool]int64{}}
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
	if reflect.DeepEqual(want, got) {
		return // the quick way; cmp takes most of the time otherwise
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s: the store (+) differs from the model (-):\n%s", doing, diff)
	}
}

func (p *pair) commit(t *rapid.T) {
	change := ledger.Change{Sinks: p.sinks(t), Resolve: rapid.Bool().Draw(t, "resolve")}
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
	if rapid.Bool().Draw(t, "with an observation") {
		change.Observation = Observation(rapid.SampledFrom(services).Draw(t, "observed"), rapid.StringN(0, 3, -1).Draw(t, "seen"), p.clock.Now())
	}
	if rapid.Bool().Draw(t, "with a subject") {
		subject := Subject(rapid.SampledFrom(services).Draw(t, "subject"))
		subject.Gaps = rapid.IntRange(0, 5).Draw(t, "gaps")
		change.Subject = &subject
	}
	p.both(t, "commit", func(s ledger.Store) (any, error) { return nil, s.Commit(t.Context(), change) })
}

func (p *pair) sinks(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.SampledFrom(sinks), 0, 2).Draw(t, "sinks")
}

// id is one of few, so that duplicates come.
func (p *pair) id(t *rapid.T) string { return "e" + strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "id")) }

func (p *pair) event(t *rapid.T) dora.Event {
	id := p.id(t)
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

// owed draws what a sink is owed, and sometimes an event that it is not. The content is now and then an older one.
func (p *pair) owed(t *rapid.T, sink string) []ledger.Delivery {
	due, err := p.model.Due(t.Context(), sink, start.AddDate(10, 0, 0), 100)
	if err != nil {
		t.Fatal(err)
	}
	due = append(due, ledger.Delivery{Event: dora.Event{ID: "e0"}})
	drawn := rapid.SliceOfN(rapid.SampledFrom(due), 1, 4).Draw(t, "owed")
	for i := range drawn {
		drawn[i].Content -= max(0, rapid.Int64Range(-3, 1).Draw(t, "behind"))
	}
	return drawn
}

// in are deliveries as one of the two stores numbers them.
func (p *pair) in(t *rapid.T, s ledger.Store, drawn []ledger.Delivery) []ledger.Delivery {
	ids := make([]string, len(drawn))
	for i, d := range drawn {
		ids[i] = d.Event.ID
	}
	sent := slices.Clone(drawn)
	for i, seq := range p.seqs(t, s, ids) {
		sent[i].Seq = seq
	}
	return sent
}

func (p *pair) deliver(t *rapid.T) {
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	drawn := p.owed(t, sink)
	p.both(t, "deliver", func(s ledger.Store) (any, error) {
		return nil, s.Delivered(t.Context(), sink, sentAt(p.clock.Now()), p.in(t, s, drawn)...)
	})
}

func (p *pair) fail(t *rapid.T) {
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	drawn := p.owed(t, sink)[:1]
	next := p.clock.Now().Add(time.Duration(rapid.IntRange(-1, 10).Draw(t, "wait")) * time.Minute)
	reason := rapid.SampledFrom([]string{"busy", "refused", "broken"}).Draw(t, "reason")
	park := rapid.Bool().Draw(t, "park")
	p.both(t, "fail", func(s ledger.Store) (any, error) {
		seq := p.in(t, s, drawn)[0].Seq
		if park {
			return nil, s.Park(t.Context(), sink, seq, failed(reason))
		}
		return nil, s.Retry(t.Context(), sink, seq, next, failed(reason))
	})
}

func (p *pair) pass(t *rapid.T) {
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	drawn := p.owed(t, sink)
	p.both(t, "pass", func(s ledger.Store) (any, error) { return nil, s.Pass(t.Context(), sink, p.in(t, s, drawn)...) })
}

func (p *pair) hasten(t *rapid.T) {
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	p.both(t, "hasten", func(s ledger.Store) (any, error) { return s.Hasten(t.Context(), sink, p.clock.Now()) })
}

func (p *pair) owe(t *rapid.T) {
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	q := ledger.EventQuery{Service: rapid.SampledFrom(append(services, "")).Draw(t, "service"), Limit: rapid.IntRange(0, 4).Draw(t, "limit")}
	if rapid.Bool().Draw(t, "some") {
		q.Since = start.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "since")) * time.Second)
		q.IDs = []string{p.id(t), p.id(t), p.id(t)}
	}
	p.both(t, "owe", func(s ledger.Store) (any, error) { return s.Owe(t.Context(), sink, q, p.clock.Now()) })
}

func (p *pair) gone(t *rapid.T) {
	sink := rapid.SampledFrom(sinks).Draw(t, "sink")
	at := rapid.SampledFrom([]time.Time{{}, p.clock.Now(), start}).Draw(t, "since")
	p.both(t, "gone", func(s ledger.Store) (any, error) { return nil, s.Gone(t.Context(), sink, at) })
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
	p.both(t, "forget", func(s ledger.Store) (any, error) { return s.Forget(t.Context(), sink, time.Time{}) })
}

func (p *pair) prune(t *rapid.T) {
	r := ledger.Retention{
		EventsBefore:        start.Add(time.Duration(rapid.IntRange(0, 700).Draw(t, "before")) * time.Second),
		DecisionsPerSubject: rapid.IntRange(0, 5).Draw(t, "decisions"),
		DeliveriesPerSink:   rapid.IntRange(0, 5).Draw(t, "deliveries"),
	}
	p.both(t, "prune", func(s ledger.Store) (any, error) { return s.Prune(t.Context(), r) })
}

func (p *pair) reopen(t *rapid.T) {
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	p.store = p.open()
}

// complete draws facts with a lead time, with none, and with one that is negative.
func (p *pair) complete(t *rapid.T) {
	change := ledger.Change{Sinks: p.sinks(t)}
	for range rapid.IntRange(1, 3).Draw(t, "facts") {
		facts := Facts(p.id(t), start.Add(time.Duration(rapid.IntRange(-60, 300).Draw(t, "first"))*time.Second))
		if rapid.IntRange(0, 2).Draw(t, "unknown") == 0 {
			facts = dora.CommitFacts{EventID: facts.EventID, Reason: rapid.SampledFrom(reasons).Draw(t, "reason"), Message: p.clock.Now().String()}
		}
		change.Facts = append(change.Facts, facts)
	}
	p.both(t, "complete", func(s ledger.Store) (any, error) { return nil, s.Commit(t.Context(), change) })
}

// mark draws marks of all kinds, and the withdrawal of what stands or does not.
func (p *pair) mark(t *rapid.T) {
	change := ledger.Change{Sinks: p.sinks(t)}
	for range rapid.IntRange(1, 3).Draw(t, "marks") {
		verdict := rapid.SampledFrom([]dora.Verdict{dora.Failure, dora.NotAFailure, dora.Ignore, dora.Withdrawn}).Draw(t, "verdict")
		change.Marks = append(change.Marks, Mark(p.id(t), verdict, rapid.SampledFrom(reasons).Draw(t, "reason"), p.clock.Now()))
	}
	p.both(t, "mark", func(s ledger.Store) (any, error) { return nil, s.Commit(t.Context(), change) })
}

func (p *pair) putOff(t *rapid.T) {
	id, reason := p.id(t), rapid.SampledFrom(reasons).Draw(t, "reason")
	next := p.clock.Now().Add(time.Duration(rapid.IntRange(-1, 10).Draw(t, "wait")) * time.Minute)
	p.both(t, "put off", func(s ledger.Store) (any, error) { return nil, s.PutOff(t.Context(), id, next, reason, id+" failed") })
}

func (p *pair) searchAgain(t *rapid.T) {
	q := ledger.ReopenQuery{Missing: rapid.Bool().Draw(t, "missing"), Reasons: rapid.SliceOfN(rapid.SampledFrom(reasons), 0, 1).Draw(t, "reasons")}
	if rapid.Bool().Draw(t, "some") {
		q.UIDs, q.Since = []string{"uid-cart", "uid-pay"}, start.Add(100*time.Second)
	}
	p.both(t, "search again", func(s ledger.Store) (any, error) { return s.Reopen(t.Context(), q, p.clock.Now()) })
	if rapid.Bool().Draw(t, "hurry") {
		of := ledger.ResolutionQuery{UIDs: q.UIDs, Since: q.Since}
		p.both(t, "search at once", func(s ledger.Store) (any, error) { return s.Hurry(t.Context(), of, p.clock.Now()) })
	}
}

func (p *pair) cache(t *rapid.T) {
	key := strconv.Itoa(rapid.IntRange(0, 9).Draw(t, "key"))
	value := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value")
	p.both(t, "cache", func(s ledger.Store) (any, error) { return nil, s.CachePut(t.Context(), key, value) })
}

// compare reads everything that can be read.
func (p *pair) compare(t *rapid.T) {
	for _, q := range []ledger.EventQuery{
		{},
		{Newest: true, Limit: 5},
		{UIDs: []string{"uid-pay", "uid-cart"}, Types: []dora.Type{dora.TypeDegraded, dora.TypeRecovered}, Until: start.Add(400 * time.Second)},
		{Service: "cart", Types: []dora.Type{dora.TypeDeploy, dora.TypeDegraded}},
		{UIDs: []string{"uid-pay", "uid-cart"}, Since: start.Add(100 * time.Second), Until: start.Add(400 * time.Second)},
	} {
		p.both(t, fmt.Sprintf("events %+v", q), func(s ledger.Store) (any, error) { return eventsOf(t, s, q) })
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
		p.both(t, "outstanding to "+sink, func(s ledger.Store) (any, error) { return p.outstanding(t, s, sink) })
		p.both(t, "next due to "+sink, func(s ledger.Store) (any, error) { return s.NextDue(t.Context(), sink) })
	}
}

// compareLog reads what was answered.
func (p *pair) compareLog(t *rapid.T) {
	for _, q := range []ledger.DeliveryQuery{
		{},
		{Sink: "port", Fates: []ledger.Fate{ledger.FateRetried, ledger.FateParked}, Limit: 5},
		{EventID: "e3", Service: "cart", Since: start.Add(100 * time.Second)},
	} {
		p.both(t, fmt.Sprintf("deliveries %+v", q), func(s ledger.Store) (any, error) {
			records, err := s.Deliveries(t.Context(), q)
			for i := range records {
				records[i].Seq, records[i].EventSeq = 0, 0
			}
			return records, err
		})
	}
}

// compareSearches reads what became of the search for commits, and the cache.
func (p *pair) compareSearches(t *rapid.T) {
	p.both(t, "unresolved", func(s ledger.Store) (any, error) {
		due, err := s.Unresolved(t.Context(), p.clock.Now(), 7)
		for i := range due {
			due[i].Seq = 0
		}
		return due, err
	})
	p.both(t, "next unresolved", func(s ledger.Store) (any, error) { return s.NextUnresolved(t.Context()) })
	for _, q := range []ledger.ResolutionQuery{{}, {UIDs: []string{"uid-pay", "uid-cart"}, Since: start.Add(100 * time.Second)}} {
		p.both(t, "resolutions", func(s ledger.Store) (any, error) { return s.Resolutions(t.Context(), q) })
	}
	p.both(t, "cache", func(s ledger.Store) (any, error) { return cachedValues(t, s) })
}

// compareHistories asks whose events changed since the last time, as one does who adds them up. The two count revisions differently.
func (p *pair) compareHistories(t *rapid.T) {
	p.both(t, "histories", func(s ledger.Store) (any, error) {
		model := s == ledger.Store(p.model)
		changed, err := s.Histories(t.Context(), p.heard[model])
		for i := range changed {
			p.heard[model] = max(p.heard[model], changed[i].Changed)
			changed[i].Changed = 0
		}
		slices.SortFunc(changed, func(a, b ledger.History) int { return strings.Compare(a.UID, b.UID) })
		return changed, err
	})
}

// compareObservations reads what was seen.
func (p *pair) compareObservations(t *rapid.T) {
	for _, service := range services {
		p.both(t, "observations", func(s ledger.Store) (any, error) {
			seen, err := s.Observations(t.Context(), "uid-"+service)
			for i := range seen {
				seen[i].N = 0 // they may begin anew once none is left
			}
			return seen, err
		})
	}
}

// compareMarks reads what was said.
func (p *pair) compareMarks(t *rapid.T) {
	for _, q := range []ledger.MarkQuery{{}, {Standing: true, UIDs: []string{"uid-pay", "uid-cart"}, Source: "DoraTarget shop/production"}, {EventIDs: []string{"e1", "e2", "e3"}}} {
		p.both(t, "marks", func(s ledger.Store) (any, error) {
			marks, err := s.Marks(t.Context(), q)
			for i := range marks {
				marks[i].Seq = 0
			}
			return marks, err
		})
	}
}

func cachedValues(t *rapid.T, s ledger.Store) (map[string][]byte, error) {
	values := map[string][]byte{}
	for i := range 10 {
		key := strconv.Itoa(i)
		value, found, err := s.CacheGet(t.Context(), key)
		if err != nil {
			return nil, err
		}
		if found {
			values[key] = value
		}
	}
	return values, nil
}

func eventsOf(t *rapid.T, s ledger.Store, q ledger.EventQuery) (events []ledger.Row, last error) {
	for row, err := range s.Events(t.Context(), q) {
		row.Seq = 0
		events, last = append(events, row), err
	}
	return events, last
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

// outstanding are the parked rows of all sinks, and all of one.
func (p *pair) outstanding(t *rapid.T, s ledger.Store, sink string) ([]ledger.Outstanding, error) {
	parked, err := s.Outstanding(t.Context(), ledger.OutstandingQuery{Parked: new(true), Limit: 7})
	if err != nil {
		return nil, err
	}
	owed, err := s.Outstanding(t.Context(), ledger.OutstandingQuery{Sink: sink})
	rows := slices.Concat(parked, owed)
	for i := range rows {
		rows[i].Seq = 0
	}
	return rows, err
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
