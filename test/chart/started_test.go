package chart_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// nowhere is a cluster that a program asks for after it has understood all of its arguments.
const nowhere = "/there-is-no-such/kubeconfig"

// understood is what the program says against arguments, without a cluster to start in.
func understood(t *testing.T, args ...string) error {
	t.Helper()
	path, err := program()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(t.Context(), path, append(args, "--kubeconfig="+nowhere)...)
	cmd.Env = []string{"POD_NAMESPACE=" + system, "PGUSER=dora", "PGPASSWORD=x"}
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Run()
	NewWithT(t).Expect(err).To(HaveOccurred(), "it runs without a cluster")
	if strings.Contains(said.String(), nowhere) {
		return nil
	}
	return errors.New(said.String())
}

// TestWhatIsRenderedIsUnderstood: no set of values ends in a pod that says what is wrong with its arguments, again and again.
func TestWhatIsRenderedIsUnderstood(t *testing.T) {
	certificate := t.TempDir()
	for _, name := range []string{"tls.crt", "tls.key"} {
		NewWithT(t).Expect(os.WriteFile(filepath.Join(certificate, name), nil, 0o600)).To(Succeed())
	}
	for name, s := range sets {
		t.Run(name, func(t *testing.T) {
			args := slices.Clone(deploymentIn(t, render(t, s.values)).Spec.Template.Spec.Containers[0].Args)
			for i := range args {
				args[i] = regexp.MustCompile("/etc/dora-controller/(metrics|receivers)").ReplaceAllString(args[i], certificate)
			}
			NewWithT(t).Expect(understood(t, args...)).To(Succeed())
		})
	}
}

// A knob is a value that becomes a flag, with texts that both take and texts that both refuse.
type knob struct {
	values  string // with %q for the text
	flag    string
	takes   []string
	refuses []string
}

var knobs = map[string]knob{
	"cluster":           {`{cluster: %q}`, "--cluster=", []string{"a", "eu-1", "eu.west.1", "1"}, []string{"EU", "a..b", "a.-b", "-a", "a-", "a_b"}},
	"namespaces":        {`{namespaces: [%q]}`, "--namespaces=", []string{"a", "team-a", "1"}, []string{"a.b", "A", "a-", strings.Repeat("a", 64)}},
	"trustedNamespaces": {`{trustedNamespaces: [%q]}`, "--trusted-namespaces=", []string{"argocd"}, []string{"argo.cd", "*"}},
	"keepEvents": {
		`{keepEvents: %q}`, "--keep-events=",
		[]string{"366d", "365d24h", "8784h", "400d", "0s", "99999d"},
		[]string{"30d", "365d23h59m59s", "400", "d", "1y", "24h365d", "-400d", "123456d"},
	},
	"sinkGrace": {`{sinkGrace: %q}`, "--sink-grace=", []string{"3d", "1d12h", "90s", "1h30m", "0s"}, []string{"3", "1d12", "1w", "12h1d", "-1h"}},
	"allowNetworks": {
		`{allowNetworks: [%q]}`, "--allow-networks=",
		[]string{
			"10.0.0.0/8", "0.0.0.0/0", "255.255.255.255/32", "10.1.2.3/9", "::/0", "fd00::/8", "1:2:3:4:5:6:7:8/128", "1:2:3:4:5:6:7::/112", "::2:3:4:5:6:7:8/16",
			"1::3:4:5:6:7:8/127", "fe80::1/100", "FD00::/8", "1:2:3:4::6:7:8/99",
		},
		[]string{
			"10.0.0.1", "10.0.0.0/33", "256.0.0.0/8", "10.0.0/8", "010.0.0.0/8", "10.0.0.0/08", "10.0.0.0.0/8", "fd00::/129", "fd00:/8", "1:2:3:4:5:6:7:8:9/64",
			"1:2:3:4:5:6:7:8::/64", "::1::/64", ":::/64", "12345::/64", "1:2:3:4:5:6:7/64", "fd00::/", "/8", ":/8", "fd00::/064",
		},
	},
	"log.level": {
		`{log: {level: %q}}`, "--log-level=",
		[]string{"debug", "info", "error", "1", "2", "9", "ledger=debug", "error,commits=9,dispatch=info"},
		[]string{"warn", "0", "10", "info,info", "ledger=info,ledger=info", "leger=info", "Ledger=info", "ledger", "info,", "=info", "ledger=", "ledger=a=b"},
	},
	"log.encoder":   {`{log: {encoder: %q}}`, "--zap-encoder=", []string{"json", "console"}, []string{"text"}},
	"gitCache.size": {`{gitCache: {size: %q, volumeSize: 2000000Gi}}`, "--git-cache-size=", []string{"64Mi", "2Gi", "999999Gi"}, []string{"63Mi", "0Gi", "-1Gi", "1 Gi"}},
	"extraArgs": {
		`{extraArgs: [%q]}`, "",
		[]string{
			"--pprof-bind-address=localhost:6060", "--pprof-bind-address=[::1]:6060", "--pprof-bind-address=127.0.0.1:6060", "--zap-devel", "--zap-devel=false",
			"--zap-stacktrace-level=panic", "--zap-time-encoding=epoch", "--local-repositories=/srv/git", "--kubeconfig=/etc/kubeconfig",
		},
		[]string{"--explian", "explain", "--pprof-bind-address=:6060", "--pprof-bind-address=10.0.0.1:6060", "--zap-devel=maybe", "--zap-time-encoding=unix", "--zap-stacktrace-level=warn"},
	},
}

// TestTheChartAndTheProgramRefuseTheSame: what one refuses while it is rendered would otherwise be refused by the other in a pod that is
// started again and again.
func TestTheChartAndTheProgramRefuseTheSame(t *testing.T) {
	for name, k := range knobs {
		t.Run(name, func(t *testing.T) {
			for text, taken := range maps.All(taken(k)) {
				want := Succeed()
				if !taken {
					want = Not(want)
				}
				_, err := helm(t, fmt.Sprintf(k.values, text), "template", release, chart, "--values", "-")
				NewWithT(t).Expect(err).To(want, "the chart, of %s", text)
				NewWithT(t).Expect(understood(t, "run", "--ledger="+filepath.Join(t.TempDir(), "ledger.db"), k.flag+text)).To(want, "the program, of %s", text)
			}
		})
	}
}

// taken says of each text whether it is.
func taken(k knob) map[string]bool {
	texts := map[string]bool{}
	for _, text := range k.takes {
		texts[text] = true
	}
	for _, text := range k.refuses {
		texts[text] = false
	}
	return texts
}

// TestEachFlagCanBeSet: extraArgs takes what no value sets, and the lease is where the release is.
func TestEachFlagCanBeSet(t *testing.T) {
	g := NewWithT(t)
	path, err := program()
	g.Expect(err).NotTo(HaveOccurred())
	help, err := output(exec.CommandContext(t.Context(), path, "run", "--help"))
	g.Expect(err).NotTo(HaveOccurred())
	rendered, err := os.ReadFile(chart + "/templates/_arguments.tpl")
	g.Expect(err).NotTo(HaveOccurred())
	flags := regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`).FindAllStringSubmatch(help, -1)
	g.Expect(len(flags)).To(BeNumerically(">=", 20))
	for _, flag := range flags {
		if slices.Contains([]string{"help", "leader-election-namespace"}, flag[1]) || regexp.MustCompile(`--`+flag[1]+`\b[^-]`).Match(rendered) {
			continue
		}
		_, bare := helm(t, fmt.Sprintf(`{extraArgs: ["--%s"]}`, flag[1]), "template", release, chart, "--values", "-")
		var valued error
		for _, value := range []string{"x", "json", "info", "epoch", "localhost:6060"} {
			if _, valued = helm(t, fmt.Sprintf(`{extraArgs: ["--%s=%s"]}`, flag[1], value), "template", release, chart, "--values", "-"); valued == nil {
				break
			}
		}
		g.Expect(bare == nil || valued == nil).To(BeTrue(), "--%s can be set by no value of the chart: give it one, or let extraArgs take it", flag[1])
	}
}

var areaRows = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ")

// TestEachAreaMayHaveALevel: the page has the areas of the program, which its own tests see to.
func TestEachAreaMayHaveALevel(t *testing.T) {
	g := NewWithT(t)
	_, table, _ := strings.Cut(page(t, "docs/logs.md"), "\n| area |")
	table, _, _ = strings.Cut(table, "\n\n")
	var levels []string
	for _, row := range areaRows.FindAllStringSubmatch(table, -1) {
		levels = append(levels, row[1]+"=debug")
	}
	g.Expect(len(levels)).To(BeNumerically(">=", 14))
	args := deploymentIn(t, render(t, fmt.Sprintf(`{log: {level: %q}}`, strings.Join(levels, ",")))).Spec.Template.Spec.Containers[0].Args
	g.Expect(understood(t, args...)).To(Succeed())
	_, err := helm(t, `{log: {level: "none=debug"}}`, "template", release, chart, "--values", "-")
	told := strings.TrimSpace(regexp.MustCompile(`use (.*)`).FindStringSubmatch(fmt.Sprint(err))[1])
	g.Expect(strings.Split(told, ", ")).To(HaveLen(len(levels)), "the chart has an area that the program has not")
}
