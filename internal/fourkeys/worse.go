package fourkeys

import (
	"cmp"
	"slices"
	"time"
)

// enough is how many attempts a window must have before a share or a median of it is said to be worse than it was. One failure of a single
// deployment is a rate of 100 %, and says nothing.
const enough = 5

// few tells whether a window has too few attempts for that.
func (s *Summary) few() bool { return s.ChangeFailureRate.Whole < enough }

// Fall is a service that is in a lower band than it was over the window before.
type Fall struct {
	Service  Service
	From, To Band
	// Metric is the one whose band that is, as of a Drag.
	Metric Metric
}

// Falls are the services that fell, those first that fell to the lowest band, and of these those from the highest. The fleet before is the same
// services over the window before, which is of that length.
//
// A figure is left out of both bands that one of the windows tells too little of: the frequency unless the service was followed throughout the
// window before, since one deployment on the only day of it would be seven a week; and the lead time unless it is known of both, since the day on
// which commits begin to be looked for makes no service slower. Of a service with fewer than five attempts in the window there is the frequency
// alone.
func (f Fleet) Falls(before Fleet, t Thresholds, length time.Duration) []Fall {
	var falls []Fall
	for service, now := range f.Services {
		was := before.Services[service]
		if was.Frequency.FollowedSeconds < length.Seconds() {
			was.Frequency.PerWeek, now.Frequency.PerWeek = nil, nil
		}
		if was.LeadTime.P50 == nil || now.LeadTime.P50 == nil {
			was.LeadTime.P50, now.LeadTime.P50 = nil, nil
		}
		if now.few() {
			was, now = was.paced(), now.paced()
		}
		from := t.Bands(was).Overall
		if d, below := t.drag(now); below && d.Band.Below(from) {
			falls = append(falls, Fall{Service: service, From: from, To: d.Band, Metric: d.Metric})
		}
	}
	slices.SortFunc(falls, func(a, b Fall) int {
		return cmp.Or(cmp.Compare(b.To.rank(), a.To.rank()), cmp.Compare(a.From.rank(), b.From.rank()), a.Service.compare(b.Service))
	})
	return falls
}

// paced is the summary with nothing but its frequency.
func (s *Summary) paced() Summary { return Summary{Services: s.Services, Frequency: s.Frequency} }

// Median is one of a team, over two windows, in seconds.
type Median struct {
	Metric      Metric
	Before, Now float64
}

// Worsened are the medians that are longer than they were by more than that part of it. One that is not known of both windows is none, and so are
// all of a window with fewer than five attempts.
func Worsened(before, now *Summary, by float64) []Median {
	if now.few() {
		return nil
	}
	var worse []Median
	for _, m := range []struct {
		metric  Metric
		was, is *float64
	}{
		{MetricLeadTime, before.LeadTime.P50, now.LeadTime.P50},
		{MetricRecovery, before.Recovery.P50, now.Recovery.P50},
	} {
		if m.was != nil && m.is != nil && *m.is > *m.was*(1+by) {
			worse = append(worse, Median{Metric: m.metric, Before: *m.was, Now: *m.is})
		}
	}
	return worse
}
