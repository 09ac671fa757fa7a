package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/dora-controller/dora-controller/internal/doctor"
	"github.com/dora-controller/dora-controller/test/docs"
)

func pageText(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docs", "kubectl-dora.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var shell = regexp.MustCompile("(?s)`{3}sh\n(.*?)`{3}\n")

// pageCommands are the command lines in the page's blocks.
func pageCommands(t *testing.T) [][]string {
	t.Helper()
	var all [][]string
	for _, block := range shell.FindAllStringSubmatch(pageText(t), -1) {
		for line := range strings.Lines(block[1]) {
			words, ok := strings.CutPrefix(strings.TrimSpace(line), "kubectl dora ")
			if !ok {
				t.Errorf("the page has %q in a block of sh, where every line is run by a test", line)
				continue
			}
			all = append(all, strings.Fields(words))
		}
	}
	return all
}

// page runs every command of the page in a folder with a ledger.
func (w *world) page(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	path, _ := aLedger(t)
	commands := pageCommands(t)
	t.Chdir(filepath.Dir(path))
	g.Expect(len(commands)).To(BeNumerically(">=", 11))
	for _, words := range commands {
		got := run(t, append(words, "--kubeconfig", w.admin)...)
		g.Expect(got.code).To(Equal(exitOK), "kubectl dora %s: %s", strings.Join(words, " "), got.stderr)
		g.Expect(got.stdout).NotTo(BeEmpty())
	}
}

func TestThePageHasEveryCheckAndNoOther(t *testing.T) {
	g := NewWithT(t)
	_, section, _ := strings.Cut(pageText(t), "### doctor")
	section, _, _ = strings.Cut(section, "### bundle")
	var named, there []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(row[1], -1) {
			named = append(named, name[1])
		}
	}
	for _, c := range doctor.All() {
		there = append(there, c.Name)
	}
	g.Expect(named).To(ConsistOf(there))
	g.Expect(there).To(HaveLen(53)) // the page says fifty-three
}

func TestFlagsInThePageExist(t *testing.T) {
	known := []string{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		add := func(f *pflag.Flag) { known = append(known, f.Name) }
		cmd.Flags().VisitAll(add)
		cmd.PersistentFlags().VisitAll(add)
		for _, below := range cmd.Commands() {
			visit(below)
		}
	}
	visit(newRootCommand())
	for _, m := range regexp.MustCompile(`(?:^|[\s\x60(|])--([a-z][a-z-]*)`).FindAllStringSubmatch(pageText(t), -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("docs/kubectl-dora.md names --%s, which no command has", m[1])
		}
	}
}

// Every command line of the plugin, in any page, is one that it takes, as far as that shows without running it.
func TestCommandLinesInPagesAreRight(t *testing.T) {
	pages, err := docs.Pages(root)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range pages {
		for _, c := range page.Commands() {
			if len(c.Words) < 3 || c.Words[0] != "kubectl" || c.Words[1] != "dora" {
				continue
			}
			cmd, rest, err := newRootCommand().Find(c.Words[2:])
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err != nil {
				t.Errorf("%s: %v", c, err)
			}
			found++
		}
	}
	if found < 10 {
		t.Errorf("found only %d", found)
	}
}

// Examples in the help are command lines that are right, as far as that shows without running them.
func TestExamplesAreRight(t *testing.T) {
	for _, cmd := range newRootCommand().Commands() {
		for line := range strings.Lines(cmd.Example) {
			words, ok := strings.CutPrefix(strings.TrimSpace(line), "kubectl dora ")
			words, _, _ = strings.Cut(words, " > ")
			found, rest, err := newRootCommand().Find(strings.Fields(words))
			if !ok || err != nil {
				t.Errorf("%q: %v", line, err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	}
}

func TestTheKrewManifestHasWhatKrewAsksFor(t *testing.T) {
	g := NewWithT(t)
	data, err := os.ReadFile(filepath.Join(root, "hack", "krew", "dora.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	var manifest struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			Version, ShortDescription, Description, Homepage, Caveats string
			Platforms                                                 []struct {
				URI, Sha256, Bin string
				Selector         struct{ MatchLabels map[string]string }
			}
		}
	}
	g.Expect(yaml.UnmarshalStrict(data, &manifest)).To(Succeed())
	g.Expect(manifest.APIVersion).To(Equal("krew.googlecontainertools.github.com/v1alpha2"))
	g.Expect(manifest.Kind).To(Equal("Plugin"))
	g.Expect(manifest.Metadata.Name).To(Equal("dora"))
	g.Expect(len(manifest.Spec.ShortDescription)).To(BeNumerically("<=", 50))
	platforms := map[string]bool{}
	for _, p := range manifest.Spec.Platforms {
		system, arch := p.Selector.MatchLabels["os"], p.Selector.MatchLabels["arch"]
		platforms[system+"/"+arch] = true
		g.Expect(p.URI).To(HaveSuffix("/kubectl-dora_" + system + "_" + arch + map[bool]string{true: ".zip", false: ".tar.gz"}[system == "windows"]))
		g.Expect(p.Bin).To(Equal("kubectl-dora" + map[bool]string{true: ".exe"}[system == "windows"]))
		g.Expect(p.Sha256).NotTo(BeEmpty())
	}
	g.Expect(platforms).To(HaveLen(5))
}
