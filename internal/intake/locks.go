package intake

import "sync"

// locks lets those wait for each other that take the same report, or messages about the same incident.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	sync.Mutex

	wanted int
}

// lock waits until nobody else has the lock of that name, and returns what gives it back.
func (l *locks) lock(name string) (unlock func()) {
	l.mu.Lock()
	own := l.held[name]
	if own == nil {
		own = &lock{}
		l.held[name] = own
	}
	own.wanted++
	l.mu.Unlock()
	own.Lock()
	return func() {
		own.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		own.wanted--
		if own.wanted == 0 {
			delete(l.held, name)
		}
	}
}
