// Package doratarget shows in each DoraTarget what was counted for it.
//
// A target counts the events of the subjects that it selects now, and of those that are gone and that it would select by the
// labels they had. What the events of each service come to is remembered from one look to the next, and read anew from the
// ledger as soon as the ledger tells that they changed, other subjects are selected, or one of them leaves the window: so a look
// costs what changed, and the figures are always those that reading everything would give. Nothing is kept of that through a restart.
//
// The status is written only if it differs, and the figures in it no more often than spec.statusInterval; a condition that changes is
// written at once, and so is what a changed spec makes of them.
//
// When a target is looked at:
//
//	its spec or what it says of events ─────▶ at once
//	something was recorded about a subject ─┐
//	an object came, went or was relabelled  ├▶ after a second, so that several such changes are one look
//	another target, a kind, a receiver ... ─┘
//	the next event leaves the window ───────▶ then, and at least every hour
package doratarget

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/mark"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// workers compute side by side.
const workers = 2

// settling is how long a target waits for more changes of other objects before it is looked at.
const settling = time.Second

// +kubebuilder:rbac:groups=argoproj.io,resources=applications;rollouts,verbs=get;list;watch
// +kubebuilder:rbac:groups=dora-controller.io,resources=dorareceivers;doratargets,verbs=list;watch
// +kubebuilder:rbac:groups=dora-controller.io,resources=doratargets/status,verbs=patch

// Setup prepares the controller. The trigger asks for looks at targets for whom something was recorded.
func Setup(mgr manager.Manager, kinds *kube.Kinds, r *Reconciler, trigger *kube.Trigger) (controller.Controller, error) {
	w := &watches{cache: mgr.GetCache(), targets: r.Targets}
	return kube.Controller{
		Name: "doratarget", Reconciler: r, Workers: workers,
		Always: []source.Source{trigger, w.own(), w.others(), w.receivers()},
		Of:     w.of,
	}.Prepare(mgr, kinds)
}

// watches say which targets a change concerns.
type watches struct {
	cache   cache.Cache
	targets *kube.Targets
}

var changedSpec = predicate.TypedGenerationChangedPredicate[*dorav1alpha1.DoraTarget]{}

// asked passes a target of which somebody asks for a backfill, or in which somebody says something else about an event.
var asked = predicate.TypedFuncs[*dorav1alpha1.DoraTarget]{
	UpdateFunc: func(e event.TypedUpdateEvent[*dorav1alpha1.DoraTarget]) bool {
		const key = dorav1alpha1.AnnotationBackfill
		old, now := e.ObjectOld.Annotations, e.ObjectNew.Annotations
		return old[key] != now[key] || !maps.Equal(mark.IDs(old), mark.IDs(now))
	},
}

func (w *watches) own() source.Source {
	own := &handler.TypedEnqueueRequestForObject[*dorav1alpha1.DoraTarget]{}
	return source.Kind(w.cache, &dorav1alpha1.DoraTarget{}, own, predicate.Or(changedSpec, asked))
}

// others: targets that select the same objects decide for each other.
func (w *watches) others() source.Source {
	all := func(ctx context.Context, _ *dorav1alpha1.DoraTarget) ([]types.NamespacedName, error) {
		view, err := w.targets.View(ctx)
		return view.Names(), err
	}
	return source.Kind(w.cache, &dorav1alpha1.DoraTarget{}, kube.Map(settling, all), changedSpec)
}

// receivers that come or go: targets of their namespace say which they miss.
func (w *watches) receivers() source.Source {
	hearing := func(ctx context.Context, receiver *dorav1alpha1.DoraReceiver) ([]types.NamespacedName, error) {
		view, err := w.targets.View(ctx)
		return slices.DeleteFunc(view.Names(), func(name types.NamespacedName) bool { return name.Namespace != receiver.Namespace }), err
	}
	comesOrGoes := predicate.TypedFuncs[*dorav1alpha1.DoraReceiver]{
		UpdateFunc: func(event.TypedUpdateEvent[*dorav1alpha1.DoraReceiver]) bool { return false },
	}
	return source.Kind(w.cache, &dorav1alpha1.DoraReceiver{}, kube.Map(settling, hearing), comesOrGoes)
}

func (w *watches) of(kind dora.Kind) []source.Source {
	if kind == dora.KindApplication {
		return []source.Source{source.Kind(w.cache, &argocd.Application{}, kube.Map(settling, selecting[*argocd.Application](w, kind)),
			relabelled[*argocd.Application]())}
	}
	return []source.Source{source.Kind(w.cache, &rollouts.Rollout{}, kube.Map(settling, selecting[*rollouts.Rollout](w, kind)),
		relabelled[*rollouts.Rollout]())}
}

func selecting[object client.Object](w *watches, kind dora.Kind) func(context.Context, object) ([]types.NamespacedName, error) {
	return func(ctx context.Context, o object) ([]types.NamespacedName, error) {
		view, err := w.targets.View(ctx)
		return view.Selecting(kind, o).Names(), err
	}
}

// relabelled passes what changes whom an object concerns. What else changes in it is told by what is recorded.
func relabelled[object client.Object]() predicate.TypedPredicate[object] {
	return predicate.TypedFuncs[object]{UpdateFunc: func(e event.TypedUpdateEvent[object]) bool {
		return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) ||
			e.ObjectOld.GetUID() != e.ObjectNew.GetUID() ||
			e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
	}}
}
