// Package application follows Argo CD Applications: each change of one, of a Rollout that it manages, or of a target, is one look,
// and internal/deploy decides what it means. No change that says something of its own is skipped, however busy the machine is (Steps).
//
// An Application that no target follows is let go of; one that is gone is recorded as gone, also if that happened while nobody
// watched. Argo's objects are only ever read.
package application

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
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

// Setup prepares the controller. The trigger asks for looks at Applications that are remembered and may be gone.
func Setup(mgr manager.Manager, kinds *kube.Kinds, r *Reconciler, trigger *kube.Trigger) (controller.Controller, error) {
	w := &watches{cache: mgr.GetCache(), world: r.World, targets: r.Targets, steps: r.Steps}
	return kube.Controller{
		Name: "application", Reconciler: r, Workers: workers,
		Always: []source.Source{trigger, w.ofTargets()},
		Of:     w.of,
	}.Prepare(mgr, kinds)
}

// watches say which Applications a change of another object concerns.
type watches struct {
	cache   cache.Cache
	world   *kube.World
	targets *kube.Targets
	steps   *Steps
}

func (w *watches) of(kind dora.Kind) []source.Source {
	if kind == dora.KindApplication {
		return []source.Source{source.Kind(w.cache, &argocd.Application{}, &watcher{steps: w.steps})}
	}
	return []source.Source{
		source.Kind(w.cache, &rollouts.Rollout{}, kube.Map(0, w.claiming)),
		source.Kind(w.cache, &appsv1.ReplicaSet{}, kube.Map(0, w.claimingOwner)),
	}
}

// ofTargets: a target that comes, goes or is changed changes who is followed, and by whose policy.
func (w *watches) ofTargets() source.Source {
	return source.Kind(w.cache, &dorav1alpha1.DoraTarget{}, kube.Map(0, w.selected),
		predicate.TypedGenerationChangedPredicate[*dorav1alpha1.DoraTarget]{})
}

func (w *watches) selected(ctx context.Context, target *dorav1alpha1.DoraTarget) ([]types.NamespacedName, error) {
	apps, err := w.world.Applications(ctx, w.targets.Read(target))
	return keys(apps), err
}

func (w *watches) claiming(ctx context.Context, ro *rollouts.Rollout) ([]types.NamespacedName, error) {
	apps, err := w.world.Claimants(ctx, ro)
	return keys(apps), err
}

func (w *watches) claimingOwner(ctx context.Context, set *appsv1.ReplicaSet) ([]types.NamespacedName, error) {
	owner := metav1.GetControllerOfNoCopy(set)
	if owner == nil {
		return nil, nil
	}
	ro, err := w.world.Rollout(ctx, types.NamespacedName{Namespace: set.Namespace, Name: owner.Name})
	if ro == nil {
		return nil, err
	}
	return w.claiming(ctx, ro)
}

func keys(apps []argocd.Application) []types.NamespacedName {
	names := make([]types.NamespacedName, len(apps))
	for i := range apps {
		names[i] = client.ObjectKeyFromObject(&apps[i])
	}
	return names
}
