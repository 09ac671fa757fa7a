package drift

import (
	"fmt"
	"strconv"
	"testing"

	rollouts18 "example.com/argo-rollouts-1.8/pkg/apis/rollouts/v1alpha1"
	rollouts19 "example.com/argo-rollouts-1.9/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-cd/v2/common"
	cd "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/annotations"
	"github.com/argoproj/argo-rollouts/utils/conditions"
	rolloututil "github.com/argoproj/argo-rollouts/utils/rollout"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/randfill"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

func TestRecordedRolloutsReadAsArgoReadsThem(t *testing.T) {
	recorded(t, "Rollout", func(raw []byte) {
		var theirs v1alpha1.Rollout
		decode(t, raw, &theirs)
		var ours rollouts.Rollout
		decode(t, raw, &ours)
		same(t, theirs.Name, wantRollout(&theirs), ours)
		samePhase(t, &theirs, &ours)
	})
}

// The versions of Argo Rollouts differ in fields that we do not read. Each writes what we read as the newest does.
func TestGeneratedRolloutsReadAsArgoWritesThem(t *testing.T) {
	for version, empty := range map[string]func() any{
		"1.8":  func() any { return new(rollouts18.Rollout) },
		"1.9":  func() any { return new(rollouts19.Rollout) },
		"1.10": func() any { return new(v1alpha1.Rollout) },
	} {
		t.Run(version, func(t *testing.T) {
			fill := filler()
			for range generated {
				written := empty()
				fill.Fill(written)
				raw := encode(t, written)
				var theirs v1alpha1.Rollout
				decode(t, raw, &theirs)
				var ours rollouts.Rollout
				decode(t, raw, &ours)
				same(t, version, wantRollout(&theirs), ours)
			}
		})
	}
}

func TestArgoKnowsEveryFieldOfARolloutWeName(t *testing.T) {
	fill := filler()
	for range generated {
		var ours rollouts.Rollout
		fill.Fill(&ours)
		dropUnread(&ours)
		raw := encode(t, &ours)
		var theirs v1alpha1.Rollout
		known(t, raw, &theirs)
		known(t, raw, new(rollouts19.Rollout))
		known(t, raw, new(rollouts18.Rollout))
		same(t, "generated", wantRollout(&theirs), ours)
	}
}

// Argo Rollouts also accepts forms of a status that versions before 0.10 wrote; those are of no interest here.
func TestThePhaseIsTheEffectiveOne(t *testing.T) {
	fill := filler().Funcs(func(r *v1alpha1.Rollout, c randfill.Continue) {
		r.Generation = int64(1 + c.Intn(2))
		r.Spec.Replicas = new(int32)
		r.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{}
		r.Status.ObservedGeneration = strconv.Itoa(1 + c.Intn(int(r.Generation)))
		r.Status.Phase = v1alpha1.RolloutPhaseHealthy
		r.Status.ControllerPause = c.Bool()
		c.Fill(&r.Status.PauseConditions)
		if c.Bool() {
			r.Spec.WorkloadRef = &v1alpha1.ObjectRef{Name: "web"}
			r.Annotations = map[string]string{annotations.WorkloadGenerationAnnotation: strconv.Itoa(c.Intn(2))}
			r.Status.WorkloadObservedGeneration = strconv.Itoa(c.Intn(2))
		}
	})
	var healthy, progressing int
	for range generated {
		var theirs v1alpha1.Rollout
		fill.Fill(&theirs)
		var ours rollouts.Rollout
		decode(t, encode(t, &theirs), &ours)
		if samePhase(t, &theirs, &ours) == deploy.RolloutHealthy {
			healthy++
		} else {
			progressing++
		}
	}
	if healthy == 0 || progressing == 0 {
		t.Errorf("saw %d Healthy and %d Progressing, want both", healthy, progressing)
	}
}

func samePhase(t *testing.T, theirs *v1alpha1.Rollout, ours *rollouts.Rollout) deploy.RolloutPhase {
	t.Helper()
	theirs.Spec.TemplateResolvedFromRef = theirs.Spec.WorkloadRef != nil
	got := rollouts.Observe(ours, nil).Phase
	if len(theirs.Status.Conditions) == 0 && theirs.Status.Phase == "" {
		return got // a new Rollout, on which Argo Rollouts' own answer depends on the strategy
	}
	if want, _ := rolloututil.GetRolloutPhase(theirs); string(got) != string(want) {
		t.Fatalf("%s: got phase %s, Argo Rollouts says %s", theirs.Name, got, want)
	}
	return got
}

func TestPhasesAndStatusesAreArgos(t *testing.T) {
	for ours, theirs := range map[string]string{
		string(deploy.RolloutHealthy):     string(v1alpha1.RolloutPhaseHealthy),
		string(deploy.RolloutDegraded):    string(v1alpha1.RolloutPhaseDegraded),
		string(deploy.RolloutProgressing): string(v1alpha1.RolloutPhaseProgressing),
		string(deploy.RolloutPaused):      string(v1alpha1.RolloutPhasePaused),
		string(deploy.True):               string(corev1.ConditionTrue),
		string(deploy.False):              string(corev1.ConditionFalse),
		string(deploy.NotTold):            string(corev1.ConditionUnknown),
		rollouts.HashLabel:                v1alpha1.DefaultRolloutUniqueLabelKey,
		rollouts.GroupVersion.String():    v1alpha1.SchemeGroupVersion.String(),
	} {
		if ours != theirs {
			t.Errorf("we say %q where Argo Rollouts says %q", ours, theirs)
		}
	}
}

// rollout is one whose second revision exceeded its deadline, told in Argo's own words.
func rollout() *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web", Namespace: "prod", UID: "u",
			Annotations: map[string]string{annotations.RevisionAnnotation: "2"},
		},
		Status: v1alpha1.RolloutStatus{
			CurrentPodHash: "b", StableRS: "a",
			Conditions: []v1alpha1.RolloutCondition{
				*conditions.NewRolloutCondition(v1alpha1.RolloutProgressing, corev1.ConditionFalse, conditions.TimedOutReason,
					fmt.Sprintf(conditions.ReplicaSetTimeOutMessage, "web-b")),
				*conditions.NewRolloutCondition(v1alpha1.RolloutCompleted, corev1.ConditionFalse, "c", ""),
				*conditions.NewRolloutCondition(v1alpha1.RolloutHealthy, corev1.ConditionFalse, "h", ""),
				*conditions.NewRolloutCondition(v1alpha1.RolloutAvailable, corev1.ConditionTrue, "a", ""),
				*conditions.NewRolloutCondition(v1alpha1.RolloutPaused, corev1.ConditionUnknown, "p", ""),
			},
		},
	}
}

func TestObserveGoesByArgosConditions(t *testing.T) {
	var ours rollouts.Rollout
	decode(t, encode(t, rollout()), &ours)
	got := rollouts.Observe(&ours, nil)
	if !got.TimedOut || got.Revision != 2 {
		t.Errorf("got timed out %v, revision %d; want true, 2", got.TimedOut, got.Revision)
	}
	reasons := got.CompletedCond.Reason + got.HealthyCond.Reason + got.Available.Reason + got.PausedCond.Reason
	if reasons != "chap" || got.Progressing.Reason != conditions.TimedOutReason {
		t.Errorf("got reasons %q and %q of the conditions", reasons, got.Progressing.Reason)
	}
}

func TestReplicaSetsAreReadByArgosAnnotations(t *testing.T) {
	var ours rollouts.Rollout
	decode(t, encode(t, rollout()), &ours)
	set := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(&ours, v1alpha1.SchemeGroupVersion.WithKind("Rollout"))},
		Labels:          map[string]string{v1alpha1.DefaultRolloutUniqueLabelKey: "a"},
		Annotations: map[string]string{
			annotations.RevisionAnnotation: "3", annotations.RevisionHistoryAnnotation: "1",
		},
	}}
	got := rollouts.Observe(&ours, []appsv1.ReplicaSet{set}).ReplicaSets
	if len(got) != 1 || got[0].Hash != "a" || got[0].Revision != 3 || !got[0].Reused {
		t.Errorf("got %+v, want hash a, revision 3, re-used", got)
	}
}

func TestTheOwnerIsWhomArgoCDTracks(t *testing.T) {
	app := cd.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd-teams", Name: "web"}}
	id := app.InstanceName("argocd") + ":argoproj.io/Rollout:prod/web"
	ro := rollouts.Rollout{ObjectMeta: metav1.ObjectMeta{
		Name: "web", Namespace: "prod", Annotations: map[string]string{common.AnnotationKeyAppInstance: id},
	}}
	want := types.NamespacedName{Namespace: "argocd-teams", Name: "web"}
	if got, ok := rollouts.Owner(&ro); !ok || got != want {
		t.Errorf("got owner %s (%v) of %s, want %s", got, ok, id, want)
	}
}

// wantRollout takes every field that we read from Argo's own type, by name.
func wantRollout(theirs *v1alpha1.Rollout) rollouts.Rollout {
	return rollouts.Rollout{
		TypeMeta:   theirs.TypeMeta,
		ObjectMeta: wantMeta(theirs.ObjectMeta),
		Spec: rollouts.Spec{
			Replicas:    theirs.Spec.Replicas,
			Template:    rollouts.Template{Spec: rollouts.PodSpec{Containers: all(theirs.Spec.Template.Spec.Containers, wantContainer)}},
			WorkloadRef: present(theirs.Spec.WorkloadRef),
			Strategy: rollouts.Strategy{
				BlueGreen: present(theirs.Spec.Strategy.BlueGreen),
				Canary: each(theirs.Spec.Strategy.Canary, func(c v1alpha1.CanaryStrategy) rollouts.Canary {
					return rollouts.Canary{TrafficRouting: present(c.TrafficRouting)}
				}),
			},
		},
		Status: wantRolloutStatus(&theirs.Status),
	}
}

func wantRolloutStatus(theirs *v1alpha1.RolloutStatus) rollouts.Status {
	return rollouts.Status{
		Phase: string(theirs.Phase), Message: theirs.Message,
		ObservedGeneration: theirs.ObservedGeneration, WorkloadObservedGeneration: theirs.WorkloadObservedGeneration,
		CurrentPodHash: theirs.CurrentPodHash, StableRS: theirs.StableRS,
		Abort: theirs.Abort, AbortedAt: wantTime(theirs.AbortedAt),
		ControllerPause: theirs.ControllerPause, PauseConditions: make([]rollouts.Present, len(theirs.PauseConditions)),
		Conditions: all(theirs.Conditions, func(c v1alpha1.RolloutCondition) rollouts.Condition {
			return rollouts.Condition{
				Type: string(c.Type), Status: string(c.Status), LastTransitionTime: wantTime(&c.LastTransitionTime),
				Reason: c.Reason, Message: c.Message,
			}
		}),
		BlueGreen: rollouts.BlueGreenStatus{ActiveSelector: theirs.BlueGreen.ActiveSelector},
		Canary: rollouts.CanaryStatus{Weights: each(theirs.Canary.Weights, func(w v1alpha1.TrafficWeights) rollouts.Weights {
			return rollouts.Weights{Canary: rollouts.Weight{Weight: w.Canary.Weight}}
		})},
	}
}

func wantContainer(theirs corev1.Container) rollouts.Container {
	return rollouts.Container{Image: theirs.Image}
}

func present[T any](theirs *T) *rollouts.Present {
	if theirs == nil {
		return nil
	}
	return &rollouts.Present{}
}
