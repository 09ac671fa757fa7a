package fourkeys

import (
	"math"
	"slices"
)

// samples collects values of a time in seconds.
type samples struct {
	values   []float64
	rejected int
}

// add takes a value, or rejects it if it is negative or no number: time does not run backwards, so a fact behind it is wrong.
func (s *samples) add(seconds float64) {
	if seconds < 0 || math.IsNaN(seconds) || math.IsInf(seconds, 0) {
		s.rejected++
		return
	}
	s.values = append(s.values, seconds)
}

func (s *samples) plus(other samples) {
	s.values = append(s.values, other.values...)
	s.rejected += other.rejected
}

func (s *samples) durations() Durations {
	slices.Sort(s.values)
	return Durations{
		P50:      percentileCont(0.5, s.values),
		P90:      percentileCont(0.9, s.values),
		Samples:  len(s.values),
		Rejected: s.rejected,
	}
}

// percentileCont is the percentile of sorted values that PostgreSQL's percentile_cont(fraction) gives for double precision:
// the row fraction × (n − 1), counted from 0, and between two rows the point that far along the line between their values.
// Nil without values.
func percentileCont(fraction float64, sorted []float64) *float64 {
	if len(sorted) == 0 {
		return nil
	}
	row := fraction * float64(len(sorted)-1)
	below, above := math.Floor(row), math.Ceil(row)
	low, high := sorted[int(below)], sorted[int(above)]
	// The conversion keeps compilers from fusing multiplication and addition, which would round differently from PostgreSQL.
	return new(low + float64((row-below)*(high-low)))
}
