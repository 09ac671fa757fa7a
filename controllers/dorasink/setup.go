// Package dorasink keeps a worker for each DoraSink, and shows what became of its deliveries.
//
// # What it does for a sink
//
//	its spec or its Secret has changed ──▶ a new driver takes the place of the one before; what waits is tried at once
//	it is asked for a backfill, a retry,
//	or that events are sent again ───────▶ the ledger owes it those, once for each time that it is asked
//	it is suspended, or cannot be made ──▶ nothing is sent; what it is owed is kept
//	it is gone ──────────────────────────▶ what it is owed is kept for the grace time, then dropped, and said so
//	its worker has delivered, or failed ─▶ the status tells, a few seconds later
//
// Secrets are never watched. They are read by name every half a minute, and at once when a destination refuses the credentials, so a new one
// counts without a restart.
package dorasink

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
)

// workers look at sinks side by side.
const workers = 4

// +kubebuilder:rbac:groups=dora-controller.io,resources=dorasinks,verbs=list;watch
// +kubebuilder:rbac:groups=dora-controller.io,resources=dorasinks/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Setup prepares the controller. The trigger asks for looks at sinks.
func Setup(mgr manager.Manager, kinds *kube.Kinds, r *Reconciler, trigger *kube.Trigger) (controller.Controller, error) {
	return kube.Controller{
		Name: "dorasink", Reconciler: r, Workers: workers, Within: 5 * time.Minute, // a whole history may have to be queued
		Always: []source.Source{trigger, own(mgr.GetCache())},
		Of:     func(dora.Kind) []source.Source { return nil },
	}.Prepare(mgr, kinds)
}

// asked passes a sink of which somebody asks something.
var asked = predicate.TypedFuncs[*dorav1alpha1.DoraSink]{
	UpdateFunc: func(e event.TypedUpdateEvent[*dorav1alpha1.DoraSink]) bool {
		for _, key := range []string{dorav1alpha1.AnnotationRetry, dorav1alpha1.AnnotationResend} {
			if e.ObjectOld.Annotations[key] != e.ObjectNew.Annotations[key] {
				return true
			}
		}
		return e.ObjectOld.UID != e.ObjectNew.UID
	},
}

func own(of cache.Cache) source.Source {
	self := &handler.TypedEnqueueRequestForObject[*dorav1alpha1.DoraSink]{}
	changed := predicate.TypedGenerationChangedPredicate[*dorav1alpha1.DoraSink]{}
	return source.Kind(of, &dorav1alpha1.DoraSink{}, self, predicate.Or(changed, asked))
}

// sweepEvery is how often sinks are looked for that the ledger owes something and that do not exist.
const sweepEvery = time.Minute

// Sweep asks for a look at sinks that the ledger knows and that do not exist: those that were deleted while nobody watched, and those that
// targets name before they are made. It returns when the context ends.
func (r *Reconciler) Sweep(ctx context.Context, trigger *kube.Trigger) error {
	for {
		if err := r.sweep(ctx, trigger); err != nil && ctx.Err() == nil {
			r.Log.Error(err, "Cannot look for sinks that are gone")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.Clock.After(sweepEvery):
		}
	}
}

func (r *Reconciler) sweep(ctx context.Context, trigger *kube.Trigger) error {
	view, err := r.Sinks.View(ctx)
	if err != nil {
		return err
	}
	states, err := r.Ledger.Sinks(ctx)
	if err != nil {
		return fmt.Errorf("cannot read what sinks are owed: %w", err)
	}
	for _, s := range states {
		if name, ok := kube.SinkOf(s.Sink); ok && !view.Has(name) {
			trigger.Ask(0, name)
		}
	}
	return nil
}
