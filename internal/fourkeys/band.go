package fourkeys

import "slices"

// Band is a level of performance. The empty Band means that there is no data to judge.
type Band string

// The bands, best first.
const (
	Elite  Band = "Elite"
	High   Band = "High"
	Medium Band = "Medium"
	Low    Band = "Low"
)

// Bound is the edge of a band.
type Bound struct {
	Value float64
	// Strict leaves Value itself outside the band: > and < instead of ≥ and ≤.
	Strict bool
}

// Scale is the edges of one metric's bands, best first. What reaches none of them is Low.
type Scale struct {
	Elite, High, Medium Bound
}

// Thresholds are the edges of all bands. They are plain values: override one by setting its Value.
type Thresholds struct {
	Frequency         Scale // deployments per week and service, more is better
	LeadTime          Scale // median, in seconds, less is better
	ChangeFailureRate Scale // from 0 to 1, less is better
	Recovery          Scale // median, in seconds, less is better
}

const (
	hour = 60 * 60.0
	day  = 24 * hour
)

// Port is the thresholds of Port's DORA scorecard guide (docs.port.io/guides/all/setup-dora-scorecards).
func Port() Thresholds {
	return Thresholds{
		Frequency:         Scale{Bound{Value: 7}, Bound{Value: 1}, Bound{Value: 0.25}},
		LeadTime:          Scale{Bound{Value: 1 * day}, Bound{Value: 7 * day}, Bound{Value: 30 * day}},
		ChangeFailureRate: Scale{Bound{Value: 0.05}, Bound{Value: 0.20}, Bound{Value: 0.30}},
		Recovery:          Scale{Bound{Value: 1 * hour}, Bound{Value: 24 * hour}, Bound{Value: 30 * day}},
	}
}

// Guide is the table that implementation guides print as DORA's own: several deployments a day, then monthly and half-yearly;
// below a day, a week, a month; and so on. DORA publishes no thresholds: see docs/metrics.md.
func Guide() Thresholds {
	return Thresholds{
		Frequency:         Scale{Bound{7, true}, Bound{Value: 0.23}, Bound{Value: 0.038}},
		LeadTime:          Scale{Bound{1 * day, true}, Bound{7 * day, true}, Bound{30 * day, true}},
		ChangeFailureRate: Scale{Bound{Value: 0.05}, Bound{Value: 0.10}, Bound{Value: 0.15}},
		Recovery:          Scale{Bound{1 * hour, true}, Bound{1 * day, true}, Bound{7 * day, true}},
	}
}

// Bands are the bands of one summary.
type Bands struct {
	Frequency, LeadTime, ChangeFailureRate, Recovery Band
	// Overall is the worst of the four that has data. A chain is as strong as its weakest link, an average would let
	// many deployments pay for broken ones, and what nobody measured must not count for or against anyone.
	Overall Band
}

// Bands judges a summary: the frequency per week and service, the median lead time, the change failure rate and the median
// recovery time. Rework has no band, since nobody publishes one.
func (t Thresholds) Bands(s Summary) Bands {
	b := Bands{
		Frequency:         t.Frequency.band(s.WeeklyRate(), atLeast),
		LeadTime:          t.LeadTime.band(s.LeadTime.P50, atMost),
		ChangeFailureRate: t.ChangeFailureRate.band(s.ChangeFailureRate.Value, atMost),
		Recovery:          t.Recovery.band(s.Recovery.P50, atMost),
	}
	b.Overall = worst(b.Frequency, b.LeadTime, b.ChangeFailureRate, b.Recovery)
	return b
}

func (s Scale) band(value *float64, reaches func(float64, Bound) bool) Band {
	switch {
	case value == nil:
		return ""
	case reaches(*value, s.Elite):
		return Elite
	case reaches(*value, s.High):
		return High
	case reaches(*value, s.Medium):
		return Medium
	}
	return Low
}

func atLeast(value float64, b Bound) bool { return value > b.Value || !b.Strict && value == b.Value }

func atMost(value float64, b Bound) bool { return value < b.Value || !b.Strict && value == b.Value }

// worst ignores bands without data.
func worst(bands ...Band) Band {
	for _, b := range []Band{Low, Medium, High, Elite} {
		if slices.Contains(bands, b) {
			return b
		}
	}
	return ""
}

// Spread counts services by band: "16 of 20 services Elite" is Elite of Total.
type Spread struct {
	Elite, High, Medium, Low, NoData int
}

// Total is the number of services, those without data included.
func (s Spread) Total() int { return s.Elite + s.High + s.Medium + s.Low + s.NoData }

func (s Spread) with(b Band) Spread {
	switch b {
	case Elite:
		s.Elite++
	case High:
		s.High++
	case Medium:
		s.Medium++
	case Low:
		s.Low++
	default:
		s.NoData++
	}
	return s
}

// WeeklyRate is the frequency that can be judged, per week and service; nil if there is none: until its services were followed for a day on
// average, a rate per week says more about the clock than about them.
func (s *Summary) WeeklyRate() *float64 {
	if s.Frequency.FollowedSeconds < secondsPerDay*float64(max(s.Services, 1)) {
		return nil
	}
	return s.Frequency.PerWeek
}
