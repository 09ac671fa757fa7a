package dorasink

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// dropCounter counts what was dropped of sinks that are gone.
var dropCounter = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "dora_sink_dropped_total", Help: "Events that were owed to a sink that did not exist for longer than the grace time.",
}, []string{"sink"})

// Dropped counts the events that were dropped with sinks that are gone. It is to be registered once.
func Dropped() prometheus.Collector { return dropCounter }

// status is what is known of a sink. refused is why nothing is sent; nil if something is.
func (r *Reconciler) status(
	ctx context.Context, object *dorav1alpha1.DoraSink, refused *metav1.Condition, requests *dorav1alpha1.SinkRequests,
) (*dorav1alpha1.DoraSinkStatus, error) {
	known, err := r.figures(ctx, kube.SinkKey(object))
	if err != nil {
		return nil, err
	}
	status := &dorav1alpha1.DoraSinkStatus{
		Conditions: slices.Clone(object.Status.Conditions), ObservedGeneration: object.Status.ObservedGeneration,
		LastMetrics: object.Status.LastMetrics, Requests: requests,
	}
	if known != nil {
		count(status, known)
	}
	health, running := r.Dispatcher.Health(kube.SinkKey(object))
	if running {
		tellFigures(status, &health)
	}
	var parked []metav1.Condition
	if status.Parked > 0 {
		parked = append(parked, dorav1alpha1.EventsParked(status.Parked, status.LastError))
	}
	status.SetConditions(object.Generation, readiness(refused, &health, status), parked...)
	return status, nil
}

func count(status *dorav1alpha1.DoraSinkStatus, known *ledger.SinkState) {
	status.Delivered, status.Pending, status.Parked = known.Delivered, known.Pending, known.Parked
	status.OldestPending, status.LastDelivery = moment(known.OldestPending), moment(known.LastDelivery)
	status.LastError = known.LastError
}

func tellFigures(status *dorav1alpha1.DoraSinkStatus, health *dispatch.Health) {
	if !health.FiguresAt.IsZero() {
		status.LastMetrics = moment(health.FiguresAt)
	}
	if health.FiguresErr != nil {
		status.MetricsError = bounded(health.FiguresErr.Error(), 1000)
	}
}

func readiness(refused *metav1.Condition, health *dispatch.Health, status *dorav1alpha1.DoraSinkStatus) metav1.Condition {
	switch {
	case refused != nil && refused.Reason == dorav1alpha1.ReasonSuspended:
		return dorav1alpha1.SinkSuspended(status.Pending)
	case refused != nil:
		return *refused
	case health.Err != nil:
		return dorav1alpha1.SinkFailing(string(health.Reason), sentence(bounded(health.Err.Error(), 1000)))
	case !health.Asked:
		return dorav1alpha1.SinkStarting()
	}
	return dorav1alpha1.Delivering()
}

// moment is a time as the API server stores it.
func moment(at time.Time) *metav1.Time {
	if at.IsZero() {
		return nil
	}
	return new(metav1.NewTime(at.UTC().Truncate(time.Second)))
}

// write patches the status if it differs.
func (r *Reconciler) write(ctx context.Context, object *dorav1alpha1.DoraSink, status *dorav1alpha1.DoraSinkStatus) error {
	if equality.Semantic.DeepEqual(&object.Status, status) {
		return nil
	}
	changed := object.DeepCopy()
	changed.Status = *status
	return kube.PatchStatus(ctx, r.Client, object, changed)
}
