package rollout

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// Reconciler records what a standalone Rollout shows.
type Reconciler struct {
	World    *kube.World
	Targets  *kube.Targets
	Served   kube.Served
	Follower *kube.Follower
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// Reconcile looks at one Rollout.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if !r.Served.Served(dora.KindRollout) {
		return ctrl.Result{}, nil // nothing can be said about what cannot be seen
	}
	ro, err := r.World.Rollout(ctx, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	view, err := r.Targets.View(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	alone, err := r.standsAlone(ctx, view, ro)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.Follower.BuryOthers(ctx, view, dora.KindRollout, req.NamespacedName, uid(ro, alone)); err != nil {
		return ctrl.Result{}, err
	}
	if !alone {
		return ctrl.Result{}, nil
	}
	selection := view.Selecting(dora.KindRollout, ro)
	if !selection.Followed() {
		return ctrl.Result{}, r.Follower.Release(ctx, dora.KindRollout, ro)
	}
	observation, err := r.World.ObserveRollout(ctx, ro)
	if err != nil {
		return ctrl.Result{}, err
	}
	return r.Follower.Follow(ctx, &observation, ro, selection, r.Follower.Clock.Now())
}

// standsAlone says that the Rollout is there and no followed Application manages it.
func (r *Reconciler) standsAlone(ctx context.Context, view kube.View, ro *rollouts.Rollout) (bool, error) {
	if ro == nil {
		return false, nil
	}
	manager, err := r.World.Manager(ctx, view, ro)
	return manager == nil && err == nil, err
}

// uid is that of the subject: none if there is no such Rollout, or if it is only evidence.
func uid(ro *rollouts.Rollout, alone bool) types.UID {
	if !alone {
		return ""
	}
	return ro.UID
}
