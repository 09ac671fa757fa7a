package chart_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dora-controller/dora-controller/test/docs"
)

// TestReleases follows what the pages say of a cluster on which there is something already, in the order in which it happens to one.
func TestReleases(t *testing.T) {
	n := &newcomer{cluster: newCluster(t), t: t, folder: checkout(t)}
	t.Run("Helm takes over what kustomize installed", func(t *testing.T) { n.fromKustomize(t) })
	t.Run("an upgrade keeps the values", func(t *testing.T) { n.upgradesKeepValues(t) })
	t.Run("what cannot be changed is refused", func(t *testing.T) { n.changesAreRefused(t) })
	t.Run("a second release", func(t *testing.T) { n.secondRelease(t) })
	t.Run("rights of people in namespaces", func(t *testing.T) { n.peopleInNamespaces(t) })
}

// section is a part of a page, up to the next heading.
func section(t *testing.T, name, title string) docs.Page {
	t.Helper()
	_, text, found := strings.Cut(page(t, name), "\n### "+title+"\n")
	NewWithT(t).Expect(found).To(BeTrue(), "%s has no %q", name, title)
	text, _, _ = strings.Cut(text, "\n##")
	return docs.Page{Name: name, Text: text}
}

// run runs commands as they stand on a page, but for those that wait for pods, which nobody makes here.
func (n *newcomer) run(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if strings.Contains(line, "rollout status") {
			continue
		}
		said, err := n.shell(line)
		NewWithT(t).Expect(err).NotTo(HaveOccurred(), "%s: %s", line, said)
	}
}

func linesOf(p docs.Page) (lines []string) {
	for _, b := range p.Blocks() {
		if b.Language == "sh" && b.NotRun == "" {
			lines = append(lines, strings.Split(strings.TrimSpace(b.Text), "\n")...)
		}
	}
	return lines
}

func (n *newcomer) claim(t *testing.T) types.UID {
	t.Helper()
	var claim corev1.PersistentVolumeClaim
	NewWithT(t).Expect(n.api.Get(t.Context(), client.ObjectKey{Namespace: system, Name: release + "-ledger"}, &claim)).To(Succeed())
	return claim.UID
}

func (n *newcomer) fromKustomize(t *testing.T) {
	t.Helper()
	n.run(t, "kubectl apply --server-side -k config/default")
	before := n.claim(t)
	_, err := n.shell("helm install dora-controller charts/dora-controller --namespace dora-system --values values.yaml")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("invalid ownership metadata")))
	n.run(t, linesOf(section(t, "docs/install.md", "From kustomize to Helm"))...)
	NewWithT(t).Expect(n.claim(t)).To(Equal(before), "it is the same ledger")
	NewWithT(t).Expect(n.deployment(t, system, release).Spec.Template.Spec.Containers[0].Image).To(Equal("registry.example.com/tools/dora-controller:v0"))
}

func (n *newcomer) upgradesKeepValues(t *testing.T) {
	t.Helper()
	g, ran := NewWithT(t), 0
	values := func() string {
		said, err := n.shell("helm get values dora-controller --namespace dora-system")
		g.Expect(err).NotTo(HaveOccurred())
		return said
	}
	before := values()
	g.Expect(before).To(ContainSubstring("cluster: eu-west-1"))
	for _, p := range pages(t) {
		for _, command := range commands.FindAllStringSubmatch(p.Text, -1) {
			if command[1] != "upgrade" || strings.Contains(command[2], "--install") {
				continue
			}
			ran++
			n.run(t, "helm upgrade"+command[2])
			g.Expect(values()).To(Equal(before), "%s: helm upgrade%s", p.Name, command[2])
		}
	}
	g.Expect(ran).To(BeNumerically(">=", 3))
}

// changesAreRefused: each with the words that the page has for it.
func (n *newcomer) changesAreRefused(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	var claim corev1.PersistentVolumeClaim
	g.Expect(n.api.Get(t.Context(), client.ObjectKey{Namespace: system, Name: release + "-ledger"}, &claim)).To(Succeed())
	claim.Status.Phase, claim.Status.Capacity = corev1.ClaimBound, corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	g.Expect(n.api.Status().Update(t.Context(), &claim)).To(Succeed())
	table := section(t, "docs/install.md", "What cannot be changed later").Text
	for value, want := range map[string]string{
		"fullnameOverride=figures":                      "",
		"nameOverride=dora,fullnameOverride=" + release: "field is immutable",
		"ledger.volume.size=512Mi":                      "field can not be less than status.capacity",
		"ledger.volume.accessMode=ReadWriteOncePod":     "spec is immutable after creation",
	} {
		_, err := n.shell("helm upgrade dora-controller charts/dora-controller --namespace dora-system --values values.yaml --set " + value)
		g.Expect(err).To(MatchError(ContainSubstring(want)), value)
		g.Expect(table).To(ContainSubstring(want))
		if want == "" {
			g.Expect(err).To(MatchError(ContainSubstring("set ledger.volume.existingClaim to " + release + "-ledger")))
		}
	}
	before := n.claim(t)
	n.run(t, "helm upgrade dora-controller charts/dora-controller --namespace dora-system --values values.yaml "+
		"--set fullnameOverride=figures,ledger.volume.existingClaim="+release+"-ledger")
	g.Expect(n.claim(t)).To(Equal(before))
	g.Expect(fmt.Sprint(n.deployment(t, system, "figures").Spec.Template.Spec.Volumes)).To(ContainSubstring(release + "-ledger"))
	n.run(t, "helm upgrade dora-controller charts/dora-controller --namespace dora-system --values values.yaml")
}

func (n *newcomer) secondRelease(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	part := section(t, "docs/scale.md", "A second release")
	for name, text := range part.Files() {
		n.run(t, fmt.Sprintf("cat >%s <<'END'\n%sEND", name, text))
	}
	n.run(t, linesOf(part)...)
	second := n.deployment(t, "dora-payments", "dora-payments-dora-controller")
	g.Expect(second.Spec.Template.Spec.Containers[0].Args).To(ContainElements("--shard=payments", "--trusted-namespaces=argocd"))
	g.Expect(n.deployment(t, system, release).Spec.Template.Spec.Containers[0].Args).NotTo(ContainElement(HavePrefix("--shard")))
	n.run(t, "helm uninstall dora-controller --namespace dora-system",
		"helm upgrade dora-payments charts/dora-controller --namespace dora-payments --values payments.yaml --set rbac.secretReader=true,rbac.aggregate=true")
}

// may asks whether somebody of a group may do something, in these words: create doratargets in payments.
func (n *newcomer) may(t *testing.T, group, what string) bool {
	t.Helper()
	words := regexp.MustCompile(`^(\w+) (\w+) in (\S+)$`).FindStringSubmatch(what)
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "jane", Groups: []string{group},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: words[1], Group: "dora-controller.io", Resource: words[2], Namespace: words[3]},
	}}
	NewWithT(t).Expect(n.api.Create(t.Context(), review)).To(Succeed())
	return review.Status.Allowed
}

func (n *newcomer) peopleInNamespaces(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	part := section(t, "docs/install.md", "Without rights on the cluster")
	values := yamlBlocks.FindStringSubmatch(part.Text)[1]
	_, err := n.helm(t, values, "install", release, chart, "--namespace", system, "--values", "-")
	g.Expect(err).To(MatchError(ContainSubstring(`namespaces "payments`)), "the page says that they have to exist")
	n.namespaces(t, "payments", "payments-argocd")
	n.run(t, "helm uninstall dora-controller --namespace dora-system")
	n.install(t, "install", release, system, chart, values)
	g.Expect(n.may(t, "payments", "create doratargets in payments")).To(BeFalse())
	for _, line := range linesOf(part) {
		if strings.HasPrefix(line, "kubectl create rolebinding") {
			n.run(t, line)
		}
	}
	for what, want := range map[string]bool{
		"create doratargets in payments": true, "list dorasinks in payments": true,
		"create dorasinks in payments": false, "create doratargets in payments-argocd": false,
	} {
		g.Expect(n.may(t, "payments", what)).To(Equal(want), what)
	}
}
