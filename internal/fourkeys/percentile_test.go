package fourkeys

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The wanted values are what PostgreSQL's percentile_cont answers for these rows.
func TestPercentileCont(t *testing.T) {
	tests := map[string]struct {
		fraction float64
		sorted   []float64
		want     *float64
	}{
		"No rows is null":                             {fraction: 0.5},
		"One row is every percentile":                 {fraction: 0.9, sorted: []float64{5}, want: new(5.0)},
		"The median of two rows is in the middle":     {fraction: 0.5, sorted: []float64{1, 2}, want: new(1.5)},
		"The median of three rows is the second":      {fraction: 0.5, sorted: []float64{1, 10, 100}, want: new(10.0)},
		"The 90th of two rows is a tenth below":       {fraction: 0.9, sorted: []float64{0, 10}, want: new(9.0)},
		"The 90th of three rows is past the second":   {fraction: 0.9, sorted: []float64{2, 20, 30}, want: new(28.0)},
		"The 90th of eleven rows is the tenth":        {fraction: 0.9, sorted: []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, want: new(9.0)},
		"The 90th of ten rows is just past the ninth": {fraction: 0.9, sorted: []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, want: new(8.1)},
		"The lowest is the first row":                 {fraction: 0, sorted: []float64{3, 4}, want: new(3.0)},
		"The highest is the last row":                 {fraction: 1, sorted: []float64{3, 4}, want: new(4.0)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, percentileCont(tc.fraction, apart(tc.sorted, 1))); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if d := cmp.Diff(tc.want, percentileCont(tc.fraction, apart(tc.sorted, 3))); d != "" {
				t.Errorf("in three lists (-want +got)\n%s", d)
			}
		})
	}
}

// apart deals sorted values to so many lists, of which none is empty.
func apart(sorted []float64, lists int) [][]float64 {
	dealt := make([][]float64, lists)
	for i, value := range sorted {
		dealt[i%lists] = append(dealt[i%lists], value)
	}
	return slices.DeleteFunc(dealt, func(list []float64) bool { return len(list) == 0 })
}

// What stands in a row of many lists is what stands there once they are sorted into one.
func TestTheNthOfManyLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.SampledFrom([]float64{0, 1, 2, math.SmallestNonzeroFloat64, math.MaxFloat64}), rapid.Float64Range(0, 1e9))
		lists := rapid.SliceOfN(rapid.SliceOfN(value, 1, 20), 1, 8).Draw(t, "lists")
		for _, list := range lists {
			slices.Sort(list)
		}
		all := slices.Sorted(slices.Values(slices.Concat(lists...)))
		for row, want := range all {
			if got := nth(row, lists); got != want {
				t.Fatalf("%v in row %d, want %v", got, row, want)
			}
			if row == len(all)-1 {
				break
			}
			if got := following(row, want, lists); got != all[row+1] {
				t.Fatalf("%v follows row %d, want %v", got, row, all[row+1])
			}
		}
	})
}

func TestWhatIsNoDurationIsRejected(t *testing.T) {
	var s samples
	for _, seconds := range []float64{1, -1, math.NaN(), math.Inf(1), math.Inf(-1), 3, math.Copysign(0, -1)} {
		s.add(seconds)
	}
	s.sort()
	want := Durations{P50: new(1.0), P90: new(2.6), Samples: 3, Rejected: 4}
	if d := cmp.Diff(want, s.durations()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
