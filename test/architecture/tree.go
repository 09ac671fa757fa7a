package architecture

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Check reads every file below root and returns what breaks a rule, one line
// each, sorted. The error says that the tree could not be read.
func Check(root fs.FS) ([]string, error) {
	t := tree{root: root, undocumented: map[string]bool{}}
	if err := fs.WalkDir(root, ".", t.visit); err != nil {
		return nil, err
	}
	for folder, missing := range t.undocumented {
		if missing {
			t.reportf(folder, "the package has no doc comment that says what it is for")
		}
	}
	slices.Sort(t.violations)
	return t.violations, nil
}

type tree struct {
	root       fs.FS
	violations []string
	// undocumented holds the folders of hand-written packages and whether a doc
	// comment is still missing.
	undocumented map[string]bool
}

func (t *tree) reportf(place, format string, args ...any) {
	t.violations = append(t.violations, place+": "+fmt.Sprintf(format, args...))
}

// skipped are folders that hold nothing of ours to judge: tools, what they
// build, and recorded input of tests.
var skipped = []string{".git", ".idea", ".vscode", "bin", "node_modules", "testdata"}

// schema tells a CRD: its text quotes the comments of Kubernetes' own types.
var schema = regexp.MustCompile(`(?:^|/)crds?/.*\.yaml$`)

func (t *tree) visit(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if entry.IsDir() {
		if slices.Contains(skipped, entry.Name()) {
			return fs.SkipDir
		}
		return nil
	}
	if !entry.Type().IsRegular() {
		return nil
	}
	switch {
	case path.Ext(name) == ".go":
		return t.goFile(name)
	case slices.Contains(prose, path.Ext(name)) && !schema.MatchString(name):
		text, err := fs.ReadFile(t.root, name)
		if err != nil {
			return err
		}
		t.words(name, text)
	}
	return nil
}

// prose are the endings of files, besides Go's, that people write here. Makefile
// and Dockerfile have none.
var prose = []string{"", ".md", ".sh", ".sql", ".tpl", ".txt", ".yaml", ".yml"}

func (t *tree) goFile(name string) error {
	source, err := fs.ReadFile(t.root, name)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return fmt.Errorf("cannot parse %s: %w", name, err)
	}
	if !ast.IsGenerated(file) {
		t.words(name, source)
	}
	if strings.HasSuffix(name, "_test.go") {
		return nil
	}
	folder := path.Dir(name)
	t.imports(name, folder, file)
	t.names(name, folder, file)
	return nil
}

func (t *tree) imports(name, folder string, file *ast.File) {
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.reportf(name, "imports %s: %v", spec.Path.Value, err)
			continue
		}
		imported = strings.TrimPrefix(imported, module+"/")
		for _, rule := range importRules {
			if wrong := rule(folder, imported); wrong != "" {
				t.reportf(name, "%s", wrong)
			}
		}
	}
}

func (t *tree) names(name, folder string, file *ast.File) {
	if slices.Contains(badNames, file.Name.Name) {
		t.reportf(name, "a package called %s says nothing about what it holds", file.Name.Name)
	}
	if ast.IsGenerated(file) {
		return
	}
	if missing, seen := t.undocumented[folder]; !seen || missing {
		t.undocumented[folder] = file.Doc == nil
	}
}

// words reports what a text that is finished and meant for everyone does not
// contain.
func (t *tree) words(name string, text []byte) {
	for number, line := range strings.Split(string(text), "\n") {
		for _, w := range forbidden {
			if found := w.pattern.FindString(line); found != "" {
				t.reportf(fmt.Sprintf("%s:%d", name, number+1), "%s: %s", w.why, strings.TrimSpace(found))
			}
		}
	}
}

// The patterns are written so that they do not find themselves.
var forbidden = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(?:^|[\s"'(=:@])/(?:root|work|Users|home/[a-z]+)/\S*`), "a path of one machine"},
	{regexp.MustCompile(`\b(?:TO` + `DO|FIX` + `ME|XX` + `X)\b`), "unfinished by its own words"},
	{regexp.MustCompile(`(?i)panic\("(?:to` + `do|not imple` + `mented)`), "unfinished by its own words"},
}
