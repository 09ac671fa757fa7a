package docs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// checked are the programs whose commands tests know.
var checked = []string{"dora-controller", "bin/dora-controller", "helm", "kubectl", "make"}

func TestEveryCommandIsCheckedOrMarked(t *testing.T) {
	needed := map[string]bool{}
	for _, p := range allPages(t) {
		for _, c := range p.Commands() {
			unknown := !slices.Contains(checked, c.Words[0])
			if unknown && c.NotRun == "" {
				t.Errorf("%s: no test checks this; put <!-- not run: WHY --> above its block", c)
			}
			ran := c.Words[0] == "helm" || c.Words[0] == "kubectl" // those of a marked block are not
			needed[p.Name+c.NotRun] = needed[p.Name+c.NotRun] || unknown || ran
		}
		for _, b := range p.Blocks() {
			if b.NotRun != "" && !needed[p.Name+b.NotRun] {
				t.Errorf("%s: <!-- not run: %s --> stands above a block whose commands tests check", p.Name, b.NotRun)
			}
		}
	}
}

// Targets and variables of make are in the Makefile, or in what it runs.
func TestTargetsOfMakeExist(t *testing.T) {
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, p := range allPages(t) {
		for _, c := range p.Commands() {
			if c.Words[0] != "make" {
				continue
			}
			for _, word := range c.Words[1:] {
				name, _, variable := strings.Cut(word, "=")
				pattern := `(?m)^` + regexp.QuoteMeta(name) + `:`
				if variable {
					pattern = `\b` + name + `\b`
				}
				if !regexp.MustCompile(pattern).Match(makefile) {
					t.Errorf("%s: there is no %s", c, name)
				}
				found++
			}
		}
	}
	if found < 10 {
		t.Errorf("found only %d", found)
	}
}
