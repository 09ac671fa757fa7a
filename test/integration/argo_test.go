package integration_test

import (
	"context"
	"maps"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// argoApp plays Argo CD for one Application: it writes what Argo CD writes, so that a story reads like one.
type argoApp struct {
	client  client.Client
	object  *unstructured.Unstructured
	history []any
	image   string
	// workload is what it deploys, as it is listed among its resources.
	workload object
	// now is Argo's clock: it moves on with what Argo does, and the controller's clock with it.
	now   time.Time
	clock *clocktesting.FakeClock
}

type object = map[string]any

// newApplication creates one that Argo CD has not looked at yet.
func newApplication(ctx context.Context, c client.Client, clock *clocktesting.FakeClock, namespace, name string, labels map[string]string) *argoApp {
	GinkgoHelper()
	a := &argoApp{client: c, clock: clock}
	a.workload = object{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "prod", "name": "web", "status": "Synced"}
	a.object = &unstructured.Unstructured{Object: object{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": object{"namespace": namespace, "name": name},
		"spec": object{
			"project":     "default",
			"destination": object{"server": "https://kubernetes.default.svc", "namespace": "prod-" + name},
			"source":      object{"repoURL": "https://git.example.com/acme/deploy-config.git", "path": name, "targetRevision": "main"},
		},
	}}
	a.object.SetLabels(labels)
	Expect(c.Create(ctx, a.object)).To(Succeed())
	a.now = a.object.GetCreationTimestamp().UTC()
	a.wait(time.Second)
	return a
}

// wait lets time pass.
func (a *argoApp) wait(d time.Duration) {
	a.now = a.now.Add(d)
	if a.now.After(a.clock.Now()) {
		a.clock.SetTime(a.now)
	}
}

func (a *argoApp) time() string { return a.now.Format(time.RFC3339) }

// write replaces the status and the rest that Argo CD writes.
func (a *argoApp) write(change func(status object)) {
	GinkgoHelper()
	ctx := context.Background() // it outlives the node in which it was made
	Eventually(func(g Gomega) {
		g.Expect(a.client.Get(ctx, client.ObjectKeyFromObject(a.object), a.object)).To(Succeed())
		status, _ := a.object.Object["status"].(object)
		if status == nil {
			status = object{}
		}
		change(status)
		a.object.Object["status"] = status
		g.Expect(a.client.Update(ctx, a.object)).To(Succeed())
	}).WithTimeout(patience).Should(Succeed())
}

// sync is an operation that applies an image: it runs, and has succeeded two seconds later.
func (a *argoApp) sync(image string) {
	GinkgoHelper()
	started := a.time()
	a.wait(2 * time.Second)
	finished := a.time()
	a.history = append(a.history, object{
		"id": int64(len(a.history)), "revision": "8bef323a383a4d3b595e4605deb4f85f3e3e2146",
		"deployStartedAt": started, "deployedAt": finished,
		"source": object{"repoURL": "https://git.example.com/acme/deploy-config.git"},
	})
	row := maps.Clone(a.workload)
	maps.Copy(row, object{"syncPhase": "Sync", "hookPhase": "Running", "message": "configured"})
	a.write(func(status object) {
		status["operationState"] = object{
			"phase": "Succeeded", "message": "successfully synced (all tasks run)", "startedAt": started, "finishedAt": finished,
			"operation":  object{"sync": object{"revision": "8bef323a383a4d3b595e4605deb4f85f3e3e2146"}},
			"syncResult": object{"revision": "8bef323a383a4d3b595e4605deb4f85f3e3e2146", "resources": []any{row}},
		}
		status["history"] = a.history
		status["sync"] = object{"status": "Synced", "revision": "8bef323a383a4d3b595e4605deb4f85f3e3e2146"}
		status["health"] = object{"status": "Progressing", "lastTransitionTime": finished}
		status["summary"] = object{"images": images(a.image, image)}
		status["reconciledAt"] = finished
		status["resources"] = []any{a.workload}
	})
	a.image = image
}

// fail is an operation that applies nothing.
func (a *argoApp) fail(message string) {
	GinkgoHelper()
	started := a.time()
	a.wait(2 * time.Second)
	a.write(func(status object) {
		status["operationState"] = object{
			"phase": "Failed", "message": message, "startedAt": started, "finishedAt": a.time(),
			"operation": object{"sync": object{"revision": "8bef323a383a4d3b595e4605deb4f85f3e3e2146"}},
		}
	})
}

// becomes says that the health changes now, with the pods of the newest version alone.
func (a *argoApp) becomes(health string) {
	GinkgoHelper()
	a.wait(3 * time.Second)
	a.write(func(status object) {
		status["health"] = object{"status": health, "lastTransitionTime": a.time()}
		status["summary"] = object{"images": images(a.image)}
		status["reconciledAt"] = a.time()
	})
}

// brings says that what it deploys is a Rollout.
func (a *argoApp) brings(namespace, rollout string) *argoApp {
	a.workload = object{"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout", "namespace": namespace, "name": rollout, "status": "Synced"}
	return a
}

// deploy is a whole deployment that goes well.
func (a *argoApp) deploy(image string) {
	GinkgoHelper()
	a.sync(image)
	a.becomes("Healthy")
	a.wait(time.Minute)
}

func images(all ...string) []any {
	var list []any
	for _, image := range all {
		if image != "" {
			list = append(list, image)
		}
	}
	return list
}

// annotate adds an annotation.
func (a *argoApp) annotate(ctx context.Context, key, value string) {
	GinkgoHelper()
	Expect(a.client.Get(ctx, client.ObjectKeyFromObject(a.object), a.object)).To(Succeed())
	a.object.SetAnnotations(map[string]string{key: value})
	Expect(a.client.Update(ctx, a.object)).To(Succeed())
}

// relabel replaces the labels.
func (a *argoApp) relabel(ctx context.Context, labels map[string]string) {
	GinkgoHelper()
	Expect(a.client.Get(ctx, client.ObjectKeyFromObject(a.object), a.object)).To(Succeed())
	a.object.SetLabels(labels)
	Expect(a.client.Update(ctx, a.object)).To(Succeed())
}
