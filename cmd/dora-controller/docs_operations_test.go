package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/dora-controller/dora-controller/controllers/dorasink"
	"github.com/dora-controller/dora-controller/controllers/doratarget"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/enrich"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/progress"
	"github.com/dora-controller/dora-controller/internal/receive"
	recordpkg "github.com/dora-controller/dora-controller/internal/record"
)

const operations = "docs/operations.md"

// tableRows are the cells of each row of a page's tables, by what its first cell names.
func tableRows(t *testing.T, page string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`[^|]* \\|(.*)\\|$").FindAllStringSubmatch(readPage(t, page), -1) {
		for cell := range strings.SplitSeq(m[2], "|") {
			found[m[1]] = append(found[m[1]], strings.TrimSpace(cell))
		}
	}
	return found
}

func TestEveryFlagOfRunIsDocumentedWithItsDefault(t *testing.T) {
	// What a flag's own default does not say.
	said := map[string]string{
		"namespaces": "all", "shard": "those without a label", "trusted-namespaces": "none", "kubeconfig": "found", "keep-events": "for ever", "keep-decisions": "`200`",
		"leader-election-namespace": "the pod's", "zap-encoder": "`json`", "log-level": "`info`", "zap-stacktrace-level": "`error`",
		"zap-time-encoding": "`rfc3339`", "git-cache": "`git`, beside the ledger", "git-cache-size": "`1Gi`", "local-repositories": "none",
		"allow-networks": "none", "metrics-cert-dir": "made at the start", "receivers-bind-address": "nowhere", "receivers-cert-dir": "none",
		"receivers-ip": "the pod's", "pprof-bind-address": "nowhere",
	}
	t.Setenv("POD_NAMESPACE", "")
	t.Setenv("POD_IP", "")
	page := tableRows(t, operations)
	newRunCommand().Flags().VisitAll(func(f *pflag.Flag) {
		want := said[f.Name]
		switch {
		case want != "":
		case f.DefValue == "false":
			want = "off"
		default:
			want = "`" + f.DefValue + "`"
		}
		if row := page["--"+f.Name]; len(row) == 0 || row[0] != want {
			t.Errorf("%s wants a row for --%s with the default %s, has: %s", operations, f.Name, want, row)
		}
		delete(page, "--"+f.Name)
	})
	for name := range page {
		if strings.HasPrefix(name, "--") {
			t.Errorf("%s has a row for %s, which run does not take", operations, name)
		}
	}
}

// described keeps the descriptions of the metrics that are registered with it.
type described []prometheus.Collector

func (d *described) Register(c prometheus.Collector) error {
	*d = append(*d, c)
	return nil
}

func (d *described) MustRegister(all ...prometheus.Collector) { *d = append(*d, all...) }
func (d *described) Unregister(prometheus.Collector) bool     { return false }

// metrics are all that a process registers, with their labels.
func metrics() map[string]string {
	all := described{recordpkg.NewPrometheus(), (*recordpkg.Recorder)(nil).Gauges(), doratarget.NewMetrics(), dorasink.Dropped(), &progress.Board{}, app.NewVolume("")}
	dispatch.New(nil, dispatch.Options{Registerer: &all})
	enrich.NewRateLimits(&all)
	receivers := receive.NewServer(receive.Options{})
	all.MustRegister(receivers.Metrics(), receivers.MetricsStandingBy(), kube.NewClock(nil, logr.Discard()))
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		for _, c := range all {
			c.Describe(descs)
		}
	}()
	found, form := map[string]string{}, regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{(.*?)\}`)
	for desc := range descs {
		if m := form.FindStringSubmatch(desc.String()); m != nil {
			found[m[1]] = m[2]
		}
	}
	return found
}

func TestEveryMetricIsDocumentedWithItsLabels(t *testing.T) {
	known, page := metrics(), tableRows(t, operations)
	if len(known) < 20 {
		t.Fatalf("found only %v", known)
	}
	for name, labels := range known {
		want := "–"
		if labels != "" {
			want = "`" + strings.ReplaceAll(labels, ",", "`, `") + "`"
		}
		if row := page[name]; len(row) == 0 || row[0] != want {
			t.Errorf("%s wants a row for %s with the labels %s, has: %s", operations, name, want, row)
		}
	}
	for name := range page {
		if _, ok := known[name]; !ok && strings.HasPrefix(name, "dora_") {
			t.Errorf("%s explains %s, which is no metric", operations, name)
		}
	}
}

func TestEveryKubernetesEventIsDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal", "kube", "announce.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	page, known := tableRows(t, operations), 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") || len(spec.Values) != 1 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			known++
			if name, err := strconv.Unquote(literal.Value); err != nil || len(page[name]) == 0 {
				t.Errorf("%s has no row for the reason %s (%v)", operations, literal.Value, err)
			}
		}
		return true
	})
	if known < 6 {
		t.Errorf("found only %d reasons", known)
	}
}
