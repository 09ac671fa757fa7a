// Package controllers lists every controller and gives each what it needs.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/controllers/application"
	"github.com/dora-controller/dora-controller/controllers/dorareceiver"
	"github.com/dora-controller/dora-controller/controllers/dorasink"
	"github.com/dora-controller/dora-controller/controllers/doratarget"
	"github.com/dora-controller/dora-controller/controllers/rollout"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// Memory records what is observed, and knows what was. Package record's Recorder implements it.
type Memory interface {
	kube.Recorder
	doratarget.Memory
}

// Dispatcher delivers events and figures. Package dispatch has one.
type Dispatcher interface {
	dorasink.Dispatcher
	Measure(name, target string, figures []sink.Figures)
}

// Options are what the controllers need.
type Options struct {
	// Cluster names the cluster in events.
	Cluster string
	// Namespaces are those that are watched; none means all.
	Namespaces []string
	// Targets are read from the cache. Figures asks for a look at some of them.
	Targets *kube.Targets
	Figures *kube.Trigger
	// Hurried is called when commits are to be looked for at once.
	Hurried func()
	// Sinks are owed events; Owed is called with those that are owed more, and then there may be more commits to look for.
	Sinks *kube.Sinks
	Owed  func(sinks []string)
	// Outbox is what sinks are owed. Dispatcher delivers it, to what Make makes; SinkLooks asks for a look at some sinks. Grace is how long
	// what is owed is kept of a sink that does not exist.
	Outbox     dorasink.Ledger
	Dispatcher Dispatcher
	Make       dorasink.Maker
	SinkLooks  *kube.Trigger
	SinkGrace  time.Duration
	// Desk takes what MakeReceiver makes; it is nil where the controller listens for nobody. ReceiverLooks asks for a look at some receivers.
	Desk          dorareceiver.Desk
	MakeReceiver  dorareceiver.Maker
	ReceiverLooks *kube.Trigger
	// Explain shows Kubernetes events for what was not counted too.
	Explain bool
	Clock   clock.WithDelayedExecution
	// Kinds prepares the cache for each kind that is installed.
	Kinds   *kube.Kinds
	Memory  Memory
	Events  doratarget.Events
	Marks   doratarget.Marks
	Metrics *doratarget.Metrics
	// Neighbours reads what other clusters recorded. Nil if that cannot be had.
	Neighbours doratarget.Neighbours
}

// Setup adds all controllers to a manager that may be running.
func Setup(ctx context.Context, mgr manager.Manager, o Options) error {
	// Before any object is looked at it has to be known which sinks there are.
	if _, err := mgr.GetCache().GetInformer(ctx, &dorav1alpha1.DoraSink{}); err != nil {
		return fmt.Errorf("cannot watch DoraSinks: %w", err)
	}
	s := newShared(mgr, o)
	apps, err := application.Setup(mgr, o.Kinds, &application.Reconciler{
		World: s.world, Targets: o.Targets, Served: o.Kinds, Follower: s.follower, Steps: application.NewSteps(o.Clock),
	}, s.applications)
	if err != nil {
		return err
	}
	ros, err := rollout.Setup(mgr, o.Kinds, &rollout.Reconciler{
		World: s.world, Targets: o.Targets, Served: o.Kinds, Follower: s.follower,
	}, s.rollouts)
	if err != nil {
		return err
	}
	figures, err := doratarget.Setup(mgr, o.Kinds, &doratarget.Reconciler{
		Client: mgr.GetClient(), World: s.world, Targets: o.Targets, Served: o.Kinds,
		Memory: o.Memory, Events: o.Events, Metrics: o.Metrics, Hurried: o.Hurried, Cluster: o.Cluster, Clock: o.Clock,
		Sinks: o.Sinks, Share: o.Dispatcher.Measure, Neighbours: o.Neighbours,
		Notices: mgr.GetEventRecorder("dora-controller"),
		Marks:   o.Marks, Owed: o.Owed, Look: func(targets ...types.NamespacedName) { o.Figures.Ask(0, targets...) },
	}, o.Figures)
	if err != nil {
		return err
	}
	deliveries := s.deliveries(mgr)
	sinks, err := dorasink.Setup(mgr, o.Kinds, deliveries, o.SinkLooks)
	if err != nil {
		return err
	}
	receivers, err := dorareceiver.Setup(mgr, o.Kinds, &dorareceiver.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Desk: o.Desk, Make: o.MakeReceiver,
	}, o.ReceiverLooks)
	if err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	sweep := manager.RunnableFunc(func(ctx context.Context) error { return deliveries.Sweep(ctx, o.SinkLooks) })
	return errors.Join(mgr.Add(apps), mgr.Add(ros), mgr.Add(figures), mgr.Add(sinks), mgr.Add(sweep), mgr.Add(receivers))
}

// shared is what the controllers have in common.
type shared struct {
	Options

	world                  *kube.World
	follower               *kube.Follower
	applications, rollouts *kube.Trigger
}

func newShared(mgr manager.Manager, o Options) *shared {
	return &shared{
		Options: o,
		world:   kube.NewWorld(mgr.GetCache(), o.Kinds, o.Cluster, o.Namespaces),
		follower: &kube.Follower{
			Recorder: o.Memory, Targets: o.Figures, Sinks: o.Sinks.Owed, Owed: o.Owed, Clock: o.Clock,
			Announcer: &kube.Announcer{Events: mgr.GetEventRecorder("dora-controller"), Explain: o.Explain},
		},
		applications: kube.NewTrigger(), rollouts: kube.NewTrigger(),
	}
}

// deliveries looks after sinks.
func (s *shared) deliveries(mgr manager.Manager) *dorasink.Reconciler {
	return &dorasink.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Sinks: s.Sinks, Targets: s.Targets, Subjects: s.Memory.Remembered,
		Ledger: s.Outbox, Dispatcher: s.Dispatcher, Make: s.Make, Figures: s.Figures, Events: mgr.GetEventRecorder("dora-controller"),
		Cluster: s.Cluster, Grace: s.SinkGrace, Clock: s.Clock, Log: mgr.GetLogger().WithName("dorasink"),
	}
}

// begin starts the watches of the kinds that are installed, and looks for what vanished while nobody watched.
func (s *shared) begin(ctx context.Context) error {
	if err := s.Kinds.Ask(ctx); err != nil {
		return fmt.Errorf("cannot begin to watch: %w", err)
	}
	for _, kind := range []dora.Kind{dora.KindApplication, dora.KindRollout} {
		s.lookAgain(kind)
	}
	s.Kinds.OnChange(func(kind dora.Kind) {
		s.lookAgain(kind)
		if view, err := s.Targets.View(ctx); err == nil {
			s.follower.Targets.Ask(0, view.Names()...)
		}
	})
	return nil
}

// lookAgain asks for a look at everything that the ledger takes to exist.
func (s *shared) lookAgain(kind dora.Kind) {
	trigger := s.rollouts
	if kind == dora.KindApplication {
		trigger = s.applications
	}
	existing := s.Memory.Remembered(func(row *ledger.Subject) bool {
		return row.Kind == kind && row.DeletedAt.IsZero() && s.world.Watches(row.Namespace)
	})
	for _, row := range existing {
		trigger.Ask(0, types.NamespacedName{Namespace: row.Namespace, Name: row.Name})
	}
}
