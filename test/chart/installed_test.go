package chart_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents/cloudeventstest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const (
	v1 = "registry.example.com/shop/web:main-1a1a1a1"
	v2 = "registry.example.com/shop/web:main-2b2b2b2"
)

func TestInstalled(t *testing.T) {
	c := newCluster(t)
	c.namespaces(t, system, "shop", "tenant", "tenant-system")
	t.Run("in the whole cluster", func(t *testing.T) {
		c.install(t, "install", release, system, chart, installed(t, `secretAccess: [{namespace: shop, names: [hooks]}]`))
		c.tell(t, c.deployment(t, system, release), "shop")
		c.justRight(t, system, release)
	})
	t.Run("in namespaces that are named, without a ClusterRole", func(t *testing.T) {
		c.install(t, "install", "mine", "tenant-system", chart, installed(t,
			`{crds: {install: false}, namespaces: [tenant], trustedNamespaces: [tenant], secretAccess: [{namespace: tenant}]}`))
		c.tell(t, c.deployment(t, "tenant-system", "mine-dora-controller"), "tenant")
		c.justRight(t, "tenant-system", "mine-dora-controller")
	})
}

// installed are values that let the controller run beside others on this machine, and reach a receiver on it.
func installed(t *testing.T, values string) string {
	t.Helper()
	g := NewWithT(t)
	var own, more object
	g.Expect(yaml.Unmarshal([]byte(fmt.Sprintf(`{metrics: {port: %d}, probes: {port: %d}, allowNetworks: [127.0.0.0/8], explain: true,
		caBundles: [{configMap: authority, key: ca.crt}]}`, freePort(t), freePort(t))), &own)).To(Succeed())
	g.Expect(yaml.Unmarshal([]byte(values), &more)).To(Succeed())
	maps.Copy(own, more)
	text, err := yaml.Marshal(own)
	g.Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func (c *cluster) deployment(t *testing.T, namespace, name string) *appsv1.Deployment {
	t.Helper()
	var deployment appsv1.Deployment
	NewWithT(t).Expect(c.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &deployment)).To(Succeed())
	return &deployment
}

// tell is the whole story: Argo deploys in a namespace, the figures are in the target, and the events at a receiver that speaks with a
// certificate of its own and asks for the token in a Secret.
func (c *cluster) tell(t *testing.T, deployment *appsv1.Deployment, namespace string) {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	token := sinktest.Secret("token-" + namespace)
	receiver := cloudeventstest.New(t, cloudeventstest.Settings{Token: token, TLS: true})
	g.Expect(c.api.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: deployment.Namespace, Name: "authority"}, Data: map[string]string{"ca.crt": string(receiver.CA)},
	})).To(Succeed())
	volumes := t.TempDir()
	p := c.start(t, deployment, volumes)
	p.awaitReady(t)

	g.Expect(c.api.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hooks"}, StringData: map[string]string{"token": token},
	})).To(Succeed())
	sink := &dorav1alpha1.DoraSink{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hooks"}, Spec: dorav1alpha1.DoraSinkSpec{
		Type: dorav1alpha1.SinkCloudEvents, Default: true,
		CloudEvents: &dorav1alpha1.CloudEventsSink{URL: receiver.URL, SecretRef: &dorav1alpha1.SecretReference{Name: "hooks"}},
	}}
	g.Expect(c.api.Create(ctx, sink)).To(Succeed())
	reports := &dorav1alpha1.DoraReceiver{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ci"}, Spec: dorav1alpha1.DoraReceiverSpec{
		Type: dorav1alpha1.ReceiverEvents, SecretRef: dorav1alpha1.SecretReference{Name: "hooks"},
	}}
	g.Expect(c.api.Create(ctx, reports)).To(Succeed())
	target := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "all"}}
	g.Expect(yaml.Unmarshal([]byte(`{applications: {}, rollouts: {}, source: {repository: {fromAnnotation: example.com/repository}}}`), &target.Spec)).To(Succeed())
	g.Expect(c.api.Create(ctx, target)).To(Succeed())

	world := argo{t, c.api, namespace}
	world.nextSecond() // what was made in the second in which the ledger began may have been there before it
	world.rollout("films", v1)
	books := world.application("books")
	c.expectSeen(t, target)
	world.deploy(books, v1)
	c.expectDeployments(t, target, 2)
	world.deploy(books, v2)
	c.expectDeployments(t, target, 3)
	g.Eventually(func(g Gomega) {
		g.Expect(c.api.Get(ctx, client.ObjectKeyFromObject(sink), sink)).To(Succeed())
		g.Expect(meta.IsStatusConditionTrue(sink.Status.Conditions, "Ready")).To(BeTrue())
		g.Expect(sink.Status.Delivered).To(BeNumerically(">=", 3))
		g.Expect(sink.Status.Pending).To(BeZero())
	}).WithTimeout(patience).Should(Succeed())
	g.Expect(receiver.Received()).NotTo(BeEmpty())
	g.Expect(c.api.Get(ctx, client.ObjectKeyFromObject(reports), reports)).To(Succeed())
	g.Expect(meta.FindStatusCondition(reports.Status.Conditions, "Ready")).To(HaveField("Status", metav1.ConditionFalse), "nobody listens")
	g.Eventually(func(g Gomega) {
		var list eventsv1.EventList
		g.Expect(c.api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		g.Expect(list.Items).To(ContainElement(HaveField("Reason", "Deployed")))
	}).WithTimeout(patience).Should(Succeed())
	c.loseTwice(t, sink)
	p.stop(t)
	g.Expect(filepath.Join(volumes, deployment.Name+"-ledger", "ledger.db")).To(BeARegularFile())
	g.Expect(sinktest.Leaks(p.log.String())).To(BeFalse())
	g.Expect(p.log.String()).NotTo(ContainSubstring("forbidden"))

	// Servers that do not stream what a watch begins with are asked for lists.
	p = c.start(t, deployment, volumes, "KUBE_FEATURE_WatchListClient=false")
	p.awaitReady(t)
	p.stop(t)
}

// loseTwice deletes a sink two times, which is told by one Kubernetes event that is counted.
func (c *cluster) loseTwice(t *testing.T, sink *dorav1alpha1.DoraSink) {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	for n := range 2 {
		g.Expect(c.api.Delete(ctx, sink)).To(Succeed())
		g.Eventually(func(g Gomega) {
			var list eventsv1.EventList
			g.Expect(c.api.List(ctx, &list, client.InNamespace(sink.Namespace))).To(Succeed())
			gone := slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool { return e.Reason != "SinkGone" })
			g.Expect(gone).To(HaveLen(1))
			g.Expect(gone[0].Series != nil).To(Equal(n > 0))
		}).WithTimeout(patience).Should(Succeed())
		sink.ObjectMeta = metav1.ObjectMeta{Namespace: sink.Namespace, Name: sink.Name}
		g.Expect(c.api.Create(ctx, sink)).To(Succeed())
		g.Eventually(func(g Gomega) {
			g.Expect(c.api.Get(ctx, client.ObjectKeyFromObject(sink), sink)).To(Succeed())
			g.Expect(meta.IsStatusConditionTrue(sink.Status.Conditions, "Ready")).To(BeTrue())
		}).WithTimeout(patience).Should(Succeed())
	}
}

// expectSeen waits until the Application was seen. What an object looks like when it is first seen is where its story begins.
func (c *cluster) expectSeen(t *testing.T, target *dorav1alpha1.DoraTarget) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		g.Expect(c.api.Get(t.Context(), client.ObjectKeyFromObject(target), target)).To(Succeed())
		g.Expect(target.Status.ObservedSubjects).NotTo(BeNil())
		g.Expect(target.Status.ObservedSubjects.Applications).To(BeNumerically("==", 1))
	}).WithTimeout(patience).Should(Succeed())
}

func (c *cluster) expectDeployments(t *testing.T, target *dorav1alpha1.DoraTarget, n int64) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		g.Expect(c.api.Get(t.Context(), client.ObjectKeyFromObject(target), target)).To(Succeed())
		g.Expect(meta.IsStatusConditionTrue(target.Status.Conditions, "Ready")).To(BeTrue())
		g.Expect(target.Status.Summary).NotTo(BeNil())
		g.Expect(target.Status.Summary.Counts.Succeeded).To(Equal(n))
	}).WithTimeout(patience).Should(Succeed())
}
