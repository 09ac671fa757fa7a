package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	kclock "k8s.io/utils/clock"
)

// patience is how long an attempt may really take. By the clock of the test that is the whole time limit of the dispatcher.
const patience = time.Second

// clock stands still while anybody works, and jumps when all have gone to sleep: so a week passes in no time, and nothing is missed of it. Of
// what a dispatcher asks of a clock, NewTimer is how it sleeps, and AfterFunc how it limits an attempt.
type clock struct {
	kclock.RealClock

	mu       sync.Mutex
	now      time.Time
	sleepers []*sleeper
	changed  chan struct{} // closed and replaced when somebody goes to sleep
	patience time.Duration
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), changed: make(chan struct{}), patience: patience}
}

// Now implements clock.Clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Since implements clock.Clock.
func (c *clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// sleeper is a timer of somebody who sleeps.
type sleeper struct {
	clock *clock
	due   time.Time
	ring  chan time.Time
}

// NewTimer implements clock.Clock.
func (c *clock) NewTimer(d time.Duration) kclock.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &sleeper{c, c.now.Add(d), make(chan time.Time, 1)}
	c.sleepers = append(c.sleepers, s)
	close(c.changed)
	c.changed = make(chan struct{})
	return s
}

// C implements clock.Timer.
func (s *sleeper) C() <-chan time.Time { return s.ring }

// Stop implements clock.Timer.
func (s *sleeper) Stop() bool {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	before := len(s.clock.sleepers)
	s.clock.sleepers = slices.DeleteFunc(s.clock.sleepers, func(one *sleeper) bool { return one == s })
	return len(s.clock.sleepers) < before
}

// Reset implements clock.Timer. Nobody asks for it.
func (s *sleeper) Reset(time.Duration) bool { panic("a sleeper is not reset") }

// AfterFunc implements clock.WithDelayedExecution. It waits for real, since what it limits is real, and then that much time has passed.
func (c *clock) AfterFunc(d time.Duration, f func()) kclock.Timer {
	end := c.Now().Add(d)
	return c.RealClock.AfterFunc(c.patience, func() {
		c.mu.Lock()
		c.advance(end)
		c.mu.Unlock()
		f()
	})
}

// asleep waits until so many sleep.
func (c *clock) asleep(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		sleeping, changed := len(c.sleepers), c.changed
		c.mu.Unlock()
		if sleeping >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// jump goes to when the next sleeper is due, or to a time before that.
func (c *clock) jump(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to := until
	for _, s := range c.sleepers {
		if s.due.Before(to) {
			to = s.due
		}
	}
	c.advance(to)
}

// advance moves the time and wakes who is due. The caller holds the lock.
func (c *clock) advance(to time.Time) {
	if to.After(c.now) {
		c.now = to
	}
	c.sleepers = slices.DeleteFunc(c.sleepers, func(s *sleeper) bool {
		due := !s.due.After(c.now)
		if due {
			s.ring <- c.now
		}
		return due
	})
}
