package doratarget

import (
	"context"
	"fmt"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// commitsOf counts what is known of commits, as the API has it.
func commitsOf(known *ledger.Resolutions) *dorav1alpha1.CommitCounts {
	counts := &dorav1alpha1.CommitCounts{Resolved: known.Resolved, Pending: known.Pending}
	for _, unknown := range known.Unknown {
		counts.Unknown += unknown.Count
		counts.Reasons = append(counts.Reasons, dorav1alpha1.ReasonCount{Reason: unknown.Reason, Deployments: unknown.Count})
	}
	return counts
}

// backfill queues, once for each time it is asked for, the earlier deployments whose commits are not known. Doing it twice does no harm.
func (r *Reconciler) backfill(ctx context.Context, object *dorav1alpha1.DoraTarget, s *scope) (*dorav1alpha1.BackfillStatus, error) {
	done := object.Status.Backfill
	wanted := dorav1alpha1.BackfillStatus{Request: bounded(object.Annotations[dorav1alpha1.AnnotationBackfill])}
	if object.Spec.Source == nil {
		return done, nil
	}
	if object.Spec.Source.Backfill {
		wanted.Generation = object.Generation
	}
	asked := wanted.Generation != 0 || wanted.Request != ""
	if !asked || s.waiting > 0 || done != nil && done.Generation == wanted.Generation && done.Request == wanted.Request {
		return done, nil
	}
	queued, err := r.Events.Reopen(ctx, ledger.ReopenQuery{UIDs: append([]string{}, s.uids...), Cluster: r.Cluster, Missing: true}, s.now)
	if err != nil {
		return nil, fmt.Errorf("cannot queue earlier deployments: %w", err)
	}
	if wanted.Deployments = queued; queued > 0 {
		r.Reopened()
	}
	return &wanted, nil
}

// bounded shortens the value of an annotation to what the status takes.
func bounded(text string) string { return text[:min(len(text), 256)] }
