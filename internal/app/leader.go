package app

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/dora-controller/dora-controller/controllers"
	"github.com/dora-controller/dora-controller/controllers/dorasink"
	"github.com/dora-controller/dora-controller/controllers/doratarget"
	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/enrich"
	"github.com/dora-controller/dora-controller/internal/intake"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/postgres"
	"github.com/dora-controller/dora-controller/internal/receive"
	"github.com/dora-controller/dora-controller/internal/record"
)

// leader is what the process does once it leads.
type leader struct {
	mgr     manager.Manager
	kinds   *kube.Kinds
	options *Options
	log     logr.Logger
	store   atomic.Pointer[ledger.Store]
	working atomic.Bool // the controllers were started
	lacking atomic.Bool // the ledger's role lacks rights
	standby *standby
	// receivers is nil where nobody is listened for.
	receivers *receive.Server
}

var _ manager.LeaderElectionRunnable = (*leader)(nil)

func newLeader(mgr manager.Manager, kinds *kube.Kinds, options *Options, receivers *receive.Server) *leader {
	log := mgr.GetLogger().WithName("ledger")
	admitted := func(ctx context.Context) error { return postgres.Admits(ctx, options.Ledger) }
	return &leader{
		mgr: mgr, kinds: kinds, options: options, log: log, receivers: receivers,
		standby: &standby{ask: admitted, elected: mgr.Elected(), log: log},
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*leader) NeedLeaderElection() bool { return true }

// endWithin is how long the process may take to end: the manager waits for half a minute, and then the ledger is closed.
const endWithin = 90 * time.Second

// Start implements manager.Runnable: it opens the ledger, starts what works on it, and returns when the context ends.
func (l *leader) Start(ctx context.Context) error {
	l.noteEnd(ctx)
	store, err := l.open(ctx)
	if ctx.Err() != nil && err != nil {
		return nil // it was told to stop
	}
	if err != nil {
		return err
	}
	l.store.Store(&store)
	w, err := l.prepare(ctx, store)
	if err != nil {
		return err
	}
	// A registry within the registry, so that all of it can be taken out again.
	if err := l.options.Registry.Register(w.metrics); err != nil {
		return fmt.Errorf("cannot register metrics: %w", err)
	}
	defer l.options.Registry.Unregister(w.metrics)
	if err := controllers.Setup(ctx, l.mgr, w.controllers); err != nil {
		return fmt.Errorf("cannot set up the controllers: %w", err)
	}
	if err := l.tellOwed(ctx, store, w.always); err != nil {
		return err
	}
	l.working.Store(true)
	defer l.receive(w)()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.dispatcher.Start(ctx) })
	group.Go(func() error { return w.completer.Start(ctx) })
	group.Go(func() error { return l.prune(ctx, store) })
	group.Go(func() error { return untilFenced(ctx, store) })
	return group.Wait()
}

// noteEnd puts the end of the process on the board once it has begun. Nothing takes it off.
func (l *leader) noteEnd(ctx context.Context) {
	context.AfterFunc(ctx, func() {
		l.options.board.Begin("end", "of the process, which was told to stop or leads no more", endWithin)
	})
}

// work is what is done on an open ledger.
type work struct {
	controllers controllers.Options
	dispatcher  *dispatch.Dispatcher
	completer   *enrich.Worker
	metrics     *prometheus.Registry
	always      []string // the sinks that flags ask for
	desk        *receive.Desk
	intake      *intake.Intake
}

func (l *leader) prepare(ctx context.Context, store ledger.Store) (*work, error) {
	o := l.options
	counting, figures := record.NewPrometheus(), doratarget.NewMetrics()
	recorder, err := record.Open(ctx, store, o.Cluster, counting)
	if err != nil {
		return nil, err
	}
	recorder.TellTo(o.Tracer)
	w := &work{metrics: prometheus.NewRegistry()}
	always, looks := sinks(o), kube.NewTrigger()
	w.dispatcher = dispatch.New(store, dispatch.Options{
		Clock: o.Clock, Registerer: w.metrics, Log: l.mgr.GetLogger().WithName("dispatch"), Changed: lookAt(looks), Tracer: o.Tracer, Board: o.board,
	})
	w.always = names(always)
	for _, s := range always {
		w.dispatcher.Register(s, dispatch.Route{WithoutFigures: true})
	}
	w.controllers = controllers.Options{
		Cluster: o.Cluster, Namespaces: o.Namespaces, Explain: o.Explain, Clock: o.Clock,
		Targets: kube.NewTargets(l.mgr.GetCache(), o.TrustedNamespaces), Figures: kube.NewTrigger(),
		Kinds: l.kinds, Memory: recorder, Events: store, Marks: store, Metrics: figures,
		Sinks:  kube.NewSinks(l.mgr.GetCache(), o.TrustedNamespaces, w.always...),
		Outbox: store, Dispatcher: w.dispatcher, Make: newMaker(o), SinkLooks: looks, SinkGrace: o.SinkGrace,
	}
	w.controllers.Neighbours, _ = store.(ledger.Neighbours) // a file holds the ledger of one cluster
	l.addDesk(w)
	if w.completer, err = l.newCompleter(w, store, recorder, counting); err != nil {
		return nil, err
	}
	w.controllers.Hurried = w.completer.Hurry
	w.controllers.Owed = func(sinks []string) {
		for _, name := range sinks {
			lookAt(looks)(name)
		}
		w.dispatcher.Notify()
		w.completer.Notify()
	}
	w.intake = l.newIntake(w, store, recorder)
	if !o.shared() {
		w.metrics.MustRegister(NewVolume(o.Ledger))
	}
	for _, c := range []prometheus.Collector{counting, recorder.Gauges(), figures, dorasink.Dropped()} {
		if err := w.metrics.Register(c); err != nil {
			return nil, fmt.Errorf("cannot register metrics: %w", err)
		}
	}
	return w, nil
}

// close is called after everything has stopped that uses the ledger.
func (l *leader) close() error {
	store := l.store.Swap(nil)
	if store == nil {
		return nil
	}
	if err := (*store).Close(); err != nil {
		return fmt.Errorf("cannot close the ledger: %w", err)
	}
	l.log.Info("Ledger is closed")
	return nil
}

// tellOwed names the sinks that were switched off while events were on their way to them. Nothing is dropped: the events stay owed, and
// no retention takes them, until the sink is on again.
func (l *leader) tellOwed(ctx context.Context, store ledger.Store, on []string) error {
	states, err := store.Sinks(ctx)
	if err != nil {
		return fmt.Errorf("cannot read what sinks are owed: %w", err)
	}
	for _, s := range states {
		if _, object := kube.SinkOf(s.Sink); !object && s.Pending > 0 && !slices.Contains(on, s.Sink) {
			l.log.Info("A sink that is switched off is still owed events", "sink", s.Sink, "events", s.Pending, "oldest", s.OldestPending)
		}
	}
	return nil
}
