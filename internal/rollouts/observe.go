package rollouts

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/redact"
)

const (
	revisionAnnotation        = "rollout.argoproj.io/revision"
	revisionHistoryAnnotation = "rollout.argoproj.io/revision-history"
	workloadGeneration        = "rollout.argoproj.io/workload-generation"
)

// The types of condition that are read.
const (
	progressing = "Progressing"
	completed   = "Completed"
	healthy     = "Healthy"
	available   = "Available"
	paused      = "Paused"
)

// timedOutReason is the reason of condition Progressing once the deadline has passed.
const timedOutReason = "ProgressDeadlineExceeded"

// Observe maps a Rollout and its ReplicaSets. Sets that the Rollout does not control are left out.
func Observe(ro *Rollout, sets []appsv1.ReplicaSet) deploy.Rollout {
	phase, message := ro.phase()
	observed := deploy.Rollout{
		UID: string(ro.UID), Namespace: ro.Namespace, Name: ro.Name,
		CreatedAt:   ro.CreationTimestamp.UTC(),
		Revision:    number(ro.Annotations[revisionAnnotation]),
		Observed:    ro.observed(),
		Phase:       phase,
		Message:     message,
		CurrentHash: ro.Status.CurrentPodHash,
		StableHash:  ro.Status.StableRS,
		Aborted:     ro.Status.Abort,
		AbortedAt:   ro.Status.AbortedAt.UTC(),
		TimedOut:    ro.timedOut(),

		BlueGreen:      ro.Spec.Strategy.BlueGreen != nil,
		ActiveHash:     ro.Status.BlueGreen.ActiveSelector,
		Desired:        ro.desired(),
		TemplateImages: ro.templateImages(),
		ReplicaSets:    observeSets(ro, sets),
	}
	ro.observeConditions(&observed)
	observed.TrafficRouted, observed.Weight = ro.traffic()
	return observed
}

// observed: the status belongs to the current spec.
func (r *Rollout) observed() bool {
	return r.Status.ObservedGeneration == strconv.FormatInt(r.Generation, 10) && r.workloadObserved()
}

// workloadObserved: the status belongs to the current template of the referenced workload, as far as Argo tells.
func (r *Rollout) workloadObserved() bool {
	wanted, told := r.Annotations[workloadGeneration]
	if r.Spec.WorkloadRef == nil || !told || r.Status.WorkloadObservedGeneration == "" {
		return true
	}
	return number(wanted) == number(r.Status.WorkloadObservedGeneration)
}

// phase is the effective one: status.phase only if nothing newer is waiting for the controller.
func (r *Rollout) phase() (deploy.RolloutPhase, string) {
	switch {
	case !r.observed():
		return deploy.RolloutProgressing, "waiting for the update to be observed"
	case r.Status.ControllerPause && len(r.Status.PauseConditions) == 0:
		return deploy.RolloutProgressing, "waiting for the rollout to unpause"
	case r.Status.Phase == "":
		return deploy.RolloutProgressing, "waiting for a status"
	default:
		return deploy.RolloutPhase(r.Status.Phase), redact.Text(r.Status.Message) // it may quote what an analysis was answered
	}
}

// timedOut: the version that is wanted now exceeded its deadline. The condition alone can be that of the version before, so the name of the
// ReplicaSet in its message must end with the current hash.
func (r *Rollout) timedOut() bool {
	c := r.condition(progressing)
	return c.Status == string(deploy.False) && c.Reason == timedOutReason &&
		r.Status.CurrentPodHash != "" && strings.Contains(c.Message, "-"+r.Status.CurrentPodHash+`"`)
}

func (r *Rollout) observeConditions(observed *deploy.Rollout) {
	for kind, to := range map[string]*deploy.Condition{
		progressing: &observed.Progressing,
		completed:   &observed.CompletedCond,
		healthy:     &observed.HealthyCond,
		available:   &observed.Available,
		paused:      &observed.PausedCond,
	} {
		c := r.condition(kind)
		*to = deploy.Condition{Status: deploy.ConditionStatus(c.Status), Since: c.LastTransitionTime.UTC(), Reason: c.Reason}
	}
}

func (r *Rollout) condition(kind string) Condition {
	for _, c := range r.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return Condition{}
}

// traffic tells whether a router sets the canary's weight, and that weight.
func (r *Rollout) traffic() (routed bool, weight int) {
	if r.Spec.Strategy.Canary == nil || r.Spec.Strategy.Canary.TrafficRouting == nil {
		return false, 0
	}
	if r.Status.Canary.Weights == nil {
		return true, 0
	}
	return true, int(r.Status.Canary.Weights.Canary.Weight)
}

func (r *Rollout) desired() int {
	if r.Spec.Replicas == nil {
		return 1
	}
	return int(*r.Spec.Replicas)
}

// templateImages are none with workloadRef: the stored template is then empty, or left over.
func (r *Rollout) templateImages() []string {
	if r.Spec.WorkloadRef != nil {
		return nil
	}
	var images []string
	for _, c := range r.Spec.Template.Spec.Containers {
		images = appendNew(images, c.Image)
	}
	return images
}

// number reads a number that is kept as text; 0 if it is none.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
