package chart_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// asked is what an alert asks Prometheus for.
type asked struct {
	Alert     string `json:"alert"`
	Selectors []struct {
		Metric string   `json:"metric"`
		Labels []string `json:"labels"`
	} `json:"selectors"`
}

// byRuntime are metrics of controller-runtime that alerts ask for.
var byRuntime = map[string][]string{"controller_runtime_reconcile_errors_total": {"controller"}}

// metrics are those of the operator's page, which a test of theirs holds against the code, with their labels.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(root + "/docs/operations.md")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	known := maps.Clone(byRuntime)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) > 3 && strings.HasPrefix(cells[1], " `dora_") {
			known[strings.Trim(cells[1], " `")] = strings.Fields(strings.NewReplacer("`", "", ",", "").Replace(cells[2]))
		}
	}
	return known
}

func TestAlertsAskForMetricsThatAreThere(t *testing.T) {
	g := NewWithT(t)
	rule := find(t, render(t, `{metrics: {prometheusRule: {enabled: true, extraRules: [{alert: Mine, expr: up == 0}]}}}`), "PrometheusRule/dora-controller")
	spec, err := yaml.Marshal(rule.Object["spec"])
	g.Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(t.Context(), tool(t, "promrules"))
	cmd.Stdin = strings.NewReader(string(spec))
	said, err := output(cmd)
	g.Expect(err).NotTo(HaveOccurred(), "Prometheus would not load these rules")

	known := metrics(t)
	var names []string
	for line := range strings.Lines(said) {
		var a asked
		g.Expect(json.Unmarshal([]byte(line), &a)).To(Succeed())
		names = append(names, a.Alert)
		for _, s := range a.Selectors {
			if s.Metric == "up" {
				continue
			}
			g.Expect(known).To(HaveKey(s.Metric), a.Alert)
			g.Expect(s.Labels).To(ContainElements("job", "namespace"), "a Prometheus may hold several controllers")
			for _, label := range s.Labels {
				g.Expect(slices.Concat(known[s.Metric], []string{"job", "namespace"})).To(ContainElement(label), a.Alert)
			}
		}
	}
	g.Expect(names).To(ContainElement("Mine"))
	names = slices.DeleteFunc(names, func(name string) bool { return name == "Mine" })
	g.Expect(alertsThatMayBeLeftOut(t)).To(ConsistOf(names))
}

func alertsThatMayBeLeftOut(t *testing.T) []string {
	t.Helper()
	names, found, err := unstructured.NestedStringSlice(read(t, chart+"/values.schema.json"),
		"properties", "metrics", "properties", "prometheusRule", "properties", "disabled", "items", "enum")
	NewWithT(t).Expect(found, err).To(BeTrue())
	return names
}

func TestAlertsCanBeLeftOutAndLabelled(t *testing.T) {
	g := NewWithT(t)
	values := `{metrics: {prometheusRule: {enabled: true, disabled: [DoraSinkParked], alertLabels: {team: platform, severity: page}}}}`
	rule := find(t, render(t, values), "PrometheusRule/dora-controller")
	text, err := yaml.Marshal(rule.Object)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).NotTo(ContainSubstring("DoraSinkParked"))
	g.Expect(strings.Count(string(text), "team: platform")).To(Equal(strings.Count(string(text), "alert: ")))
	g.Expect(string(text)).NotTo(ContainSubstring("severity: critical"), "the administrator's label counts")
}
