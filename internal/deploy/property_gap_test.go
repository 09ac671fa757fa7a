package deploy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// A controller that was away for a part of the day tells less, or that it does not know; never what did not happen.
func TestAGapInADayInventsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDay(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		for range 3 + d.pick(6) {
			d.happens()
		}
		gapInventsNothing(t, d)
	})
}

func TestAGapInADayOfACanaryInventsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCanary(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		for range 3 + c.pick(5) {
			c.happens()
		}
		gapInventsNothing(t, c.day)
	})
}

func gapInventsNothing(t *rapid.T, d *day) {
	steps := slices.Concat(d.steps(), []step{{at: d.now.Add(2 * time.Hour), text: "wait"}})
	from := 1 + d.pick(len(steps)-2)
	until := from + 1 + d.pick(min(60, len(steps)-from))
	full, err := run(d.story, steps)
	if err != nil {
		t.Fatal(err)
	}
	with := slices.Clone(steps)
	if until < len(with) {
		with = slices.Insert(with, until, step{at: with[until-1].at, text: "controller starts"})
	}
	with = slices.Insert(with, from, step{at: with[from].at, text: "controller stops"})
	got, err := run(d.story, with)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.got {
		if e := &got.got[i]; !happened(e, full.got) {
			t.Fatalf("invented:\n%swithout the gap:\n%s%s", transcript(got.got[i:i+1], nil), transcript(full.got, nil), written(with, got))
		}
	}
}

func (d *day) steps() []step {
	var all []step
	for _, l := range d.story.lines {
		all = append(all, l.steps...)
	}
	return all
}

func run(s story, steps []step) (*world, error) {
	w := newWorld(s.policy)
	for _, step := range steps {
		if err := w.happen(step); err != nil {
			return nil, err
		}
		if len(w.failures) > 0 {
			return nil, fmt.Errorf("%s: %v", step.text, w.failures)
		}
	}
	return w, nil
}

// happened: it is one of the events that came without the gap; or its attempt is, and its verdict is no longer told.
func happened(e *dora.Event, full []dora.Event) bool {
	return slices.ContainsFunc(full, func(f dora.Event) bool {
		if f.Subject.UID != e.Subject.UID {
			return false
		}
		switch {
		case e.Type == dora.TypeDeploy && e.Outcome == dora.Failed && f.Type == dora.TypeDegraded:
			// Its success was missed, and when the controller was back, the Degraded after it was all that could be seen.
			return f.OccurredAt.Equal(e.OccurredAt)
		case f.Type != e.Type:
			return false
		case e.Type == dora.TypeDegraded:
			return f.OccurredAt.Equal(e.OccurredAt)
		case e.Type == dora.TypeRecovered:
			return true // production may have been Healthy in between, unseen
		case f.Version.Tag != e.Version.Tag:
			return false
		case e.Outcome == dora.Unknown:
			return true
		case e.Outcome == dora.Succeeded && f.Outcome == dora.Failed:
			return e.Basis == dora.BasisHistory // it failed unseen, and got through after all
		default:
			// Whether a version that reached Healthy had been there before may have been missed.
			same := truth(f.Success) == truth(e.Success) && truth(f.Exposed) == truth(e.Exposed) && (f.Outcome == e.Outcome || truth(e.Success) == "true")
			return same && (e.Basis == dora.BasisHistory || f.OccurredAt.Equal(e.OccurredAt))
		}
	})
}

// written is the story as it can be told again.
func written(steps []step, w *world) string {
	text := "the day:\n"
	for _, s := range steps {
		text += fmt.Sprintf("  %s %s\n", s.at.Format(time.TimeOnly), s.text)
	}
	return text + "what was told:\n" + transcript(w.got, w.decided)
}
