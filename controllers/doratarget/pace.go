package doratarget

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// share is how many times as long as it took to compute a target it is left alone afterwards: a fleet with a million events
// must not keep a processor busy because one of its services is deployed every minute.
const share = 10

// patience bounds how long a target is left alone.
const patience = 5 * time.Minute

// pace remembers when a target may be computed again. It is about the processor, so it goes by the process's own clock.
type pace struct {
	mu   sync.Mutex
	from map[types.UID]time.Time
}

// wait is how long the target is to be left alone.
func (p *pace) wait(target types.UID) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.from[target])
}

// measure starts a measurement; what it returns ends it.
func (p *pace) measure(target types.UID) (done func()) {
	began := time.Now()
	return func() {
		now := time.Now()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.from == nil {
			p.from = map[types.UID]time.Time{}
		}
		p.drop(now)
		p.from[target] = now.Add(min(share*now.Sub(began), patience))
	}
}

// drop forgets targets that need not wait any more, also those that are gone.
func (p *pace) drop(now time.Time) {
	for target, from := range p.from {
		if !from.After(now) {
			delete(p.from, target)
		}
	}
}
