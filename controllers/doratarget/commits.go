package doratarget

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/commit"
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

// ask does what a target asks for beside figures: that commits are looked for at once, and that what it says of events stands. It says which
// commits are still looked for, however old, and fails while the ledger does.
func (r *Reconciler) ask(ctx context.Context, object *dorav1alpha1.DoraTarget, s *scope) (*dorav1alpha1.BackfillStatus, ledger.Resolutions, error) {
	if err := r.Memory.Check(ctx); err != nil {
		return nil, ledger.Resolutions{}, err
	}
	backfill, err := r.lookAgain(ctx, object, s)
	if err != nil {
		return nil, ledger.Resolutions{}, err
	}
	if err := r.hear(ctx, object, s); err != nil {
		return nil, ledger.Resolutions{}, err
	}
	queued, err := r.Events.Resolutions(ctx, ledger.ResolutionQuery{Cluster: r.Cluster, UIDs: append([]string{}, s.uids...), Queued: true})
	if err != nil {
		return nil, ledger.Resolutions{}, fmt.Errorf("cannot count commits: %w", err)
	}
	return backfill, queued, nil
}

// lookAgain lets commits be looked for at once that wait because of something that may be mended: the source was changed, or somebody asks
// for a backfill. That queues, once for each time it is asked for, also the earlier deployments that ended without. Doing either twice does
// no harm.
func (r *Reconciler) lookAgain(ctx context.Context, object *dorav1alpha1.DoraTarget, s *scope) (*dorav1alpha1.BackfillStatus, error) {
	if object.Spec.Source == nil || s.waiting > 0 {
		return object.Status.Backfill, nil
	}
	asked := backfillOf(object)
	if asked == nil && !r.sources.changed(object) {
		return object.Status.Backfill, nil
	}
	uids := append([]string{}, s.uids...)
	queued, err := r.Events.Hurry(ctx, ledger.ResolutionQuery{UIDs: uids, Cluster: r.Cluster}, s.now)
	if err == nil && asked != nil {
		var reopened int64
		reopened, err = r.Events.Reopen(ctx, ledger.ReopenQuery{UIDs: uids, Cluster: r.Cluster, Missing: true, Reasons: commit.Reopenable()}, s.now)
		queued += reopened
	}
	if err != nil {
		return nil, fmt.Errorf("cannot queue earlier deployments: %w", err)
	}
	r.sources.remember(object)
	r.Hurried()
	if asked == nil {
		return object.Status.Backfill, nil
	}
	asked.Deployments = queued
	return asked, nil
}

// backfillOf is the backfill that is asked for and was not made yet. Nil if there is none.
func backfillOf(object *dorav1alpha1.DoraTarget) *dorav1alpha1.BackfillStatus {
	wanted := dorav1alpha1.BackfillStatus{Request: bounded(object.Annotations[dorav1alpha1.AnnotationBackfill])}
	if object.Spec.Source.Backfill {
		wanted.Generation = object.Generation
	}
	done := object.Status.Backfill
	nothing := wanted.Generation == 0 && wanted.Request == ""
	if nothing || done != nil && done.Generation == wanted.Generation && done.Request == wanted.Request {
		return nil
	}
	return &wanted
}

// bounded shortens the value of an annotation to what the status takes.
func bounded(text string) string { return text[:min(len(text), 256)] }

// sources remembers what each target's source was when its commits were last looked for at once. The first look after a start counts as a
// change: somebody may have restarted the controller because of a mend.
type sources struct {
	mu   sync.Mutex
	seen map[types.NamespacedName]*dorav1alpha1.Source
}

func (s *sources) changed(object *dorav1alpha1.DoraTarget) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.seen[client.ObjectKeyFromObject(object)]
	return !ok || !reflect.DeepEqual(seen, object.Spec.Source)
}

func (s *sources) remember(object *dorav1alpha1.DoraTarget) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[types.NamespacedName]*dorav1alpha1.Source{}
	}
	s.seen[client.ObjectKeyFromObject(object)] = object.Spec.Source.DeepCopy()
}

func (s *sources) forget(target types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, target)
}
