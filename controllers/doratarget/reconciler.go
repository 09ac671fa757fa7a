package doratarget

import (
	"context"
	"fmt"
	"iter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Events reads events back. A ledger does.
type Events interface {
	Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error]
}

// Memory is what is known of subjects. Package record's Recorder implements it.
type Memory interface {
	Lookup(uid string) (ledger.Subject, bool)
	Looked(uid string) bool
	Remembered(wanted func(*ledger.Subject) bool) []ledger.Subject
}

// Reconciler shows in a DoraTarget what was counted for it.
type Reconciler struct {
	Client  client.Client
	World   *kube.World
	Targets *kube.Targets
	Served  kube.Served
	Memory  Memory
	Events  Events
	Metrics *Metrics
	Cluster string
	Clock   clock.PassiveClock

	pace pace
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// Reconcile looks at one target.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &dorav1alpha1.DoraTarget{}
	err := r.Client.Get(ctx, req.NamespacedName, object)
	if apierrors.IsNotFound(err) || err == nil && !object.DeletionTimestamp.IsZero() {
		r.forget(req, object)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("cannot read the target: %w", err)
	}
	target := r.Targets.Understand(object)
	if object.Spec.Suspend {
		return ctrl.Result{}, r.stand(ctx, object, dorav1alpha1.Suspended())
	}
	if target.Refused != nil {
		return ctrl.Result{}, r.blank(ctx, object, *target.Refused)
	}
	thresholds, err := thresholdsOf(&object.Spec.Bands)
	if err != nil {
		return ctrl.Result{}, r.blank(ctx, object, dorav1alpha1.InvalidSpec(err))
	}
	if wait := r.pace.wait(req.NamespacedName, r.Clock.Now()); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	defer r.pace.measure(req.NamespacedName, r.Clock)()
	scope, err := r.gather(ctx, target)
	if err != nil {
		return ctrl.Result{}, err
	}
	record, err := r.read(ctx, target, scope)
	if err != nil {
		return ctrl.Result{}, errorsJoin(r.stand(ctx, object, dorav1alpha1.LedgerUnavailable()), err)
	}
	return ctrl.Result{RequeueAfter: record.next(scope)}, r.show(ctx, object, scope, record, thresholds)
}
