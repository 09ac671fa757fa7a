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

// Each command is run by a shell as it stands, but for what makes it change a cluster.
func TestCommandsOnThePagesAreUnderstood(t *testing.T) {
	values := yamlBlocks.FindStringSubmatch(page(t, "docs/install.md"))[1]
	folder, err := filepath.Abs(root)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	ran := 0
	for _, p := range pages(t) {
		for _, command := range commands.FindAllStringSubmatch(p.Text, -1) {
			ran++
			line := strings.NewReplacer("--install ", "", "values.yaml", "-").Replace(command[2])
			cmd := exec.CommandContext(t.Context(), "bash", "-c", tool(t, "helm")+" template"+line)
			cmd.Dir, cmd.Stdin = folder, strings.NewReader(values)
			text, err := output(cmd)
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), line)
			deployment := deploymentIn(t, objects(t, text))
			NewWithT(t).Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--trusted-namespaces=argocd"))
			NewWithT(t).Expect(deployment.Namespace).To(Equal(system))
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
