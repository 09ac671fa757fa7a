package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/test/docs"
)

// pages are those that this test holds against the commands. That of kubectl dora has tests of its own.
func pages(t *testing.T) []docs.Page {
	t.Helper()
	all, err := docs.Pages(root)
	if err != nil || len(all) < 20 {
		t.Fatalf("there are %d pages (%v)", len(all), err)
	}
	return slices.DeleteFunc(all, func(p docs.Page) bool { return p.Name == "docs/kubectl-dora.md" })
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var (
	fence   = regexp.MustCompile("(?s)`{3}(\\w*)\n(.*?\n)`{3}\n")
	anyFlag = regexp.MustCompile(`(?:^|[\s\x60(|])--([a-z][a-z-]*)`)
	link    = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// The output that a page shows is what the command prints. With -update the page gets it.
func TestPagesShowWhatCommandsPrint(t *testing.T) {
	all := pages(t)
	t.Chdir(root)
	for _, page := range all {
		name := page.Name
		shown := fence.ReplaceAllStringFunc(page.Text, func(text string) string { return rerun(t, text) })
		if *update && shown != page.Text {
			if err := os.WriteFile(name, []byte(shown), 0o600); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(page.Text, shown); diff != "" {
			t.Errorf("%s shows something else than its commands print; if that is meant, run go test ./cmd/dora-controller -update (-page +printed)\n%s", name, diff)
		}
	}
}

// rerun replaces the output in a console block by what its command prints now. Only replay depends on nothing but files.
func rerun(t *testing.T, text string) string {
	t.Helper()
	first, _, _ := strings.Cut(strings.TrimPrefix(text, "```console\n"), "\n")
	line, ok := strings.CutPrefix(first, "$ dora-controller ")
	if !ok || !strings.HasPrefix(line, "replay ") {
		return text
	}
	got := runCommand(t, "", strings.Fields(strings.ReplaceAll(line, "'", ""))...)
	if got.code != exitOK {
		t.Errorf("%s: exit code %d: %s", first, got.code, got.stderr)
	}
	return "```console\n" + first + "\n" + got.stdout + "```\n"
}

// Every command line of ours in the pages is one that the command takes, as far as that shows without running it.
func TestCommandLinesInPagesAreRight(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		for _, c := range page.Commands() {
			if words, ours := arguments(c.Words); ours {
				checkCommandLine(t, c.String(), words)
				found++
			}
		}
	}
	if found < 30 {
		t.Errorf("found only %d", found)
	}
}

// arguments are those of a command of ours, which may be run inside of the controller's pod.
func arguments(words []string) ([]string, bool) {
	if i := slices.Index(words, "--"); i >= 0 && words[0] == "kubectl" && i+1 < len(words) {
		words = words[i+1:]
	}
	return words[1:], filepath.Base(words[0]) == "dora-controller"
}

func checkCommandLine(t *testing.T, line string, words []string) {
	t.Helper()
	cmd, rest, err := newRootCommand().Find(withDefaultCommand(words))
	if err == nil && !cmd.HasParent() {
		err = errors.New("there is no such command")
	}
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// foreignFlags are of kubectl, helm and psql, in the text of pages. The commands in blocks are looked at one by one.
var foreignFlags = []string{
	"all-namespaces", "clusterrole", "file", "for", "force-conflicts", "from-file", "from-literal", "no-merges", "non-resource-url", "output-watch-events", "overwrite", "replicas", "server-side",
	"reset-then-reuse-values", "resource", "resource-name", "role", "serviceaccount", "set", "show-labels", "take-ownership", "values", "verb", "watch",
}

func TestFlagsInPagesExist(t *testing.T) {
	known := append(flagsOf(newRootCommand()), foreignFlags...)
	for _, page := range pages(t) {
		for _, m := range anyFlag.FindAllStringSubmatch(fence.ReplaceAllString(page.Text, ""), -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s names --%s, which no command has", page.Name, m[1])
			}
		}
	}
}

// flagsOf are those of all commands below one.
func flagsOf(cmd *cobra.Command) (known []string) {
	for _, below := range cmd.Commands() {
		below.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		known = append(known, flagsOf(below)...)
	}
	return known
}

func TestEveryFlagIsDocumentedWithItsDefault(t *testing.T) {
	for page, cmd := range map[string]*cobra.Command{
		"docs/replay.md": newReplayCommand(), "docs/events.md": newEventsCommand(), "docs/record.md": newRecordCommand(),
	} {
		text := readPage(t, page)
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			row := regexp.MustCompile("(?m)^\\|.*`--" + f.Name + "`.*$").FindString(text)
			if row == "" {
				t.Errorf("%s has no row for --%s", page, f.Name)
			}
			if f.Value.Type() == "duration" && !strings.Contains(row, "`"+f.DefValue+"`") {
				t.Errorf("%s: --%s has default %s, not: %s", page, f.Name, f.DefValue, row)
			}
		})
	}
}

// Whatever the pages show of an event is what some recording leads to, one field a line.
func TestEventsInPagesAreReal(t *testing.T) {
	shown := map[string]string{}
	for _, path := range recordings(t) {
		for line := range strings.Lines(runCommand(t, "", "replay", "-o", "json", "--degraded-for", "0s", path).stdout) {
			shown[nameOf(t, line)] = oneFieldALine(t, line)
		}
	}
	for _, page := range pages(t) {
		name, text := page.Name, page.Text
		for _, b := range page.Blocks() {
			want := shown[nameOf(t, b.Text)]
			switch {
			case b.Language != "json" || !strings.Contains(b.Text, `"schema": "`+dora.Schema+`"`):
			case want == "":
				t.Errorf("%s shows an event that no recording leads to:\n%s", name, b.Text)
			case *update:
				text = strings.Replace(text, b.Text, want, 1)
			default:
				if diff := cmp.Diff(b.Text, want); diff != "" {
					t.Errorf("%s (-page +recording)\n%s", name, diff)
				}
			}
		}
		if *update && text != page.Text {
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func recordings(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(root, "test", "replay", "testdata", "*.expected.jsonl"))
	if err != nil || len(all) == 0 {
		t.Fatalf("there are no recordings (%v)", err)
	}
	for i := range all {
		all[i] = strings.Replace(all[i], ".expected", "", 1)
	}
	return all
}

// nameOf tells events apart without looking at what may change.
func nameOf(t *testing.T, text string) string {
	t.Helper()
	var e dora.Event
	if json.Unmarshal([]byte(text), &e) != nil {
		return ""
	}
	return strings.Join([]string{e.Service, string(e.Type), e.OccurredAt.String()}, " ")
}

func oneFieldALine(t *testing.T, line string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(line))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var fields []string
	for dec.More() {
		name, err := dec.Token()
		var value json.RawMessage
		if err := errors.Join(err, dec.Decode(&value)); err != nil {
			t.Fatal(err)
		}
		fields = append(fields, fmt.Sprintf("  %q: %s", name, value))
	}
	return "{\n" + strings.Join(fields, ",\n") + "\n}\n"
}

func TestEveryFieldOfAnEventIsDocumented(t *testing.T) {
	page := readPage(t, "docs/events.md")
	for _, of := range []reflect.Type{reflect.TypeFor[dora.Event](), reflect.TypeFor[dora.Version](), reflect.TypeFor[dora.Subject]()} {
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !regexp.MustCompile("(?m)^\\|.*`" + name + "`").MatchString(page) {
				t.Errorf("docs/events.md has no row for %s.%s", of.Name(), name)
			}
		}
	}
}

// reasons are the names of decisions, read from the source so that none can be forgotten here.
func reasons(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal", "deploy", "reasons.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		if name, err := strconv.Unquote(literal.Value); err == nil {
			found = append(found, name)
		}
		return true
	})
	return found
}

func TestEveryReasonIsExplained(t *testing.T) {
	_, page, ok := strings.Cut(readPage(t, "docs/events.md"), "## Decisions that lead to no event")
	if !ok {
		t.Fatal("docs/events.md has no section about decisions")
	}
	known := reasons(t)
	if len(known) < 10 {
		t.Fatalf("found only %v", known)
	}
	for _, name := range known {
		if !strings.Contains(page, "| `"+name+"` | ") {
			t.Errorf("docs/events.md does not explain the reason %s", name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]\\w+)` \\|").FindAllStringSubmatch(page, -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("docs/events.md explains %s, which is no reason", m[1])
		}
	}
}

func TestLinksInPagesLead(t *testing.T) {
	all, err := docs.Pages(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range all {
		name := page.Name
		for _, m := range link.FindAllStringSubmatch(page.Text, -1) {
			target := name
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(name), m[1])
			}
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if m[2] != "" && !slices.Contains(anchors(readPage(t, target)), m[2]) {
				t.Errorf("%s links to %s%s, and there is no such heading", name, m[1], m[2])
			}
		}
	}
}

func TestTheIndexNamesEveryPage(t *testing.T) {
	all, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(all) == 0 {
		t.Fatalf("there are no pages (%v)", err)
	}
	index := readPage(t, "docs/README.md")
	for _, path := range all {
		if name := filepath.Base(path); name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
}

// anchors are the links to the headings of a page, as GitHub makes them.
func anchors(page string) []string {
	page = fence.ReplaceAllString(page, "")
	var all []string
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		text := strings.ToLower(strings.ReplaceAll(m[1], "`", ""))
		text = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(text, "")
		all = append(all, "#"+strings.ReplaceAll(text, " ", "-"))
	}
	return all
}
