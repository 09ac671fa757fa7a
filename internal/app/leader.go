package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/dora-controller/dora-controller/controllers"
	"github.com/dora-controller/dora-controller/controllers/doratarget"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/record"
)

// leader is what the process does once it leads.
type leader struct {
	mgr     manager.Manager
	kinds   *kube.Kinds
	options *Options
	log     logr.Logger
	store   atomic.Pointer[ledger.Store]
}

var _ manager.LeaderElectionRunnable = (*leader)(nil)

func newLeader(mgr manager.Manager, kinds *kube.Kinds, options *Options) *leader {
	return &leader{mgr: mgr, kinds: kinds, options: options, log: mgr.GetLogger().WithName("ledger")}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*leader) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable: it opens the ledger, starts what works on it, and returns when the context ends.
func (l *leader) Start(ctx context.Context) error {
	store, err := l.open(ctx)
	if err != nil || store == nil {
		return err
	}
	l.store.Store(&store)
	metrics := record.NewPrometheus()
	recorder, err := record.Open(ctx, store, l.options.Cluster, metrics)
	if err != nil {
		return err
	}
	figures := doratarget.NewMetrics()
	unregister, err := register(l.options.Registry, metrics, recorder.Gauges(), figures)
	if err != nil {
		return err
	}
	defer unregister()
	sinks := l.sinks()
	if err := l.control(ctx, store, recorder, figures, sinks); err != nil {
		return err
	}
	return l.work(ctx, store, sinks)
}

// open waits for a ledger that another process writes. It returns nothing if the context ends before.
func (l *leader) open(ctx context.Context) (ledger.Store, error) {
	for waited := false; ; waited = true {
		store, err := sqlite.Open(ctx, l.options.Ledger, sqlite.Options{Now: l.options.Clock.Now})
		switch {
		case err == nil:
			l.log.Info("Ledger is open", "path", l.options.Ledger)
			return store, nil
		case ctx.Err() != nil:
			return nil, nil
		case !errors.Is(err, ledger.ErrInUse):
			return nil, fmt.Errorf("cannot open the ledger: %w", err)
		case !waited:
			l.log.Info("Waiting for the ledger, which another process writes", "path", l.options.Ledger)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(l.options.AwaitLedger):
		}
	}
}

func (l *leader) control(ctx context.Context, store ledger.Store, recorder *record.Recorder, figures *doratarget.Metrics, sinks []sinkDriver) error {
	o := l.options
	return controllers.Setup(ctx, l.mgr, controllers.Options{
		Cluster: o.Cluster, Namespaces: o.Namespaces, Trusted: o.TrustedNamespaces, Explain: o.Explain, Clock: o.Clock,
		Kinds: l.kinds, Memory: recorder, Events: store, Metrics: figures, Sinks: names(sinks),
	})
}

// work delivers and prunes until the context ends.
func (l *leader) work(ctx context.Context, store ledger.Store, sinks []sinkDriver) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.deliver(ctx, store, sinks) })
	group.Go(func() error { return l.prune(ctx, store) })
	return group.Wait()
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

func register(registry prometheus.Registerer, collectors ...prometheus.Collector) (unregister func(), err error) {
	unregister = func() {
		for _, c := range collectors {
			registry.Unregister(c)
		}
	}
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			unregister()
			return nil, fmt.Errorf("cannot register metrics: %w", err)
		}
	}
	return unregister, nil
}
