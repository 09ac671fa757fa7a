package github

import (
	"container/list"
	"sync"
)

// lru keeps what was used last, up to a total cost. It may be used by many goroutines.
type lru[V any] struct {
	mu        sync.Mutex
	max, used int
	order     *list.List // of entry[V], the one used last in front
	entries   map[string]*list.Element
	dropped   func(V)
}

type entry[V any] struct {
	key   string
	value V
	cost  int
}

func newLRU[V any](maxCost int, dropped func(V)) *lru[V] {
	if dropped == nil {
		dropped = func(V) {}
	}
	return &lru[V]{max: maxCost, order: list.New(), entries: map[string]*list.Element{}, dropped: dropped}
}

func (l *lru[V]) get(key string) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[key]
	if !ok {
		var none V
		return none, false
	}
	l.order.MoveToFront(e)
	return l.at(e).value, true
}

// put keeps a value, unless it alone costs more than everything may.
func (l *lru[V]) put(key string, value V, cost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.entries[key]; ok {
		l.drop(old)
	}
	if cost > l.max {
		return
	}
	l.entries[key] = l.order.PushFront(entry[V]{key, value, cost})
	for l.used += cost; l.used > l.max; {
		l.drop(l.order.Back())
	}
}

// drop lets go of an entry. The caller holds the lock.
func (l *lru[V]) drop(e *list.Element) {
	old := l.at(e)
	l.order.Remove(e)
	delete(l.entries, old.key)
	l.used -= old.cost
	l.dropped(old.value)
}

func (*lru[V]) at(e *list.Element) entry[V] {
	found, _ := e.Value.(entry[V])
	return found
}
