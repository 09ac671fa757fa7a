package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// TestStuckServicesHoldUpNoOthers: some services have a first event that the destination never takes, and more behind it; ten others are
// deployed every minute for half a day. All of those arrive. Time is not the machine's here.
func TestStuckServicesHoldUpNoOthers(t *testing.T) {
	for name, c := range map[string]struct {
		stuck, behind, batch int
		hang                 bool
		within               time.Duration // nineteen of twenty arrive
	}{
		"one that hangs":  {1, 30, 20, true, time.Minute},
		"three that hang": {3, 30, 20, true, time.Minute},
		"ten that hang":   {10, 30, 200, true, time.Minute},
		"five that fail":  {5, 30, 20, false, time.Minute},
		// Until each of them was tried alone nobody can tell this from a destination that is down: half an hour, once.
		"twenty-five that fail":                  {25, 0, 20, false, 30 * time.Minute},
		"more rows behind them than a batch has": {5, 250, 200, false, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				waits := starve(t, c.stuck, c.behind, c.batch, c.hang)
				g := NewWithT(t)
				g.Expect(waits).To(HaveLen(12 * 60 * 10))
				g.Expect(waits[len(waits)*19/20]).To(BeNumerically("<", c.within))
			})
		})
	}
}

// starve returns how long each event of the healthy services waited, sorted.
func starve(t *testing.T, stuck, behind, batch int, hang bool) []time.Duration {
	t.Helper()
	book := ledgertest.NewMemory(time.Now)
	jitter := rand.New(rand.NewPCG(1, 2))
	d := New(book, Options{Random: jitter.Float64})
	world := &half{arrived: map[string]time.Time{}, hang: hang}
	s := sinktest.NewScripted("port").Takes(batch)
	s.Answer(world.answer)
	d.Register(s, Route{})
	ctx, cancel := context.WithCancel(t.Context())
	defer synctest.Wait()
	defer cancel()
	go func() { _ = d.Start(ctx) }()

	var change ledger.Change
	for i := range stuck {
		for n := range behind + 1 {
			change.Events = append(change.Events, ledgertest.Deployment(fmt.Sprintf("stuck%d-%d", i, n), fmt.Sprintf("stuck%d", i), noon))
		}
	}
	recorded := map[string]time.Time{}
	for minute := range 12 * 60 {
		for i := range 10 {
			id := fmt.Sprintf("healthy%d-%d", i, minute)
			recorded[id] = time.Now()
			change.Events = append(change.Events, ledgertest.Deployment(id, fmt.Sprintf("healthy%d", i), noon))
		}
		change.Sinks = port
		NewWithT(t).Expect(book.Commit(ctx, change)).To(Succeed())
		change.Events = nil
		d.Notify()
		time.Sleep(time.Minute)
	}
	time.Sleep(time.Hour)
	return world.waits(recorded)
}

// half is a destination that never takes the first event of a stuck service.
type half struct {
	hang bool

	mu      sync.Mutex
	arrived map[string]time.Time
}

func (h *half) answer(ctx context.Context, events []dora.Event) error {
	for i := range events {
		if strings.HasPrefix(events[i].ID, "stuck") && strings.HasSuffix(events[i].ID, "-0") {
			if h.hang {
				<-ctx.Done()
				return ctx.Err()
			}
			return errors.New("500")
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range events {
		h.arrived[events[i].ID] = time.Now()
	}
	return nil
}

func (h *half) waits(recorded map[string]time.Time) []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var waits []time.Duration
	for id, at := range recorded {
		if arrived, ok := h.arrived[id]; ok {
			waits = append(waits, arrived.Sub(at))
		}
	}
	slices.Sort(waits)
	return waits
}
