package rollouts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func TestTheEffectivePhase(t *testing.T) {
	const seen = `"generation":7`
	for name, c := range map[string]struct {
		meta, spec, status string
		want               deploy.RolloutPhase
		wantObserved       bool
	}{
		"the status's own": {
			seen, ``, `"observedGeneration":"7","phase":"Healthy"`, deploy.RolloutHealthy, true,
		},
		"a word that Argo Rollouts adds later": {
			seen, ``, `"observedGeneration":"7","phase":"Hibernating"`, "Hibernating", true,
		},
		"the spec has not been seen": {
			seen, ``, `"observedGeneration":"6","phase":"Healthy"`, deploy.RolloutProgressing, false,
		},
		"a new Rollout": {
			seen, ``, ``, deploy.RolloutProgressing, false,
		},
		"seen, but nothing said": {
			seen, ``, `"observedGeneration":"7"`, deploy.RolloutProgressing, true,
		},
		"paused": {
			seen, ``, `"observedGeneration":"7","phase":"Paused","controllerPause":true,"pauseConditions":[{"reason":"CanaryPauseStep"}]`,
			deploy.RolloutPaused, true,
		},
		"resumed, but the controller has not seen it": {
			seen, ``, `"observedGeneration":"7","phase":"Paused","controllerPause":true`, deploy.RolloutProgressing, true,
		},
		"the referenced workload has been seen": {
			seen + `,"annotations":{"rollout.argoproj.io/workload-generation":"3"}`, `"workloadRef":{"name":"web"}`,
			`"observedGeneration":"7","workloadObservedGeneration":"3","phase":"Healthy"`, deploy.RolloutHealthy, true,
		},
		"the referenced workload has changed": {
			seen + `,"annotations":{"rollout.argoproj.io/workload-generation":"4"}`, `"workloadRef":{"name":"web"}`,
			`"observedGeneration":"7","workloadObservedGeneration":"3","phase":"Healthy"`, deploy.RolloutProgressing, false,
		},
		"an annotation left over from a reference": {
			seen + `,"annotations":{"rollout.argoproj.io/workload-generation":"4"}`, ``,
			`"observedGeneration":"7","workloadObservedGeneration":"3","phase":"Healthy"`, deploy.RolloutHealthy, true,
		},
		"a reference without an annotation": {
			seen, `"workloadRef":{"name":"web"}`, `"observedGeneration":"7","workloadObservedGeneration":"3","phase":"Healthy"`,
			deploy.RolloutHealthy, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Observe(decode(t, fmt.Appendf(nil, `{"metadata":{%s},"spec":{%s},"status":{%s}}`, c.meta, c.spec, c.status)), nil)
			if got.Phase != c.want || got.Observed != c.wantObserved {
				t.Errorf("got %s, observed %v; want %s, %v", got.Phase, got.Observed, c.want, c.wantObserved)
			}
		})
	}
}

// What is seen is kept as evidence, so a credential in what an analysis was answered is taken out.
func TestMessagesAreRedacted(t *testing.T) {
	secret := sinktest.Secret("rollouts")
	message := `metric "errors" assessed Error: Get "https://bob:` + secret + `@prometheus.example.com/api": 403`
	got := Observe(decode(t, fmt.Appendf(nil, `{"metadata":{"generation":7},"status":{"observedGeneration":"7","phase":"Degraded","message":%q}}`, message)), nil)
	if sinktest.Leaks(got.Message) || !strings.Contains(got.Message, "prometheus.example.com") {
		t.Errorf("%q", got.Message)
	}
}

func TestTimedOut(t *testing.T) {
	const message = `ReplicaSet \"web-%s\" has timed out progressing.`
	for name, c := range map[string]struct {
		status, reason, message string
		want                    bool
	}{
		"the current hash":         {"False", "ProgressDeadlineExceeded", fmt.Sprintf(message, "b5"), true},
		"the hash before":          {"False", "ProgressDeadlineExceeded", fmt.Sprintf(message, "a1"), false},
		"a hash that ends alike":   {"False", "ProgressDeadlineExceeded", fmt.Sprintf(message, "ab5"), false},
		"a hash that begins alike": {"False", "ProgressDeadlineExceeded", fmt.Sprintf(message, "b5a"), false},
		"no ReplicaSet":            {"False", "ProgressDeadlineExceeded", `Rollout \"web\" has timed out progressing.`, false},
		"an abort":                 {"False", "RolloutAborted", fmt.Sprintf(message, "b5"), false},
		"progress":                 {"True", "ReplicaSetUpdated", `ReplicaSet \"web-b5\" is progressing.`, false},
	} {
		t.Run(name, func(t *testing.T) {
			ro := decode(t, fmt.Appendf(nil, `{"status":{"currentPodHash":"b5","conditions":[{"type":"Healthy","status":"False"},
				{"type":"Progressing","status":%q,"reason":%q,"message":"%s"}]}}`, c.status, c.reason, c.message))
			if got := Observe(ro, nil).TimedOut; got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	ro := decode(t, []byte(`{"status":{"conditions":[{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded","message":"ReplicaSet \"web-\" x"}]}}`))
	if Observe(ro, nil).TimedOut {
		t.Error("a Rollout without a hash has timed out")
	}
}

func TestConditions(t *testing.T) {
	ro := decode(t, []byte(`{"status":{"conditions":[
		{"type":"Progressing","status":"True","reason":"p"},{"type":"Completed","status":"False","reason":"c"},
		{"type":"Healthy","status":"Unknown","reason":"h"},{"type":"Paused","status":"True","reason":"z"},
		{"type":"Available","status":"True","reason":"a","lastTransitionTime":"2026-11-20T21:08:50Z"},{"type":"InvalidSpec","status":"True"}]}}`))
	got := Observe(ro, nil)
	want := deploy.Condition{Status: deploy.True, Reason: "a", Since: time.Date(2026, 11, 20, 21, 8, 50, 0, time.UTC)}
	if got.Available != want {
		t.Errorf("got %+v, want %+v", got.Available, want)
	}
	all := []deploy.Condition{got.Progressing, got.CompletedCond, got.HealthyCond, got.PausedCond}
	if !slices.Equal(all, []deploy.Condition{
		{Status: deploy.True, Reason: "p"}, {Status: deploy.False, Reason: "c"}, {Status: deploy.NotTold, Reason: "h"}, {Status: deploy.True, Reason: "z"},
	}) {
		t.Errorf("got %+v", all)
	}
	if got := Observe(&Rollout{}, nil); got.Available != (deploy.Condition{}) {
		t.Errorf("got %+v of a Rollout without conditions", got.Available)
	}
}

func TestStrategies(t *testing.T) {
	for name, c := range map[string]struct {
		strategy, status string
		want             deploy.Rollout
	}{
		"a canary by replicas":             {`"canary":{}`, `"canary":{}`, deploy.Rollout{}},
		"a canary behind a router":         {`"canary":{"trafficRouting":{"istio":{}}}`, `"canary":{"weights":{"canary":{"weight":20}}}`, deploy.Rollout{TrafficRouted: true, Weight: 20}},
		"a router that has set nothing":    {`"canary":{"trafficRouting":{"istio":{}}}`, ``, deploy.Rollout{TrafficRouted: true}},
		"weights left over from a router":  {`"canary":{}`, `"canary":{"weights":{"canary":{"weight":20}}}`, deploy.Rollout{}},
		"blue-green":                       {`"blueGreen":{"activeService":"web"}`, `"blueGreen":{"activeSelector":"a1"}`, deploy.Rollout{BlueGreen: true, ActiveHash: "a1"}},
		"blue-green before its first pods": {`"blueGreen":{}`, ``, deploy.Rollout{BlueGreen: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Observe(decode(t, fmt.Appendf(nil, `{"spec":{"strategy":{%s}},"status":{%s}}`, c.strategy, c.status)), nil)
			if got.BlueGreen != c.want.BlueGreen || got.ActiveHash != c.want.ActiveHash ||
				got.TrafficRouted != c.want.TrafficRouted || got.Weight != c.want.Weight {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestTheSpec(t *testing.T) {
	const template = `"template":{"spec":{"initContainers":[{"image":"init:v1"}],"containers":[{"image":"web:v2"},{"image":"envoy:v1"},{"image":"web:v2"},{}]}}`
	got := Observe(decode(t, []byte(`{"spec":{`+template+`}}`)), nil)
	if !slices.Equal(got.TemplateImages, []string{"web:v2", "envoy:v1"}) || got.Desired != 1 {
		t.Errorf("got images %q, desired %d", got.TemplateImages, got.Desired)
	}
	got = Observe(decode(t, []byte(`{"spec":{"replicas":0,"workloadRef":{"name":"web"},`+template+`}}`)), nil)
	if got.TemplateImages != nil || got.Desired != 0 {
		t.Errorf("with workloadRef: got images %q, desired %d", got.TemplateImages, got.Desired)
	}
}

func replicaSet(owner *Rollout, hash, revision string) appsv1.ReplicaSet {
	return appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Labels:          map[string]string{HashLabel: hash},
			Annotations:     map[string]string{revisionAnnotation: revision},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, GroupVersion.WithKind("Rollout"))},
		},
		Spec:   appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "web:" + revision}}}}},
		Status: appsv1.ReplicaSetStatus{Replicas: 3, AvailableReplicas: 2},
	}
}

func TestReplicaSets(t *testing.T) {
	ro := &Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "u"}}
	reused := replicaSet(ro, "a1", "10")
	reused.Annotations[revisionHistoryAnnotation] = "1"
	unlabelled := replicaSet(ro, "", "4")
	foreign := replicaSet(&Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "before"}}, "f6", "3")
	unnumbered := replicaSet(ro, "c3", "")
	got := Observe(ro, []appsv1.ReplicaSet{reused, unlabelled, replicaSet(ro, "b2", "9"), foreign, unnumbered}).ReplicaSets
	if len(got) != 3 || got[0].Hash != "c3" || got[1].Hash != "b2" || got[2].Hash != "a1" {
		t.Fatalf("got %+v, want c3, b2, a1", got)
	}
	if !got[2].Reused || got[1].Reused || got[0].Revision != 0 || got[2].Revision != 10 {
		t.Errorf("got %+v", got)
	}
	if got[1].Replicas != 3 || got[1].Available != 2 || !slices.Equal(got[1].Images, []string{"web:9"}) {
		t.Errorf("got %+v", got[1])
	}
}

func TestOwner(t *testing.T) {
	const self = ":argoproj.io/Rollout:prod/web"
	for id, want := range map[string]types.NamespacedName{
		"web" + self:                             {Name: "web"},
		"argocd-teams_web" + self:                {Namespace: "argocd-teams", Name: "web"},
		"web:argoproj.io/Rollout:staging/web":    {}, // a copy in another namespace
		"web:argoproj.io/Rollout:prod/other":     {}, // a copy of another name
		"web:apps/Deployment:prod/web":           {}, // the Deployment it was made from
		"web:argoproj.io/Rollout:prod/web/extra": {},
		"argocd-teams_" + self:                   {Namespace: "argocd-teams"},
		self:                                     {},
		"web":                                    {},
		"":                                       {},
	} {
		ro := &Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web", Annotations: map[string]string{trackingID: id}}}
		if got, ok := Owner(ro); got != want || ok != (want.Name != "") {
			t.Errorf("%q: got %s (%v), want %s", id, got, ok, want)
		}
	}
}

func TestOneOddRolloutHidesNoOther(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for name, odd := range map[string]string{
		"an odd quantity":     `{"spec":{"template":{"spec":{"containers":[{"image":"web:v1","resources":{"limits":{"cpu":"lots"}}}]}}}}`,
		"an odd duration":     `{"spec":{"strategy":{"canary":{"steps":[{"pause":{"duration":{}}}]}}}}`,
		"an odd time":         `{"status":{"abortedAt":"now","conditions":[{"lastTransitionTime":7}]}}`,
		"an odd number":       `{"spec":{"replicas":"three"}}`,
		"a numeric hash":      `{"status":{"observedGeneration":7,"currentPodHash":5}}`,
		"a list for a status": `{"status":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			text := `{"apiVersion":"argoproj.io/v1alpha1","kind":"RolloutList","items":[` + odd + `,{"status":{"phase":"Healthy"}}]}`
			decoded, err := runtime.Decode(serializer.NewCodecFactory(scheme).UniversalDeserializer(), []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			list, ok := decoded.(*RolloutList)
			if !ok || len(list.Items) != 2 || list.Items[1].Status.Phase != "Healthy" {
				t.Fatalf("got %T %+v", decoded, decoded)
			}
			Observe(&list.Items[0], nil)
		})
	}
}

func TestTrimLeavesOtherObjectsAlone(t *testing.T) {
	other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"a": "b"}}}
	if got, err := Trim(other); err != nil || got != any(other) || other.Annotations["a"] != "b" {
		t.Errorf("got %v (%v)", got, err)
	}
}
