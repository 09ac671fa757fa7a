package doratarget

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// share is how many times as long as it took to work out the figures of a target they are left alone afterwards: a service with a hundred
// thousand events must not keep a processor busy because its commits are found one after the other.
const share = 10

// patience bounds how long figures are left alone because they took long.
const patience = 5 * time.Minute

// pace remembers until when the figures of a target are left alone, if nothing else is to be told of it. It is about the processor and the
// API server, so it goes by the process's own clock, which nobody sets.
type pace struct {
	clock func() time.Time // time.Now if nil
	mu    sync.Mutex
	until map[types.UID]time.Time
}

func (p *pace) now() time.Time {
	if p.clock == nil {
		return time.Now()
	}
	return p.clock()
}

// wait is how long the figures are to be left alone.
func (p *pace) wait(target types.UID) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until[target].Sub(p.now())
}

// rest leaves figures alone that were begun then, for the interval or longer if they took long.
func (p *pace) rest(target types.UID, began time.Time, interval time.Duration) {
	now := p.now()
	took := now.Sub(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil {
		p.until = map[types.UID]time.Time{}
	}
	p.drop(now)
	p.until[target] = now.Add(max(interval, min(share*took, patience)))
}

// drop forgets targets that need not wait any more, also those that are gone.
func (p *pace) drop(now time.Time) {
	for target, until := range p.until {
		if !until.After(now) {
			delete(p.until, target)
		}
	}
}
