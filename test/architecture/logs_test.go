package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const logsPage = "docs/logs.md"

// Whoever searches logs by their keys finds the same ones in the next release: those of docs/logs.md.
func TestLogsHaveDocumentedKeysAndAreas(t *testing.T) {
	root := os.DirFS("../..")
	page, err := fs.ReadFile(root, logsPage)
	if err != nil {
		t.Fatal(err)
	}
	said, err := readLogs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range said.problems {
		t.Error(problem)
	}
	if said.lines < 20 {
		t.Errorf("only %d lines of logs were found", said.lines)
	}
	documented := column(string(page), "key")
	for _, key := range slices.Sorted(maps.Keys(said.keys)) {
		if !slices.Contains(documented, key) {
			t.Errorf("%s: the key %q is not in %s: use one that is, or add it", said.keys[key], key, logsPage)
		}
	}
	for _, key := range documented {
		if said.keys[key] == "" {
			t.Errorf("%s has the key %q, which no line has", logsPage, key)
		}
	}
	for _, area := range slices.Sorted(maps.Keys(said.areas)) {
		if !slices.Contains(column(string(page), "area"), area) {
			t.Errorf("%s: the logger %q is not among the areas of %s", said.areas[area], area, logsPage)
		}
	}
}

// column are the words in backquotes in the first column of the table whose head begins so.
func column(page, head string) []string {
	_, table, _ := strings.Cut(page, "\n| "+head+" |")
	table, _, _ = strings.Cut(table, "\n\n")
	var words []string
	for row := range strings.Lines(table) {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			words = append(words, m[1])
		}
	}
	return words
}

func TestHowLogsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		keys string // that are found
		want string // a part of the only complaint, or none
	}{
		"a line":                         {`l.log.Info("Ledger is open", "path", p)`, "path", ""},
		"an error":                       {`w.opts.Log.Error(err, "Cannot read", "sink", s, "event", e)`, "event sink", ""},
		"a line of a context's logger":   {`log.FromContext(ctx).V(1).Info("Gone", "uid", u)`, "uid", ""},
		"values for later":               {`logger = logger.WithValues("kind", k)`, "kind", ""},
		"an error of a test or a server": {`http.Error(w, "no", 404); file.Info(); err.Error()`, "", ""},
		"a key that varies":              {`log.Info("Ledger is open", key, p)`, "", "a.go:3: a key that is no text of its own"},
		"a key without a value":          {`log.Info("Ledger is open", "path")`, "path", "a.go:3: a key without a value"},
		"a list":                         {`log.Info("Recorded", fields(e)...)`, "", "a.go:3: keys that cannot be read here"},
	} {
		source := "package a\n\nfunc a() { " + c.line + " }\n"
		said, err := readLogs(fstest.MapFS{"internal/a/a.go": {Data: []byte(source)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(said.keys)), " "); got != c.keys {
			t.Errorf("%s: found %q, want %q", name, got, c.keys)
		}
		problems := strings.Join(said.problems, "\n")
		if (problems == "") != (c.want == "") || !strings.Contains(problems, c.want) {
			t.Errorf("%s: said %q, want %q", name, problems, c.want)
		}
	}
}

// logs is what the code says to loggers: each key and each name of a logger with one place where it stands.
type logs struct {
	lines       int
	keys, areas map[string]string
	problems    []string
}

// readLogs reads the code of the controller itself; what tests and tools say is no matter.
func readLogs(root fs.FS) (*logs, error) {
	said := &logs{keys: map[string]string{}, areas: map[string]string{}}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (slices.Contains(skipped, entry.Name()) || slices.Contains([]string{"test", "hack"}, name) || testSupport(name)):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				said.call(files, call)
			}
			return true
		})
		return nil
	})
	return said, err
}

// before is how many arguments a logger's method has before the keys.
var before = map[string]int{"Info": 1, "Error": 2, "WithValues": 0}

func (l *logs) call(files *token.FileSet, call *ast.CallExpr) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isLogger(method.X) {
		return
	}
	place := files.Position(call.Pos())
	where := place.Filename + ":" + strconv.Itoa(place.Line)
	if method.Sel.Name == "WithName" && len(call.Args) == 1 {
		if name := text(call.Args[0]); name != "" {
			l.areas[name] = where
		}
		return
	}
	skip, logs := before[method.Sel.Name]
	if !logs || len(call.Args) < skip {
		return
	}
	l.lines++
	args := call.Args[skip:]
	switch {
	case call.Ellipsis.IsValid():
		l.problems = append(l.problems, where+": keys that cannot be read here: write them out")
		return
	case len(args)%2 != 0:
		l.problems = append(l.problems, where+": a key without a value")
	}
	for i := 0; i < len(args); i += 2 {
		key := text(args[i])
		if key == "" {
			l.problems = append(l.problems, where+": a key that is no text of its own")
			continue
		}
		l.keys[key] = where
	}
}

// isLogger tells a logger by what it is called here, or by the method that gave it.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"log", "logger", "libraries"}, x.Name)
	case *ast.SelectorExpr:
		return slices.Contains([]string{"log", "Log"}, x.Sel.Name)
	case *ast.CallExpr:
		method, ok := x.Fun.(*ast.SelectorExpr)
		if ident, plain := x.Fun.(*ast.Ident); plain {
			return ident.Name == "about"
		}
		return ok && slices.Contains([]string{"FromContext", "GetLogger", "V", "WithName", "WithValues"}, method.Sel.Name)
	}
	return false
}

// text is what a literal says, if it is one.
func text(x ast.Expr) string {
	literal, ok := x.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return value
}
