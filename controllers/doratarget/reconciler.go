package doratarget

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// History reads events back, and says whose changed. A ledger does.
type History interface {
	Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error]
	Histories(ctx context.Context, after int64) ([]ledger.History, error)
	Revision(ctx context.Context) (int64, error)
}

// Events are those of the own cluster, of which it is known besides how the search for their commits goes. A ledger has them.
type Events interface {
	History
	Resolutions(ctx context.Context, q ledger.ResolutionQuery) (ledger.Resolutions, error)
	Reopen(ctx context.Context, q ledger.ReopenQuery, now time.Time) (int64, error)
	Hurry(ctx context.Context, q ledger.ResolutionQuery, now time.Time) (int64, error)
}

// Memory is what is known of subjects. Package record's Recorder implements it.
type Memory interface {
	Lookup(uid string) (ledger.Subject, bool)
	Looked(uid string) bool
	Remembered(wanted func(*ledger.Subject) bool) []ledger.Subject
	// Check fails while the ledger does not take what is decided.
	Check(ctx context.Context) error
}

// Reconciler shows in a DoraTarget what was counted for it.
type Reconciler struct {
	Client  client.Client
	World   *kube.World
	Targets *kube.Targets
	Served  kube.Served
	Memory  Memory
	Events  Events
	// Neighbours reads what other clusters recorded. Nil if that cannot be had.
	Neighbours Neighbours
	Metrics    *Metrics
	// Sinks are those that figures go to. Share gives the figures of a target to one.
	Sinks *kube.Sinks
	Share func(sink, target string, figures []sink.Figures)
	// Marks keeps what people say. Owed is called with the sinks that are owed events anew because of it, and Look with the other targets
	// that count these events.
	Marks Marks
	Owed  func(sinks []string)
	Look  func(targets ...types.NamespacedName)
	// Notices are the Kubernetes Events about what got worse, and about receivers that are not there.
	Notices events.EventRecorder
	// Hurried is called when commits are to be looked for at once.
	Hurried func()
	Cluster string
	Clock   clock.PassiveClock

	index      index
	neighbours neighbours
	books      books
	pace       pace
	sources    sources
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// Reconcile looks at one target.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object, found, err := r.get(ctx, req)
	if !found {
		return ctrl.Result{}, err
	}
	target := r.Targets.Understand(object)
	if object.Spec.Suspend {
		r.books.drop(req.NamespacedName)
		return ctrl.Result{}, r.write(ctx, object, unchanged(object, dorav1alpha1.Suspended()))
	}
	thresholds, refused := understand(target)
	if refused != nil {
		r.books.drop(req.NamespacedName)
		return ctrl.Result{}, r.write(ctx, object, blank(object, *refused))
	}
	scope, err := r.gather(ctx, target)
	if err != nil {
		return ctrl.Result{}, err
	}
	backfill, queued, err := r.ask(ctx, object, scope)
	if err != nil {
		return ctrl.Result{}, r.cannot(ctx, object, err)
	}
	began := r.pace.now()
	if wait := r.pace.wait(object.UID); wait > 0 && !urgent(object, scope, backfill, queued.Failing) {
		return ctrl.Result{RequeueAfter: scope.within(wait)}, nil
	}
	history, err := r.read(ctx, scope, queued)
	if err != nil {
		return ctrl.Result{}, r.cannot(ctx, object, err)
	}
	status, news := tell(object, scope, history, thresholds)
	status.Backfill, status.Marks = backfill, scope.marks
	r.Metrics.Set(req.NamespacedName, status)
	r.share(object, scope, history, thresholds)
	interval, err := r.show(ctx, target, object, status)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: settling}, nil // the cache is behind what was told last
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	r.announce(ctx, object, news)
	r.announceMissing(object, status)
	r.pace.rest(object.UID, began, interval)
	return ctrl.Result{RequeueAfter: scope.within(next(scope, history))}, nil
}

// show writes figures, unless nothing but time has passed since they were written last, and says for how long they are to rest.
func (r *Reconciler) show(
	ctx context.Context, target *kube.Target, object *dorav1alpha1.DoraTarget, status *dorav1alpha1.DoraTargetStatus,
) (time.Duration, error) {
	if same(&object.Status, steady(&object.Status, status)) {
		return 0, nil
	}
	return target.Timings.StatusInterval, r.write(ctx, object, status)
}

// cannot says in the status that the ledger is not there. The figures stand still.
func (r *Reconciler) cannot(ctx context.Context, object *dorav1alpha1.DoraTarget, err error) error {
	return errors.Join(err, r.write(ctx, object, unchanged(object, dorav1alpha1.LedgerUnavailable())))
}

// get reads the target. If there is none, what was kept of it is dropped.
func (r *Reconciler) get(ctx context.Context, req ctrl.Request) (*dorav1alpha1.DoraTarget, bool, error) {
	object := &dorav1alpha1.DoraTarget{}
	err := r.Client.Get(ctx, req.NamespacedName, object)
	if err == nil && object.DeletionTimestamp.IsZero() {
		return object, true, nil
	}
	if client.IgnoreNotFound(err) != nil {
		return nil, false, fmt.Errorf("cannot read the target: %w", err)
	}
	r.Metrics.Delete(req.NamespacedName)
	r.books.drop(req.NamespacedName)
	r.sources.forget(req.NamespacedName)
	return nil, false, nil
}

// write patches the status if it differs from the one that the object has. What was told is written only over what was read: else a look at an
// object that is older than the last one would tell it again.
func (r *Reconciler) write(ctx context.Context, object *dorav1alpha1.DoraTarget, status *dorav1alpha1.DoraTargetStatus) error {
	if same(&object.Status, status) {
		return nil
	}
	changed := object.DeepCopy()
	changed.Status = *status
	if !equality.Semantic.DeepEqual(object.Status.Alerts, status.Alerts) {
		return kube.ReplaceStatus(ctx, r.Client, object, changed)
	}
	return kube.PatchStatus(ctx, r.Client, object, changed)
}

// understand reads what only this controller needs of the spec.
func understand(target *kube.Target) (thresholds, *metav1.Condition) {
	if target.Refused != nil {
		return thresholds{}, target.Refused
	}
	read, err := thresholdsOf(&target.Object.Spec.Bands)
	if err != nil {
		return thresholds{}, new(dorav1alpha1.InvalidSpec(err))
	}
	return read, nil
}
