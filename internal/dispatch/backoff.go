package dispatch

import "time"

// Backoff says how long to wait after failures: Base after the first, twice as long after each further one, never more
// than Cap, and of that a random part ("full jitter"), so that what failed together does not come back together.
type Backoff struct{ Base, Cap time.Duration }

// DefaultBackoff reaches its cap with the tenth failure.
var DefaultBackoff = Backoff{Base: time.Second, Cap: 5 * time.Minute}

// Delay is the wait after that many failures in a row. random is from [0, 1).
func (b Backoff) Delay(failures int, random float64) time.Duration {
	return time.Duration(random * float64(b.ceiling(failures)))
}

// ceiling doubles step by step and stops before it passes the cap, so that no number of failures overflows it.
func (b Backoff) ceiling(failures int) time.Duration {
	wait := min(b.Base, b.Cap)
	for ; failures > 1 && wait <= b.Cap/2; failures-- {
		wait *= 2
	}
	if failures > 1 {
		return b.Cap
	}
	return wait
}
