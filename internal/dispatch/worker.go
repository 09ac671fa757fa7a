package dispatch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
	"github.com/dora-controller/dora-controller/internal/sink"
)

const (
	// maxAfter bounds what a destination may ask for: a mistaken header must not silence it for days.
	maxAfter = time.Hour
	// maxReason bounds what is kept of an answer, in bytes.
	maxReason = 500
	// manyRefused is how many events a destination may refuse for good in a row before it is the one that is suspected.
	manyRefused = 10
)

var errTimeout = errors.New("no answer in time")

// worker delivers to one sink.
type worker struct {
	name    string
	sink    sink.Sink
	route   Route
	outbox  ledger.Outbox
	opts    Options
	metrics *metrics
	log     logr.Logger
	mailbox mailbox
	health  state
	work    *progress.Work // while there is something to do

	wake   chan struct{}      // holds one: it is enough to be told once
	cancel context.CancelFunc // nil until launched
	after  <-chan struct{}    // closed when the worker before it on the same sink has stopped; nil if there was none
	done   chan struct{}

	failures int       // of the sink, in a row
	refusals int       // of events, for good, in a row
	rest     time.Time // nothing is sent before
	batch    int       // how many events are sent at once: one after a failure, then twice as many each time
	check    time.Time // when to ask the destination next
	checked  time.Time // when it was asked last
	hurried  atomic.Bool
}

func newWorker(s sink.Sink, route Route, d *Dispatcher) *worker {
	return &worker{
		name: s.Name(), sink: s, route: route, outbox: d.outbox, opts: d.opts, metrics: d.metrics,
		log:  d.opts.Log.WithValues("sink", s.Name()),
		wake: make(chan struct{}, 1), done: make(chan struct{}), batch: max(s.Batch(), 1),
	}
}

// end stops a worker and returns what is closed once it has stopped; nil if it never ran.
func (w *worker) end() <-chan struct{} {
	if w.cancel == nil {
		w.close()
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
	defer w.close()
	for ctx.Err() == nil {
		w.sleep(ctx, w.drain(ctx))
	}
}

// close lets go of connections.
func (w *worker) close() {
	if closing, ok := w.sink.(interface{ Close() }); ok {
		closing.Close()
	}
}

// notify wakes the worker.
func (w *worker) notify() {
	select {
	case w.wake <- struct{}{}:
	default: // it is about to look already
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

// drain delivers what is due and returns when to look again; zero if nothing will be.
func (w *worker) drain(ctx context.Context) time.Time {
	w.work = w.opts.Board.Begin("deliver", w.name, w.opts.Timeout+progress.Spare)
	defer w.work.End()
	for ctx.Err() == nil {
		w.work.Step()
		if w.hurried.Swap(false) {
			w.rest, w.check, w.failures = time.Time{}, time.Time{}, 0
			w.mailbox.rest = time.Time{}
		}
		w.ask(ctx)
		now := w.opts.Clock.Now()
		if now.Before(w.rest) {
			return sooner(w.rest, w.check)
		}
		measured := w.measure(ctx)
		due, next, err := w.due(ctx, now)
		if err == nil && len(due) == 0 {
			return sooner(sooner(next, measured), w.check)
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

// due reads what is due, and, if nothing is, when something will be.
func (w *worker) due(ctx context.Context, now time.Time) (due []ledger.Delivery, next time.Time, err error) {
	w.work.Step()
	ctx, stop := w.limited(ctx)
	defer stop()
	if due, err = w.outbox.Due(ctx, w.name, now, max(w.sink.Batch(), 1)); err == nil && len(due) == 0 {
		next, err = w.outbox.NextDue(ctx, w.name)
	}
	return due, next, err
}

// sooner is the earlier of two times, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// deliver sends due rows: those that never failed, until one has to be retried, and then one that did, the one that has been due longest. So what
// the destination chokes on costs the others one attempt at a time. It fails if the ledger does.
func (w *worker) deliver(ctx context.Context, due []ledger.Delivery) error {
	wanted, err := w.sift(ctx, due)
	if err != nil {
		return err
	}
	fresh, suspect := divide(wanted)
	for len(fresh) > 0 {
		n := min(len(fresh), w.batch)
		goOn, err := w.attempt(ctx, fresh[:n])
		if err != nil || !goOn {
			return err
		}
		fresh = fresh[n:]
	}
	if suspect == nil {
		return nil
	}
	_, err = w.attempt(ctx, suspect)
	return err
}

// sift passes over the rows that the sink does not want. A filter that fails is the fault of whoever wrote it: the row is set aside.
func (w *worker) sift(ctx context.Context, due []ledger.Delivery) (wanted []ledger.Delivery, err error) {
	var passed []ledger.Delivery
	var failed []verdict
	for _, row := range due {
		ok, err := w.route.event(&row.Event)
		switch {
		case err != nil:
			failed = append(failed, verdict{row, parked, err})
		case ok:
			wanted = append(wanted, row)
		default:
			passed = append(passed, row)
		}
	}
	if len(failed) > 0 {
		if _, err := w.settle(ctx, attempt{at: w.opts.Clock.Now()}, failed); err != nil {
			return nil, err
		}
	}
	if len(passed) == 0 {
		return wanted, nil
	}
	w.work.Step()
	ctx, stop := w.limited(ctx)
	defer stop()
	defer w.opts.Changed(w.name)
	w.metrics.passed.WithLabelValues(w.name).Add(float64(len(passed)))
	return wanted, w.outbox.Pass(ctx, w.name, passed...)
}

// attempt is one call of Send, for the log of deliveries.
type attempt struct {
	at     time.Time
	took   time.Duration
	answer string
}

// attempt sends a batch and records what became of it. goOn is false once the sink has to rest. What cannot be told apart is sent in halves.
func (w *worker) attempt(ctx context.Context, batch []ledger.Delivery) (goOn bool, err error) {
	made, failure := w.send(ctx, batch)
	if failure != nil && ctx.Err() != nil {
		return false, nil //nolint:nilerr // being stopped is no failure of the sink
	}
	verdicts, apart := judge(batch, failure)
	if !apart {
		w.tell(failure, verdicts)
		return w.settle(ctx, made, verdicts)
	}
	half := len(batch) / 2
	if goOn, err := w.attempt(ctx, batch[:half]); err != nil || !goOn {
		return goOn, err
	}
	return w.attempt(ctx, batch[half:])
}

// send makes one attempt, within the time limit and safe from panics.
func (w *worker) send(ctx context.Context, batch []ledger.Delivery) (attempt, error) {
	events := make([]dora.Event, len(batch))
	for i, row := range batch {
		events[i] = row.Event
	}
	return w.try(ctx, func(ctx context.Context) (string, error) { return w.sink.Send(ctx, events) })
}

// try calls the sink, within the time limit and safe from panics.
func (w *worker) try(ctx context.Context, call func(ctx context.Context) (string, error)) (made attempt, err error) {
	w.work.Step()
	made.at = w.opts.Clock.Now()
	ctx, stop := w.limited(ctx)
	defer stop()
	defer func() {
		made.took = w.opts.Clock.Since(made.at)
		if cause := recover(); cause != nil {
			// What a panic says may hold anything, so it stays in the log.
			w.log.Error(fmt.Errorf("panic: %v", cause), "A sink panicked", "stack", string(debug.Stack()))
			err = errors.New("the sink panicked, see the log")
		}
	}()
	made.answer, err = call(ctx)
	var partial *sink.PartialError // tells what arrived before time was up
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) && !errors.As(err, &partial) {
		err = sink.Because(sink.Unreachable, fmt.Errorf("%w (%s)", errTimeout, w.opts.Timeout))
	}
	return made, err
}

// limited is a context that ends after the timeout. That is the machine's time, whatever the dispatcher's clock says: a call takes as long as it takes.
func (w *worker) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, w.opts.Timeout, errTimeout)
}

// settle records the fates of a batch. What arrived is recorded also while stopping, so that it is not sent again.
func (w *worker) settle(ctx context.Context, made attempt, verdicts []verdict) (goOn bool, err error) {
	w.work.Step()
	ctx, stop := w.limited(context.WithoutCancel(ctx))
	defer stop()
	defer w.opts.Changed(w.name)
	w.trace(made, verdicts)
	if err := w.settleDelivered(ctx, made, verdicts); err != nil {
		return false, err
	}
	goOn = true
	for _, v := range verdicts {
		switch v.fate {
		case left, delivered:
		case parked:
			err = w.park(ctx, made, v)
		case retried:
			goOn = false
			err = w.retry(ctx, made, v)
		}
		if err != nil {
			return false, err
		}
	}
	switch {
	case w.refusals >= manyRefused:
		w.pause(longest(verdicts)) // what is left must not be parked as fast as it can be sent
		return false, nil
	case !goOn:
		w.suspect(verdicts)
	}
	return goOn, nil
}

// suspect lets the sink rest after a failure, unless it is the old one of a single event: as long as the sink takes others, that is the event's.
func (w *worker) suspect(verdicts []verdict) {
	asked := longest(verdicts)
	if old := len(verdicts) == 1 && verdicts[0].row.Attempts > 0; old && w.failures == 0 && asked == 0 {
		return
	}
	w.pause(asked)
}

func (w *worker) settleDelivered(ctx context.Context, made attempt, verdicts []verdict) error {
	var sent []ledger.Delivery
	for _, v := range verdicts {
		if v.fate == delivered {
			sent = append(sent, v.row)
		}
	}
	if len(sent) == 0 {
		return nil
	}
	if err := w.outbox.Delivered(ctx, w.name, made.record(made.answer), sent...); err != nil {
		return err
	}
	w.metrics.delivered.WithLabelValues(w.name).Add(float64(len(sent)))
	w.failures, w.refusals = 0, 0
	w.batch = min(w.batch*2, max(w.sink.Batch(), 1))
	return nil
}

func (w *worker) park(ctx context.Context, made attempt, v verdict) error {
	w.log.Error(v.err, "Set an event aside", "event", v.row.Event.ID, "service", v.row.Event.Service)
	if err := w.outbox.Park(ctx, w.name, v.row.Seq, made.record(v.err.Error())); err != nil {
		return ignoreGone(err)
	}
	w.metrics.parked.WithLabelValues(w.name).Inc()
	w.refusals++
	if w.refusals < manyRefused {
		w.failures = 0 // it answered
		return nil
	}
	all := sink.Because(sink.Refused, fmt.Errorf("it refuses everything, %d events in a row; the last: %w", w.refusals, v.err))
	w.health.set(func(s *state) { s.sent = all })
	return nil
}

func (w *worker) retry(ctx context.Context, made attempt, v verdict) error {
	wait := max(w.opts.Backoff.Delay(v.row.Attempts+1, w.opts.Random()), after(v.err))
	w.log.Info("Put an event off", "event", v.row.Event.ID, "service", v.row.Event.Service, "wait", wait, "message", bounded(v.err.Error()))
	if err := w.outbox.Retry(ctx, w.name, v.row.Seq, w.opts.Clock.Now().Add(wait), made.record(v.err.Error())); err != nil {
		return ignoreGone(err)
	}
	w.metrics.retried.WithLabelValues(w.name).Inc()
	return nil
}

// pause lets the sink rest for its failures in a row, at least for what it asked for. Then it is tried with one event.
func (w *worker) pause(atLeast time.Duration) {
	w.failures++
	w.batch = 1
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

// record is what the ledger keeps of an attempt.
func (a attempt) record(answer string) ledger.Attempt {
	return ledger.Attempt{At: a.at, Took: a.took, Answer: bounded(answer)}
}

// bounded is what is kept of an answer.
func bounded(text string) string {
	text = strings.ToValidUTF8(text, "")
	if len(text) <= maxReason {
		return text
	}
	return strings.ToValidUTF8(text[:maxReason], "") + "…"
}
