package chart_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// newer is a sink that the kinds of the previous chart do not know.
const newer = `{type: CloudEvents, cloudEvents: {url: "https://events.example.com/x", format: cdevents-0.4}}`

func TestUpgraded(t *testing.T) {
	g := NewWithT(t)
	c := newCluster(t)
	c.namespaces(t, system, "shop")
	previous, err := filepath.Glob("testdata/previous/*.tgz")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(previous).To(HaveLen(1))
	values, volumes := installed(t, `{caBundles: []}`), t.TempDir()
	world := argo{t, c.api, "shop"}
	target := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all"}}
	g.Expect(yaml.Unmarshal([]byte(`{applications: {}}`), &target.Spec)).To(Succeed())

	c.install(t, "install", release, system, previous[0], values)
	c.meetsToday(t)
	g.Expect(c.api.Create(t.Context(), target)).To(Succeed())
	g.Expect(c.sink(t.Context(), "shop", newer)).To(MatchError(ContainSubstring("cdevents-0.4")))
	p := c.start(t, c.deployment(t, system, release), volumes)
	p.awaitReady(t)
	books := world.application("books")
	c.expectSeen(t, target)
	world.deploy(books, v1)
	c.expectDeployments(t, target, 1)
	p.stop(t)
	before := c.kept(t, target)
	file := filepath.Join(volumes, "dora-controller-ledger", "ledger.db")
	written := eventsIn(t, file)
	g.Expect(written).To(HaveLen(1))
	g.Expect(written[0]).To(ContainSubstring(`"tag":"main-1a1a1a1"`), "what the previous chart's arguments have written")

	c.install(t, "upgrade", release, system, chart, values)
	g.Expect(c.kept(t, target)).To(Equal(before), "the kinds, the target and the ledger's claim are the same objects")
	g.Expect(c.api.Get(t.Context(), client.ObjectKeyFromObject(target), target)).To(Succeed())
	g.Expect(target.Status.Summary.Counts.Succeeded).To(Equal(int64(1)))
	g.Expect(c.sink(t.Context(), "shop", newer)).To(Succeed(), "the kinds are upgraded with the chart")
	c.rightsAreThose(t, render(t, values))
	p = c.start(t, c.deployment(t, system, release), volumes)
	p.awaitReady(t)
	g.Expect(eventsIn(t, file)).To(Equal(written), "it is the same ledger")
	world.deploy(books, v2)
	c.expectDeployments(t, target, 2)
	p.stop(t)
	g.Expect(eventsIn(t, file)).To(And(HaveLen(2), HaveExactElements(written[0], And(
		ContainSubstring(`"tag":"main-2b2b2b2"`), MatchRegexp(`"previous":\{[^}]*main-1a1a1a1`)))), "it goes on where the other ended")

	_, err = c.helm(t, "", "uninstall", release, "--namespace", system)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.kept(t, target)).To(Equal(before), "the kinds, the targets and the ledger survive the release")
	c.nothingElse(t, render(t, values, "--no-hooks"))

	c.install(t, "install", release, system, chart, values)
	g.Expect(c.kept(t, target)).To(Equal(before), "an installation of the same name goes on with them")
	p = c.start(t, c.deployment(t, system, release), volumes)
	p.awaitReady(t)
	c.expectDeployments(t, target, 2)
	p.stop(t)
}

// meetsToday gives the previous chart what today's program asks for and its own did not: the program of that version is not here, and what is
// tried are its arguments. They are given as the release's own, so that the upgrade takes them over.
func (c *cluster) meetsToday(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	for _, o := range render(t, "{}") {
		var there unstructured.Unstructured
		there.SetGroupVersionKind(o.GroupVersionKind())
		if o.GetKind() == "CustomResourceDefinition" && apierrors.IsNotFound(c.api.Get(t.Context(), client.ObjectKeyFromObject(o), &there)) {
			o.SetAnnotations(map[string]string{"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": system, "helm.sh/resource-policy": "keep"})
			g.Expect(c.api.Create(t.Context(), o)).To(Succeed())
		}
		if called(o) == "ClusterRole/"+release {
			g.Expect(c.api.Get(t.Context(), client.ObjectKeyFromObject(o), &there)).To(Succeed())
			there.Object["rules"] = o.Object["rules"]
			g.Expect(c.api.Update(t.Context(), &there)).To(Succeed())
		}
	}
}

// eventsIn are the lines that the program reads in a ledger.
func eventsIn(t *testing.T, ledger string) []string {
	t.Helper()
	path, err := program()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	text, err := output(exec.CommandContext(t.Context(), path, "events", "--ledger", ledger, "-o", "json"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// kept are the identities of what must never be replaced.
func (c *cluster) kept(t *testing.T, target *dorav1alpha1.DoraTarget) map[string]types.UID {
	t.Helper()
	kept := map[string]types.UID{}
	for _, o := range []client.Object{
		&dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: target.Namespace, Name: target.Name}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "dora-controller-ledger"}},
		&apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "doratargets.dora-controller.io"}},
		&apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "dorasinks.dora-controller.io"}},
	} {
		NewWithT(t).Expect(c.api.Get(t.Context(), client.ObjectKeyFromObject(o), o)).To(Succeed())
		NewWithT(t).Expect(o.GetDeletionTimestamp()).To(BeNil())
		kept[o.GetName()] = o.GetUID()
	}
	return kept
}

// rightsAreThose of these objects, without any that a former release had.
func (c *cluster) rightsAreThose(t *testing.T, all []*unstructured.Unstructured) {
	t.Helper()
	for _, want := range all {
		if !slices.Contains([]string{"Role", "ClusterRole"}, want.GetKind()) {
			continue
		}
		got := want.DeepCopy()
		NewWithT(t).Expect(c.api.Get(t.Context(), client.ObjectKeyFromObject(want), got)).To(Succeed())
		NewWithT(t).Expect(got.Object["rules"]).To(Equal(want.Object["rules"]), called(want))
	}
}

// nothingElse of a release is there but what is kept.
func (c *cluster) nothingElse(t *testing.T, all []*unstructured.Unstructured) {
	t.Helper()
	for _, o := range all {
		err := c.api.Get(t.Context(), client.ObjectKeyFromObject(o), o.DeepCopy())
		if o.GetAnnotations()["helm.sh/resource-policy"] == "keep" {
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), called(o))
			continue
		}
		NewWithT(t).Expect(apierrors.IsNotFound(err)).To(BeTrue(), called(o))
	}
}
