package dashboards

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	_ "sigs.k8s.io/controller-runtime/pkg/controller" // registers the metrics of every controller
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// What a query is made of. Numbers and words are told apart by what they begin with.
var (
	tokens   = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|[A-Za-z_:][A-Za-z0-9_:]*|[0-9.]+|=~|!~|!=|[-+*/(){},=<>]|\s+|.`)
	duration = regexp.MustCompile(`^\[(\$__rate_interval|\d+[smhdw])\]$`)
	name     = regexp.MustCompile(`^[a-z_]+$`)
	word     = regexp.MustCompile(`^[A-Za-z_:]`)
	template = regexp.MustCompile(`\{\{([a-z]+)\}\}`)
	lookup   = regexp.MustCompile(`^label_values\((.+), ([a-z]+)\)$`)
	code     = regexp.MustCompile("`([a-z_]+)`")
)

// functions and keywords are those of PromQL that the dashboards use.
var functions = map[string]bool{
	"sum": true, "max": true, "rate": true, "increase": true, "histogram_quantile": true, "topk": true, "vector": true, "by": true, "or": true,
}

// given are labels that Prometheus adds to what it scrapes, and the one of histograms' buckets.
var given = []string{"job", "pod", "le"}

// labels are what tells the series of each metric of ours apart, as the operator's page has it.
func labels(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `dora_") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		known[name] = nil
		for _, label := range code.FindAllStringSubmatch(cells[2], -1) {
			known[name] = append(known[name], label[1])
		}
	}
	return known
}

// registered are the metrics that the code makes: by the names in it, and those that controller-runtime registers.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, root := range []string{"../../internal", "../../controllers"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return collect(path, names)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		metrics.Registry.(prometheus.Collector).Describe(descriptions)
	}()
	full := regexp.MustCompile(`fqName: "([^"]+)"`)
	for description := range descriptions {
		names[full.FindStringSubmatch(description.String())[1]] = true
	}
	return names
}

// collect finds what may be the name of a metric in a file. Those of targets get their beginning from a function.
func collect(path string, names map[string]bool) error {
	ofTargets := strings.HasSuffix(path, "doratarget/metrics.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		switch {
		case err != nil || !name.MatchString(text):
		case strings.HasPrefix(text, "dora_"):
			names[text] = true
		case ofTargets:
			names["dora_target_"+text] = true
		}
		return true
	})
	return nil
}

// family is the metric that a series belongs to.
func family(series string, names map[string]bool) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base := strings.TrimSuffix(series, suffix); base != series && names[base] {
			return base
		}
	}
	return series
}

// parsed is what a query says, as far as it is understood here.
type parsed struct {
	metrics []string
	labels  []string // in matchers and after by
}

// parse reads a query: brackets match, strings and durations are whole, and each word is a function, a label or a metric.
func parse(g Gomega, query string) parsed {
	var (
		p    parsed
		open []string
		by   bool
	)
	closing := map[string]string{")": "(", "}": "{"}
	for _, found := range tokens.FindAllString(query, -1) {
		switch {
		case strings.TrimSpace(found) == "":
		case found == "(" || found == "{":
			if found == "(" && by {
				found, by = "by", false
			}
			open = append(open, found)
		case closing[found] != "":
			g.Expect(open).NotTo(BeEmpty(), "%s closes nothing in %s", found, query)
			last := open[len(open)-1]
			g.Expect(last == closing[found] || last == "by" && found == ")").To(BeTrue(), "%s closes %s in %s", found, last, query)
			open = open[:len(open)-1]
		case strings.HasPrefix(found, "["):
			g.Expect(found).To(MatchRegexp(duration.String()), query)
		case word.MatchString(found):
			switch {
			case len(open) > 0 && open[len(open)-1] != "(":
				p.labels = append(p.labels, found)
			case functions[found]:
				by = found == "by"
			default:
				p.metrics = append(p.metrics, found)
			}
		default:
			g.Expect(found).To(MatchRegexp(`^("[^"]*"|[0-9.]+|=~|!~|!=|[-+*/,=<>])$`), query)
		}
	}
	g.Expect(open).To(BeEmpty(), "something stays open in %s", query)
	return p
}

// understood says that every metric is there and has the labels that the query names.
func understood(g Gomega, query string, names map[string]bool, labels map[string][]string) {
	p := parse(g, query)
	for _, metric := range p.metrics {
		base := family(metric, names)
		g.Expect(names[base]).To(BeTrue(), "nobody registers %s: %s", base, query)
		own, ours := labels[base]
		if !ours {
			continue
		}
		for _, label := range p.labels {
			g.Expect(append(own, given...)).To(ContainElement(label), "%s in %s", base, query)
		}
	}
}

func TestQueriesForPrometheusAskForMetricsThatAreThere(t *testing.T) {
	names, known := registered(t), labels(t)
	for _, p := range dashboards(t)["controller.json"].Panels {
		for _, q := range p.Targets {
			t.Run(p.Title+"/"+q.RefID, func(t *testing.T) {
				g := NewWithT(t)
				understood(g, q.Expr, names, known)
				g.Expect(strings.Contains(q.Expr, `job=~"$job"`)).To(BeTrue(), "a Prometheus may hold several controllers")
				for _, label := range template.FindAllStringSubmatch(q.LegendFormat, -1) {
					inResult := label[1] == "pod" || label[1] == "host" || strings.Contains(q.Expr, label[1])
					g.Expect(inResult).To(BeTrue(), "%s is no label of what %s gives", label[1], q.Expr)
				}
			})
		}
	}
}

func TestVariablesForPrometheusAskForMetricsThatAreThere(t *testing.T) {
	names, known := registered(t), labels(t)
	for _, v := range dashboards(t)["controller.json"].Templating.List {
		if v.Type != "query" {
			continue
		}
		g := NewWithT(t)
		parts := lookup.FindStringSubmatch(v.Definition)
		g.Expect(parts).NotTo(BeNil(), v.Definition)
		understood(g, parts[1], names, known)
		g.Expect(parts[2]).To(BeElementOf("job", "sink"))
	}
}

// Nothing that the controller can be ill with is forgotten.
func TestEachMetricOfHealthHasAPanel(t *testing.T) {
	var shown strings.Builder
	for _, p := range dashboards(t)["controller.json"].Panels {
		for _, q := range p.Targets {
			shown.WriteString(q.Expr + "\n")
		}
	}
	for name := range labels(t) {
		for _, prefix := range []string{"dora_sink_", "dora_ledger_", "dora_followed_", "dora_decisions_", "dora_events_", "dora_history_", "dora_open_"} {
			if strings.HasPrefix(name, prefix) {
				NewWithT(t).Expect(shown.String()).To(ContainSubstring(name))
			}
		}
	}
}
