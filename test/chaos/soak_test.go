//go:build soak

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

const (
	// followed is how many Applications are deployed, and pourers how many of them at a time.
	followed = 200
	pourers  = 8
	samples  = 60
)

// sample is what the controller takes at a time.
type sample struct {
	at                         time.Duration
	events                     int
	heap, resident, goroutines float64
}

// TestSoak deploys without end for as long as SOAK says, and fails if what the controller takes has a trend in the second half of that time: the heap, after
// a collection each time, and the goroutines. In the end the ledger must hold what an undisturbed run leads to.
func TestSoak(t *testing.T) {
	g := NewWithT(t)
	lasts, err := time.ParseDuration(os.Getenv("SOAK"))
	g.Expect(err).NotTo(HaveOccurred(), "SOAK is no duration, such as 30m")
	for name, inDatabase := range map[string]bool{"a ledger in a file": false, "a ledger in PostgreSQL": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			openStage(t, inDatabase).soaked(lasts)
		})
	}
}

// soaked is a stage on which one replica works for that long.
func (s *stage) soaked(lasts time.Duration) {
	s.Helper()
	r := s.replicate(0)
	s.leader()
	names := make([]string, followed)
	for i := range names {
		names[i] = fmt.Sprintf("service-%03d", i)
	}
	s.follow(names...)
	ctx, stop := context.WithCancel(s.Context())
	var pouring sync.WaitGroup
	for p := range pourers {
		pouring.Go(func() { s.pour(ctx, p) })
	}
	taken := s.sampled(r, lasts)
	stop()
	pouring.Wait()
	s.agrees()
	s.published()
	tellSamples(s.T, taken)
	second := taken[len(taken)/2:]
	flat(s.T, "heap", second, func(a sample) float64 { return a.heap }, 0.10, 1<<20)
	flat(s.T, "goroutines", second, func(a sample) float64 { return a.goroutines }, 0.02, 2)
}

// pour deploys some of the Applications, one step at a time, until the context ends.
func (s *stage) pour(ctx context.Context, p int) {
	dice := rand.New(rand.NewPCG(uint64(p), 7))
	for ctx.Err() == nil {
		for i := p; i < len(s.argo.apps) && ctx.Err() == nil; i += pourers {
			s.argo.apps[i].step(s.Context(), dice)
		}
	}
}

func (s *stage) sampled(r *replica, lasts time.Duration) []sample {
	s.Helper()
	var taken []sample
	began := time.Now()
	for n := 1; n <= samples; n++ {
		pause(s.Context(), time.Until(began.Add(lasts*time.Duration(n)/samples)))
		taken = append(taken, s.look(r, time.Since(began)))
	}
	return taken
}

// look collects garbage, and reads what is left.
func (s *stage) look(r *replica, at time.Duration) sample {
	s.Helper()
	g := NewWithT(s.T)
	_, err := get(s.Context(), r.pprof+"/debug/pprof/heap?gc=1")
	g.Expect(err).NotTo(HaveOccurred())
	text, err := get(s.Context(), r.metrics+"/metrics")
	g.Expect(err).NotTo(HaveOccurred())
	figure := func(name string) float64 {
		_, after, found := strings.Cut(text, "\n"+name+" ")
		g.Expect(found).To(BeTrue(), name)
		value, _, _ := strings.Cut(after, "\n")
		n, err := strconv.ParseFloat(value, 64)
		g.Expect(err).NotTo(HaveOccurred())
		return n
	}
	s.argo.mu.Lock()
	defer s.argo.mu.Unlock()
	return sample{
		at: at, events: len(s.argo.must), heap: figure("go_memstats_heap_alloc_bytes"),
		resident: figure("process_resident_memory_bytes"), goroutines: figure("go_goroutines"),
	}
}

func tellSamples(t *testing.T, taken []sample) {
	t.Helper()
	var table strings.Builder
	fmt.Fprintf(&table, "\n%8s %8s %10s %10s %11s\n", "after", "events", "heap", "resident", "goroutines")
	for i, a := range taken {
		if i%(samples/12) == 0 || i == len(taken)-1 {
			fmt.Fprintf(&table, "%8s %8d %7.1f MB %7.1f MB %11.0f\n", a.at.Truncate(time.Second), a.events, a.heap/1e6, a.resident/1e6, a.goroutines)
		}
	}
	t.Log(table.String())
}

// flat fails if a figure grows, from the first of these samples to the last, by more than a share of its median and by more than so much. The slope is the
// median of those between any two samples, so that a few odd ones say nothing.
func flat(t *testing.T, name string, taken []sample, of func(sample) float64, share, least float64) {
	t.Helper()
	var slopes, values []float64
	for i, a := range taken {
		values = append(values, of(a))
		for _, b := range taken[i+1:] {
			slopes = append(slopes, (of(b)-of(a))/(b.at-a.at).Seconds())
		}
	}
	slices.Sort(slopes)
	slices.Sort(values)
	median, span := values[len(values)/2], (taken[len(taken)-1].at - taken[0].at).Seconds()
	growth := slopes[len(slopes)/2] * span
	t.Logf("%s: %.0f in the middle, and the trend of the second half is %+.1f %%", name, median, 100*growth/median)
	if growth > share*median && growth > least {
		t.Errorf("%s grow: by %.0f in %.0f s, of %.0f", name, growth, span, median)
	}
}
