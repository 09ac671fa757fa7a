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

// began is when the following of a service began, as far as its deployments tell. One before the time at which this program began to follow it
// (reported from elsewhere, or read from what Argo still told) proves that time was covered since then, be it from before the window.
func (w Window) began(firstDeployment time.Time) time.Time {
	if !firstDeployment.IsZero() && firstDeployment.Before(w.FollowedSince) {
		return firstDeployment
	}
	return w.FollowedSince
}

// secondsSince is the length of the shorter of the window and the time since then.
func (w Window) secondsSince(began time.Time) float64 {
	if began.Before(w.From) {
		began = w.From
	}
	return max(0, w.To.Sub(began).Seconds())
}
