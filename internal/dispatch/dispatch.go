// Package dispatch sends what sinks are owed. It joins the ledger's outbox with the sinks.
//
// # Guarantees
//
//   - At least once: a row leaves the outbox after the sink took it, so a crash in between sends it again, with the same id.
//   - In order per service: while a row of a service waits for its retry, the later ones of that service wait behind it.
//     A row that is set aside holds nobody up.
//   - One sink delays no other: each has a goroutine of its own, and each attempt has a time limit.
//   - Nothing is polled: a worker sleeps until Notify, or until a row's retry is due.
//
// # What a worker does
//
//	         ┌────────── Notify, or time has come ──────────┐
//	         ▼                                              │
//	look for due rows ── none ──────────────────────▶ sleep until the next is due
//	         │                                              ▲
//	         ▼                                              │
//	      send a batch ──▶ delivered: look again            │
//	                  ├──▶ parked with its reason: look again
//	                  └──▶ retried: put off, and the sink rests ┘
//
// A row is put off by its own failures, the sink rests by its failures in a row, both with exponential backoff and full
// jitter: that is its circuit breaker. A failure of the whole destination is charged to one event and not to the batch. A sink that has failed is
// tried with one event, and with twice as many each time that it takes them; so a destination that is down is asked ever less often, and
// an event on which alone it chokes is found. From then on that one is sent alone, one such event after each round of those that never
// failed, and its failures make the sink rest no more as long as it takes others: services do not wait for each other.
//
// A batch that is refused for good is sent again in halves, until only the events at fault are parked. A destination that refuses ten in a row
// is suspected itself: the sink rests between them, so that a wrong address does not park a whole backlog at once.
//
// The destination is asked whether it would take events when its sink is registered and every ten minutes, or every minute while something
// stands in the way. Events are sent all the same: only a delivery proves anything.
//
// Figures of metrics are sent between two batches of events. They are not kept in the ledger, since they can be computed from it; of those that
// could not be sent the newest remain.
package dispatch

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/dora-controller/dora-controller/internal/backoff"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/tracing"
)

// DefaultBackoff reaches its cap with the tenth failure.
var DefaultBackoff = backoff.Exponential{Base: time.Second, Cap: 5 * time.Minute}

// Options of a dispatcher. Every field has a working default.
type Options struct {
	// Clock is the real one if nil.
	Clock clock.WithDelayedExecution
	// Random draws from [0, 1) for jitter. It is called by many goroutines; math/rand/v2 if nil.
	Random func() float64
	// Backoff is DefaultBackoff if zero.
	Backoff backoff.Exponential
	// Changed is called, by the sinks' workers, when something has become of what a sink is owed, or more is known of its destination. It
	// must not block. Nobody is told if it is nil.
	Changed func(sink string)
	// Timeout bounds one Send, and one write to the ledger; 30 s if zero.
	Timeout time.Duration
	// Registerer takes the metrics; nobody if nil.
	Registerer prometheus.Registerer
	// Log gets failures; nobody if zero.
	Log logr.Logger
	// Tracer tells of each attempt with each event; nobody if nil.
	Tracer *tracing.Tracer
	// Board gets what the workers do; nobody if nil.
	Board *progress.Board
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Backoff == (backoff.Exponential{}) {
		o.Backoff = DefaultBackoff
	}
	if o.Changed == nil {
		o.Changed = func(string) {}
	}
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	return o
}

// Dispatcher runs one worker for each registered sink. It is a Runnable of controller-runtime's manager, for the leader.
type Dispatcher struct {
	outbox  ledger.Outbox
	opts    Options
	metrics *metrics

	mu      sync.Mutex
	workers map[string]*worker
	ending  map[string]<-chan struct{} // of removed workers: closed once they have stopped
	ctx     context.Context            //nolint:containedctx // Start's, for the workers of sinks that are registered later
	stopped bool
	running sync.WaitGroup
}

// New makes a dispatcher without sinks.
func New(outbox ledger.Outbox, opts Options) *Dispatcher {
	opts = opts.withDefaults()
	return &Dispatcher{
		outbox:  outbox,
		opts:    opts,
		metrics: newMetrics(opts.Registerer, outbox, opts),
		workers: map[string]*worker{},
		ending:  map[string]<-chan struct{}{},
	}
}

// Register delivers to a sink what its route wants, from now on, or from Start on. It replaces a sink of the same name: that one's attempt is
// ended, and the new one begins after it. A sink that has a method Close is closed once it is not used any more.
func (d *Dispatcher) Register(s sink.Sink, route Route) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := newWorker(s, route, d)
	d.end(w.name)
	w.after = d.ending[w.name]
	delete(d.ending, w.name)
	d.workers[w.name] = w
	d.metrics.show(w.name)
	d.launch(w)
}

// Remove ends the deliveries to a sink, and does not wait for that. What it is owed stays in the ledger.
func (d *Dispatcher) Remove(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(name)
	d.metrics.hide(name)
}

// end stops the worker of a sink, if there is one, and keeps what tells when it has stopped. The caller holds the lock.
func (d *Dispatcher) end(name string) {
	if w := d.workers[name]; w != nil {
		d.ending[name] = w.end()
		delete(d.workers, name)
	}
}

// Notify wakes the workers. Call it after each commit that owes sinks something; it never blocks.
func (d *Dispatcher) Notify() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.workers {
		w.notify()
	}
}

// Hurry makes a sink end its rest: what stood in its way may be mended. Rows that were put off wait on, unless the ledger hastens them.
func (d *Dispatcher) Hurry(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.workers[name]; w != nil {
		w.hurried.Store(true)
		w.notify()
	}
}

// Start delivers until the context ends, and returns once every worker has stopped. It can be called once.
func (d *Dispatcher) Start(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.running.Wait()
	return nil
}

// NeedLeaderElection tells the manager that only the leader delivers.
func (d *Dispatcher) NeedLeaderElection() bool { return true }

func (d *Dispatcher) begin(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx != nil {
		return errors.New("the dispatcher was started before")
	}
	d.ctx = ctx
	for _, w := range d.workers {
		d.launch(w)
	}
	return nil
}

// launch starts a worker, if it is time. The caller holds the lock.
func (d *Dispatcher) launch(w *worker) {
	if d.ctx == nil || d.stopped {
		return
	}
	ctx, cancel := context.WithCancel(d.ctx)
	w.cancel = cancel
	d.running.Go(func() { w.run(ctx) })
}
