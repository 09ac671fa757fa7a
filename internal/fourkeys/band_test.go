package fourkeys_test

import (
	"testing"

	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

const (
	hour = 3600.0
	day  = 24 * hour
)

func summary(perWeek, leadTime, failureRate, recovery *float64) fourkeys.Summary {
	return fourkeys.Summary{
		Frequency:         fourkeys.Frequency{PerWeek: perWeek, FollowedSeconds: 30 * day},
		LeadTime:          fourkeys.Durations{P50: leadTime},
		ChangeFailureRate: fourkeys.Ratio{Value: failureRate, Whole: 5},
		Recovery:          fourkeys.Recovery{Durations: fourkeys.Durations{P50: recovery}},
	}
}

// Every edge of both tables, from both sides.
func TestBandsAtTheirEdges(t *testing.T) {
	const (
		elite  = fourkeys.Elite
		high   = fourkeys.High
		medium = fourkeys.Medium
		low    = fourkeys.Low
	)
	type edge struct {
		value       float64
		port, guide fourkeys.Band
	}
	metrics := map[string]struct {
		of    func(v *float64) fourkeys.Summary
		band  func(fourkeys.Bands) fourkeys.Band
		edges []edge
	}{
		"Frequency per week": {
			of:   func(v *float64) fourkeys.Summary { return summary(v, nil, nil, nil) },
			band: func(b fourkeys.Bands) fourkeys.Band { return b.Frequency },
			edges: []edge{
				{7.01, elite, elite},
				{7, elite, high},
				{6.99, high, high},
				{1, high, high},
				{0.99, medium, high},
				{0.25, medium, high},
				{0.24, low, high},
				{0.23, low, high},
				{0.22, low, medium},
				{0.038, low, medium},
				{0.037, low, low},
				{0, low, low},
			},
		},
		"Lead time": {
			of:   func(v *float64) fourkeys.Summary { return summary(nil, v, nil, nil) },
			band: func(b fourkeys.Bands) fourkeys.Band { return b.LeadTime },
			edges: []edge{
				{0, elite, elite},
				{day - 1, elite, elite},
				{day, elite, high},
				{day + 1, high, high},
				{168*hour - 1, high, high},
				{168 * hour, high, medium},
				{168*hour + 1, medium, medium},
				{720*hour - 1, medium, medium},
				{720 * hour, medium, low},
				{720*hour + 1, low, low},
			},
		},
		"Change failure rate": {
			of:   func(v *float64) fourkeys.Summary { return summary(nil, nil, v, nil) },
			band: func(b fourkeys.Bands) fourkeys.Band { return b.ChangeFailureRate },
			edges: []edge{
				{0, elite, elite},
				{1.0 / 20, elite, elite},
				{0.051, high, high},
				{1.0 / 10, high, high},
				{0.101, high, medium},
				{3.0 / 20, high, medium},
				{0.151, high, low},
				{1.0 / 5, high, low},
				{0.201, medium, low},
				{3.0 / 10, medium, low},
				{0.301, low, low},
				{1, low, low},
			},
		},
		"Recovery": {
			of:   func(v *float64) fourkeys.Summary { return summary(nil, nil, nil, v) },
			band: func(b fourkeys.Bands) fourkeys.Band { return b.Recovery },
			edges: []edge{
				{0, elite, elite},
				{hour - 1, elite, elite},
				{hour, elite, high},
				{hour + 1, high, high},
				{day - 1, high, high},
				{day, high, medium},
				{day + 1, medium, medium},
				{168*hour - 1, medium, medium},
				{168 * hour, medium, low},
				{720 * hour, medium, low},
				{720*hour + 1, low, low},
			},
		},
	}
	for name, m := range metrics {
		t.Run(name, func(t *testing.T) {
			for _, e := range m.edges {
				if got := m.band(fourkeys.Port().Bands(m.of(&e.value))); got != e.port {
					t.Errorf("Port puts %v in %q, want %q", e.value, got, e.port)
				}
				if got := m.band(fourkeys.Guide().Bands(m.of(&e.value))); got != e.guide {
					t.Errorf("Guide puts %v in %q, want %q", e.value, got, e.guide)
				}
			}
		})
	}
}

func TestTheOverallBandIsTheWorstThatHasData(t *testing.T) {
	tests := map[string]struct {
		summary fourkeys.Summary
		want    fourkeys.Bands
	}{
		"Nothing known is no band": {},
		"What has no data does not count": {
			summary: summary(new(9.0), nil, new(0.0), nil),
			want:    fourkeys.Bands{Frequency: fourkeys.Elite, ChangeFailureRate: fourkeys.Elite, Overall: fourkeys.Elite},
		},
		"One weak metric decides": {
			summary: summary(new(9.0), new(hour), new(0.25), new(2*hour)),
			want: fourkeys.Bands{
				Frequency: fourkeys.Elite, LeadTime: fourkeys.Elite, ChangeFailureRate: fourkeys.Medium, Recovery: fourkeys.High,
				Overall: fourkeys.Medium,
			},
		},
		"Nothing deployed is Low, since it is known": {
			summary: summary(new(0.0), nil, nil, nil),
			want:    fourkeys.Bands{Frequency: fourkeys.Low, Overall: fourkeys.Low},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			diff(t, tc.want, fourkeys.Port().Bands(tc.summary))
		})
	}
}

func TestAFrequencyIsNotJudgedUntilItWasFollowedForADay(t *testing.T) {
	rate := 17000.0
	for name, c := range map[string]struct {
		followed float64
		services int
		want     fourkeys.Band
	}{
		"a minute says nothing":             {60, 1, ""},
		"just under a day":                  {day - 1, 1, ""},
		"a day":                             {day, 1, fourkeys.Elite},
		"two services for half a day":       {day, 2, ""},
		"two services for a day on average": {2 * day, 2, fourkeys.Elite},
	} {
		s := fourkeys.Summary{Services: c.services, Frequency: fourkeys.Frequency{PerWeek: &rate, FollowedSeconds: c.followed}}
		if got := fourkeys.Port().Bands(s).Frequency; got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestAThresholdCanBeOverridden(t *testing.T) {
	own := fourkeys.Guide()
	own.LeadTime.Elite.Value = 2 * hour
	at, below := 2*hour, 2*hour-1
	diff(t, fourkeys.High, own.Bands(summary(nil, &at, nil, nil)).LeadTime)
	diff(t, fourkeys.Elite, own.Bands(summary(nil, &below, nil, nil)).LeadTime)
	diff(t, fourkeys.Elite, fourkeys.Guide().Bands(summary(nil, &at, nil, nil)).LeadTime)
}

// A half-yearly deployment is once in 26 weeks. In 30 days the rarest thing that can be seen is one deployment,
// which is already monthly, or none, which is Low.
func TestTheHalfYearlyBandCannotBeReachedInThirtyDays(t *testing.T) {
	thirty := fourkeys.Window{From: at(0), To: at(30 * 24)}
	one := fourkeys.Compute(daily(1), thirty)
	none := fourkeys.Compute(nil, thirty)
	diff(t, fourkeys.High, fourkeys.Guide().Bands(one).Frequency)
	diff(t, fourkeys.Low, fourkeys.Guide().Bands(none).Frequency)
	diff(t, fourkeys.Low, fourkeys.Port().Bands(one).Frequency)
}
