// Package progress knows what the process works on, and since when, so that work that is stuck is seen by who can end it.
//
// # Guarantees
//
//   - Work is named when it begins, with how long it may take. Whoever begins it keeps that by deadlines of its own, with room to spare: so what
//     is still at it afterwards has lost its deadline, as in a deadlock, and nothing but a restart mends it.
//   - A destination, a database or an API server that is down is never stuck work: each wait for one has its deadline, and ends with an error.
//   - Waiting for something to do is no work.
//   - Nothing is asked of what is watched, so a check answers though everything else stands still.
//
// A loop that works on many things, one after the other, is one piece of work whose time begins anew with each (Work.Step). Time is the
// machine's, which no clock that is set moves.
package progress

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

// Spare is what a step may take beyond its own deadline: a ledger finishes what it has taken up, though who waits for it may have given up.
const Spare = 50 * time.Second

// Board is what is being worked on. The zero value has nothing on it; nobody looks at a nil one.
type Board struct {
	mu    sync.Mutex
	works map[*Work]bool
	kinds map[string]bool // that were ever begun
}

// Work is on the board from its beginning to its end. That of a nil board is nil.
type Work struct {
	board  *Board
	kind   string
	of     string
	within time.Duration

	began time.Time // of its newest step
	told  bool      // that it is stuck
}

// Begin puts a piece of work on the board: of a kind, of which there are few, on a thing, and how long it may take.
func (b *Board) Begin(kind, of string, within time.Duration) *Work {
	if b == nil {
		return nil
	}
	w := &Work{board: b, kind: kind, of: of, within: within, began: time.Now()}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.works == nil {
		b.works, b.kinds = map[*Work]bool{}, map[string]bool{}
	}
	b.works[w], b.kinds[kind] = true, true
	return w
}

// Step says that the work goes on: its time begins anew.
func (w *Work) Step() {
	if w == nil {
		return
	}
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	w.began, w.told = time.Now(), false
}

// End takes it off the board.
func (w *Work) End() {
	if w == nil {
		return
	}
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	delete(w.board.works, w)
}

// stuck tells whether it takes longer than it may. The caller holds the lock.
func (w *Work) stuck() bool { return time.Since(w.began) > w.within }

func (w *Work) String() string {
	return fmt.Sprintf("%s %s since %s", w.kind, w.of, w.began.UTC().Format(time.RFC3339))
}

// mostNamed bounds how many an error names.
const mostNamed = 5

// Check fails if something is stuck, and names what is, and since when, the oldest first.
func (b *Board) Check() error {
	stuck := b.stuck()
	if len(stuck) == 0 {
		return nil
	}
	named := make([]string, 0, mostNamed+1)
	for _, w := range stuck[:min(len(stuck), mostNamed)] {
		named = append(named, w.String())
	}
	if more := len(stuck) - mostNamed; more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("stuck: %s", strings.Join(named, "; "))
}

// stuck are copies of what is stuck, the oldest first.
func (b *Board) stuck() (all []Work) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.works {
		if w.stuck() {
			all = append(all, *w)
		}
	}
	slices.SortFunc(all, func(x, y Work) int { return x.began.Compare(y.began) })
	return all
}

// lookEvery is how soon it is logged that something is stuck.
const lookEvery = 15 * time.Second

// Tell logs each piece of work that is stuck, once, until the context ends.
func (b *Board) Tell(ctx context.Context, log logr.Logger) {
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			b.tell(log)
		}
	}
}

func (b *Board) tell(log logr.Logger) {
	b.mu.Lock()
	var fresh []Work
	for w := range b.works {
		if w.stuck() && !w.told {
			w.told = true
			fresh = append(fresh, *w)
		}
	}
	b.mu.Unlock()
	for _, w := range fresh { // apart from the lock: a log may be what is stuck
		log.Error(nil, "Work is stuck, and the process has to be restarted", "work", w.kind+" "+w.of, "since", w.began, "within", w.within)
	}
}

var stuckDesc = prometheus.NewDesc("dora_stuck_work", "Pieces of work that take longer than they may, by their kind.", []string{"work"}, nil)

// Describe implements prometheus.Collector.
func (b *Board) Describe(to chan<- *prometheus.Desc) { to <- stuckDesc }

// Collect implements prometheus.Collector.
func (b *Board) Collect(to chan<- prometheus.Metric) {
	b.mu.Lock()
	counts := make(map[string]int, len(b.kinds))
	for kind := range b.kinds {
		counts[kind] = 0
	}
	for w := range b.works {
		if w.stuck() {
			counts[w.kind]++
		}
	}
	b.mu.Unlock()
	for kind, n := range counts {
		to <- prometheus.MustNewConstMetric(stuckDesc, prometheus.GaugeValue, float64(n), kind)
	}
}
