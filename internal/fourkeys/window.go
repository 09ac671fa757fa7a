package fourkeys

import "time"

const (
	secondsPerDay  = 24 * 60 * 60
	secondsPerWeek = 7 * secondsPerDay
)

// Window is the time that figures are about: from From until just before To.
type Window struct {
	From, To time.Time
	// FollowedSince is when the following of the service began. Zero means before the window.
	FollowedSince time.Time
}

// Last is the window of that length which ends now.
func Last(length time.Duration, now, followedSince time.Time) Window {
	return Window{From: now.Add(-length), To: now, FollowedSince: followedSince}
}

func (w Window) holds(t time.Time) bool { return !t.Before(w.From) && t.Before(w.To) }

// throughout tells whether the service was followed during the whole window, so that seeing nothing means that nothing happened.
func (w Window) throughout() bool { return !w.FollowedSince.After(w.From) }

// secondsFollowed is the length of the shorter of the window and the time followed. A deployment before that time
// (reported from elsewhere, or read from what Argo still told) proves that time was covered since then.
func (w Window) secondsFollowed(firstDeployment time.Time) float64 {
	start := w.FollowedSince
	if !firstDeployment.IsZero() && firstDeployment.Before(start) {
		start = firstDeployment
	}
	if start.Before(w.From) {
		start = w.From
	}
	return max(0, w.To.Sub(start).Seconds())
}
