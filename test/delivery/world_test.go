package delivery

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

// world is a ledger and a dispatcher, on a clock that jumps.
type world struct {
	*WithT
	*clock

	t          testing.TB
	store      *sqlite.Store
	dispatcher *dispatch.Dispatcher
	sinks      []string // those that events are owed to
	workers    int      // how many of them go to sleep
}

// newWorld is one whose dispatcher draws its jitter from random.
func newWorld(tb testing.TB, random func() float64, sinks ...string) *world {
	tb.Helper()
	w := &world{WithT: NewWithT(tb), clock: newClock(), t: tb, sinks: sinks, workers: len(sinks)}
	var err error
	w.store, err = sqlite.Open(tb.Context(), filepath.Join(tb.TempDir(), "ledger.db"), sqlite.Options{Now: w.Now})
	w.Expect(err).NotTo(HaveOccurred())
	tb.Cleanup(func() { w.Expect(w.store.Close()).To(Succeed()) })
	w.dispatcher = dispatch.New(w.store, dispatch.Options{Clock: w.clock, Random: random})
	return w
}

// jitter may be drawn by many.
func jitter(seed uint64) func() float64 {
	var mu sync.Mutex
	drawn := lots(seed, 99)
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return drawn.Float64()
	}
}

// start delivers until the test ends.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.dispatcher.Start(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		w.Expect(<-ended).To(Succeed())
	})
}

func (w *world) record(events ...dora.Event) {
	w.t.Helper()
	w.Expect(w.store.Commit(w.t.Context(), ledger.Change{Events: events, Sinks: w.sinks})).To(Succeed())
	w.dispatcher.Notify()
}

func (w *world) complete(facts ...dora.CommitFacts) {
	w.t.Helper()
	w.Expect(w.store.Commit(w.t.Context(), ledger.Change{Facts: facts, Sinks: w.sinks})).To(Succeed())
	w.dispatcher.Notify()
}

// pass lets time pass, for everybody to do what is due.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for until := w.Now().Add(d); w.Now().Before(until); {
		w.Expect(w.asleep(w.t.Context(), w.workers)).To(Succeed())
		w.jump(until)
	}
}

// settle lets time pass until nothing is pending, but for no more than two days.
func (w *world) settle() {
	w.t.Helper()
	for range 24 * 60 {
		w.pass(2 * time.Minute)
		if w.pending() == 0 {
			return
		}
	}
	w.t.Fatalf("after two days in which nothing was wrong %d events are pending", w.pending())
}

func (w *world) pending() (n int64) {
	w.t.Helper()
	for _, s := range w.state() {
		n += s.Pending
	}
	return n
}

func (w *world) state() []ledger.SinkState {
	w.t.Helper()
	states, err := w.store.Sinks(w.t.Context())
	w.Expect(err).NotTo(HaveOccurred())
	return states
}

// attempts counts those of a fate, one for each event.
func (w *world) attempts(fate ledger.Fate) int {
	w.t.Helper()
	records, err := w.store.Deliveries(w.t.Context(), ledger.DeliveryQuery{Fates: []ledger.Fate{fate}})
	w.Expect(err).NotTo(HaveOccurred())
	return len(records)
}

// recorded are all events in the order of writing, as they are read now.
func recorded(tb testing.TB, r ledger.Reader) []dora.Event {
	tb.Helper()
	var all []dora.Event
	for row, err := range r.Events(tb.Context(), ledger.EventQuery{}) {
		NewWithT(tb).Expect(err).NotTo(HaveOccurred())
		all = append(all, row.Event)
	}
	return all
}
