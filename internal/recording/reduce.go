package recording

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// The annotations that are read.
const (
	skipReconcile      = "argocd.argoproj.io/skip-reconcile"
	trackingID         = "argocd.argoproj.io/tracking-id"
	revision           = "rollout.argoproj.io/revision"
	revisionHistory    = "rollout.argoproj.io/revision-history"
	workloadGeneration = "rollout.argoproj.io/workload-generation"
)

// reducer builds objects anew from what decisions read. What is not named here is not in a recording.
type reducer struct {
	names    *Pseudonyms
	messages bool
}

func (r *reducer) application(in *argocd.Application) *argocd.Application {
	if !r.messages {
		_, _ = argocd.Trim(in) // of rows and conditions, those that decisions read; it never fails
	}
	out := &argocd.Application{
		TypeMeta:   metav1.TypeMeta{APIVersion: argocd.GroupVersion.String(), Kind: kindApplication},
		ObjectMeta: r.meta(&in.ObjectMeta),
		Operation:  r.operation(in.Operation),
		Status:     r.status(&in.Status),
	}
	to := in.Spec.Destination
	out.Spec.Destination = argocd.Destination{
		Server: r.names.Server(to.Server), Name: r.names.Name(to.Name), Namespace: r.names.Name(to.Namespace),
	}
	if skipped, err := strconv.ParseBool(in.Annotations[skipReconcile]); err == nil {
		out.Annotations = map[string]string{skipReconcile: strconv.FormatBool(skipped)}
	}
	return out
}

// meta is what all kinds have.
func (r *reducer) meta(in *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: r.names.Name(in.Name), Namespace: r.names.Name(in.Namespace), UID: r.uid(in.UID),
		ResourceVersion: only(digits, in.ResourceVersion, ""), Generation: in.Generation,
		CreationTimestamp: in.CreationTimestamp, DeletionTimestamp: in.DeletionTimestamp,
		Labels: r.labels(in.Labels),
	}
}

func (r *reducer) uid(uid types.UID) types.UID { return types.UID(r.names.UID(string(uid))) }

// labels are those that name service, team and environment.
func (r *reducer) labels(in map[string]string) map[string]string {
	out := map[string]string{}
	for key, rename := range map[string]func(string) string{
		dorav1alpha1.LabelService: r.names.Name, dorav1alpha1.LabelPartOf: r.names.Name, dorav1alpha1.LabelTeam: r.names.Name,
		dorav1alpha1.LabelEnvironment: r.names.Environment, dorav1alpha1.LabelEnv: r.names.Environment,
	} {
		if value, found := in[key]; found {
			out[key] = rename(value)
		}
	}
	return out
}

func (r *reducer) operation(in *argocd.Operation) *argocd.Operation {
	if in == nil {
		return nil
	}
	out := &argocd.Operation{InitiatedBy: argocd.Initiator{Automated: in.InitiatedBy.Automated}}
	if in.Sync != nil {
		out.Sync = &argocd.SyncOperation{
			Resources: slices.Clone(in.Sync.Resources), DryRun: in.Sync.DryRun, SelfHealAttemptsCount: in.Sync.SelfHealAttemptsCount,
		}
	}
	return out
}

func (r *reducer) status(in *argocd.Status) argocd.Status {
	return argocd.Status{
		Health:         argocd.Health{Status: r.names.Word(in.Health.Status), LastTransitionTime: in.Health.LastTransitionTime},
		Sync:           argocd.Sync{Status: r.names.Word(in.Sync.Status)},
		ReconciledAt:   in.ReconciledAt,
		History:        each(in.History, r.entry),
		OperationState: r.state(in.OperationState),
		Summary:        argocd.Summary{Images: each(in.Summary.Images, r.names.Image)},
		Resources:      each(in.Resources, r.resource),
		Conditions: each(in.Conditions, func(c argocd.Condition) argocd.Condition {
			return argocd.Condition{Type: r.names.Word(c.Type), Message: c.Message} // trimmed to one known message, or asked for
		}),
	}
}

func (r *reducer) entry(in argocd.Revision) argocd.Revision {
	return argocd.Revision{
		ID: in.ID, DeployStartedAt: in.DeployStartedAt, DeployedAt: in.DeployedAt,
		Revision: r.names.Tag(in.Revision), Revisions: each(in.Revisions, r.names.Tag),
		Source: r.source(in.Source), Sources: each(in.Sources, r.source),
	}
}

func (r *reducer) source(in argocd.Source) argocd.Source {
	if in.Kustomize == nil {
		return argocd.Source{}
	}
	return argocd.Source{Kustomize: &argocd.Kustomize{Images: r.overrides(in.Kustomize.Images)}}
}

// overrides drops, of those to redact, what cannot be read, since a pseudonym could be: internal/argocd reads [name=]newname[:tag][@digest].
func (r *reducer) overrides(in []string) []string {
	var out []string
	for _, override := range in {
		name, image, renamed := strings.Cut(override, "=")
		if !renamed {
			name, image = "", name
		}
		if r.names == nil {
			out = append(out, override)
		} else if _, err := reference.Parse(image); err == nil {
			if renamed {
				image = r.names.Image(name) + "=" + r.names.Image(image)
			} else {
				image = r.names.Image(image)
			}
			out = append(out, image)
		}
	}
	return out
}

func (r *reducer) state(in *argocd.OperationState) *argocd.OperationState {
	if in == nil {
		return nil
	}
	out := &argocd.OperationState{
		Operation: *r.operation(&in.Operation), Phase: r.names.Word(in.Phase), Message: in.Message,
		StartedAt: in.StartedAt, FinishedAt: in.FinishedAt,
	}
	if !r.messages {
		out.Message = inCommon(in.Message)
	}
	if result := in.SyncResult; result != nil {
		out.SyncResult = &argocd.SyncResult{
			Revision: r.names.Tag(result.Revision), Revisions: each(result.Revisions, r.names.Tag), Resources: each(result.Resources, r.row),
		}
	}
	return out
}

func (r *reducer) row(in argocd.ResourceResult) argocd.ResourceResult {
	return argocd.ResourceResult{
		Group: r.names.Word(in.Group), Kind: r.names.Word(in.Kind), Namespace: r.names.Name(in.Namespace), Name: r.names.Name(in.Name),
		Status: r.names.Word(in.Status), HookType: r.names.Word(in.HookType), SyncPhase: r.names.Word(in.SyncPhase),
		Message: in.Message, // trimmed to whether anything changed, or asked for
		Images:  each(in.Images, r.names.Image),
	}
}

func (r *reducer) resource(in argocd.Resource) argocd.Resource {
	out := argocd.Resource{
		Group: r.names.Word(in.Group), Kind: r.names.Word(in.Kind), Namespace: r.names.Name(in.Namespace), Name: r.names.Name(in.Name),
		Hook: in.Hook,
	}
	if in.Health != nil {
		out.Health = &argocd.ResourceHealth{Status: r.names.Word(in.Health.Status)}
	}
	return out
}

func (r *reducer) rollout(in *rollouts.Rollout) *rollouts.Rollout {
	out := &rollouts.Rollout{
		TypeMeta:   metav1.TypeMeta{APIVersion: rollouts.GroupVersion.String(), Kind: kindRollout},
		ObjectMeta: r.meta(&in.ObjectMeta),
		Spec: rollouts.Spec{
			Replicas: in.Spec.Replicas, WorkloadRef: in.Spec.WorkloadRef, Strategy: in.Spec.Strategy,
			Template: rollouts.Template{Spec: rollouts.PodSpec{
				Containers: each(in.Spec.Template.Spec.Containers, func(c rollouts.Container) rollouts.Container {
					return rollouts.Container{Image: r.names.Image(c.Image)}
				}),
			}},
		},
		Status: r.rolloutStatus(in),
	}
	out.Annotations = numbers(in.Annotations, revision, workloadGeneration)
	if owner, tracked := rollouts.Owner(in); tracked {
		out.Annotations[trackingID] = r.tracking(owner, out)
	}
	return out
}

// tracking says of a Rollout as it was made whose it is.
func (r *reducer) tracking(owner types.NamespacedName, out *rollouts.Rollout) string {
	instance := r.names.Name(owner.Name)
	if owner.Namespace != "" {
		instance = r.names.Name(owner.Namespace) + "_" + instance
	}
	return instance + ":" + rollouts.GroupVersion.Group + "/" + kindRollout + ":" + out.Namespace + "/" + out.Name
}

func (r *reducer) rolloutStatus(ro *rollouts.Rollout) rollouts.Status {
	in := &ro.Status
	out := rollouts.Status{
		Phase:              r.names.Word(in.Phase),
		ObservedGeneration: only(digits, in.ObservedGeneration, ""), WorkloadObservedGeneration: in.WorkloadObservedGeneration,
		CurrentPodHash: r.names.PodHash(in.CurrentPodHash), StableRS: r.names.PodHash(in.StableRS),
		Abort: in.Abort, AbortedAt: in.AbortedAt, ControllerPause: in.ControllerPause, PauseConditions: slices.Clone(in.PauseConditions),
		BlueGreen: rollouts.BlueGreenStatus{ActiveSelector: r.names.PodHash(in.BlueGreen.ActiveSelector)},
		Canary:    in.Canary,
	}
	if in.WorkloadObservedGeneration != "" {
		out.WorkloadObservedGeneration = only(digits, in.WorkloadObservedGeneration, "0")
	}
	if r.messages {
		out.Message = in.Message
	}
	out.Conditions = each(in.Conditions, func(c rollouts.Condition) rollouts.Condition {
		return rollouts.Condition{
			Type: r.names.Word(c.Type), Status: r.names.Word(c.Status), Reason: r.names.Word(c.Reason),
			LastTransitionTime: c.LastTransitionTime, Message: r.conditionMessage(c.Message, ro),
		}
	})
	return out
}

// conditionMessage keeps whether a condition is about the ReplicaSet of the version that is wanted now, which tells whether it is still true.
func (r *reducer) conditionMessage(message string, ro *rollouts.Rollout) string {
	switch hash := ro.Status.CurrentPodHash; {
	case r.messages:
		return message
	case hash != "" && strings.Contains(message, "-"+hash+`"`):
		return `ReplicaSet "` + r.names.Name(ro.Name) + "-" + r.names.PodHash(hash) + `"`
	}
	return ""
}

func (r *reducer) replicaSet(in *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	hash := in.Labels[rollouts.HashLabel]
	labels := map[string]string{rollouts.HashLabel: r.names.PodHash(hash)}
	out := &appsv1.ReplicaSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: kindReplicaSet},
		ObjectMeta: r.meta(&in.ObjectMeta),
		Spec: appsv1.ReplicaSetSpec{Replicas: in.Spec.Replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{
				Containers:     r.containers("c", in.Spec.Template.Spec.Containers),
				InitContainers: r.containers("i", in.Spec.Template.Spec.InitContainers),
			},
		}},
		Status: appsv1.ReplicaSetStatus{
			Replicas: in.Status.Replicas, ReadyReplicas: in.Status.ReadyReplicas, AvailableReplicas: in.Status.AvailableReplicas,
			FullyLabeledReplicas: in.Status.FullyLabeledReplicas, ObservedGeneration: in.Status.ObservedGeneration,
			TerminatingReplicas: in.Status.TerminatingReplicas,
		},
	}
	out.Name = r.names.ReplicaSet(in.Name, hash)
	out.Labels = labels
	out.Annotations = numbers(in.Annotations, revision)
	if history, found := in.Annotations[revisionHistory]; found && history != "" {
		out.Annotations[revisionHistory] = only(revisions, history, "0")
	}
	out.OwnerReferences = each(in.OwnerReferences, func(o metav1.OwnerReference) metav1.OwnerReference {
		return metav1.OwnerReference{
			APIVersion: r.names.Word(o.APIVersion), Kind: r.names.Word(o.Kind), Name: r.names.Name(o.Name), UID: r.uid(o.UID), Controller: o.Controller,
		}
	})
	return out
}

var revisions = regexp.MustCompile(`^[0-9,]+$`)

// containers are known by their images. The API server wants names.
func (r *reducer) containers(prefix string, in []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for i := range in {
		out = append(out, corev1.Container{Name: prefix + strconv.Itoa(i), Image: r.names.Image(in[i].Image)})
	}
	return out
}

// numbers are the annotations that hold one. What is none reads as 0.
func numbers(in map[string]string, keys ...string) map[string]string {
	out := map[string]string{}
	for _, key := range keys {
		if value, found := in[key]; found {
			out[key] = only(digits, value, "0")
		}
	}
	return out
}

// only lets through what has a form.
func only(form *regexp.Regexp, text, otherwise string) string {
	if form.MatchString(text) {
		return text
	}
	return otherwise
}

func each[T any](all []T, change func(T) T) []T {
	var out []T
	for _, one := range all {
		out = append(out, change(one))
	}
	return out
}
