package chart_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const revision = "8bef323a383a4d3b595e4605deb4f85f3e3e2146"

// argo plays Argo CD and Argo Rollouts: it writes what they write, by the wall clock.
type argo struct {
	t         *testing.T
	api       client.Client
	namespace string
}

func (a argo) create(kind, name string, spec object) *unstructured.Unstructured {
	a.t.Helper()
	o := &unstructured.Unstructured{Object: object{
		"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": object{"namespace": a.namespace, "name": name}, "spec": spec,
	}}
	NewWithT(a.t).Expect(a.api.Create(a.t.Context(), o)).To(Succeed())
	return o
}

func (a argo) application(name string) *unstructured.Unstructured {
	a.t.Helper()
	return a.create("Application", name, object{
		"project": "default", "destination": object{"server": "https://kubernetes.default.svc", "namespace": "prod"},
		"source": object{"repoURL": "https://git.example.com/acme/deploy-config.git", "path": name, "targetRevision": "main"},
	})
}

// nextSecond waits until the clock shows another second than before: Argo's times have no fractions, and by them syncs are told apart.
func (a argo) nextSecond() time.Time {
	a.t.Helper()
	began := time.Now().Unix()
	NewWithT(a.t).Eventually(func() int64 { return time.Now().Unix() }).Should(BeNumerically(">", began))
	return time.Now().UTC()
}

// deploy is a sync of an Application that brings an image, and the health that follows.
func (a argo) deploy(app *unstructured.Unstructured, image string) {
	a.t.Helper()
	at := a.nextSecond().Format(time.RFC3339)
	status := func(health string) object {
		return object{
			"operationState": object{
				"phase": "Succeeded", "startedAt": at, "finishedAt": at, "operation": object{"sync": object{"revision": revision}},
				"syncResult": object{"revision": revision, "resources": []any{object{
					"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "prod", "name": "web", "status": "Synced", "syncPhase": "Sync",
					"message": "deployment.apps/web configured",
				}}},
			},
			"history": []any{object{
				"id": int64(0), "revision": revision, "deployStartedAt": at, "deployedAt": at, "source": object{"repoURL": "https://git.example.com/a.git"},
			}},
			"sync":   object{"status": "Synced", "revision": revision},
			"health": object{"status": health, "lastTransitionTime": at}, "summary": object{"images": []any{image}}, "reconciledAt": at,
		}
	}
	for _, health := range []string{"Progressing", "Healthy"} {
		app.Object["status"] = status(health)
		NewWithT(a.t).Expect(a.api.Update(a.t.Context(), app)).To(Succeed())
	}
}

// rollout is a Rollout of one image, as it looks once it is over.
func (a argo) rollout(name, image string) {
	a.t.Helper()
	g := NewWithT(a.t)
	labels := object{"app": name}
	o := a.create("Rollout", name, object{
		"replicas": int64(1), "selector": object{"matchLabels": labels}, "strategy": object{"canary": object{}},
		"template": object{"metadata": object{"labels": labels}, "spec": object{"containers": []any{object{"name": "web", "image": image}}}},
	})
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: a.namespace, Name: name + "-1", Labels: map[string]string{"app": name, "rollouts-pod-template-hash": "hash1"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: name, UID: o.GetUID(), Controller: new(true),
			}},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}},
			},
		},
	}
	g.Expect(a.api.Create(a.t.Context(), set)).To(Succeed())
	set.Status = appsv1.ReplicaSetStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	g.Expect(a.api.Status().Update(a.t.Context(), set)).To(Succeed())
	at := time.Now().UTC().Format(time.RFC3339)
	o.Object["status"] = object{
		"phase": "Healthy", "observedGeneration": "1", "currentPodHash": "hash1", "stableRS": "hash1", "replicas": int64(1), "availableReplicas": int64(1),
		"conditions": []any{object{
			"type": "Healthy", "status": "True", "reason": "RolloutHealthy", "message": "Rollout is healthy", "lastTransitionTime": at, "lastUpdateTime": at,
		}},
	}
	g.Expect(a.api.Status().Update(a.t.Context(), o)).To(Succeed())
}
