// Package app chooses drivers and wires everything into one process. It is the only package, beside cmd, that knows which
// ledger and which sinks there are.
//
// # The life of a process
//
//	start ─▶ caches fill ─▶ elected? ─ no ─▶ stands by: caches warm, not ready, ledger untouched
//	                            │yes
//	                            ▼
//	              open the ledger ─ in use ─▶ wait for the process that leaves
//	                            │
//	                            ▼
//	              recorder, controllers, dispatch ──▶ ready while the ledger takes writes
//	                            │
//	                signal, or the lease is lost
//	                            ▼
//	              controllers stop ─▶ the ledger is closed ─▶ Run returns, and the process must end
//
// The ledger is opened by whoever leads, and by nobody else: it has one writer. Of a file, a hand-over is complete when the old process has
// closed it, however the lease moved. Of a database, it is complete at once: the ledger takes nothing more from whoever opened it before, and
// a process that finds that out ends. There a process that stands by is ready, so that several can be rolled over one by one.
package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/progress"
	"github.com/dora-controller/dora-controller/internal/receive"
)

// LeaderElectionID is the name of the lease, followed by that of the shard if there is one.
const LeaderElectionID = "dora-controller"

// The limits of what is asked of the API server. Almost all reads come from the cache; this is for statuses and events.
const (
	queriesPerSecond = 50
	queriesAtOnce    = 100
)

// App is one process of the controller.
type App struct {
	options Options
	manager manager.Manager
	kinds   *kube.Kinds
	leader  *leader
	metrics *prometheus.Registry // of every process, whether it leads or not
	// receivers is nil where nobody is listened for.
	receivers *receive.Server
}

// New prepares a process. Nothing is written, and the ledger is not opened, before Run.
func New(cluster *rest.Config, options Options) (*App, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	mgr, err := newManager(cluster, &options)
	if err != nil {
		return nil, err
	}
	kinds, err := newKinds(mgr, options.AskKinds)
	if err != nil {
		return nil, err
	}
	kinds.Board = options.board
	own, err := options.ownMetrics()
	if err != nil {
		return nil, fmt.Errorf("cannot register metrics: %w", err)
	}
	a := &App{options: options, manager: mgr, kinds: kinds, metrics: own}
	if a.receivers, err = newReceivers(mgr, &a.options); err != nil {
		return nil, err
	}
	if a.receivers != nil {
		own.MustRegister(a.receivers.MetricsStandingBy())
	}
	a.leader = newLeader(mgr, kinds, &a.options, a.receivers)
	return a, errors.Join(mgr.Add(warmUp{mgr}), mgr.Add(kinds), mgr.Add(a.leader), mgr.Add(watchdog{&a.options}),
		a.addStandby(), a.addReceivers(), a.addChecks())
}

// addStandby: nobody stands by, ready, for a file.
func (a *App) addStandby() error {
	if !a.options.shared() {
		return nil
	}
	return a.manager.Add(a.leader.standby)
}

// Run works until the context ends or something fails that cannot be mended from inside. It can be called once.
func (a *App) Run(ctx context.Context) error {
	defer a.options.Registry.Unregister(a.metrics)
	err := a.manager.Start(ctx)
	return errors.Join(err, a.leader.close())
}

// ownMetrics registers what every process shows.
func (o Options) ownMetrics() (*prometheus.Registry, error) {
	own := prometheus.NewRegistry()
	own.MustRegister(o.board)
	if c, ok := o.Clock.(*kube.Clock); ok {
		own.MustRegister(c)
	}
	return own, o.Registry.Register(own)
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = kube.NewClock(clock.RealClock{}, o.Log)
	}
	o.board, o.hearing = &progress.Board{}, kube.NewHearing()
	if o.Registry == nil {
		o.Registry = metrics.Registry
	}
	if o.GitCache == "" {
		o.GitCache = o.besideLedger()
	}
	if absolute, err := filepath.Abs(o.LocalRepositories); err == nil && o.LocalRepositories != "" {
		o.LocalRepositories = absolute
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&o.AskKinds, 15 * time.Second}, {&o.AwaitLedger, time.Second}, {&o.LeaseDuration, 15 * time.Second}, {&o.SinkGrace, 24 * time.Hour}} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	return o
}

// lease is held by the one process that works on a shard.
func (o Options) lease() string {
	if o.Shard == "" {
		return LeaderElectionID
	}
	return LeaderElectionID + "-" + o.Shard
}

func (o Options) besideLedger() string {
	if o.shared() {
		return filepath.Join(os.TempDir(), "dora-controller", "git")
	}
	return filepath.Join(filepath.Dir(o.Ledger), "git")
}

func newManager(cluster *rest.Config, o *Options) (manager.Manager, error) {
	scheme, err := kube.NewScheme()
	if err != nil {
		return nil, fmt.Errorf("cannot register the kinds: %w", err)
	}
	caching, err := kube.CacheOptions(o.Namespaces, o.Shard)
	if err != nil {
		return nil, err
	}
	cluster = limited(cluster)
	cluster.Wrap(o.hearing.Wrap)
	if c, ok := o.Clock.(*kube.Clock); ok {
		cluster.Wrap(c.Wrap)
	}
	mgr, err := ctrl.NewManager(cluster, manager.Options{
		Scheme: scheme, Logger: o.Log, Cache: caching,
		// A status is compared with the one before: a cache that lags behind our own writes would hide a difference.
		Client:                        client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: new(true)}},
		Metrics:                       o.metrics(),
		HealthProbeBindAddress:        o.ProbeAddress,
		PprofBindAddress:              o.PprofAddress,
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              o.lease(),
		LeaderElectionNamespace:       o.LeaderElectionNamespace,
		LeaderElectionLabels:          o.leaseLabels(),
		LeaderElectionReleaseOnCancel: true, // Run's caller ends the process
		LeaseDuration:                 new(o.LeaseDuration),
		RenewDeadline:                 new(o.LeaseDuration * 2 / 3),
		RetryPeriod:                   new(o.LeaseDuration * 2 / 15),
		// A test runs several managers in one process.
		Controller: config.Controller{RecoverPanic: new(true), SkipNameValidation: new(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make the manager: %w", err)
	}
	return mgr, nil
}

// limited leaves limits alone that were set on purpose.
func limited(cluster *rest.Config) *rest.Config {
	cluster = rest.CopyConfig(cluster)
	if cluster.QPS == 0 {
		cluster.QPS, cluster.Burst = queriesPerSecond, queriesAtOnce
	}
	return cluster
}

func newKinds(mgr manager.Manager, every time.Duration) (*kube.Kinds, error) {
	asking, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("cannot make the discovery client: %w", err)
	}
	return kube.NewKinds(asking, every, func(ctx context.Context, kind dora.Kind) error {
		return kube.Index(ctx, mgr.GetFieldIndexer(), kind)
	}), nil
}

// warmUp fills the cache of targets, sinks and receivers before the election; Kinds does so for Argo's objects.
type warmUp struct{ mgr manager.Manager }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (warmUp) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (w warmUp) Start(ctx context.Context) error {
	for _, kind := range []struct {
		name   string
		object client.Object
	}{
		{"DoraTargets", &dorav1alpha1.DoraTarget{}}, {"DoraSinks", &dorav1alpha1.DoraSink{}}, {"DoraReceivers", &dorav1alpha1.DoraReceiver{}},
	} {
		// Who was told to stop waits for no cache any more, and blames no kind.
		if _, err := w.mgr.GetCache().GetInformer(ctx, kind.object); err != nil && ctx.Err() == nil {
			return fmt.Errorf("cannot watch %s: %w; install the kinds of this release: upgrade its Helm chart, or "+
				"kubectl apply --server-side --force-conflicts -k config/crd", kind.name, err)
		}
	}
	return nil
}

// addChecks: alive as long as it answers and its work goes on, ready as long as it sees the cluster and can keep what it decides.
func (a *App) addChecks() error {
	return errors.Join(
		a.manager.AddHealthzCheck("ping", healthz.Ping),
		a.manager.AddHealthzCheck("work", a.checkWork),
		a.manager.AddHealthzCheck("lease", a.checkLease),
		a.manager.AddReadyzCheck("work", a.checkWork),
		a.manager.AddReadyzCheck("watches", a.checkWatches),
		a.manager.AddReadyzCheck("caches", a.checkCaches),
		a.manager.AddReadyzCheck("ledger", a.leader.check),
	)
}
