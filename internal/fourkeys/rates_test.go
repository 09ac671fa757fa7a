package fourkeys_test

import (
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

func TestFrequency(t *testing.T) {
	two := []dora.Event{success("v1", 150), success("v2", 160)}
	tests := map[string]struct {
		events      []dora.Event
		window      fourkeys.Window
		wantPerWeek *float64
		wantPerDay  *float64
	}{
		"Deployments are divided by the weeks of the window": {
			events: two, window: fourkeys.Window{From: at(-168), To: at(168)},
			wantPerWeek: new(1.0), wantPerDay: new(1.0 / 7),
		},
		"Seven a week for thirty days is exactly seven": {
			events: daily(30), window: fourkeys.Window{From: at(0), To: at(30 * 24)},
			wantPerWeek: new(7.0), wantPerDay: new(1.0),
		},
		"The time followed counts if it is shorter": {
			events: two, window: fourkeys.Window{From: at(0), To: at(168), FollowedSince: at(84)},
			wantPerWeek: new(4.0), wantPerDay: new(2.0 / 3.5),
		},
		"The window counts if the service was followed for longer": {
			events: two, window: fourkeys.Window{From: at(0), To: at(168), FollowedSince: at(-500)},
			wantPerWeek: new(2.0), wantPerDay: new(2.0 / 7),
		},
		"A deployment known from before the following stretches the time, and does not inflate the rate": {
			events: two, window: fourkeys.Window{From: at(0), To: at(168), FollowedSince: at(167)},
			wantPerWeek: new(2 * 168.0 / 18), wantPerDay: new(2 * 24.0 / 18),
		},
		"The first of them stretches it, though a failed attempt that healed later was started before": {
			events: []dora.Event{
				failure("v1", 80), degraded("f", 80, "v1"), success("v1", 84, id("us"), inCluster("us")), recovered("f", 126, "v1"),
			},
			window: fourkeys.Window{From: at(0), To: at(168), FollowedSince: at(167)}, wantPerWeek: new(4.0), wantPerDay: new(4.0 / 7),
		},
		"One from before the window tells that all of it was followed": {
			events: []dora.Event{
				success("v1", -47), success("v2", -44), success("v3", -40), success("v4", -36), success("v5", -30),
				success("v6", -20), failure("v7", -10), success("v8", -3),
			},
			window: fourkeys.Window{From: at(-24), To: at(0), FollowedSince: at(0)}, wantPerWeek: new(14.0), wantPerDay: new(2.0),
		},
		"One from after the window tells nothing of it": {
			events: []dora.Event{success("v1", 0), success("v2", 12)},
			window: fourkeys.Window{From: at(-24), To: at(0), FollowedSince: at(20)},
		},
		"No deployment in a window is zero if one from before it is known": {
			events: []dora.Event{success("v1", -1)},
			window: fourkeys.Window{From: at(0), To: at(168), FollowedSince: at(167)}, wantPerWeek: new(0.0), wantPerDay: new(0.0),
		},
		"No deployment in a window that was followed throughout is zero": {
			window: week, wantPerWeek: new(0.0), wantPerDay: new(0.0),
		},
		"No deployment in a window that was followed from its first instant is zero": {
			window: fourkeys.Window{From: at(0), To: at(168), FollowedSince: at(0)}, wantPerWeek: new(0.0), wantPerDay: new(0.0),
		},
		"No deployment in a window that was followed in part is not known": {
			window: fourkeys.Window{From: at(0), To: at(168), FollowedSince: at(1)},
		},
		"A window before anybody followed is not known": {
			window: fourkeys.Window{From: at(0), To: at(168), FollowedSince: at(200)},
		},
		"An empty window is not known": {
			events: two, window: fourkeys.Window{From: at(150), To: at(150)},
		},
		"A window that ends before it begins is not known": {
			events: two, window: fourkeys.Window{From: at(168), To: at(0)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := fourkeys.Compute(tc.events, tc.window).Frequency
			diff(t, tc.wantPerWeek, got.PerWeek)
			diff(t, tc.wantPerDay, got.PerDay)
		})
	}
}

func daily(days int) []dora.Event {
	var events []dora.Event
	for day := range days {
		events = append(events, success(time.Duration(day).String(), float64(24*day)+12))
	}
	return events
}

func TestLeadTime(t *testing.T) {
	tests := map[string]struct {
		events []dora.Event
		want   fourkeys.Durations
	}{
		"It runs from the first commit to Healthy": {
			events: []dora.Event{success("v1", 10, firstCommit(4))},
			want:   fourkeys.Durations{P50: new(6 * 3600.0), P90: new(6 * 3600.0), Samples: 1},
		},
		"Percentiles are interpolated": {
			events: []dora.Event{success("v1", 10, firstCommit(9)), success("v2", 20, firstCommit(17))},
			want:   fourkeys.Durations{P50: new(2 * 3600.0), P90: new(2.8 * 3600), Samples: 2},
		},
		"A deployment without a known commit is in the frequency but not here": {
			events: []dora.Event{success("v1", 10, firstCommit(9)), success("v2", 20)},
			want:   fourkeys.Durations{P50: new(3600.0), P90: new(3600.0), Samples: 1},
		},
		"Nothing to measure is nil": {
			events: []dora.Event{success("v1", 10)},
		},
		"A commit after the deployment is rejected and shown, not taken for zero": {
			events: []dora.Event{success("v1", 10, firstCommit(11)), success("v2", 20, firstCommit(19))},
			want:   fourkeys.Durations{P50: new(3600.0), P90: new(3600.0), Samples: 1, Rejected: 1},
		},
		"A commit in the second of the deployment is zero": {
			events: []dora.Event{success("v1", 10, firstCommit(10))},
			want:   fourkeys.Durations{P50: new(0.0), P90: new(0.0), Samples: 1},
		},
		"A rollback, a failure and a stopped attempt have none": {
			events: []dora.Event{
				rollback("v1", "v2", 10, firstCommit(9)), failure("v3", 11, firstCommit(9)), abort("v4", 12, firstCommit(9)),
			},
		},
		"A failed attempt that heals has waited until then": {
			events: []dora.Event{failure("v1", 10, firstCommit(9)), degraded("f", 10, "v1"), recovered("f", 12, "v1")},
			want:   fourkeys.Durations{P50: new(3 * 3600.0), P90: new(3 * 3600.0), Samples: 1},
		},
		"A lead time without its commit is taken as it is told, and until a failed attempt healed": {
			events: []dora.Event{
				failure("v1", 10, told(3600)), degraded("f", 10, "v1"), recovered("f", 12, "v1"), success("v2", 20, told(3*3600)),
			},
			want: fourkeys.Durations{P50: new(3 * 3600.0), P90: new(3 * 3600.0), Samples: 2},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			diff(t, tc.want, fourkeys.Compute(tc.events, week).LeadTime)
		})
	}
}

func told(seconds float64) detail { return func(e *dora.Event) { e.LeadTimeSeconds = new(seconds) } }

func TestRecovery(t *testing.T) {
	events := []dora.Event{
		success("v1", 1), degraded("a", 1.5, "v1"), recovered("a", 2.5, "v1"), // an hour
		abort("v2", 3), degraded("b", 3, "v2"), recovered("b", 3.1, "v1"), // six minutes
		failure("v3", 5), degraded("c", 5, "v3"), recovered("c", 8, "v4"), success("v4", 8), // three hours
		success("v6", 20), degraded("e", 20.5, "v6"), recovered("e", 20, "v6"), // wrong clocks
		degraded("f", 50, ""), recovered("f", 99, "v6"), // an incident
		success("v7", 110), degraded("d", 110.5, "v7"), // open
	}
	diff(t, fourkeys.Recovery{
		Durations:       fourkeys.Durations{P50: new(3600.0), P90: new(3600 + 0.8*7200), Samples: 3, Rejected: 1},
		Failures:        5,
		AutomaticAborts: 1,
		Open:            1,
	}, fourkeys.Compute(events, week).Recovery)
}

func TestRatios(t *testing.T) {
	events := []dora.Event{success("v1", 1), success("v2", 2, unplanned), failure("v3", 3), success("v4", 4, unplanned), abort("v5", 5)}
	got := fourkeys.Compute(events, week)
	diff(t, fourkeys.Ratio{Part: 2, Whole: 5, Value: new(0.4)}, got.ChangeFailureRate)
	diff(t, fourkeys.Ratio{Part: 2, Whole: 3, Value: new(2.0 / 3)}, got.Rework)
}

func TestNoDataIsNil(t *testing.T) {
	diff(t, fourkeys.Summary{
		Services:  1,
		Frequency: fourkeys.Frequency{FollowedSeconds: 7 * 24 * 3600, PerWeek: new(0.0), PerDay: new(0.0)},
	}, fourkeys.Compute(nil, week))
}
