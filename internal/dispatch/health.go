package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/sink"
)

// How often a destination is asked whether it would take events: while it did, while it did not, and once it takes some after all.
const (
	checkEvery = 10 * time.Minute
	checkAgain = time.Minute
	checkSoon  = 5 * time.Second
)

// Health is what is known of a sink's destination.
type Health struct {
	// Asked says that the destination was asked, or was sent something, since the sink was registered.
	Asked bool
	// Err is why it does not take what it is sent; nil if it does. It holds no secret. Reason says the same in a word.
	Err    error
	Reason sink.Reason
	// FiguresErr is why it did not take the last figures, and FiguresAt when it took some; zero if it never did.
	FiguresErr error
	FiguresAt  time.Time
}

// state is the health of a sink, written by its worker.
type state struct {
	mu             sync.Mutex
	asked          bool
	sent, checked  error // of the last attempt to send, and to ask
	figures        error
	figuresTakenAt time.Time
}

func (s *state) set(change func(s *state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// get tells of the last attempt to send rather than of the last check, since that is what counts.
func (s *state) get() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := Health{Asked: s.asked, Err: s.sent, FiguresErr: s.figures, FiguresAt: s.figuresTakenAt}
	if h.Err == nil {
		h.Err = s.checked
	}
	if h.Err != nil {
		h.Reason = sink.ReasonOf(h.Err)
	}
	return h
}

// Health tells what is known of a sink's destination. False if the sink is not registered.
func (d *Dispatcher) Health(name string) (Health, bool) {
	d.mu.Lock()
	w := d.workers[name]
	d.mu.Unlock()
	if w == nil {
		return Health{}, false
	}
	return w.health.get(), true
}

// ask checks the destination, when it is time.
func (w *worker) ask(ctx context.Context) {
	checked, ok := w.sink.(sink.Checked)
	if !ok {
		w.health.set(func(s *state) { s.asked = true })
		return
	}
	if w.opts.Clock.Now().Before(w.check) {
		return
	}
	_, err := w.try(ctx, func(ctx context.Context) (string, error) { return "", checked.Check(ctx) })
	if ctx.Err() != nil {
		return
	}
	w.checked = w.opts.Clock.Now()
	w.check = w.checked.Add(checkEvery)
	if err != nil {
		w.check = w.checked.Add(checkAgain)
		w.log.Info("The destination would not take events", "reason", sink.ReasonOf(err), "message", bounded(err.Error()))
	}
	w.health.set(func(s *state) { s.asked, s.checked = true, err })
	w.opts.Changed(w.name)
}

// tell notes what became of an attempt to send. That an event was refused for good says nothing about the destination. Once it takes events
// after it did not, it is asked again soon whether all is well.
func (w *worker) tell(failure error, verdicts []verdict) {
	var held error
	for _, v := range verdicts {
		if v.fate == retried {
			held = v.err
			break
		}
	}
	w.health.set(func(s *state) {
		if failure == nil && s.checked != nil {
			w.check = sooner(w.check, w.checked.Add(checkSoon))
		}
		s.asked, s.sent = true, held
	})
}
