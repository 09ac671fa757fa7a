package fourkeys

import (
	"math"
	"slices"
)

// samples are values of a time in seconds, of one service or of several.
type samples struct {
	lists    [][]float64 // none of them empty, and each sorted once its service is counted
	rejected int
}

// add takes a value, or rejects it if it is negative or no number: time does not run backwards, so a fact behind it is wrong.
func (s *samples) add(seconds float64) {
	if seconds < 0 || math.IsNaN(seconds) || math.IsInf(seconds, 0) {
		s.rejected++
		return
	}
	if len(s.lists) == 0 {
		s.lists = [][]float64{nil}
	}
	s.lists[0] = append(s.lists[0], math.Abs(seconds)) // a zero without its sign
}

// sort ends the adding. What is kept for long takes no more room than it needs.
func (s *samples) sort() {
	for i, list := range s.lists {
		slices.Sort(list)
		s.lists[i] = slices.Clone(list)
	}
}

func (s *samples) plus(other samples) {
	s.lists = append(s.lists, other.lists...)
	s.rejected += other.rejected
}

func (s *samples) durations() Durations {
	return Durations{
		P50:      percentileCont(0.5, s.lists),
		P90:      percentileCont(0.9, s.lists),
		Samples:  count(s.lists),
		Rejected: s.rejected,
	}
}

func count(lists [][]float64) (n int) {
	for _, list := range lists {
		n += len(list)
	}
	return n
}

// percentileCont is the percentile of the values of sorted lists that PostgreSQL's percentile_cont(fraction) gives for double precision:
// the row fraction × (n − 1), counted from 0, and between two rows the point that far along the line between their values.
// Nil without values.
func percentileCont(fraction float64, lists [][]float64) *float64 {
	n := count(lists)
	if n == 0 {
		return nil
	}
	row := fraction * float64(n-1)
	below := int(math.Floor(row))
	low := nth(below, lists)
	high := low
	if row > float64(below) {
		high = following(below, low, lists)
	}
	// The conversion keeps compilers from fusing multiplication and addition, which would round differently from PostgreSQL.
	return new(low + float64((row-float64(below))*(high-low)))
}

// nth is the value in that row, counted from 0, of all lists sorted into one. They are left apart: together they may hold a million values,
// of which a few are new. The range of the value is halved until it is found, and with it the part of each list that can hold it. Numbers
// that are not negative have the order of their bits, so that takes 64 halves at most, of which the later ones concern few lists.
func nth(row int, lists [][]float64) float64 {
	parts, cuts := slices.Clone(lists), make([]int, len(lists))
	lowest, highest := edges(lists)
	for lowest < highest && len(parts) > 1 {
		middle := lowest + (highest-lowest)/2
		upTo := 0 // how many values are no greater
		for i, part := range parts {
			cuts[i] = noGreater(part, middle)
			upTo += cuts[i]
		}
		lower := row < upTo
		if lower {
			highest = middle
		} else {
			lowest, row = middle+1, row-upTo
		}
		left := parts[:0]
		for i, part := range parts {
			if part = part[cuts[i]:]; lower {
				part = parts[i][:cuts[i]]
			}
			if len(part) > 0 {
				left = append(left, part)
			}
		}
		parts = left
	}
	if len(parts) == 1 {
		return parts[0][row]
	}
	return math.Float64frombits(lowest)
}

// following is the value in the row after that one, in which low is.
func following(row int, low float64, lists [][]float64) float64 {
	upTo, next := 0, math.Inf(1)
	for _, list := range lists {
		cut := noGreater(list, math.Float64bits(low))
		upTo += cut
		if cut < len(list) {
			next = min(next, list[cut])
		}
	}
	if row+1 < upTo {
		return low
	}
	return next
}

// edges are the bits of the lowest and the highest value.
func edges(lists [][]float64) (lowest, highest uint64) {
	lowest = math.MaxUint64
	for _, list := range lists {
		lowest = min(lowest, math.Float64bits(list[0]))
		highest = max(highest, math.Float64bits(list[len(list)-1]))
	}
	return lowest, highest
}

// noGreater counts the values up to the one that has these bits.
func noGreater(sorted []float64, bits uint64) int {
	n, _ := slices.BinarySearchFunc(sorted, bits, func(value float64, bits uint64) int {
		if math.Float64bits(value) > bits {
			return 1
		}
		return -1
	})
	return n
}
