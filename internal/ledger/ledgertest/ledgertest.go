// Package ledgertest says what the ledger's contract means, in tests that every driver passes.
//
// Run exercises a driver sentence by sentence: atomic changes, compare-and-set of states, each query field, the outbox,
// what is found out later, retention, concurrency, cancellation, and what is left after closing and opening again. Then it runs random sequences
// of commands against the driver and against Memory, and expects both to answer the same. How many, the environment
// variable LEDGERTEST_SEQUENCES says (300 if it is not set, 20 under the race detector).
//
// Memory keeps a ledger in memory. It is the model of those sequences, and serves other packages' tests as a store.
package ledgertest

import (
	"context"
	"testing"
	"time"

	"github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Place is where a store keeps its things. A store that is opened where another was closed holds what that one held.
type Place struct {
	// Dir is a folder of the test's own. It also serves as a name.
	Dir string
	// Now is the clock that the store stamps records with.
	Now func() time.Time
	// Cached bounds the store's cache.
	Cached int
}

// Open opens the store of a place and fails the test if it cannot. The suite closes the store.
type Open func(t testing.TB, place Place) ledger.Store

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	t.Helper()
	t.Run("Changes", func(t *testing.T) { changes(t, open) })
	t.Run("Events", func(t *testing.T) { events(t, open) })
	t.Run("Records", func(t *testing.T) { records(t, open) })
	t.Run("Outbox", func(t *testing.T) { outbox(t, open) })
	t.Run("Outstanding", func(t *testing.T) { outstanding(t, open) })
	t.Run("Deliveries", func(t *testing.T) { logging(t, open) })
	t.Run("Sinks", func(t *testing.T) { declared(t, open) })
	t.Run("Completion", func(t *testing.T) { completion(t, open) })
	t.Run("Redelivery", func(t *testing.T) { redelivery(t, open) })
	t.Run("Marks", func(t *testing.T) { marking(t, open) })
	t.Run("Observations", func(t *testing.T) { observing(t, open) })
	t.Run("Searches", func(t *testing.T) { searches(t, open) })
	t.Run("Cache", func(t *testing.T) { caching(t, open) })
	t.Run("Retention", func(t *testing.T) { retention(t, open) })
	t.Run("Concurrency", func(t *testing.T) { concurrency(t, open) })
	t.Run("Lifetime", func(t *testing.T) { lifetime(t, open) })
	t.Run("Sequences", func(t *testing.T) { sequences(t, open) })
}

// start is when the clocks of all tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is one test's store with its clock.
type fixture struct {
	*gomega.WithT
	ledger.Store

	t     *testing.T
	ctx   context.Context //nolint:containedctx // a test's context lives as long as its fixture
	clock *clocktesting.FakePassiveClock
	place Place
	open  Open
}

// spec is one sentence of the contract.
type spec struct {
	sentence string
	check    func(*fixture)
}

// verify checks each sentence on a store of its own.
func verify(t *testing.T, open Open, specs []spec) {
	t.Helper()
	for _, s := range specs {
		t.Run(s.sentence, func(t *testing.T) { s.check(newFixture(t, open)) })
	}
}

func newFixture(t *testing.T, open Open) *fixture {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(start)
	place := Place{Dir: t.TempDir(), Now: clock.Now, Cached: 5}
	f := &fixture{WithT: gomega.NewWithT(t), t: t, ctx: t.Context(), clock: clock, place: place, open: open}
	f.Store = open(t, place)
	t.Cleanup(func() { f.Expect(f.Close()).To(gomega.Succeed()) })
	return f
}

// reopen closes the store and opens its place again.
func (f *fixture) reopen() {
	f.t.Helper()
	f.Expect(f.Close()).To(gomega.Succeed())
	f.Store = f.open(f.t, f.place)
}

func (f *fixture) step(d time.Duration) { f.clock.SetTime(f.clock.Now().Add(d)) }

func (f *fixture) commit(change ledger.Change) {
	f.t.Helper()
	f.Expect(f.Commit(f.ctx, change)).To(gomega.Succeed())
}

// ids are those of the selected events, in order.
func (f *fixture) ids(q ledger.EventQuery) []string {
	f.t.Helper()
	ids := []string{}
	for row, err := range f.Events(f.ctx, q) {
		f.Expect(err).NotTo(gomega.HaveOccurred())
		ids = append(ids, row.Event.ID)
	}
	return ids
}

// seq is the place of an event.
func (f *fixture) seq(id string) int64 {
	f.t.Helper()
	for row, err := range f.Events(f.ctx, ledger.EventQuery{IDs: []string{id}}) {
		f.Expect(err).NotTo(gomega.HaveOccurred())
		return row.Seq
	}
	f.t.Fatalf("event %s is not in the ledger", id)
	return 0
}

// row is what a sink is owed of an event that has no facts.
func (f *fixture) row(id string) ledger.Delivery {
	f.t.Helper()
	return ledger.Delivery{Seq: f.seq(id)}
}

// due are the ids of what a sink is owed now, in order.
func (f *fixture) due(sink string, limit int) []string {
	f.t.Helper()
	deliveries, err := f.Due(f.ctx, sink, f.clock.Now(), limit)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	ids := []string{}
	for _, d := range deliveries {
		ids = append(ids, d.Event.ID)
	}
	return ids
}

// event is one as it is read now.
func (f *fixture) event(id string) dora.Event {
	f.t.Helper()
	for row, err := range f.Events(f.ctx, ledger.EventQuery{IDs: []string{id}}) {
		f.Expect(err).NotTo(gomega.HaveOccurred())
		return row.Event
	}
	f.t.Fatalf("event %s is not in the ledger", id)
	return dora.Event{}
}

// owed is what a sink is owed now, as a worker gets it.
func (f *fixture) owed(sink string) []ledger.Delivery {
	f.t.Helper()
	due, err := f.Due(f.ctx, sink, f.clock.Now(), 99)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	return due
}

// unresolved are the ids of the events whose commits are to be found now, in order.
func (f *fixture) unresolved(limit int) []string {
	f.t.Helper()
	due, err := f.Unresolved(f.ctx, f.clock.Now(), limit)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	ids := []string{}
	for _, d := range due {
		ids = append(ids, d.Event.ID)
	}
	return ids
}

// figures are those of one sink; the zero value if it has none.
func (f *fixture) figures(sink string) ledger.SinkState {
	f.t.Helper()
	states, err := f.Sinks(f.ctx)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	for _, s := range states {
		if s.Sink == sink {
			return s
		}
	}
	return ledger.SinkState{}
}

func (f *fixture) state(key string) ledger.State {
	f.t.Helper()
	state, err := f.ReadState(f.ctx, key)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	return state
}

func (f *fixture) revision() int64 {
	f.t.Helper()
	revision, err := f.Revision(f.ctx)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	return revision
}

// fingerprint is everything that a reader can see, to tell that nothing was kept.
func (f *fixture) fingerprint(uids ...string) []any {
	f.t.Helper()
	subjects, err := f.Subjects(f.ctx, ledger.SubjectQuery{})
	f.Expect(err).NotTo(gomega.HaveOccurred())
	sinks, err := f.Sinks(f.ctx)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	since, err := f.Since(f.ctx)
	f.Expect(err).NotTo(gomega.HaveOccurred())
	visible := []any{f.ids(ledger.EventQuery{}), subjects, sinks, since, f.revision()}
	for _, uid := range uids {
		decisions, err := f.Decisions(f.ctx, uid, 0)
		f.Expect(err).NotTo(gomega.HaveOccurred())
		visible = append(visible, decisions)
	}
	return visible
}
