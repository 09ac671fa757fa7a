package application

import (
	"context"
	"time"

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
	Steps    *Steps
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// Reconcile looks at one Application: at each step that led to what it is now, and then at that.
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
	for _, older := range r.Steps.before(req.NamespacedName, app) {
		if _, err := r.look(ctx, view, req, older.app, older.at); err != nil {
			return ctrl.Result{}, err
		}
		r.Steps.looked(req.NamespacedName, older.version)
	}
	result, err := r.look(ctx, view, req, app, r.Follower.Clock.Now())
	switch {
	case err != nil:
	case app == nil:
		r.Steps.forget(req.NamespacedName)
	default:
		r.Steps.looked(req.NamespacedName, versionOf(app))
	}
	return result, err
}

// look records what the Application showed at a time; nil is one that is gone.
func (r *Reconciler) look(ctx context.Context, view kube.View, req ctrl.Request, app *argocd.Application, at time.Time) (ctrl.Result, error) {
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
	return r.Follower.Follow(ctx, &observation, app, selection, at)
}

func uid(app *argocd.Application) types.UID {
	if app == nil {
		return ""
	}
	return app.UID
}
