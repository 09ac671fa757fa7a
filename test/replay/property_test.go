package replay_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/replay"
)

const seeds = 20

// perturbed replays each recording once for each seed, changed by some accident, and hands over what came out.
func perturbed(t *testing.T, accident func(*rand.Rand, []replay.Event) ([]replay.Event, int), check func(*testing.T, []dora.Event, []dora.Event)) {
	t.Helper()
	for _, name := range recordings(t) {
		events := read(t, name)
		full := run(replay.NewWorld("test", policy), events)
		for seed := range uint64(seeds) {
			t.Run(fmt.Sprintf("%s seed %d", filepath.Base(name), seed), func(t *testing.T) {
				lines, restart := accident(rand.New(rand.NewPCG(seed, 7)), slices.Clone(events))
				w := replay.NewWorld("test", policy)
				got := run(w, lines[:restart])
				if restart < len(lines) {
					steps, err := w.Restart()
					if err != nil {
						t.Fatal(err)
					}
					got = collect(got, steps)
				}
				got = append(got, run(w, lines[restart:])...)
				uniqueIDs(t, got)
				check(t, got, full)
			})
		}
	}
}

func TestARestartWithoutAGapChangesNothing(t *testing.T) {
	perturbed(t, func(r *rand.Rand, lines []replay.Event) ([]replay.Event, int) {
		return lines, r.IntN(len(lines))
	}, func(t *testing.T, got, full []dora.Event) {
		t.Helper()
		if !reflect.DeepEqual(got, full) {
			t.Errorf("the events differ:\n%s\nwithout the restart:\n%s", lines(got), lines(full))
		}
	})
}

func TestADuplicatedLineChangesNothing(t *testing.T) {
	perturbed(t, func(r *rand.Rand, lines []replay.Event) ([]replay.Event, int) {
		i := r.IntN(len(lines))
		return slices.Insert(lines, i, lines[i]), len(lines) + 1
	}, func(t *testing.T, got, full []dora.Event) {
		t.Helper()
		if !reflect.DeepEqual(got, full) {
			t.Errorf("the events differ:\n%s\nwithout the duplicate:\n%s", lines(got), lines(full))
		}
	})
}

func TestHalfOfTheIntermediateLinesDroppedInventsNothing(t *testing.T) {
	perturbed(t, func(r *rand.Rand, lines []replay.Event) ([]replay.Event, int) {
		last := len(lines) - 1
		kept := lines[:0:0]
		for i, l := range lines {
			if i == 0 || i == last || l.Type != replay.Modified || r.IntN(2) == 0 {
				kept = append(kept, l)
			}
		}
		return kept, len(kept)
	}, nothingInvented)
}

func TestAGapInventsNothing(t *testing.T) {
	perturbed(t, func(r *rand.Rand, lines []replay.Event) ([]replay.Event, int) {
		n := 1 + r.IntN(min(40, len(lines)-2))
		from := 1 + r.IntN(len(lines)-n-1)
		return slices.Delete(lines, from, from+n), from
	}, nothingInvented)
}

func TestAGapWithoutARestartInventsNothing(t *testing.T) {
	perturbed(t, func(r *rand.Rand, lines []replay.Event) ([]replay.Event, int) {
		n := 1 + r.IntN(min(40, len(lines)-2))
		from := 1 + r.IntN(len(lines)-n-1)
		lines = slices.Delete(lines, from, from+n)
		return lines, len(lines)
	}, nothingInvented)
}

// nothingInvented: the same deploy events, or fewer, or unknown or history in their place; never a different or an extra one.
func nothingInvented(t *testing.T, got, full []dora.Event) {
	t.Helper()
	at := 0
	want := deploys(full)
	for _, e := range deploys(got) {
		i := slices.IndexFunc(want[at:], func(f dora.Event) bool { return inPlaceOf(e, f) || lostItsRank(e, f, got) })
		if i < 0 {
			t.Fatalf("invented %s\nall:\n%s\nwithout the accident:\n%s", lines([]dora.Event{e}), lines(got), lines(full))
		}
		at += i + 1
	}
}

func deploys(events []dora.Event) []dora.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e dora.Event) bool { return e.Type != dora.TypeDeploy })
}

func inPlaceOf(e, full dora.Event) bool {
	unnamed := e.Version.Tag == "" && !e.Previous.Known // which of several images changed is not told
	sameVersion := e.Version.Tag == full.Version.Tag || unnamed && slices.Equal(e.Version.Images, full.Version.Images)
	if !sameVersion {
		return false
	}
	if e.Outcome == dora.Unknown || e.Basis == dora.BasisHistory && e.Outcome == dora.Succeeded && !*full.IsRollback {
		return true
	}
	same := e.Outcome == full.Outcome && *e.Success == *full.Success && *e.IsRollback == *full.IsRollback && reflect.DeepEqual(e.Exposed, full.Exposed)
	// A later transition to Healthy cannot be told from the first one once the lines between them are lost.
	return same && (e.Basis == dora.BasisHistory || full.OccurredAt.Sub(e.OccurredAt) <= 3*time.Second)
}

// lostItsRank: of a version whose own deployment was lost nothing tells that it ran before, so by rule 6 its return is a
// deployment like any other.
func lostItsRank(e, full dora.Event, got []dora.Event) bool {
	return full.Outcome == dora.RolledBack && *full.Success && e.Outcome == dora.Succeeded && e.Version.Tag == full.Version.Tag &&
		!slices.ContainsFunc(got, func(g dora.Event) bool {
			return g.Type == dora.TypeDeploy && g.ID != e.ID && g.OccurredAt.Before(e.OccurredAt) && g.Version.Tag == e.Version.Tag
		})
}

func lines(events []dora.Event) string {
	var s strings.Builder
	for _, e := range events {
		s.WriteString("  " + text(e) + "\n")
	}
	return s.String()
}
