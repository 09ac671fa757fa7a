// Package rollout follows Argo Rollouts that no followed Application manages.
//
// A Rollout that a followed Application manages is evidence for that Application's attempts. If it was a subject of its own
// before, it is recorded as gone, so that no deployment counts twice; what it deployed until then stays.
package rollout

import (
	"context"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// workers decide side by side; the ledger groups what they write.
const workers = 16

// +kubebuilder:rbac:groups=argoproj.io,resources=applications;rollouts,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=replicasets,verbs=list;watch
// +kubebuilder:rbac:groups=dora-controller.io,resources=doratargets,verbs=list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Setup prepares the controller. The trigger asks for looks at Rollouts that are remembered and may be gone.
func Setup(mgr manager.Manager, kinds *kube.Kinds, r *Reconciler, trigger *kube.Trigger) (controller.Controller, error) {
	w := &watches{cache: mgr.GetCache(), world: r.World, targets: r.Targets}
	return kube.Controller{
		Name: "rollout", Reconciler: r, Workers: workers,
		Always: []source.Source{trigger, w.ofTargets()},
		Of:     w.of,
	}.Prepare(mgr, kinds)
}

// watches say which Rollouts a change of another object concerns.
type watches struct {
	cache   cache.Cache
	world   *kube.World
	targets *kube.Targets
}

func (w *watches) of(kind dora.Kind) []source.Source {
	if kind == dora.KindApplication {
		return []source.Source{source.Kind(w.cache, &argocd.Application{}, kube.Map(0, w.managed), managesOthers)}
	}
	own := &handler.TypedEnqueueRequestForObject[*rollouts.Rollout]{}
	return []source.Source{
		source.Kind(w.cache, &rollouts.Rollout{}, own),
		source.Kind(w.cache, &appsv1.ReplicaSet{}, kube.Map(0, owner)),
	}
}

// managesOthers passes changes of an Application by which a Rollout may become, or cease to be, a subject of its own. Argo CD rewrites
// the status every few minutes, and most of that is of no concern here.
var managesOthers = predicate.TypedFuncs[*argocd.Application]{
	UpdateFunc: func(e event.TypedUpdateEvent[*argocd.Application]) bool {
		was, is := e.ObjectOld, e.ObjectNew
		return was.UID != is.UID || !maps.Equal(was.Labels, is.Labels) ||
			!slices.Equal(argocd.ManagedRollouts(was), argocd.ManagedRollouts(is))
	},
}

// ofTargets: a target that comes, goes or is changed changes which Rollouts, and which Applications that manage some, are followed.
func (w *watches) ofTargets() source.Source {
	return source.Kind(w.cache, &dorav1alpha1.DoraTarget{}, kube.Map(0, w.selected),
		predicate.TypedGenerationChangedPredicate[*dorav1alpha1.DoraTarget]{})
}

func (w *watches) selected(ctx context.Context, object *dorav1alpha1.DoraTarget) ([]types.NamespacedName, error) {
	target := w.targets.Read(object)
	own, err := w.world.Rollouts(ctx, target)
	if err != nil {
		return nil, err
	}
	var names []types.NamespacedName
	for i := range own {
		names = append(names, client.ObjectKeyFromObject(&own[i]))
	}
	apps, err := w.world.Applications(ctx, target)
	for i := range apps {
		managed, err := w.managed(ctx, &apps[i])
		if err != nil {
			return names, err
		}
		names = append(names, managed...)
	}
	return names, err
}

func (w *watches) managed(ctx context.Context, app *argocd.Application) ([]types.NamespacedName, error) {
	return w.world.ManagedNames(ctx, app)
}

func owner(_ context.Context, set *appsv1.ReplicaSet) ([]types.NamespacedName, error) {
	by := metav1.GetControllerOfNoCopy(set)
	if by == nil {
		return nil, nil
	}
	return []types.NamespacedName{{Namespace: set.Namespace, Name: by.Name}}, nil
}
