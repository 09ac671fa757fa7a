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

var (
	yamlBlocks = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	commands   = regexp.MustCompile(`(?m)^helm (install|upgrade)( (?:.*\\\n)*.*)$`)
	alertRows  = regexp.MustCompile("(?m)^\\| `(Dora[A-Za-z]+)` \\|")
)

func page(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func TestValuesOnThePageAreValues(t *testing.T) {
	blocks := yamlBlocks.FindAllStringSubmatch(page(t, "docs/install.md")+page(t, "docs/operations.md")+page(t, "docs/traces.md"), -1)
	NewWithT(t).Expect(len(blocks)).To(BeNumerically(">=", 6))
	for _, block := range blocks {
		NewWithT(t).Expect(render(t, block[1])).NotTo(BeEmpty(), block[1])
	}
	for _, p := range pages(t) {
		for _, block := range p.Blocks() {
			if strings.HasPrefix(block.Text, "# values.yaml\n") {
				NewWithT(t).Expect(render(t, block.Text)).NotTo(BeEmpty(), p.Name+block.Text)
			}
		}
	}
}

func pages(t *testing.T) []docs.Page {
	t.Helper()
	all, err := docs.Pages(root)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return all
}

// checkout is a folder in which commands of pages find the tree's folders, and values.yaml as docs/install.md has it.
func checkout(t *testing.T) string {
	t.Helper()
	g := NewWithT(t)
	folder := t.TempDir()
	tree, err := filepath.Abs(root)
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{"charts", "config"} {
		g.Expect(os.Symlink(filepath.Join(tree, name), filepath.Join(folder, name))).To(Succeed())
	}
	values := yamlBlocks.FindStringSubmatch(page(t, "docs/install.md"))[1]
	g.Expect(os.WriteFile(filepath.Join(folder, "values.yaml"), []byte(values), 0o600)).To(Succeed())
	return folder
}

// Each command is run by a shell as it stands, but for what makes it change a cluster.
func TestCommandsOnThePagesAreUnderstood(t *testing.T) {
	ran := 0
	for _, p := range pages(t) {
		folder := checkout(t)
		for name, text := range p.Files() {
			if name == "values.yaml" {
				continue // a part of them, which TestValuesOnThePageAreValues renders
			}
			NewWithT(t).Expect(os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600)).To(Succeed())
		}
		for _, command := range commands.FindAllStringSubmatch(p.Text, -1) {
			ran++
			line := strings.NewReplacer("--install ", "", "--reset-then-reuse-values", "--values values.yaml").Replace(command[2])
			cmd := exec.CommandContext(t.Context(), "bash", "-c", tool(t, "helm")+" template"+line)
			cmd.Dir = folder
			text, err := output(cmd)
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), line)
			deployment := deploymentIn(t, objects(t, text))
			NewWithT(t).Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--trusted-namespaces=argocd"))
			NewWithT(t).Expect(line).To(MatchRegexp("(-n|--namespace) " + deployment.Namespace + `\b`))
		}
	}
	NewWithT(t).Expect(ran).To(BeNumerically(">=", 5))
}

func TestThePageHasEachAlert(t *testing.T) {
	var told []string
	for _, row := range alertRows.FindAllStringSubmatch(page(t, "docs/install.md"), -1) {
		told = append(told, row[1])
	}
	NewWithT(t).Expect(told).To(ConsistOf(alertsThatMayBeLeftOut(t)))
}
