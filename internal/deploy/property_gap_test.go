package deploy_test

import (
	"fmt"
	"slices"
	"strings"
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
	if wrong := invented(got.got, full.got); len(wrong) > 0 {
		t.Fatalf("invented:\n%swithout the gap:\n%s%s", transcript(wrong, nil), transcript(full.got, nil), written(with, got))
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

// invented is what was told and did not happen. A failure must have happened when it is said to; a success may be told late or under a later
// operation (Argo CD does not tell what came and went), but no version succeeds more often than it did.
func invented(got, full []dora.Event) []dora.Event {
	return slices.DeleteFunc(slices.Clone(got), func(e dora.Event) bool {
		switch {
		case e.Type == dora.TypeRecovered:
			return true // production may have been Healthy in between, unseen
		case e.Type == dora.TypeDegraded:
			return some(full, func(f dora.Event) bool { return f.Type == e.Type && f.OccurredAt.Equal(e.OccurredAt) })
		case e.Outcome == dora.Unknown:
			return some(full, func(f dora.Event) bool { return f.Type == e.Type && f.Version.Tag == e.Version.Tag })
		case truth(e.Success) == "true":
			return successes(got, e.Version.Tag) <= successes(full, e.Version.Tag)+gotThrough(full, e.Version.Tag)
		default:
			return some(full, func(f dora.Event) bool { return saysTheSame(e, f) })
		}
	})
}

func some(events []dora.Event, is func(dora.Event) bool) bool { return slices.ContainsFunc(events, is) }

func saysTheSame(e, f dora.Event) bool {
	switch {
	case e.Outcome == dora.Failed && f.Type == dora.TypeDegraded:
		return f.OccurredAt.Equal(e.OccurredAt) // its success was missed, and only the Degraded after it was seen
	case f.Type != dora.TypeDeploy:
		return false
	case e.Outcome == dora.RolledBack && f.Outcome == dora.RolledBack && truth(f.Success) == "true":
		// A Rollout does not tell a way back to the stable version in the middle from one after it.
		return e.Subject.UID == f.Subject.UID && e.Attempt != "" && previousOf(&f) == e.Version.Tag && f.Version.Tag == previousOf(&e)
	case f.Version.Tag != e.Version.Tag || f.Outcome != e.Outcome || truth(f.Exposed) != truth(e.Exposed):
		return false
	default: // when an abort was, nothing tells once the template came back
		return e.Basis == dora.BasisHistory || e.Outcome == dora.RolledBack || f.OccurredAt.Equal(e.OccurredAt)
	}
}

func successes(events []dora.Event, tag string) (n int) {
	for i := range events {
		if e := &events[i]; e.Type == dora.TypeDeploy && e.Version.Tag == tag && truth(e.Success) == "true" {
			n++
		}
	}
	return n
}

// gotThrough is 1 for a version that failed, and ran Healthy after all.
func gotThrough(events []dora.Event, tag string) int {
	if some(events, func(e dora.Event) bool {
		return e.Type == dora.TypeDeploy && e.Outcome == dora.Failed && e.Version.Tag == tag
	}) {
		return 1
	}
	return 0
}

// written is the story as it can be told again.
func written(steps []step, w *world) string {
	var text strings.Builder
	text.WriteString("the day:\n")
	for _, s := range steps {
		fmt.Fprintf(&text, "  %s %s\n", s.at.Format(time.TimeOnly), s.text)
	}
	return text.String() + "what was told:\n" + transcript(w.got, w.decided)
}
