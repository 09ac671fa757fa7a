package integration_test

import (
	"context"
	"fmt"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/deploy"
)

var _ = Describe("A Rollout", func() {
	It("is a subject of its own while no followed Application manages it, and evidence once one does", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		p := start(cluster, watching(namespace))
		p.awaitReady()
		target := newTarget(ctx, api, namespace, "all", `{applications: {matchLabels: {followed: "yes"}}, rollouts: {}}`)
		manager := newApplication(ctx, api, p.clock, namespace, "shop", nil)
		manager.manages(namespace, "search")
		search := newRollout(ctx, api, p.clock, namespace, "search")
		search.deploy(v1)
		p.expectEvents("search: succeeded main-1a1a1a1")
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(s.ObservedSubjects).To(HaveValue(Equal(dorav1alpha1.ObservedSubjects{Rollouts: 1})), "nobody follows the Application that manages it")
		})

		manager.relabel(ctx, map[string]string{"followed": "yes"})
		p.expectGone(search.object)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(s.ObservedSubjects).To(HaveValue(Equal(dorav1alpha1.ObservedSubjects{Applications: 1})))
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(1)), "what it deployed before stays counted")
		})
	})

	It("is nothing new when the Application that managed it is followed no more", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		p := start(cluster, watching(namespace))
		p.awaitReady()
		target := newTarget(ctx, api, namespace, "all", `{applications: {}, rollouts: {}}`)
		newApplication(ctx, api, p.clock, namespace, "shop", nil).manages(namespace, "search")
		search := newRollout(ctx, api, p.clock, namespace, "search")
		search.deploy(v1)
		p.expectEvents("shop: succeeded main-1a1a1a1")

		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Applications = nil })
		p.expectDecision(search.object, deploy.ReasonBaseline)
		search.deploy(v2)
		events := p.expectEvents("shop: succeeded main-1a1a1a1", "search: succeeded main-2b2b2b2")
		Expect(events[1].Previous.Version.Tag).To(Equal("main-1a1a1a1"))
	})
})

// argoRollout plays Argo Rollouts for one Rollout.
type argoRollout struct {
	client   client.Client
	clock    *clocktesting.FakeClock
	now      time.Time
	object   *unstructured.Unstructured
	revision int
	stable   string // the hash that was Healthy
}

func newRollout(
	ctx context.Context, c client.Client, clock *clocktesting.FakeClock, namespace, name string, changes ...func(*unstructured.Unstructured),
) *argoRollout {
	GinkgoHelper()
	r := &argoRollout{client: c, clock: clock, now: time.Now().UTC().Truncate(time.Second)}
	labels := object{"app": name}
	r.object = &unstructured.Unstructured{Object: object{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
		"metadata": object{"namespace": namespace, "name": name},
		"spec": object{
			"replicas": int64(1), "selector": object{"matchLabels": labels}, "strategy": object{"canary": object{}},
			"template": object{"metadata": object{"labels": labels}, "spec": object{"containers": []any{object{"name": "web", "image": "none"}}}},
		},
	}}
	for _, change := range changes {
		change(r.object)
	}
	Expect(c.Create(ctx, r.object)).To(Succeed())
	return r
}

// deploy is a deployment that goes well, as it looks once it is over.
func (r *argoRollout) deploy(image string) {
	GinkgoHelper()
	hash := r.next(image, 1)
	r.stable = hash
	r.write(image, object{
		"phase": "Healthy", "currentPodHash": hash, "stableRS": hash, "replicas": int64(1), "availableReplicas": int64(1),
		"conditions": []any{
			r.says("Available", "True", "AvailableReason"), r.says("Completed", "True", "RolloutCompleted"), r.says("Healthy", "True", "RolloutHealthy"),
			r.says("Progressing", "True", "NewReplicaSetAvailable"),
		},
	})
}

// abort is a canary that was aborted, as it looks once its pods are gone.
func (r *argoRollout) abort(image string) {
	GinkgoHelper()
	hash := r.next(image, 0)
	r.write(image, object{
		"phase": "Degraded", "message": "RolloutAborted: aborted", "abort": true, "abortedAt": r.now.Format(time.RFC3339),
		"currentPodHash": hash, "stableRS": r.stable, "replicas": int64(1), "availableReplicas": int64(1),
		"conditions": []any{
			r.says("Available", "True", "AvailableReason"), r.says("Completed", "False", "RolloutCompleted"), r.says("Healthy", "False", "RolloutHealthy"),
			r.says("Progressing", "False", "RolloutAborted"),
		},
	})
}

// next makes the ReplicaSet of a new revision, three seconds before the Rollout is written.
func (r *argoRollout) next(image string, pods int32) (hash string) {
	GinkgoHelper()
	r.revision++
	hash = fmt.Sprintf("hash%d", r.revision)
	r.newReplicaSet(hash, image, pods)
	r.now = r.now.Add(3 * time.Second)
	if r.now.After(r.clock.Now()) {
		r.clock.SetTime(r.now)
	}
	return hash
}

func (r *argoRollout) says(kind, status, reason string) any {
	at := r.now.Format(time.RFC3339)
	return object{"type": kind, "status": status, "reason": reason, "message": reason, "lastTransitionTime": at, "lastUpdateTime": at}
}

// write puts an image into the template, and then says what became of it.
func (r *argoRollout) write(image string, status object) {
	GinkgoHelper()
	ctx := context.Background()
	Eventually(func(g Gomega) {
		g.Expect(r.client.Get(ctx, client.ObjectKeyFromObject(r.object), r.object)).To(Succeed())
		r.object.SetAnnotations(map[string]string{"rollout.argoproj.io/revision": strconv.Itoa(r.revision)})
		g.Expect(unstructured.SetNestedField(r.object.Object, []any{object{"name": "web", "image": image}}, "spec", "template", "spec", "containers")).To(Succeed())
		g.Expect(r.client.Update(ctx, r.object)).To(Succeed())
		status["observedGeneration"] = strconv.FormatInt(r.object.GetGeneration(), 10)
		r.object.Object["status"] = status
		g.Expect(r.client.Status().Update(ctx, r.object)).To(Succeed())
	}).WithTimeout(patience).Should(Succeed())
}

func (r *argoRollout) newReplicaSet(hash, image string, pods int32) {
	GinkgoHelper()
	labels := map[string]string{"app": r.object.GetName(), "rollouts-pod-template-hash": hash}
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.object.GetNamespace(), Name: r.object.GetName() + "-" + hash, Labels: labels,
			Annotations: map[string]string{"rollout.argoproj.io/revision": strconv.Itoa(r.revision)},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: r.object.GetName(), UID: r.object.GetUID(), Controller: new(true),
			}},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &pods, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}},
			},
		},
	}
	ctx := context.Background()
	Expect(r.client.Create(ctx, set)).To(Succeed())
	set.Status = appsv1.ReplicaSetStatus{Replicas: pods, ReadyReplicas: pods, AvailableReplicas: pods}
	Expect(r.client.Status().Update(ctx, set)).To(Succeed())
}

// manages says that an Application lists a Rollout among its resources.
func (a *argoApp) manages(namespace, rollout string) {
	GinkgoHelper()
	a.write(func(status object) {
		Expect(unstructured.SetNestedField(a.object.Object, namespace, "spec", "destination", "namespace")).To(Succeed())
		status["sync"] = object{"status": "Synced"}
		status["health"] = object{"status": "Healthy", "lastTransitionTime": a.time()}
		status["reconciledAt"] = a.time()
		status["resources"] = []any{object{
			"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout", "namespace": namespace, "name": rollout, "status": "Synced",
		}}
	})
}
