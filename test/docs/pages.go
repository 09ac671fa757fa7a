// Package docs reads the project's pages, and its tests hold them against what is there.
//
// The conventions of pages are these:
//
//   - A block of sh holds commands, one a line. A block of console holds a session: a command after "$ ", and what it printed.
//   - Each command is checked. Flags and commands of dora-controller and of kubectl dora exist (the tests of cmd), targets of make are in the
//     Makefile; kubectl and helm are run by the real programs against a real API server, in a dry run where they would change it.
//   - What no test checks, such as psql or docker, stands in a block below a comment that says why: <!-- not run: it needs a database -->
//   - A block of yaml with a kind is an object, which a real API server admits. One that begins with "# values.yaml" holds values of the chart.
//     A first line "# target.yaml" names a file, which the commands of the page may use.
//   - Links between pages lead to pages and headings that exist (the tests of cmd/dora-controller).
package docs

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A Page is a page, named from the root of the tree.
type Page struct{ Name, Text string }

// A Block is a fenced block of a page.
type Block struct {
	Language, Text string
	// NotRun says why what it holds is not checked; empty if it is.
	NotRun string
}

// A Command is a command of a page, without what is piped or written elsewhere.
type Command struct {
	Page   string
	Words  []string
	NotRun string
}

// String is the command as one would write it.
func (c Command) String() string { return c.Page + ": " + strings.Join(c.Words, " ") }

// Pages are all pages that people read, in the order of their names.
func Pages(root string) ([]Page, error) {
	tree, pages := os.DirFS(root), []Page(nil)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "charts/*/*.md", ".github/*.md", ".github/*/*.md"} {
		names, err := fs.Glob(tree, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := fs.ReadFile(tree, name)
			if err != nil {
				return nil, err
			}
			pages = append(pages, Page{name, string(text)})
		}
	}
	slices.SortFunc(pages, func(a, b Page) int { return strings.Compare(a.Name, b.Name) })
	return pages, nil
}

// fence is a block, perhaps indented below an item of a list, with the mark above it.
var fence = regexp.MustCompile("(?ms)(?: *<!-- not run: ([^\n]+) -->\n)?( *)```(\\w*)\n(.*?\n) *```$")

// Blocks are the fenced blocks of a page, without their indentation.
func (p Page) Blocks() []Block {
	var found []Block
	for _, m := range fence.FindAllStringSubmatch(p.Text, -1) {
		text := strings.ReplaceAll("\n"+m[4], "\n"+m[2], "\n")[1:]
		found = append(found, Block{Language: m[3], Text: text, NotRun: m[1]})
	}
	return found
}

// Files are the blocks of a page that name themselves.
func (p Page) Files() map[string]string {
	files := map[string]string{}
	for _, b := range p.Blocks() {
		first, _, _ := strings.Cut(b.Text, "\n")
		if name, named := strings.CutPrefix(first, "# "); named && b.Language == "yaml" && path.Ext(name) == ".yaml" {
			files[name] = b.Text
		}
	}
	return files
}

// Commands are the commands of a page.
func (p Page) Commands() []Command {
	var found []Command
	for _, b := range p.Blocks() {
		for _, line := range b.lines() {
			for _, words := range simple(line) {
				found = append(found, Command{p.Name, words, b.NotRun})
			}
		}
	}
	return found
}

// lines are the command lines of a block; one that ends with a backslash goes on.
func (b Block) lines() []string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(b.Text, "\\\n", " ")) {
		if b.Language == "console" {
			command, typed := strings.CutPrefix(line, "$ ")
			if !typed {
				continue
			}
			line = command
		} else if b.Language != "sh" {
			return nil
		}
		lines = append(lines, line)
	}
	return lines
}

// lexeme is a comment, a word, an operator or space. A word may have quoted parts.
var lexeme = regexp.MustCompile(`#.*|\d?>>?(?:&\d)?|(?:[^\s'"\\|&;()<>]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+|[<|&;()]|\s+`)

// quoted is a part of a word whose quotes or backslash a shell takes away.
var quoted = regexp.MustCompile(`'[^']*'|"(?:[^"\\]|\\.)*"|\\.`)

// simple splits a line into its simple commands, as a shell does: at pipes and other operators, without redirections, assignments and comments.
func simple(line string) [][]string {
	var commands [][]string
	var words []string
	redirected := false
	for _, t := range append(lexeme.FindAllString(line, -1), ";") {
		switch {
		case strings.HasPrefix(t, "#") || strings.TrimSpace(t) == "":
		case strings.ContainsAny(t[:1], "|&;()"):
			if len(words) > 0 {
				commands, words = append(commands, words), nil
			}
		case strings.HasSuffix(t, ">") || t == "<":
			redirected = true
		case redirected:
			redirected = false
		case len(words) == 0 && assignment.MatchString(t), strings.Contains(t, ">&"):
		default:
			words = append(words, quoted.ReplaceAllStringFunc(t, unquote))
		}
	}
	return commands
}

var assignment = regexp.MustCompile(`^[A-Z][A-Z0-9_]*=`)

func unquote(part string) string {
	if part[0] == '\\' {
		return part[1:]
	}
	return part[1 : len(part)-1]
}
