// Package deploy_test tells what counts as a deployment in stories: a sequence of observations and the events that they must
// yield. testdata/stories holds them, in words of Argo.
package deploy_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

func TestStories(t *testing.T) {
	tell(t, false)
}

// A restart before any decision, with what was stored as the only memory, changes nothing.
func TestStoriesWithARestartBeforeEachDecision(t *testing.T) {
	tell(t, true)
}

func tell(t *testing.T, restarting bool) {
	t.Helper()
	for _, s := range stories(t) {
		t.Run(strings.TrimSuffix(s.file, ".txt")+": "+s.name, func(t *testing.T) {
			w := newWorld(s.policy)
			w.restarting = restarting
			told, problems := s.play(w)
			if len(problems) > 0 {
				t.Errorf("%s\n\n%s: %s\n%s", strings.Join(problems, "\n"), s.file, s.name, told)
			}
		})
	}
}

func TestEveryStoryHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range stories(t) {
		if seen[s.name] {
			t.Errorf("%s: two stories are called %q", s.file, s.name)
		}
		seen[s.name] = true
	}
}

// play lets a story happen, and compares what came of each line. It returns the transcript as well.
func (s *story) play(w *world) (told string, problems []string) {
	var text strings.Builder
	for i := range s.lines {
		l := &s.lines[i]
		fmt.Fprintf(&text, "  %s\n", l.text)
		from, decided := len(w.got), len(w.decided)
		for _, step := range l.steps {
			if err := w.happen(step); err != nil {
				return text.String(), append(problems, fmt.Sprintf("line %d: %v", l.number, err))
			}
		}
		if i+1 < len(s.lines) {
			w.passTime(s.lines[i+1].steps[0].at)
		}
		for _, problem := range w.failures {
			problems = append(problems, fmt.Sprintf("line %d: %s", l.number, problem))
		}
		w.failures = nil
		text.WriteString(transcript(w.got[from:], w.decided[decided:]))
		for _, problem := range s.compare(w, l, from, w.decided[decided:]) {
			problems = append(problems, fmt.Sprintf("line %d: %s", l.number, problem))
		}
	}
	return text.String(), append(problems, repeated(w.got)...)
}

func repeated(events []dora.Event) (problems []string) {
	seen := map[string]bool{}
	for _, e := range events {
		if e.ID == "" || seen[e.ID] {
			problems = append(problems, fmt.Sprintf("id %q of a %s event is not unique", e.ID, e.Type))
		}
		seen[e.ID] = true
	}
	return problems
}

// compare holds what came of one line against what must.
func (s *story) compare(w *world, l *line, from int, decided []deploy.Decision) (problems []string) {
	if s.anyOrder {
		slices.SortStableFunc(w.got[from:], func(a, b dora.Event) int { return cmp.Compare(recovers(a), recovers(b)) })
	}
	next := from
	for _, want := range l.want {
		switch want.kind {
		case "nothing":
		case "decided":
			if decided = after(decided, deploy.Reason(want.outcome)); decided == nil {
				problems = append(problems, "missing: "+want.text)
			}
		default:
			if next >= len(w.got) {
				problems = append(problems, "missing: "+want.text)
				continue
			}
			for _, d := range want.differences(w, next) {
				problems = append(problems, fmt.Sprintf("%s: %s", want.text, d))
			}
			next++
		}
	}
	for ; next < len(w.got); next++ {
		problems = append(problems, "not expected: "+strings.TrimSpace(transcript(w.got[next:next+1], nil)))
	}
	return problems
}

func recovers(e dora.Event) int {
	if e.Type == dora.TypeRecovered {
		return 1
	}
	return 0
}

// after drops the decisions up to one for that reason; nil if there is none.
func after(decided []deploy.Decision, reason deploy.Reason) []deploy.Decision {
	for i := range decided {
		if decided[i].Reason == reason {
			return append([]deploy.Decision{}, decided[i+1:]...)
		}
	}
	return nil
}

func transcript(events []dora.Event, decisions []deploy.Decision) string {
	var text strings.Builder
	for _, d := range decisions {
		fmt.Fprintf(&text, "      decided %s: %s\n", d.Reason, d.Message)
	}
	for i := range events {
		e := &events[i]
		fmt.Fprintf(&text, "      %s %s at=%s observed=%s of=%s", e.Type, e.Outcome, short(e.OccurredAt), short(e.ObservedAt), e.Subject.Name)
		if e.Type == dora.TypeDeploy {
			fmt.Fprintf(&text, " version=%s previous=%s running=%s started=%s success=%s is_rollback=%s unplanned=%s exposed=%s basis=%s change=%s attempt=%s",
				tagOf(e.Version), previousOf(e), tagOf(e.Running), short(e.StartedAt), truth(e.Success), truth(e.IsRollback), truth(e.Unplanned), truth(e.Exposed), e.Basis, e.Change, e.Attempt)
		}
		text.WriteString("\n")
	}
	return text.String()
}

func short(t time.Time) string {
	if day := int(t.Sub(dayOne).Hours()/24) + 1; day != 1 {
		return fmt.Sprintf("%d/%s", day, t.Format(time.TimeOnly))
	}
	return t.Format(time.TimeOnly)
}

func tagOf(v *dora.Version) string {
	if v == nil {
		return "none"
	}
	return orUntagged(v.Tag)
}

func previousOf(e *dora.Event) string {
	if !e.Previous.Known {
		return "?"
	}
	return tagOf(e.Previous.Version)
}

func truth(b *bool) string {
	if b == nil {
		return "null"
	}
	return strconv.FormatBool(*b)
}
