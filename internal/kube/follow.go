package kube

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Recorder decides about an observation and keeps what follows. Package record implements it.
type Recorder interface {
	Record(
		ctx context.Context, obs *deploy.Observation, labels map[string]string, policy deploy.Policy, sinks []string, now time.Time,
	) (deploy.Result, error)
	Bury(ctx context.Context, gone dora.Subject, now time.Time) error
	Release(ctx context.Context, subject dora.Subject, labels map[string]string) error
	Named(kind dora.Kind, namespace, name string) []dora.Subject
	Lookup(uid string) (ledger.Subject, bool)
	Managed(uid string) bool
}

// settling is how long a target waits for more news before its figures are computed again.
const settling = time.Second

// Follower records what was observed of a subject, and tells the targets that count it.
type Follower struct {
	Recorder Recorder
	// Announcer shows results as Kubernetes events, and Targets are asked to compute their figures again.
	Announcer *Announcer
	Targets   *Trigger
	// Sinks names those that are owed the events of an object; Owed is called with them when they are owed more.
	Sinks func(ctx context.Context, selection Selection) ([]string, error)
	Owed  func(sinks []string)
	Clock clock.PassiveClock
}

// Follow records an observation, made at that time, of an object that some target counts, and says when to look again though nothing has changed.
func (f *Follower) Follow(
	ctx context.Context, obs *deploy.Observation, object client.Object, selection Selection, now time.Time,
) (reconcile.Result, error) {
	policy := selection.Policy(object.GetName(), object.GetLabels())
	if f.counted(obs) {
		policy.FollowedSince = now
	}
	sinks, err := f.Sinks(ctx, selection)
	if err != nil {
		return reconcile.Result{}, err
	}
	result, err := f.Recorder.Record(ctx, obs, object.GetLabels(), policy, sinks, now)
	if err != nil {
		f.Targets.Ask(settling, selection.Names()...) // they say so
		return reconcile.Result{}, fmt.Errorf("cannot record the observation: %w", err)
	}
	if len(result.Events) > 0 {
		f.Owed(sinks)
	}
	if result.Changed {
		f.Announcer.Announce(ctx, obs.Subject, &result, selection)
		f.Targets.Ask(settling, selection.Names()...)
	}
	if result.RecheckAt.IsZero() {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: max(result.RecheckAt.Sub(now), time.Millisecond)}, nil
}

// counted says that what a Rollout deployed was counted under another subject until now: it was one of its own before an Application
// managed it, or an Application managed it before it became one. Then only what comes from now on is this subject's.
func (f *Follower) counted(obs *deploy.Observation) bool {
	if obs.Subject.Kind == dora.KindRollout {
		return f.Recorder.Managed(obs.Subject.UID)
	}
	return slices.ContainsFunc(obs.Rollouts, func(ro deploy.Rollout) bool {
		_, known := f.Recorder.Lookup(ro.UID)
		return known
	})
}

// BuryOthers records that the subjects that once had this name are gone, all but the one with this uid.
func (f *Follower) BuryOthers(ctx context.Context, view View, kind dora.Kind, key types.NamespacedName, uid types.UID) error {
	for _, subject := range f.Recorder.Named(kind, key.Namespace, key.Name) {
		if subject.UID == string(uid) {
			continue
		}
		if err := f.Recorder.Bury(ctx, subject, f.Clock.Now()); err != nil {
			return fmt.Errorf("cannot record that %s %s is gone: %w", kind, key, err)
		}
		log.FromContext(ctx).Info("Subject is gone", "kind", kind, "uid", subject.UID)
		f.Targets.Ask(settling, view.Names()...)
	}
	return nil
}

// Release lets go of an object that nobody follows any more.
func (f *Follower) Release(ctx context.Context, kind dora.Kind, object client.Object) error {
	subject := dora.Subject{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(), UID: string(object.GetUID())}
	if err := f.Recorder.Release(ctx, subject, object.GetLabels()); err != nil {
		return fmt.Errorf("cannot release the subject: %w", err)
	}
	return nil
}
