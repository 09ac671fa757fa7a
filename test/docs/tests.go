package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Tests are those that are in the code and run with all others, so that one that a page names passes if the build does.
//
// A test is named by its folder, as test/crd.TestX or test/crd.TestX/a part; of a specification, test/crd.It/its text, with … for what is put
// together.
type Tests struct {
	root  string
	known map[string]map[string]bool // of each folder that was read
}

// NewTests are the tests of the tree at root.
func NewTests(root string) *Tests { return &Tests{root: root, known: map[string]map[string]bool{}} }

// apart are folders whose tests run neither with all others nor in CI for each change.
var apart = []string{"test/e2e", "test/drift", "hack"}

// Has tells whether a test is there.
func (t *Tests) Has(name string) (bool, error) {
	folder, test, ok := strings.Cut(name, ".")
	if !ok || slices.ContainsFunc(apart, func(other string) bool { return strings.HasPrefix(folder, other) }) {
		return false, nil
	}
	if t.known[folder] == nil {
		names, err := testsIn(filepath.Join(t.root, folder))
		if err != nil {
			return false, err
		}
		t.known[folder] = names
	}
	return t.known[folder][test], nil
}

// testsIn are the tests of a package, and its subtests and specifications: TestName, TestName/subtest, It/text.
func testsIn(folder string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
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
	return names, nil
}

var isTest = regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)

// specifications are the functions of Ginkgo whose first argument is the name of one.
var specifications = []string{"It", "Entry", "ReportAfterSuite"}

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
		if slices.Contains(specifications, called.Name) {
			names[called.Name+"/"+textOf(call.Args[0])] = true
		}
	}
	return true
}

// textOf is the text that an expression stands for, with … for all in it that is no literal.
func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return textOf(e.X) + textOf(e.Y)
		}
	}
	return "…"
}
