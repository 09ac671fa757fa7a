package fourkeys_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// drawEvents tells a random history of two subjects in and around the window. Versions, times and causes come from few
// values, so that they meet: equal seconds, rollbacks to what ran, failures of what never was.
func drawEvents(t *rapid.T) []dora.Event {
	number := rapid.IntRange(0, 40).Draw(t, "number of events")
	events := make([]dora.Event, 0, number)
	for i := range number {
		events = append(events, drawEvent(t, strconv.Itoa(i)))
	}
	return events
}

func drawEvent(t *rapid.T, id string) dora.Event {
	version := rapid.SampledFrom([]string{"v1", "v2", "v3"})
	e := event(rapid.SampledFrom([]dora.Type{
		dora.TypeDeploy, dora.TypeDeploy, dora.TypeDeploy, dora.TypeDegraded, dora.TypeRecovered, dora.TypeChange,
	}).Draw(t, "type"), id, float64(rapid.IntRange(-24, 192).Draw(t, "hour")))
	e.Subject.Name = rapid.SampledFrom([]string{"one", "other"}).Draw(t, "subject")
	e.Source = rapid.SampledFrom([]string{"", "", "api"}).Draw(t, "source")
	switch e.Type {
	case dora.TypeDeploy:
		drawDeploy(t, &e, version)
	case dora.TypeDegraded:
		e.FailureID = strconv.Itoa(rapid.IntRange(0, 9).Draw(t, "failure"))
		e.CausedBy = rapid.SampledFrom([]string{"", "0", "1", "2", "3", "4", "5", "6", "7", "none"}).Draw(t, "caused by")
	case dora.TypeRecovered:
		e.FailureID = strconv.Itoa(rapid.IntRange(0, 9).Draw(t, "failure"))
		if rapid.Bool().Draw(t, "running is known") {
			e.Running = images(version.Draw(t, "running"))
		}
	case dora.TypeChange:
		e.Version = images(version.Draw(t, "version"))
	}
	if e.Type == dora.TypeDeploy || e.Type == dora.TypeDegraded { // nothing else can be marked
		e.Say(dora.Mark{Verdict: rapid.SampledFrom([]dora.Verdict{
			dora.Withdrawn, dora.Withdrawn, dora.Withdrawn, dora.Withdrawn, dora.Withdrawn, dora.Withdrawn, dora.Failure, dora.NotAFailure, dora.Ignore,
		}).Draw(t, "mark"), At: e.OccurredAt})
	}
	return e
}

func drawDeploy(t *rapid.T, e *dora.Event, version *rapid.Generator[string]) {
	truth := rapid.SampledFrom([]*bool{nil, new(true), new(false)})
	e.Outcome = rapid.SampledFrom([]dora.Outcome{
		dora.Succeeded, dora.Succeeded, dora.Failed, dora.RolledBack, dora.RolledBack, dora.Unknown,
	}).Draw(t, "outcome")
	e.Change = rapid.SampledFrom([]dora.ChangeKind{dora.ChangeImage, dora.ChangeImage, dora.ChangeConfig}).Draw(t, "change")
	e.Success = truth.Draw(t, "success")
	e.Exposed = truth.Draw(t, "exposed")
	e.Unplanned = truth.Draw(t, "unplanned")
	e.Version = images(version.Draw(t, "version"))
	e.Previous = dora.Predecessor{Known: true, Version: images(version.Draw(t, "previous"))}
	if rapid.Bool().Draw(t, "commit is known") {
		e.FirstCommitAt = new(e.OccurredAt.Add(-time.Duration(rapid.IntRange(-1, 100).Draw(t, "lead time")) * time.Hour))
	}
}

func drawKinds(t *rapid.T) []dora.ChangeKind {
	return rapid.SampledFrom([][]dora.ChangeKind{nil, {dora.ChangeConfig}, {dora.ChangeImage, dora.ChangeConfig}}).Draw(t, "kinds")
}

func same(t *rapid.T, want, got any) {
	t.Helper()
	if d := difference(want, got); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
}

func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events, kinds := drawEvents(t), drawKinds(t)
		mixed := slices.Concat(events, events[:len(events)/2])
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		same(t, fourkeys.Compute(events, week, kinds...), fourkeys.Compute(mixed, week, kinds...))
	})
}

func TestFiguresStayInTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkBounds(t, fourkeys.Compute(drawEvents(t), week, drawKinds(t)...))
	})
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkBounds(t failer, s fourkeys.Summary) {
	t.Helper()
	for _, r := range []fourkeys.Ratio{s.ChangeFailureRate, s.Rework} {
		if r.Part < 0 || r.Part > r.Whole || (r.Value == nil) != (r.Whole == 0) {
			t.Fatalf("a ratio leaves 0 to 1: %+v", r)
		}
	}
	for _, d := range []fourkeys.Durations{s.LeadTime, s.Recovery.Durations} {
		if (d.P50 == nil) != (d.Samples == 0) || (d.P90 == nil) != (d.Samples == 0) {
			t.Fatalf("percentiles without samples, or none with them: %+v", d)
		}
		if d.Samples > 0 && (*d.P50 < 0 || *d.P50 > *d.P90) {
			t.Fatalf("p50 is not between 0 and p90: %v, %v", *d.P50, *d.P90)
		}
	}
	if f := s.Frequency.PerWeek; f != nil && *f < 0 {
		t.Fatalf("a negative frequency: %v", *f)
	}
	if r := s.Recovery; r.Samples+r.Rejected+r.Open != r.Failures || r.AutomaticAborts > r.Failures {
		t.Fatalf("failures are not the sum of their parts: %+v", r)
	}
}

// Neighbouring windows share nothing and lose nothing between them.
func TestWindowsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events, kinds := drawEvents(t), drawKinds(t)
		middle := at(float64(rapid.IntRange(0, 168).Draw(t, "middle")))
		whole := fourkeys.Compute(events, week, kinds...)
		first := fourkeys.Compute(events, fourkeys.Window{From: week.From, To: middle}, kinds...)
		second := fourkeys.Compute(events, fourkeys.Window{From: middle, To: week.To}, kinds...)
		same(t, sums(whole), plus(sums(first), sums(second)))
	})
}

// What another service did changes nothing, and the whole is the sum of its services.
func TestServicesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events, kinds := drawEvents(t), drawKinds(t)
		others := drawEvents(t)
		for i := range others {
			of("other")(&others[i])
		}
		fleet := fourkeys.Aggregate(append(events, others...), week, nil, kinds...)
		own, other := fourkeys.Compute(events, week, kinds...), fourkeys.Compute(others, week, kinds...)
		if len(events) > 0 {
			same(t, own, fleet.Services[service("shop")])
		}
		if len(others) > 0 {
			same(t, other, fleet.Services[service("other")])
		}
		same(t, sums(fleet.Whole), plus(sums(own), sums(other)))
		checkBounds(t, fleet.Whole)
	})
}

func TestAnIncidentIsNoFailedChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		want := fourkeys.Compute(events, week)
		incident := []dora.Event{degraded("incident", 5.25, "", reported), recovered("incident", 5.75, "v1", reported)} // nothing begins meanwhile
		got := fourkeys.Compute(append(events, incident...), week)
		same(t, want.ChangeFailureRate, got.ChangeFailureRate)
		same(t, want.Frequency, got.Frequency)
		same(t, want.LeadTime, got.LeadTime)
		same(t, want.Rework, got.Rework)
	})
}

// Somebody is paged for each failure, and takes no longer than the failure lasts to say so.
func TestWhoSeesAFailureTooChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events, kinds := drawEvents(t), drawKinds(t)
		seen := slices.Clone(events)
		for _, began := range events {
			if began.Type != dora.TypeDegraded {
				continue
			}
			ended := slices.MaxFunc(append(slices.Clone(events), dora.Event{}), func(a, b dora.Event) int {
				return cmp.Or(cmp.Compare(ends(a, began), ends(b, began)), a.OccurredAt.Compare(b.OccurredAt))
			})
			if ends(ended, began) == 0 || !ended.OccurredAt.After(began.OccurredAt) {
				continue
			}
			length := ended.OccurredAt.Sub(began.OccurredAt)
			began.ID, began.FailureID, began.OccurredAt = "seen "+began.ID, "seen "+began.ID, began.OccurredAt.Add(length/4)
			ended.ID, ended.FailureID = "unseen "+began.ID, began.FailureID
			ended.OccurredAt = began.OccurredAt.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "quarters")) * length / 4)
			seen = append(seen, began, ended)
		}
		want, got := fourkeys.Compute(events, week, kinds...), fourkeys.Compute(seen, week, kinds...)
		same(t, want.Recovery, got.Recovery)
		same(t, want.Counts, got.Counts)
	})
}

func ends(e, began dora.Event) int {
	if e.Type == dora.TypeRecovered && began.FailureID != "" && e.FailureID == began.FailureID {
		return 1
	}
	return 0
}

// The change failure rate, once more and literally: every attempt is held against every other event.
func TestFailedChangesAreThoseThatTheRuleNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		for i := range events {
			events[i].Mark = nil
		}
		attempts, failed := failedChanges(events)
		got := fourkeys.Compute(events, week).ChangeFailureRate
		same(t, [2]int{attempts, failed}, [2]int{got.Whole, got.Part})
	})
}

func failedChanges(events []dora.Event) (attempts, failed int) {
	for _, a := range events {
		stopped := a.Outcome == dora.RolledBack && !isTrue(a.Success)
		exposed := a.Exposed == nil || *a.Exposed
		isAttempt := a.Outcome == dora.Succeeded || a.Outcome == dora.Failed || stopped && exposed
		if !counted(a) || !isAttempt || a.OccurredAt.Before(week.From) || !a.OccurredAt.Before(week.To) {
			continue
		}
		attempts++
		caused := slices.ContainsFunc(events, func(d dora.Event) bool { return d.Type == dora.TypeDegraded && d.CausedBy == a.ID })
		left := slices.ContainsFunc(events, func(r dora.Event) bool { return leftBy(a, r, events) })
		if a.Outcome != dora.Succeeded || caused || left {
			failed++
		}
	}
	return attempts, failed
}

// leftBy tells whether r is a rollback that left a's version with nothing deployed in between.
func leftBy(a, r dora.Event, events []dora.Event) bool {
	if !counted(r) || r.Outcome != dora.RolledBack || !isTrue(r.Success) || !later(r, a) ||
		!slices.Equal(r.Previous.Version.Images, a.Version.Images) {
		return false
	}
	return !slices.ContainsFunc(events, func(b dora.Event) bool {
		unexposed := b.Outcome == dora.RolledBack && !isTrue(b.Success) && b.Exposed != nil && !*b.Exposed
		return counted(b) && !unexposed && later(b, a) && later(r, b)
	})
}

func later(e, than dora.Event) bool {
	return e.Subject.Name == than.Subject.Name && cmp.Or(e.OccurredAt.Compare(than.OccurredAt), cmp.Compare(e.ID, than.ID)) > 0
}

func counted(e dora.Event) bool { return e.Type == dora.TypeDeploy && e.Change == dora.ChangeImage }

func isTrue(b *bool) bool { return b != nil && *b }

// sums are the figures that add up over windows and services.
func sums(s fourkeys.Summary) figures {
	f := figuresOf(s)
	f.counts.OpenFailures = 0 // what is open at the end of one window is open at the end of the next
	return f
}

func plus(a, b figures) figures {
	return figures{
		deployed: a.deployed + b.deployed,
		attempts: a.attempts + b.attempts, failed: a.failed + b.failed,
		leads:    a.leads + b.leads,
		failures: a.failures + b.failures, recoveries: a.recoveries + b.recoveries, aborts: a.aborts + b.aborts, open: a.open + b.open,
		reworked: a.reworked + b.reworked,
		counts: counts{
			Succeeded: a.counts.Succeeded + b.counts.Succeeded, Failed: a.counts.Failed + b.counts.Failed,
			Aborted: a.counts.Aborted + b.counts.Aborted, Unexposed: a.counts.Unexposed + b.counts.Unexposed,
			Returned: a.counts.Returned + b.counts.Returned, Unknown: a.counts.Unknown + b.counts.Unknown,
			Incidents: a.counts.Incidents + b.counts.Incidents,
		},
	}
}
