package fourkeys

import (
	"cmp"
	"math"
	"slices"
)

// Metric names one of the metrics that have bands.
type Metric string

// The metrics that have bands, in the order in which they are shown.
const (
	MetricFrequency         Metric = "DeploymentFrequency"
	MetricLeadTime          Metric = "LeadTime"
	MetricChangeFailureRate Metric = "ChangeFailureRate"
	MetricRecovery          Metric = "Recovery"
)

// Drag is a service below Elite, and what keeps it there.
type Drag struct {
	Service Service
	Band    Band
	// Metric is the one whose band that is. Of several, it is the one that misses the next band by the greatest factor.
	Metric Metric
	misses float64
}

// Drags are the services below Elite, worst first: by band, then by the factor by which their metric misses the next one, then by name.
func (f Fleet) Drags(t Thresholds, services ...Service) []Drag {
	var drags []Drag
	for _, service := range services {
		if summary, ok := f.Services[service]; ok {
			if d, below := t.drag(summary); below {
				d.Service = service
				drags = append(drags, d)
			}
		}
	}
	slices.SortFunc(drags, func(a, b Drag) int {
		return cmp.Or(cmp.Compare(b.Band.rank(), a.Band.rank()), cmp.Compare(b.misses, a.misses), a.Service.compare(b.Service))
	})
	return drags
}

func (t Thresholds) drag(s Summary) (Drag, bool) {
	bands := t.Bands(s)
	if bands.Overall == "" || bands.Overall == Elite {
		return Drag{}, false
	}
	worst := Drag{Band: bands.Overall, misses: -1}
	for _, m := range []struct {
		metric Metric
		band   Band
		value  *float64
		scale  Scale
		less   bool // is better
	}{
		{MetricFrequency, bands.Frequency, s.WeeklyRate(), t.Frequency, false},
		{MetricLeadTime, bands.LeadTime, s.LeadTime.P50, t.LeadTime, true},
		{MetricChangeFailureRate, bands.ChangeFailureRate, s.ChangeFailureRate.Value, t.ChangeFailureRate, true},
		{MetricRecovery, bands.Recovery, s.Recovery.P50, t.Recovery, true},
	} {
		if m.band != worst.Band {
			continue
		}
		if misses := factor(*m.value, m.scale.above(m.band), m.less); misses > worst.misses {
			worst.Metric, worst.misses = m.metric, misses
		}
	}
	return worst, true
}

// factor is by how many times a value misses an edge.
func factor(value, edge float64, less bool) float64 {
	if less {
		value, edge = edge, value
	}
	if value == edge { // also if both are 0
		return 1
	}
	return edge / value
}

// above is the edge of the next better band.
func (s Scale) above(b Band) float64 {
	switch b {
	case Elite, High:
		return s.Elite.Value
	case Medium:
		return s.High.Value
	case Low:
	}
	return s.Medium.Value
}

// rank is the place of a band, best first. That of no band is before all.
func (b Band) rank() int { return slices.Index([]Band{Elite, High, Medium, Low}, b) }

// Below tells whether a band is lower than another. No band is neither lower nor has any below it.
func (b Band) Below(other Band) bool { return other.rank() >= 0 && b.rank() > other.rank() }

// Trend is how a figure stands against what it was before. The empty Trend means that one of the two is not known.
type Trend string

// The trends.
const (
	Better Trend = "Better"
	Worse  Trend = "Worse"
	Same   Trend = "Same" // they differ by less than a tenth of what it was
)

// tenth is how much of a figure's former value is no change: with a handful of deployments a week, one more or less is chance.
const tenth = 0.1

// Trends are those of the metrics that have bands.
type Trends struct {
	Frequency, LeadTime, ChangeFailureRate, Recovery Trend
}

// TrendsOf compares two summaries, of which one is over the window before the other's.
func TrendsOf(before, now *Summary) Trends {
	return Trends{
		Frequency:         trend(before.WeeklyRate(), now.WeeklyRate(), false),
		LeadTime:          trend(before.LeadTime.P50, now.LeadTime.P50, true),
		ChangeFailureRate: trend(before.ChangeFailureRate.Value, now.ChangeFailureRate.Value, true),
		Recovery:          trend(before.Recovery.P50, now.Recovery.P50, true),
	}
}

func trend(was, is *float64, lessIsBetter bool) Trend {
	switch {
	case was == nil || is == nil:
		return ""
	case *was == *is || math.Abs(*is-*was) < tenth**was:
		return Same
	case *is < *was == lessIsBetter:
		return Better
	}
	return Worse
}
