package fourkeys_test

import (
	"testing"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// reported makes the event one of an incident that a receiver heard of.
func reported(e *dora.Event) {
	e.Subject.Kind, e.Subject.UID, e.Basis, e.Source = dora.KindReported, "reported", dora.BasisAPI, "pagerduty"
}

// change is code that came to the default branch.
func change(commit string, hours float64) dora.Event {
	e := event(dora.TypeChange, commit, hours, reported)
	e.Version = &dora.Version{Commit: commit}
	return e
}

func TestIncidentsOfDeployments(t *testing.T) {
	tell(t, map[string]story{
		"Three incidents of one deployment, one after the other, fail it once, and are three recoveries": {
			events: []dora.Event{
				success("v2", 10),
				degraded("p1", 10.2, "v2", reported), recovered("p1", 10.4, "", reported),
				degraded("p2", 11, "v2", reported), recovered("p2", 12, "", reported),
				degraded("p3", 13, "v2", reported), recovered("p3", 14, "", reported),
			},
			want: figures{deployed: 1, attempts: 1, failed: 1, failures: 3, recoveries: 3, counts: counts{Succeeded: 1}},
		},
		"An incident without a cause is an incident, and in no change failure rate": {
			events: []dora.Event{success("v2", 10), degraded("p1", 100, "", reported), recovered("p1", 101, "", reported)},
			want:   figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1, Incidents: 1}},
		},
		"What Argo and PagerDuty both saw is one failure": {
			events: []dora.Event{
				success("v2", 10),
				degraded("f", 10.5, "v2"), recovered("f", 11.5, "v2"),
				degraded("p", 10.6, "v2", reported), recovered("p", 12, "", reported),
			},
			want: figures{deployed: 1, attempts: 1, failed: 1, failures: 1, recoveries: 1, counts: counts{Succeeded: 1}},
		},
		"An incident that nobody could attribute, while a deployment's failure lasts, is none of its own": {
			events: []dora.Event{
				success("v2", 10),
				degraded("p", 10.4, "", reported), recovered("p", 12, "", reported),
				degraded("f", 10.5, "v2"), recovered("f", 11.5, "v2"),
			},
			want: figures{deployed: 1, attempts: 1, failed: 1, failures: 1, recoveries: 1, counts: counts{Succeeded: 1}},
		},
		"One that begins when another ends is another": {
			events: []dora.Event{
				success("v2", 10),
				degraded("f", 10.5, "v2"), recovered("f", 11, "v2"),
				degraded("p", 11, "v2", reported), recovered("p", 12, "", reported),
			},
			want: figures{deployed: 1, attempts: 1, failed: 1, failures: 2, recoveries: 2, counts: counts{Succeeded: 1}},
		},
		"Both deployments that failures of one outage name are failed changes, and production recovered once": {
			events: []dora.Event{
				success("v2", 10), success("v3", 10.2),
				degraded("f", 10.3, "v2"), recovered("f", 11, "v3"),
				degraded("p", 10.5, "v3", reported), recovered("p", 12, "", reported),
			},
			want: figures{deployed: 2, attempts: 2, failed: 2, failures: 1, recoveries: 1, counts: counts{Succeeded: 2}},
		},
		"While one of them goes on the outage does": {
			events: []dora.Event{
				success("v2", 10), degraded("f", 10.5, "v2"), recovered("f", 11, "v2"), degraded("p", 10.6, "", reported),
			},
			want: figures{deployed: 1, attempts: 1, failed: 1, failures: 1, open: 1, counts: counts{Succeeded: 1, OpenFailures: 1}},
		},
		"A chain of three, each of which overlaps with the next, is one": {
			events: []dora.Event{
				degraded("p", 10, "", reported), recovered("p", 12, "", reported),
				degraded("q", 11, "", reported), recovered("q", 13, "", reported),
				degraded("r", 12.5, "", reported), recovered("r", 14, "", reported),
			},
			want: figures{counts: counts{Incidents: 1}},
		},
		"An outage whose only cause is a deployment of which nobody knows the end is in no figure": {
			events: []dora.Event{
				noVerdict("v2", 10), degraded("f", 10.5, "v2"), recovered("f", 11, "v2"), degraded("p", 10.6, "", reported), recovered("p", 12, "", reported),
			},
			want: figures{counts: counts{Unknown: 1}},
		},
		"Changes of code are in no figure": {
			events: []dora.Event{success("v2", 10), change("0a1b2c3", 5), change("1a1b2c3", 11)},
			want:   figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1}},
		},
	})
}

func TestAnOutageLastsFromTheFirstBeginningToTheLastEnd(t *testing.T) {
	events := []dora.Event{
		success("v2", 10),
		degraded("p1", 10.25, "", reported), recovered("p1", 11, "", reported),
		degraded("f", 10.5, "v2"), recovered("f", 11.5, "v2"),
		degraded("p2", 11.25, "v2", reported), recovered("p2", 12.25, "", reported), // 10:15 to 12:15
		success("v3", 20), degraded("g", 20.5, "v3"), recovered("g", 21.5, "v3"), // an hour
	}
	diff(t, fourkeys.Recovery{
		Durations: fourkeys.Durations{P50: new(1.5 * 3600), P90: new((1 + 0.9) * 3600), Samples: 2}, Failures: 2,
	}, fourkeys.Compute(events, week).Recovery)
}

// An incident that somebody forgot to resolve is not the end of all figures.
func TestAnOpenFailureTakesOthersInForAWeek(t *testing.T) {
	long := fourkeys.Window{From: at(0), To: at(30 * 24)}
	events := []dora.Event{
		degraded("forgotten", 0, "", reported),
		success("v2", 7*24-1), degraded("f", 7*24-0.5, "v2"), recovered("f", 7*24-0.25, "v2"), // part of it
		success("v3", 7*24), degraded("g", 7*24, "v3"), recovered("g", 7*24+1, "v3"), // one of its own
	}
	got := fourkeys.Compute(events, long)
	diff(t, fourkeys.Recovery{Durations: fourkeys.Durations{P50: new(3600.0), P90: new(3600.0), Samples: 1}, Failures: 2, Open: 1}, got.Recovery)
	diff(t, 1, got.Counts.OpenFailures)
}

// Whose images nobody told are compared by what was told.
func TestReportedVersionsAreComparedByCommitOrTag(t *testing.T) {
	version := func(commit, tag string) *dora.Version {
		return &dora.Version{Images: []string{}, Commit: commit, Tag: tag}
	}
	for name, tc := range map[string]struct {
		deployed, left *dora.Version
		failed         int
	}{
		"the same commit":                  {version("0a1b2c3", "1.1.0"), version("0a1b2c3", ""), 1},
		"another commit of the same tag":   {version("0a1b2c3", "1.1.0"), version("1a1b2c3", "1.1.0"), 0},
		"a commit that one does not tell":  {version("", "1.1.0"), version("1a1b2c3", "1.1.0"), 0},
		"the same tag without commits":     {version("", "1.1.0"), version("", "1.1.0"), 1},
		"images that one does not tell":    {version("0a1b2c3", ""), images("v2"), 0},
		"nothing":                          {version("", ""), version("", ""), 0},
		"another tag of the same commit":   {version("0a1b2c3", "1.1.0"), version("0a1b2c3", "1.1.1"), 1},
		"the same images of other commits": {images("v2"), &dora.Version{Images: images("v2").Images, Commit: "0a1b2c3"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			events := []dora.Event{
				success("v2", 10, reported, func(e *dora.Event) { e.Version = tc.deployed }),
				rollback("v1", "v2", 11, reported, func(e *dora.Event) { e.Previous.Version = tc.left }),
			}
			diff(t, tc.failed, fourkeys.Compute(events, week).ChangeFailureRate.Part)
		})
	}
}
