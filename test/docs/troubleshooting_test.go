package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// texts are those that the code can say, with … for what differs.
func texts(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, folder := range []string{"api", "cmd", "controllers", "internal"} {
		must(t, fs.WalkDir(os.DirFS(filepath.Join(root, folder)), ".", func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, folder, path), nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if text := textOf(e); ok && text != "…" {
					all = append(all, verb.ReplaceAllString(text, "…"))
					return false // its parts are in it
				}
				return true
			})
			return nil
		}))
	}
	return all
}

// verb is what a format is to be filled in with.
var verb = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)

// said tells whether the code can say a message: each part of it, in that order, in one text.
func said(all []string, message string) bool {
	var pattern []string
	for part := range strings.SplitSeq(message, "…") {
		pattern = append(pattern, regexp.QuoteMeta(strings.TrimSpace(part)))
	}
	form := regexp.MustCompile(strings.Join(pattern, ".*"))
	return slices.ContainsFunc(all, form.MatchString)
}

var (
	quote  = regexp.MustCompile(`(?m)^> (.+)$`)
	reason = regexp.MustCompile("`([A-Z][a-z]+(?:[A-Z]+[a-z]*)*)`")
)

// words that look like reasons and are Kubernetes', Argo's or names of types.
var foreign = map[string]bool{"OOMKilled": true, "Progressing": true, "Postgres": true}

func TestTroubleshootingQuotesWhatTheCodeSays(t *testing.T) {
	page, all := pageOf(t, "docs/troubleshooting.md"), texts(t)
	if said(all, "nobody says this … ever") {
		t.Fatal("everything is said")
	}
	exact := map[string]bool{}
	for _, text := range all {
		exact[text] = true
	}
	quotes := quote.FindAllStringSubmatch(page.Text, -1)
	for _, m := range quotes {
		if !said(all, m[1]) {
			t.Errorf("nothing in the code says: %s", m[1])
		}
	}
	reasons := reason.FindAllStringSubmatch(page.Text, -1)
	for _, m := range reasons {
		if !exact[m[1]] && !foreign[m[1]] {
			t.Errorf("there is no reason %s", m[1])
		}
	}
	if len(quotes) < 8 || len(reasons) < 40 {
		t.Errorf("found only %d messages and %d reasons", len(quotes), len(reasons))
	}
}

func TestEverySymptomHasACommandAndAMend(t *testing.T) {
	sections := strings.Split(pageOf(t, "docs/troubleshooting.md").Text, "\n### ")[1:]
	for _, section := range sections {
		title, text, _ := strings.Cut(section, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		if len(Page{"", text}.Commands()) == 0 || !strings.Contains(text, "*Mend:*") {
			t.Errorf("%q has no command, or no mend", title)
		}
	}
	if len(sections) < 15 {
		t.Errorf("found only %d symptoms", len(sections))
	}
}
