package kube

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/progress"
)

// A look that failed is tried again, soon at first. It is never put off for long: a full disk is mended without a restart.
const (
	soonest = 50 * time.Millisecond
	latest  = time.Minute
)

// Controller is a controller whose watches of Argo's objects start with their kinds.
type Controller struct {
	Name       string
	Reconciler reconcile.Reconciler
	Workers    int
	// Within is the deadline of one look; a minute if it is 0.
	Within time.Duration
	// Always are watched from the start, Of a kind once it is installed.
	Always []source.Source
	Of     func(kind dora.Kind) []source.Source
}

// Prepare makes the controller, which is still to be added to the manager: once the watches of the kinds that are installed have been
// added to it, so that it waits until all of them are in step before it begins to work.
func (c Controller) Prepare(mgr manager.Manager, kinds *Kinds) (controller.Controller, error) {
	within := cmp.Or(c.Within, time.Minute)
	options := controller.Options{
		Reconciler: &watched{c.Reconciler, kinds.Board, c.Name, within + progress.Spare}, ReconciliationTimeout: within,
		MaxConcurrentReconciles: c.Workers, Logger: mgr.GetLogger().WithName(c.Name),
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](soonest, latest),
	}
	options.DefaultFromConfig(mgr.GetControllerOptions())
	made, err := controller.NewUnmanaged(c.Name, options)
	if err != nil {
		return nil, fmt.Errorf("cannot make controller %s: %w", c.Name, err)
	}
	kinds.OnFirst(func(kind dora.Kind) error { return watch(made, c.Of(kind)) })
	return made, watch(made, c.Always)
}

// watched puts each look on the board.
type watched struct {
	reconcile.Reconciler

	board  *progress.Board
	name   string
	within time.Duration
}

// Reconcile implements reconcile.Reconciler.
func (w *watched) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	work := w.board.Begin(w.name, request.String(), w.within)
	defer work.End()
	return w.Reconciler.Reconcile(ctx, request)
}

func watch(c controller.Controller, sources []source.Source) error {
	for _, s := range sources {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("cannot watch %v: %w", s, err)
		}
	}
	return nil
}

// Map asks, after a while, for reconciles of the objects that a change of another object concerns: as it was and as it is.
func Map[object client.Object](
	after time.Duration, concerned func(context.Context, object) ([]types.NamespacedName, error),
) handler.TypedEventHandler[object, reconcile.Request] {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	ask := func(ctx context.Context, q queue, of ...object) {
		for _, o := range of {
			names, err := concerned(ctx, o)
			if err != nil {
				log.FromContext(ctx).Error(err, "Cannot tell whom a change concerns", "namespace", o.GetNamespace(), "name", o.GetName())
			}
			for _, name := range names {
				q.AddAfter(reconcile.Request{NamespacedName: name}, after)
			}
		}
	}
	return handler.TypedFuncs[object, reconcile.Request]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[object], q queue) { ask(ctx, q, e.Object) },
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[object], q queue) {
			ask(ctx, q, e.ObjectOld, e.ObjectNew)
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[object], q queue) { ask(ctx, q, e.Object) },
	}
}
