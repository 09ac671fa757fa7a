package dispatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// TestOrderAndCompleteness plays a worker by hand against a destination that fails at random: everything arrives, except
// what was refused, and each service's events arrive in order, however often they are sent.
func TestOrderAndCompleteness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := clocktesting.NewFakeClock(noon)
		book := ledgertest.NewMemory(clock.Now)
		s := sinktest.NewScripted("port").Takes(5)
		d := New(book, Options{Clock: clock, Random: func() float64 { return rapid.Float64Range(0, 0.99).Draw(t, "jitter") }})
		world := &destination{T: t, refused: map[string]bool{}}
		s.Answer(world.answer)

		var recorded []string
		w := newWorker(s, Route{}, d)
		for range rapid.IntRange(1, 4).Draw(t, "commits") {
			change := ledger.Change{Sinks: []string{"port"}}
			for range rapid.IntRange(1, 6).Draw(t, "events") {
				service := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "service")
				id := fmt.Sprintf("%s%d", service, len(recorded))
				recorded = append(recorded, id)
				change.Events = append(change.Events, ledgertest.Deployment(id, service, noon))
			}
			if err := book.Commit(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			clock.SetTime(clock.Now().Add(time.Second))
			w.drain(t.Context())
		}
		world.calm = true
		for next := w.drain(t.Context()); !next.IsZero(); next = w.drain(t.Context()) {
			clock.SetTime(next)
		}
		world.verify(recorded)
	})
}

// TestCompleteness: events are completed while they are on their way, after they arrived, and more than once. What each sink was
// told last of an event that it did not refuse is what the ledger knows in the end.
func TestCompleteness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := clocktesting.NewFakeClock(noon)
		book := ledgertest.NewMemory(clock.Now)
		s := sinktest.NewScripted("port")
		world := &destination{T: t, refused: map[string]bool{}, told: map[string]dora.Event{}}
		var recorded []string
		complete := func() {
			var change ledger.Change
			for range rapid.IntRange(0, 2).Draw(t, "facts") {
				first := noon.Add(-time.Duration(rapid.IntRange(0, 9).Draw(t, "first")) * time.Hour)
				change.Facts = append(change.Facts, ledgertest.Facts(rapid.SampledFrom(recorded).Draw(t, "id"), first))
			}
			change.Sinks = []string{"port"}
			if err := book.Commit(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
		s.Answer(func(ctx context.Context, events []dora.Event) error {
			if !world.calm {
				complete() // while they are under way
			}
			return world.answer(ctx, events)
		})
		w := newWorker(s.Takes(3), Route{}, New(book, Options{Clock: clock, Random: func() float64 { return 0.5 }}))
		for i := range rapid.IntRange(1, 8).Draw(t, "rounds") {
			recorded = append(recorded, fmt.Sprintf("%c%d", 'a'+i%3, i))
			event := ledgertest.Deployment(recorded[i], recorded[i][:1], noon)
			if err := book.Commit(t.Context(), ledger.Change{Events: []dora.Event{event}, Sinks: []string{"port"}}); err != nil {
				t.Fatal(err)
			}
			complete()
			clock.SetTime(clock.Now().Add(time.Second))
			w.drain(t.Context())
		}
		world.calm = true
		for next := w.drain(t.Context()); !next.IsZero(); next = w.drain(t.Context()) {
			clock.SetTime(next)
		}
		for row, err := range book.Events(t.Context(), ledger.EventQuery{}) {
			if diff := cmp.Diff(row.Event, world.told[row.Event.ID]); err != nil || diff != "" && !world.refused[row.Event.ID] {
				t.Fatalf("the ledger knows (-) what the sink was not told (+):\n%s (%v)", diff, err)
			}
		}
	})
}

// destination fails as it pleases, until it is calm.
type destination struct {
	*rapid.T

	calm    bool
	arrived []string
	refused map[string]bool
	told    map[string]dora.Event // the last of each; nobody asks if it is nil
}

func (d *destination) take(events ...dora.Event) {
	d.arrived = append(d.arrived, sinktest.IDs(events)...)
	for _, event := range events {
		if d.told != nil {
			d.told[event.ID] = event
		}
	}
}

func (d *destination) answer(_ context.Context, events []dora.Event) error {
	mood := 0
	if !d.calm {
		mood = rapid.IntRange(0, 4).Draw(d.T, "mood")
	}
	switch mood {
	case 1:
		return errBusy
	case 2: // refuses one event for good, and so the batch that it is in
		if len(events) == 1 {
			d.refused[events[0].ID] = true
		}
		return errRefused
	case 3: // takes some
		failed := map[string]error{}
		for _, event := range events {
			if rapid.Bool().Draw(d.T, "fails") {
				failed[event.ID] = errBusy
				continue
			}
			d.take(event)
		}
		if len(failed) > 0 {
			return &sink.PartialError{Failed: failed}
		}
		return nil
	case 4: // takes all, and fails to say so
		d.take(events...)
		return errBusy
	}
	d.take(events...)
	return nil
}

func (d *destination) verify(recorded []string) {
	for _, service := range []string{"a", "b", "c"} {
		var want, got []string
		for _, id := range recorded {
			if strings.HasPrefix(id, service) && !d.refused[id] {
				want = append(want, id)
			}
		}
		// The last arrival of each counts: with an idempotent destination that is the state it ends in.
		for i, id := range d.arrived {
			if strings.HasPrefix(id, service) && !d.refused[id] && !slices.Contains(d.arrived[i+1:], id) {
				got = append(got, id)
			}
		}
		if !slices.Equal(got, want) {
			d.Fatalf("service %s: recorded %v, arrived %v of %v", service, want, got, d.arrived)
		}
	}
}
