package security_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the table of threats into SECURITY.md")

// root is that of the repository.
const root = "../.."

// threat is one entry of threats.yaml.
type threat struct {
	ID    string   `json:"id"`
	Actor string   `json:"actor"`
	Tries string   `json:"tries"`
	Holds string   `json:"holds"`
	Tests []string `json:"tests"`
}

func threats(t *testing.T) []threat {
	t.Helper()
	text, err := os.ReadFile("threats.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []threat
	if err := yaml.UnmarshalStrict(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// flaws are what is wrong with a list, apart from its tests.
func flaws(list []threat) []string {
	var found []string
	seen := map[string]bool{}
	for i, entry := range list {
		if seen[entry.ID] {
			found = append(found, fmt.Sprintf("%s: there is another of that id", entry.ID))
		}
		seen[entry.ID] = true
		for field, text := range map[string]string{"id": entry.ID, "actor": entry.Actor, "tries": entry.Tries, "holds": entry.Holds} {
			if strings.TrimSpace(text) == "" || strings.ContainsAny(text, "|\n") {
				found = append(found, fmt.Sprintf("entry %d, %s: %s is empty, or no cell of a table", i+1, entry.ID, field))
			}
		}
		if len(entry.Tests) == 0 {
			found = append(found, entry.ID+": nothing shows it")
		}
	}
	return found
}

func TestEachThreatIsWhole(t *testing.T) {
	list := threats(t)
	for _, flaw := range flaws(list) {
		t.Error(flaw)
	}
	if len(list) < 25 {
		t.Errorf("there are %d threats, want 25 or more", len(list))
	}
	broken := []threat{{ID: "a", Actor: "x", Tries: "x", Holds: "x", Tests: []string{"x"}}, {ID: "a", Actor: "x", Tries: "", Holds: "x|y"}}
	if got := flaws(broken); len(got) != 4 {
		t.Errorf("of an id that is there twice, an empty cell, one with a bar and no test, only this is found: %q", got)
	}
}

// TestEachTestOfAThreatExists looks for tests in the code, not among those that ran: a test that is named runs with all others, so it passes if they do.
func TestEachTestOfAThreatExists(t *testing.T) {
	known := map[string]map[string]bool{}
	for _, entry := range threats(t) {
		for _, name := range entry.Tests {
			if !exists(t, known, name) {
				t.Errorf("%s: there is no %s", entry.ID, name)
			}
		}
	}
	for _, name := range []string{"internal/egress.TestNothing", "test/crd.It/is not there", "internal/nowhere.TestX", "test/e2e.TestStories", "internal/egress"} {
		if exists(t, known, name) {
			t.Errorf("%s is found", name)
		}
	}
}

// apart are tests that run neither with all others nor in CI for each change.
var apart = []string{"test/e2e", "test/drift", "hack"}

// exists says whether a test is there. Known are the names of packages that were read.
func exists(t *testing.T, known map[string]map[string]bool, name string) bool {
	t.Helper()
	folder, test, ok := strings.Cut(name, ".")
	if !ok || slices.ContainsFunc(apart, func(other string) bool { return strings.HasPrefix(folder, other) }) {
		return false
	}
	if known[folder] == nil {
		known[folder] = testsIn(t, folder)
	}
	return known[folder][test]
}

// testsIn are the tests of a package, and its subtests and specifications: TestName, TestName/subtest, It/text.
func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			of := ""
			if function, ok := decl.(*ast.FuncDecl); ok && isTest.MatchString(function.Name.Name) {
				of = function.Name.Name
				names[of] = true
			}
			ast.Inspect(decl, func(n ast.Node) bool { return addNamed(names, of, n) })
		}
	}
	return names
}

var isTest = regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)

// said are the functions of Ginkgo whose first argument is the name of a specification.
var said = []string{"It", "Entry", "ReportAfterSuite"}

// addNamed adds what a call names: t.Run a part of a test, It a specification.
func addNamed(names map[string]bool, test string, n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return true
	}
	switch called := call.Fun.(type) {
	case *ast.SelectorExpr:
		if called.Sel.Name == "Run" && test != "" {
			names[test+"/"+textOf(call.Args[0])] = true
		}
	case *ast.Ident:
		if slices.Contains(said, called.Name) {
			names[called.Name+"/"+textOf(call.Args[0])] = true
		}
	}
	return true
}

// textOf is a text of the code, with … for all in it that is no literal.
func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return text
		}
	case *ast.BinaryExpr:
		return textOf(e.X) + textOf(e.Y)
	}
	return "…"
}

// The table stands between these lines.
const (
	tableBegins = "<!-- threats: written by `go test ./test/security -run TestTheSecurityPage -update` -->\n"
	tableEnds   = "<!-- end of threats -->\n"
)

func TestTheSecurityPageHasTheThreats(t *testing.T) {
	const page = root + "/SECURITY.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("SECURITY.md has no place for the table: it begins with %q and ends with %q", tableBegins, tableEnds)
	}
	want := before + tableBegins + table(threats(t)) + tableEnds + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatal("SECURITY.md differs from threats.yaml; write it with go test ./test/security -run TestTheSecurityPage -update")
	}
	if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func table(list []threat) string {
	var b strings.Builder
	b.WriteString("\n| threat | who | tries | what holds them | shown by |\n|---|---|---|---|---|\n")
	for _, entry := range list {
		tests := make([]string, len(entry.Tests))
		for i, name := range entry.Tests {
			tests[i] = "`" + name + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", entry.ID, entry.Actor, entry.Tries, entry.Holds, strings.Join(tests, "<br>"))
	}
	b.WriteString("\n")
	return b.String()
}
