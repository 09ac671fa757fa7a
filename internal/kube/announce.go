package kube

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// Announcer shows what was recorded: in the log, and as Kubernetes events on the targets that count the subject.
type Announcer struct {
	Events events.EventRecorder
	// Explain shows decisions too that led to no event.
	Explain bool
}

// The reasons of Kubernetes events. Decisions that are explained have their own name as the reason.
const (
	ReasonDeployed          = "Deployed"
	ReasonDeploymentFailed  = "DeploymentFailed"
	ReasonRolledBack        = "RolledBack"
	ReasonDeploymentUnknown = "DeploymentUnknown"
	ReasonDegraded          = "Degraded"
	ReasonRecovered         = "Recovered"
)

// actionObserved: what the controller did to lead to the event. It only ever watches.
const actionObserved = "Observed"

// noteBytes is how long the note of an event may be.
const noteBytes = 1024

// notice is one Kubernetes event.
type notice struct{ kind, reason, attempt, note string }

// Announce shows a result. It is called after the ledger has it.
func (a *Announcer) Announce(ctx context.Context, subject dora.Subject, result *deploy.Result, selection Selection) {
	logger := log.FromContext(ctx)
	for i := range result.Events {
		e := &result.Events[i]
		about(logger, e).Info("Recorded")
		a.post(subject, selection, noticeOf(e))
	}
	for _, d := range result.Decisions {
		if d.EventID != "" {
			continue // the event tells
		}
		if !a.Explain {
			logger.V(1).Info("Not counted", "reason", d.Reason, "attempt", d.Attempt, "message", d.Message)
			continue
		}
		logger.Info("Not counted", "reason", d.Reason, "attempt", d.Attempt, "message", d.Message)
		a.post(subject, selection, notice{corev1.EventTypeNormal, string(d.Reason), d.Attempt, subject.Name + ": " + d.Message})
	}
}

// about says of an event what the log is to tell.
func about(logger logr.Logger, e *dora.Event) logr.Logger {
	logger = logger.WithValues("type", e.Type, "event", e.ID, "service", e.Service, "environment", e.Environment, "occurredAt", e.OccurredAt)
	if e.Type == dora.TypeDeploy {
		return logger.WithValues("outcome", e.Outcome, "version", tag(e.Version))
	}
	return logger
}

// post shows a notice on each target that is not suspended. Kubernetes merges events that differ in their note alone, so the attempt
// stands in the reference to the subject, as a container's name does in the kubelet's events.
func (a *Announcer) post(subject dora.Subject, selection Selection, n notice) {
	about := &corev1.ObjectReference{
		APIVersion: argocd.GroupVersion.String(), Kind: string(subject.Kind),
		Namespace: subject.Namespace, Name: subject.Name, UID: types.UID(subject.UID),
	}
	if n.attempt != "" {
		about.FieldPath = "attempt{" + n.attempt + "}"
	}
	for _, t := range selection {
		if !t.Object.Spec.Suspend {
			a.Events.Eventf(t.Object, about, n.kind, n.reason, actionObserved, "%s", cut(n.note))
		}
	}
}

func noticeOf(e *dora.Event) notice {
	n := notice{attempt: e.Attempt}
	switch e.Type {
	case dora.TypeDegraded:
		n.kind, n.reason, n.attempt = corev1.EventTypeWarning, ReasonDegraded, e.FailureID
		n.note = "is degraded" + because(e)
	case dora.TypeRecovered:
		n.kind, n.reason, n.attempt = corev1.EventTypeNormal, ReasonRecovered, e.FailureID
		n.note = "has recovered"
		if e.RecoverySeconds != nil {
			n.note += fmt.Sprintf(" after %.0f s", *e.RecoverySeconds)
		}
	case dora.TypeDeploy:
		n.kind, n.reason, n.note = outcomeOf(e)
	case dora.TypeChange: // nothing in the cluster changed
	}
	n.note = service(e) + " " + n.note
	if e.Message != "" {
		n.note += ": " + e.Message
	}
	return n
}

func outcomeOf(e *dora.Event) (kind, reason, note string) {
	switch e.Outcome {
	case dora.Succeeded:
		return corev1.EventTypeNormal, ReasonDeployed, "runs " + tag(e.Version) + before(e)
	case dora.Failed:
		return corev1.EventTypeWarning, ReasonDeploymentFailed, "failed to run " + tag(e.Version) + before(e)
	case dora.RolledBack:
		return corev1.EventTypeWarning, ReasonRolledBack, rollback(e)
	case dora.Unknown:
	}
	return corev1.EventTypeNormal, ReasonDeploymentUnknown, "was deployed with " + tag(e.Version) + "; Argo no longer tells how that ended"
}

// rollback: either the attempt brought an earlier version back, or it was stopped and the one before runs on.
func rollback(e *dora.Event) string {
	if e.Success != nil && *e.Success {
		return "went back to " + tag(e.Version) + before(e)
	}
	return "stopped the deployment of " + tag(e.Version) + " and went back to " + tag(e.Running)
}

func because(e *dora.Event) string {
	if e.CausedBy == "" {
		return ""
	}
	return " after the deployment with event id " + e.CausedBy
}

func before(e *dora.Event) string {
	if e.Previous.Version == nil {
		return ""
	}
	return " (was " + tag(e.Previous.Version) + ")"
}

func service(e *dora.Event) string {
	if e.Environment == "" {
		return e.Service
	}
	return e.Service + " in " + e.Environment
}

func tag(v *dora.Version) string {
	switch {
	case v == nil:
		return "an unknown version"
	case v.Tag != "":
		return v.Tag
	case len(v.Images) > 0:
		return strings.Join(v.Images, ", ")
	}
	return "an unknown version"
}

// cut keeps whole characters.
func cut(note string) string {
	if len(note) <= noteBytes {
		return note
	}
	return strings.ToValidUTF8(note[:noteBytes], "")
}
