// Package backoff says how long to wait after failures. It reads no clock and draws no lots.
package backoff

import "time"

// Exponential waits Base after the first failure, twice as long after each further one, never more than Cap, and of that a random part
// ("full jitter"), so that what failed together does not come back together.
type Exponential struct{ Base, Cap time.Duration }

// Delay is the wait after that many failures in a row. random is from [0, 1).
func (b Exponential) Delay(failures int, random float64) time.Duration {
	return time.Duration(random * float64(b.ceiling(failures)))
}

// ceiling doubles step by step and stops before it passes the cap, so that no number of failures overflows it.
func (b Exponential) ceiling(failures int) time.Duration {
	wait := min(b.Base, b.Cap)
	for ; failures > 1 && wait <= b.Cap/2; failures-- {
		wait *= 2
	}
	if failures > 1 {
		return b.Cap
	}
	return wait
}
