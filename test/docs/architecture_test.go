package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// place is a file or folder that a page names.
var place = regexp.MustCompile("`((?:api|charts|cmd|config|controllers|docs|hack|internal|test)/[A-Za-z0-9_./-]+)`")

func TestTheArchitectureNamesWhatIsThere(t *testing.T) {
	text, named := pageOf(t, "docs/architecture.md").Text, map[string]bool{}
	for _, m := range place.FindAllStringSubmatch(text, -1) {
		named[m[1]] = true
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("docs/architecture.md names %s: %v", m[1], err)
		}
	}
	packages, err := filepath.Glob(filepath.Join(root, "internal", "*", "*.go"))
	must(t, err)
	if len(packages) < 50 || len(named) < 40 {
		t.Fatalf("found only %d files, %d places", len(packages), len(named))
	}
	for _, file := range packages {
		name := "internal/" + path.Base(path.Dir(filepath.ToSlash(file)))
		if !named[name] && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("docs/architecture.md does not name %s", name)
			named[name] = true
		}
	}
}
