package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// Served says whether a kind is installed in the cluster. Kinds implements it.
type Served interface {
	Served(kind dora.Kind) bool
}

// World reads Argo's objects from the cache, where they are indexed as Indexes says. What it returns is shared with the cache and
// must not be modified.
type World struct {
	reader     client.Reader
	served     Served
	cluster    string
	namespaces []string
}

// NewWorld reads the objects of the cluster of that name. If there are namespaces, only these are in the cache.
func NewWorld(reader client.Reader, served Served, cluster string, namespaces []string) *World {
	return &World{reader: reader, served: served, cluster: cluster, namespaces: namespaces}
}

// Watches says that objects of that namespace are in the cache.
func (w *World) Watches(namespace string) bool {
	return namespace == "" || len(w.namespaces) == 0 || slices.Contains(w.namespaces, namespace)
}

// Application reads one. It is nil if there is none.
func (w *World) Application(ctx context.Context, key types.NamespacedName) (*argocd.Application, error) {
	app := &argocd.Application{}
	found, err := w.get(ctx, dora.KindApplication, key, app)
	if !found {
		app = nil
	}
	return app, err
}

// Rollout reads one. It is nil if there is none.
func (w *World) Rollout(ctx context.Context, key types.NamespacedName) (*rollouts.Rollout, error) {
	ro := &rollouts.Rollout{}
	found, err := w.get(ctx, dora.KindRollout, key, ro)
	if !found {
		ro = nil
	}
	return ro, err
}

func (w *World) get(ctx context.Context, kind dora.Kind, key types.NamespacedName, into client.Object) (bool, error) {
	if !w.served.Served(kind) || !w.Watches(key.Namespace) {
		return false, nil
	}
	err := w.reader.Get(ctx, key, into, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read %s %s: %w", kind, key, err)
	}
	return true, nil
}

// Manager is the followed Application that a Rollout belongs to: one that lists it among its resources, else one that its tracking id
// names. Nil if there is none.
func (w *World) Manager(ctx context.Context, view View, ro *rollouts.Rollout) (*argocd.Application, error) {
	listing, err := w.listing(ctx, ro)
	if err != nil {
		return nil, err
	}
	if app := choose(view, ro, listing); app != nil {
		return app, nil
	}
	tracked, err := w.tracked(ctx, ro)
	if err != nil {
		return nil, err
	}
	return choose(view, ro, tracked), nil
}

// Claimants are the Applications that a Rollout may belong to, followed or not.
func (w *World) Claimants(ctx context.Context, ro *rollouts.Rollout) ([]argocd.Application, error) {
	listing, err := w.listing(ctx, ro)
	if err != nil {
		return nil, err
	}
	tracked, err := w.tracked(ctx, ro)
	return append(listing, tracked...), err
}

// listing are the Applications that list a Rollout among their resources. An Application has no status subresource, so anybody who may
// edit it may list somebody else's Rollout there; what the Rollout itself says comes first.
func (w *World) listing(ctx context.Context, ro *rollouts.Rollout) ([]argocd.Application, error) {
	apps, err := w.applications(ctx, indexManaged, ro.Namespace+"/"+ro.Name)
	return slices.DeleteFunc(apps, func(app argocd.Application) bool { return !agrees(ro, &app) }), err
}

// agrees: the Rollout's tracking id or instance label names the Application; one that has no tracking id belongs to who deploys there.
func agrees(ro *rollouts.Rollout, app *argocd.Application) bool {
	if owner, tracked := rollouts.Owner(ro); tracked {
		return isOwner(owner, app)
	}
	instance := ro.Labels["app.kubernetes.io/instance"]
	named := instance != "" && (instance == app.Name || instance == app.Namespace+"_"+app.Name)
	return named || app.Spec.Destination.Namespace == ro.Namespace
}

// tracked are the Applications that the Rollout's tracking id may mean. That id is an annotation that anybody may write who may write the
// Rollout, so it counts only where the Application deploys to.
func (w *World) tracked(ctx context.Context, ro *rollouts.Rollout) ([]argocd.Application, error) {
	owner, ok := rollouts.Owner(ro)
	if !ok {
		return nil, nil
	}
	named, err := w.applications(ctx, indexName, owner.Name)
	return slices.DeleteFunc(named, func(app argocd.Application) bool {
		return !isOwner(owner, &app) || app.Spec.Destination.Namespace != ro.Namespace
	}), err
}

func isOwner(owner types.NamespacedName, app *argocd.Application) bool {
	return app.Name == owner.Name && (owner.Namespace == "" || owner.Namespace == app.Namespace)
}

// choose takes the followed Application. Of several that claim one Rollout (Applications of other clusters list Rollouts of the same name),
// it takes the one that the tracking id names, then the one that deploys to this cluster, then the first by uid.
func choose(view View, ro *rollouts.Rollout, claimants []argocd.Application) *argocd.Application {
	owner, tracked := rollouts.Owner(ro)
	rank := func(app *argocd.Application) int {
		switch {
		case tracked && isOwner(owner, app):
			return 0
		case isLocal(app.Spec.Destination):
			return 1
		}
		return 2
	}
	var best *argocd.Application
	for i := range claimants {
		app := &claimants[i]
		if !view.Follows(dora.KindApplication, app) {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(rank(app), rank(best)), cmp.Compare(app.UID, best.UID)) < 0 {
			best = app
		}
	}
	return best
}

// isLocal: Argo CD's own names for the cluster that it runs in.
func isLocal(d argocd.Destination) bool {
	return d.Server == "https://kubernetes.default.svc" || d.Name == "in-cluster"
}

// ObserveApplication puts together what an Application, its Rollouts and their ReplicaSets tell.
func (w *World) ObserveApplication(ctx context.Context, view View, app *argocd.Application) (deploy.Observation, error) {
	var managed []deploy.Rollout
	candidates, err := w.managedBy(ctx, app)
	if err != nil {
		return deploy.Observation{}, err
	}
	for _, ro := range candidates {
		manager, err := w.Manager(ctx, view, ro)
		if err != nil {
			return deploy.Observation{}, err
		}
		if manager == nil || manager.UID != app.UID {
			continue
		}
		sets, err := w.sets(ctx, ro)
		if err != nil {
			return deploy.Observation{}, err
		}
		managed = append(managed, rollouts.Observe(ro, sets))
	}
	return argocd.Observe(app, w.cluster, managed), nil
}

// ObserveRollout puts together what a standalone Rollout and its ReplicaSets tell.
func (w *World) ObserveRollout(ctx context.Context, ro *rollouts.Rollout) (deploy.Observation, error) {
	sets, err := w.sets(ctx, ro)
	return deploy.Observation{
		Cluster:     w.cluster,
		Subject:     dora.Subject{Kind: dora.KindRollout, Namespace: ro.Namespace, Name: ro.Name, UID: string(ro.UID)},
		CreatedAt:   ro.CreationTimestamp.UTC(),
		Destination: ro.Namespace,
		Deleting:    !ro.DeletionTimestamp.IsZero(),
		Rollouts:    []deploy.Rollout{rollouts.Observe(ro, sets)},
	}, err
}

// managedBy are the Rollouts that may belong to an Application, by uid.
func (w *World) managedBy(ctx context.Context, app *argocd.Application) ([]*rollouts.Rollout, error) {
	names, err := w.ManagedNames(ctx, app)
	if err != nil {
		return nil, err
	}
	var found []*rollouts.Rollout
	for _, name := range names {
		ro, err := w.Rollout(ctx, name)
		if err != nil {
			return nil, err
		}
		if ro != nil {
			found = append(found, ro)
		}
	}
	slices.SortFunc(found, func(a, b *rollouts.Rollout) int { return cmp.Compare(a.UID, b.UID) })
	return found, nil
}

// ManagedNames are the Rollouts that an Application lists, and those whose tracking id names it.
func (w *World) ManagedNames(ctx context.Context, app *argocd.Application) ([]types.NamespacedName, error) {
	if !w.served.Served(dora.KindRollout) {
		return nil, nil
	}
	names := argocd.ManagedRollouts(app)
	var tracked rollouts.RolloutList
	if err := w.list(ctx, &tracked, indexOwner, app.Name); err != nil {
		return nil, err
	}
	for i := range tracked.Items {
		name := client.ObjectKeyFromObject(&tracked.Items[i])
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func (w *World) applications(ctx context.Context, index, value string) ([]argocd.Application, error) {
	if !w.served.Served(dora.KindApplication) {
		return nil, nil
	}
	var list argocd.ApplicationList
	if err := w.list(ctx, &list, index, value); err != nil {
		return nil, err
	}
	return list.Items, nil
}

func (w *World) sets(ctx context.Context, ro *rollouts.Rollout) ([]appsv1.ReplicaSet, error) {
	var list appsv1.ReplicaSetList
	if err := w.list(ctx, &list, indexController, string(ro.UID)); err != nil {
		return nil, err
	}
	return list.Items, nil
}

// Applications are those that a target selects.
func (w *World) Applications(ctx context.Context, t *Target) ([]argocd.Application, error) {
	var found []argocd.Application
	err := w.selected(ctx, t, dora.KindApplication, &argocd.ApplicationList{}, func(list client.ObjectList) {
		if apps, ok := list.(*argocd.ApplicationList); ok {
			found = append(found, apps.Items...)
		}
	})
	return found, err
}

// Rollouts are those that a target selects, also those that an Application manages.
func (w *World) Rollouts(ctx context.Context, t *Target) ([]rollouts.Rollout, error) {
	var found []rollouts.Rollout
	err := w.selected(ctx, t, dora.KindRollout, &rollouts.RolloutList{}, func(list client.ObjectList) {
		if ros, ok := list.(*rollouts.RolloutList); ok {
			found = append(found, ros.Items...)
		}
	})
	return found, err
}

// selected lists, into the same list again and again, what a target selects in each of its namespaces.
func (w *World) selected(ctx context.Context, t *Target, kind dora.Kind, list client.ObjectList, each func(client.ObjectList)) error {
	if !w.served.Served(kind) {
		return nil
	}
	selector, namespaces := t.Selector(kind)
	if len(namespaces) == 0 {
		namespaces = []string{""} // all of them
	}
	for _, namespace := range namespaces {
		if !w.Watches(namespace) {
			continue
		}
		options := &client.ListOptions{LabelSelector: selector, Namespace: namespace}
		if err := w.reader.List(ctx, list, options, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("cannot list %ss in namespace %q: %w", kind, namespace, err)
		}
		each(list)
	}
	return nil
}

func (w *World) list(ctx context.Context, into client.ObjectList, index, value string) error {
	if err := w.reader.List(ctx, into, client.MatchingFields{index: value}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("cannot list by %s %s: %w", index, value, err)
	}
	return nil
}
