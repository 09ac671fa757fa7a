package dispatch

import (
	"cmp"
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/sink"
)

// figuresKey tells figures from all others.
type figuresKey struct{ target, environment, team, service, scope string }

func keyOf(f *sink.Figures) figuresKey {
	return figuresKey{f.Target, f.Environment, f.Team, f.Service, string(f.Scope)}
}

// mailbox holds the newest figures for one sink: those that it took, and those that wait. Figures that are replaced before they were sent
// are never sent, so it is as large as what is counted, however long the sink is down.
type mailbox struct {
	mu      sync.Mutex
	taken   map[figuresKey]sink.Figures
	waiting map[figuresKey]sink.Figures

	failures int       // in a row
	rest     time.Time // nothing is sent before
	batch    int       // how many are sent at once: one after a failure, then twice as many each time; 0 is as many as the sink takes
}

// put replaces the figures of a target, and says whether any of them are news.
func (m *mailbox) put(target string, figures []sink.Figures) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken == nil {
		m.taken, m.waiting = map[figuresKey]sink.Figures{}, map[figuresKey]sink.Figures{}
	}
	there := map[figuresKey]bool{}
	for _, f := range figures {
		key := keyOf(&f)
		there[key] = true
		if taken, ok := m.taken[key]; ok && same(taken, f) {
			delete(m.waiting, key)
			continue
		}
		m.waiting[key] = f
	}
	for _, known := range []map[figuresKey]sink.Figures{m.taken, m.waiting} {
		for key := range known {
			if key.target == target && !there[key] {
				delete(known, key)
			}
		}
	}
	return len(m.waiting) > 0
}

// same says that nothing has changed but the time. What a destination keeps for each day it is sent each day.
func same(a, b sink.Figures) bool {
	if !a.To.Truncate(24 * time.Hour).Equal(b.To.Truncate(24 * time.Hour)) {
		return false
	}
	a.From, a.To = b.From, b.To
	return reflect.DeepEqual(a, b)
}

// next are up to limit figures that wait.
func (m *mailbox) next(limit int) []sink.Figures {
	m.mu.Lock()
	defer m.mu.Unlock()
	var some []sink.Figures
	for _, f := range m.waiting {
		if len(some) == limit {
			break
		}
		some = append(some, f)
	}
	return some
}

// took notes that figures were taken. What has been replaced meanwhile goes on waiting.
func (m *mailbox) took(figures []sink.Figures) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range figures {
		key := keyOf(&f)
		if waiting, ok := m.waiting[key]; ok && same(waiting, f) {
			delete(m.waiting, key)
		}
		m.taken[key] = f
	}
}

// Measure gives the newest figures of a target to a sink, in place of those before. A sink that is not registered, or takes no figures, does
// not get them: give them again once it is.
func (d *Dispatcher) Measure(name, target string, figures []sink.Figures) {
	d.mu.Lock()
	w := d.workers[name]
	d.mu.Unlock()
	if w == nil {
		return
	}
	if _, ok := w.sink.(sink.Measured); !ok {
		return
	}
	var wanted []sink.Figures
	for _, f := range figures {
		if w.route.figures(&f) {
			wanted = append(wanted, f)
		}
	}
	if w.mailbox.put(target, wanted) {
		w.notify()
	}
}

// measure sends figures that wait, a batch of them, so that events are not held up for long, and returns when to look again; zero if none wait.
func (w *worker) measure(ctx context.Context) time.Time {
	measured, ok := w.sink.(sink.Measured)
	if !ok {
		return time.Time{}
	}
	most := max(w.sink.Batch(), 1)
	some := w.mailbox.next(min(most, cmp.Or(w.mailbox.batch, most)))
	if len(some) == 0 {
		return time.Time{}
	}
	if w.opts.Clock.Now().Before(w.mailbox.rest) {
		return w.mailbox.rest
	}
	_, err := w.try(ctx, func(ctx context.Context) (string, error) { return measured.SendFigures(ctx, some) })
	if ctx.Err() != nil {
		return time.Time{}
	}
	now := w.opts.Clock.Now()
	defer w.opts.Changed(w.name)
	if err == nil {
		w.mailbox.took(some)
		w.mailbox.failures, w.mailbox.batch = 0, min(2*len(some), most)
		w.health.set(func(s *state) { s.asked, s.figures, s.figuresTakenAt = true, nil, now })
		return now
	}
	w.mailbox.batch = 1 // so that one that is refused does not take others with it
	if sink.IsPermanent(err) {
		if len(some) == 1 {
			w.mailbox.took(some) // it will not be taken until it changes
		}
		w.health.set(func(s *state) { s.figures = err })
		return now
	}
	w.mailbox.failures++
	w.mailbox.rest = now.Add(max(w.opts.Backoff.Delay(w.mailbox.failures, w.opts.Random()), after(err)))
	w.log.Info("Figures were not taken", "reason", sink.ReasonOf(err), "message", bounded(err.Error()))
	w.health.set(func(s *state) { s.figures = err })
	return w.mailbox.rest
}
