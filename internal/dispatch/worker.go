package dispatch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
)

const (
	// maxAfter bounds what a destination may ask for: a mistaken header must not silence it for days.
	maxAfter = time.Hour
	// maxReason bounds what is kept of an error, in bytes.
	maxReason = 500
)

var errTimeout = errors.New("no answer in time")

// worker delivers to one sink.
type worker struct {
	name    string
	sink    sink.Sink
	outbox  ledger.Outbox
	opts    Options
	metrics *metrics
	log     logr.Logger

	wake   chan struct{}      // holds one: it is enough to be told once
	cancel context.CancelFunc // nil until launched
	after  <-chan struct{}    // closed when the worker before it on the same sink has stopped; nil if there was none
	done   chan struct{}

	failures int       // of the sink, in a row
	rest     time.Time // nothing is sent before
}

func newWorker(s sink.Sink, d *Dispatcher) *worker {
	return &worker{
		name: s.Name(), sink: s, outbox: d.outbox, opts: d.opts, metrics: d.metrics,
		log:  d.opts.Log.WithValues("sink", s.Name()),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// end stops a worker and returns what is closed once it has stopped; nil if it never ran.
func (w *worker) end() <-chan struct{} {
	if w.cancel == nil {
		return w.after
	}
	w.cancel()
	return w.done
}

// run delivers until the context ends.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	defer w.cancel()
	if w.after != nil {
		<-w.after // two workers on one sink would break its order
	}
	for ctx.Err() == nil {
		w.sleep(ctx, w.drain(ctx))
	}
}

// sleep waits to be woken, or until a time unless that is zero.
func (w *worker) sleep(ctx context.Context, until time.Time) {
	var alarm <-chan time.Time
	if !until.IsZero() {
		wait := until.Sub(w.opts.Clock.Now())
		if wait <= 0 {
			return
		}
		timer := w.opts.Clock.NewTimer(wait)
		defer timer.Stop()
		alarm = timer.C()
	}
	select {
	case <-ctx.Done():
	case <-w.wake:
	case <-alarm:
	}
}

// drain delivers what is due and returns when to look again; zero if nothing is pending.
func (w *worker) drain(ctx context.Context) time.Time {
	for ctx.Err() == nil {
		now := w.opts.Clock.Now()
		if now.Before(w.rest) {
			return w.rest
		}
		due, err := w.outbox.Due(ctx, w.name, now, w.opts.Batch)
		if err == nil && len(due) == 0 {
			var next time.Time
			if next, err = w.outbox.NextDue(ctx, w.name); err == nil {
				return next
			}
		}
		if err == nil {
			err = w.deliver(ctx, due)
		}
		if err != nil && ctx.Err() == nil {
			w.log.Error(err, "Cannot use the ledger")
			w.pause(0)
		}
	}
	return time.Time{}
}

// deliver sends due rows until one has to be retried. It fails if the ledger does.
func (w *worker) deliver(ctx context.Context, due []ledger.Delivery) error {
	for _, batch := range batches(healthyFirst(due)) {
		goOn, err := w.attempt(ctx, batch)
		if err != nil || !goOn {
			return err
		}
	}
	return nil
}

// attempt sends a batch and records what became of it. goOn is false once the sink has to rest.
func (w *worker) attempt(ctx context.Context, batch []ledger.Delivery) (goOn bool, err error) {
	answer := w.send(ctx, batch)
	if answer != nil && ctx.Err() != nil {
		return false, nil //nolint:nilerr // being stopped is no failure of the sink
	}
	verdicts, apart := judge(batch, answer)
	for i := 0; apart && i < len(batch); i++ {
		if goOn, err := w.attempt(ctx, batch[i:i+1]); err != nil || !goOn {
			return goOn, err
		}
	}
	if apart {
		return true, nil
	}
	return w.settle(ctx, verdicts)
}

// send makes one attempt, within the time limit and safe from panics.
func (w *worker) send(ctx context.Context, batch []ledger.Delivery) (err error) {
	events := make([]dora.Event, len(batch))
	for i, row := range batch {
		events[i] = row.Event
	}
	ctx, stop := w.limited(ctx)
	defer stop()
	defer func() {
		if cause := recover(); cause != nil {
			// What a panic says may hold anything, so it stays in the log.
			w.log.Error(fmt.Errorf("panic: %v", cause), "A sink panicked", "stack", string(debug.Stack()))
			err = errors.New("the sink panicked, see the log")
		}
	}()
	_, err = w.sink.Send(ctx, events)
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
		return fmt.Errorf("%w (%s)", errTimeout, w.opts.Timeout)
	}
	return err
}

// limited is a context that ends after the timeout, by the dispatcher's clock.
func (w *worker) limited(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := w.opts.Clock.AfterFunc(w.opts.Timeout, func() { cancel(errTimeout) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// settle records the fates of a batch. What arrived is recorded also while stopping, so that it is not sent again.
func (w *worker) settle(ctx context.Context, verdicts []verdict) (goOn bool, err error) {
	ctx, stop := w.limited(context.WithoutCancel(ctx))
	defer stop()
	if err := w.settleDelivered(ctx, verdicts); err != nil {
		return false, err
	}
	goOn = true
	for _, v := range verdicts {
		switch v.fate {
		case left, delivered:
		case parked:
			err = w.park(ctx, v)
		case retried:
			goOn = false
			err = w.retry(ctx, v)
		}
		if err != nil {
			return false, err
		}
	}
	if !goOn {
		w.pause(longest(verdicts))
	}
	return goOn, nil
}

func (w *worker) settleDelivered(ctx context.Context, verdicts []verdict) error {
	var sent []ledger.Delivery
	for _, v := range verdicts {
		if v.fate == delivered {
			sent = append(sent, v.row)
		}
	}
	if len(sent) == 0 {
		return nil
	}
	if err := w.outbox.Delivered(ctx, w.name, w.opts.Clock.Now(), sent...); err != nil {
		return err
	}
	w.failures = 0
	w.metrics.delivered.WithLabelValues(w.name).Add(float64(len(sent)))
	return nil
}

func (w *worker) park(ctx context.Context, v verdict) error {
	w.log.Error(v.err, "Set an event aside", "event", v.row.Event.ID, "service", v.row.Event.Service)
	if err := w.outbox.Park(ctx, w.name, v.row.Seq, reason(v.err)); err != nil {
		return ignoreGone(err)
	}
	w.failures = 0 // it answered
	w.metrics.parked.WithLabelValues(w.name).Inc()
	return nil
}

func (w *worker) retry(ctx context.Context, v verdict) error {
	wait := max(w.opts.Backoff.Delay(v.row.Attempts+1, w.opts.Random()), after(v.err))
	w.log.Info("Put an event off", "event", v.row.Event.ID, "service", v.row.Event.Service, "wait", wait, "reason", reason(v.err))
	if err := w.outbox.Retry(ctx, w.name, v.row.Seq, w.opts.Clock.Now().Add(wait), reason(v.err)); err != nil {
		return ignoreGone(err)
	}
	w.metrics.retried.WithLabelValues(w.name).Inc()
	return nil
}

// pause lets the sink rest for its failures in a row, at least for what it asked for.
func (w *worker) pause(atLeast time.Duration) {
	w.failures++
	wait := max(w.opts.Backoff.Delay(w.failures, w.opts.Random()), atLeast)
	w.rest = w.opts.Clock.Now().Add(wait)
}

// ignoreGone: a row that is not there has been settled by someone else, or its sink was forgotten.
func ignoreGone(err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return nil
	}
	return err
}

func longest(verdicts []verdict) time.Duration {
	var most time.Duration
	for _, v := range verdicts {
		most = max(most, after(v.err))
	}
	return most
}

func after(err error) time.Duration { return min(sink.RetryAfter(err), maxAfter) }

// reason is what the ledger keeps of an error.
func reason(err error) string {
	text := strings.ToValidUTF8(err.Error(), "")
	if len(text) <= maxReason {
		return text
	}
	return strings.ToValidUTF8(text[:maxReason], "") + "…"
}
