package chart_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// helmsOwn are labels and annotations that tell Helm and people which release an object is of.
var helmsOwn = []string{
	"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "app.kubernetes.io/name", "helm.sh/chart", "helm.sh/resource-policy",
}

func TestKustomizeInstallsWhatTheDefaultsOfTheChartAre(t *testing.T) {
	text, err := output(exec.CommandContext(t.Context(), tool(t, "kustomize"), "build", root+"/config/default"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	want, got := plainByName(render(t, "", "--no-hooks")), plainByName(objects(t, text))
	// Helm makes no namespace of its own, but on --create-namespace.
	delete(got, "Namespace/"+system)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the chart (-) and config/default (+) differ:\n%s", diff)
	}
}

func plainByName(all []*unstructured.Unstructured) map[string]object {
	named := map[string]object{}
	for _, o := range all {
		named[called(o)] = plain(o.Object).(object)
	}
	return named
}

// plain leaves out what only Helm or only people read, wherever it stands: in labels, selectors and annotations.
func plain(value any) any {
	switch value := value.(type) {
	case object:
		out := object{}
		for key, child := range value {
			if slices.Contains(helmsOwn, key) {
				continue
			}
			child = plain(child)
			if below, branch := child.(object); branch && len(below) == 0 && slices.Contains([]string{"labels", "annotations"}, key) {
				continue
			}
			out[key] = child
		}
		return out
	case []any:
		out := make([]any, 0, len(value))
		for _, child := range value {
			out = append(out, plain(child))
		}
		return out
	}
	return value
}

func TestTheKindsAreThoseThatAreGenerated(t *testing.T) {
	g := NewWithT(t)
	generated, err := filepath.Glob(root + "/config/crd/bases/*.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(generated).NotTo(BeEmpty())
	copies, err := filepath.Glob(chart + "/files/crds/*.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(copies).To(HaveLen(len(generated)))
	for _, path := range generated {
		want, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		got, err := os.ReadFile(filepath.Join(chart, "files", "crds", filepath.Base(path)))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(got)).To(Equal(string(want)), "run `make generate`")
	}
}
