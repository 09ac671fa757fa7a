package fourkeys_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// marked is an event that people say something of.
func marked(e dora.Event, verdict dora.Verdict) dora.Event {
	e.Say(dora.Mark{Verdict: verdict, Reason: "because", By: "ada", At: e.OccurredAt})
	return e
}

// The week of these stories: two good deployments, one that degraded production and was rolled back, and the hotfix.
func badWeek() map[string]dora.Event {
	return map[string]dora.Event{
		"good":   success("v1", 10),
		"bad":    success("v2", 20),
		"fall":   degraded("f", 20.5, "v2"),
		"rise":   recovered("f", 23, "v1"),
		"return": rollback("v1", "v2", 23),
		"hotfix": success("v3", 40, unplanned),
	}
}

func TestWhatPeopleSayComesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		say  map[string]dora.Verdict
		want figures
	}{
		"nobody says anything": {nil, figures{
			deployed: 3, attempts: 3, failed: 1, failures: 1, recoveries: 1, reworked: 1, counts: counts{Succeeded: 3, Returned: 1},
		}},
		"the failure was none, and the rollback still left the version": {map[string]dora.Verdict{"fall": dora.NotAFailure}, figures{
			deployed: 3, attempts: 3, failed: 1, reworked: 1, counts: counts{Succeeded: 3, Returned: 1},
		}},
		"the deployment was no failure: what happened is an incident": {map[string]dora.Verdict{"bad": dora.NotAFailure}, figures{
			deployed: 3, attempts: 3, reworked: 1, counts: counts{Succeeded: 3, Returned: 1, Incidents: 1},
		}},
		"neither was": {map[string]dora.Verdict{"bad": dora.NotAFailure, "fall": dora.NotAFailure}, figures{
			deployed: 3, attempts: 3, reworked: 1, counts: counts{Succeeded: 3, Returned: 1},
		}},
		"the deployment is ignored: its failure is nobody's": {map[string]dora.Verdict{"bad": dora.Ignore}, figures{
			deployed: 2, attempts: 2, reworked: 1, counts: counts{Succeeded: 2, Returned: 1},
		}},
		"a drill: all of it is ignored": {map[string]dora.Verdict{
			"bad": dora.Ignore, "fall": dora.Ignore, "return": dora.Ignore,
		}, figures{deployed: 2, attempts: 2, counts: counts{Succeeded: 2}}},
		"a failure that nobody saw": {map[string]dora.Verdict{"good": dora.Failure}, figures{
			deployed: 3, attempts: 3, failed: 2, failures: 1, recoveries: 1, reworked: 1, counts: counts{Succeeded: 3, Returned: 1},
		}},
		"the return was a step forward": {map[string]dora.Verdict{"return": dora.NotAFailure}, figures{
			deployed: 4, attempts: 4, failed: 1, failures: 1, recoveries: 1, counts: counts{Succeeded: 4},
		}},
		"the return hurt users": {map[string]dora.Verdict{"return": dora.Failure}, figures{
			deployed: 3, attempts: 4, failed: 2, failures: 1, recoveries: 1, reworked: 1, counts: counts{Succeeded: 3, Aborted: 1},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var events []dora.Event
			for what, e := range badWeek() {
				events = append(events, marked(e, c.say[what]))
			}
			if d := difference(c.want, figuresOf(fourkeys.Compute(events, week))); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestOneVerdictOfEachOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		event            dora.Event
		success, failure counts
	}{
		"succeeded":     {success("v2", 9), counts{Succeeded: 1}, counts{Succeeded: 1}},
		"failed":        {failure("v2", 9), counts{Succeeded: 1}, counts{Failed: 1}},
		"stopped":       {abort("v2", 9, exposed(true)), counts{Succeeded: 1}, counts{Aborted: 1}},
		"never exposed": {abort("v2", 9, exposed(false)), counts{Succeeded: 1}, counts{Aborted: 1}},
		"returned":      {rollback("v1", "v2", 9), counts{Succeeded: 1}, counts{Aborted: 1}},
		"unknown":       {noVerdict("v2", 9), counts{Succeeded: 1}, counts{Failed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			for verdict, want := range map[dora.Verdict]counts{dora.NotAFailure: c.success, dora.Failure: c.failure, dora.Ignore: {}} {
				s := fourkeys.Compute([]dora.Event{marked(c.event, verdict)}, week)
				if d := difference(want, figuresOf(s).counts); d != "" {
					t.Errorf("%s (-want +got)\n%s", verdict, d)
				}
				failed := map[dora.Verdict]int{dora.Failure: 1}[verdict]
				if s.ChangeFailureRate.Part != failed || s.Recovery.Failures != 0 {
					t.Errorf("%s: %d failed changes and %d failures", verdict, s.ChangeFailureRate.Part, s.Recovery.Failures)
				}
			}
		})
	}
}

func TestWhatIsIgnoredMightAsWellNeverHaveBeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events, kinds := drawEvents(t), drawKinds(t)
		counted := slices.DeleteFunc(slices.Clone(events), func(e dora.Event) bool {
			return e.Mark != nil && (e.Mark.Verdict == dora.Ignore || e.Mark.Verdict == dora.NotAFailure && e.Type != dora.TypeDeploy)
		})
		want, got := fourkeys.Compute(counted, week, kinds...), fourkeys.Compute(events, week, kinds...)
		if got.Rework.Part > want.Rework.Part {
			t.Errorf("%d are rework, and %d if what is ignored had never been recorded", got.Rework.Part, want.Rework.Part)
		}
		got.Rework = want.Rework // was recorded with others, and may be less now
		same(t, want, got)
	})
}

func TestOfFailuresOnlyAndOfNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		for verdict, share := range map[dora.Verdict]int{dora.NotAFailure: 0, dora.Failure: 1} {
			deploys := 0
			for i := range events {
				events[i] = marked(events[i], verdict)
				if e := events[i]; counted(e) && !e.OccurredAt.Before(week.From) && e.OccurredAt.Before(week.To) {
					deploys++
				}
			}
			got := fourkeys.Compute(events, week).ChangeFailureRate
			same(t, [2]int{deploys, deploys * share}, [2]int{got.Whole, got.Part})
		}
	})
}
