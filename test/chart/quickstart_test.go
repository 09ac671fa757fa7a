package chart_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/test/docs"
)

// A newcomer follows docs/quickstart.md. Each command is run as it stands, and what the page shows is what comes, but for ages, times and ids.
// A kubelet and Argo CD are played: the controller is started once it is installed, and deploys where the page says so.
func TestQuickstart(t *testing.T) {
	n := &newcomer{cluster: newCluster(t), t: t, folder: t.TempDir(), ledger: t.TempDir()}
	tree, err := filepath.Abs(root)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(os.Symlink(filepath.Join(tree, "charts"), filepath.Join(n.folder, "charts"))).To(Succeed())
	n.namespaces(t, "argocd")
	world := argo{t, n.api, "argocd"}
	checkout := world.application("checkout")
	world.deploy(checkout, v1)

	text := page(t, "docs/quickstart.md")
	for part := range strings.SplitSeq(text, "\n## ") {
		if strings.HasPrefix(part, "Deploy ") {
			world.deploy(checkout, v2)
		}
		n.follow(docs.Page{Name: "quickstart.md", Text: part})
	}
	NewWithT(t).Expect(n.ran).To(BeNumerically(">=", 9))
	NewWithT(t).Expect(n.process.log.String()).To(ContainSubstring(`"schema":"dora/v1"`))
}

type newcomer struct {
	*cluster
	t              *testing.T
	folder, ledger string
	process        *process
	ran            int
}

func (n *newcomer) follow(part docs.Page) {
	n.t.Helper()
	for name, text := range part.Files() {
		NewWithT(n.t).Expect(os.WriteFile(filepath.Join(n.folder, name), []byte(text), 0o600)).To(Succeed())
	}
	for _, b := range part.Blocks() {
		switch {
		case b.NotRun != "":
		case b.Language == "console":
			for session := range strings.SplitSeq(strings.TrimPrefix(b.Text, "$ "), "\n$ ") {
				line, shown, _ := strings.Cut(session, "\n")
				n.expect(line, shown)
			}
		case b.Language == "sh":
			for line := range strings.Lines(b.Text) {
				n.do(strings.TrimSpace(line))
			}
		}
	}
}

// do runs a command. That of Helm gets a few values more, and the controller is then started.
func (n *newcomer) do(line string) {
	n.t.Helper()
	if strings.Contains(line, "rollout status") {
		return // of pods, which nobody makes here
	}
	installs := strings.HasPrefix(line, "helm install")
	if installs {
		line += " --values -"
	}
	said, err := n.shell(line)
	NewWithT(n.t).Expect(err).NotTo(HaveOccurred(), "%s: %s", line, said)
	if installs {
		n.process = n.start(n.t, n.deployment(n.t, system, release), n.ledger)
		n.process.awaitReady(n.t)
	}
}

// expect waits until a command prints what the page shows.
func (n *newcomer) expect(line, shown string) {
	n.t.Helper()
	NewWithT(n.t).Eventually(func(g Gomega) {
		said, err := n.shell(line)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(alike(said)).To(Equal(alike(shown)), "%s prints:\n%s", line, said)
	}).WithTimeout(patience).Should(Succeed())
}

func (n *newcomer) shell(line string) (string, error) {
	n.t.Helper()
	n.ran++
	line = inside.ReplaceAllString(line, "dora-controller ${1} --ledger "+filepath.Join(n.ledger, "dora-controller-ledger", "ledger.db"))
	path, err := program()
	NewWithT(n.t).Expect(err).NotTo(HaveOccurred())
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets, err = filepath.Abs(filepath.Join(root, "bin", "envtest"))
		NewWithT(n.t).Expect(err).NotTo(HaveOccurred())
	}
	cmd := exec.CommandContext(n.t.Context(), "bash", "-c", line)
	cmd.Dir, cmd.Stdin = n.folder, strings.NewReader(installed(n.t, "{caBundles: [], explain: false}"))
	folders := []string{filepath.Dir(path), filepath.Dir(tool(n.t, "helm")), assets, os.Getenv("PATH")}
	cmd.Env = append(os.Environ(), "PATH="+strings.Join(folders, ":"), "KUBECONFIG="+n.kubeconfig, "HOME="+n.folder)
	return output(cmd)
}

// inside is a command in the controller's pod, which reads the ledger where the manifest puts it.
var inside = regexp.MustCompile(`^kubectl .* exec .* -- dora-controller (.*)`)

var changing = regexp.MustCompile(`\b(\d+[smhd])+\b|\d{4}-\d\d-\d\dT[\d:]+Z|[0-9a-f]{8}-[0-9a-f-]{27}`)

// alike is a text without what is different each time, and without the width of columns.
func alike(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(changing.ReplaceAllString(line, "…")), " "))
	}
	return lines
}
