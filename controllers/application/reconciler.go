package application

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
)

// Reconciler records what an Application shows.
type Reconciler struct {
	World    *kube.World
	Targets  *kube.Targets
	Served   kube.Served
	Follower *kube.Follower
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// Reconcile looks at one Application.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if !r.Served.Served(dora.KindApplication) {
		return ctrl.Result{}, nil // nothing can be said about what cannot be seen
	}
	app, err := r.World.Application(ctx, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	view, err := r.Targets.View(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.Follower.BuryOthers(ctx, view, dora.KindApplication, req.NamespacedName, uid(app)); err != nil {
		return ctrl.Result{}, err
	}
	if app == nil {
		return ctrl.Result{}, nil
	}
	selection := view.Selecting(dora.KindApplication, app)
	if !selection.Followed() {
		return ctrl.Result{}, r.Follower.Release(ctx, dora.KindApplication, app)
	}
	observation, err := r.World.ObserveApplication(ctx, view, app)
	if err != nil {
		return ctrl.Result{}, err
	}
	return r.Follower.Follow(ctx, &observation, app, selection)
}

func uid(app *argocd.Application) types.UID {
	if app == nil {
		return ""
	}
	return app.UID
}
