// Command licences lists the modules that packages are built from, on each platform of a release, and their licences, as a page in Markdown:
//
//	licences ./cmd/... >THIRD_PARTY_LICENSES.md
//	licences -texts ./cmd/... >third-party-licences.txt
//
// Licences are read from the texts that come with the modules, in the folder of each package that is linked and in those above it. A module
// without such a text, or with one that is not known, is an error.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"}

func main() {
	texts := flag.Bool("texts", false, "print the texts instead of the list")
	flag.Parse()
	modules, err := linked(flag.Args())
	if err == nil && *texts {
		err = printTexts(os.Stdout, modules)
	} else if err == nil {
		err = printList(os.Stdout, modules)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// module is one that packages are linked of.
type module struct {
	path, version, dir string
	folders            map[string]bool // of the packages, and all above them
}

// linked are the modules that the packages need on any of the platforms, by path.
func linked(packages []string) ([]*module, error) {
	found := map[string]*module{}
	for _, platform := range platforms {
		system, architecture, _ := strings.Cut(platform, "/")
		const format = `{{with .Module}}{{if not .Main}}{{.Path}}|{{.Version}}|{{.Dir}}|{{$.Dir}}{{end}}{{end}}`
		list := exec.Command("go", append([]string{"list", "-deps", "-f", format}, packages...)...)
		list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=0")
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("cannot list what is linked on %s: %w", platform, err)
		}
		for line := range strings.FieldsSeq(string(out)) {
			add(found, strings.Split(line, "|"))
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *module) int { return strings.Compare(a.path, b.path) }), nil
}

func add(found map[string]*module, fields []string) {
	m := found[fields[0]]
	if m == nil {
		m = &module{path: fields[0], version: fields[1], dir: fields[2], folders: map[string]bool{}}
		found[m.path] = m
	}
	for folder := fields[3]; strings.HasPrefix(folder, m.dir); folder = filepath.Dir(folder) {
		m.folders[folder] = true
	}
}

var (
	licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicen[cs]e|copyright)([.-].*)?$`)
	notice  = regexp.MustCompile(`(?i)^notice([.-].*)?$`)
)

// each reads the files of a module with such a name.
func (m *module) each(names *regexp.Regexp, take func(name string, text []byte)) error {
	for _, folder := range slices.Sorted(maps.Keys(m.folders)) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if !entry.Type().IsRegular() || !names.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
				continue
			}
			name := filepath.Join(folder, entry.Name())
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			take(strings.TrimPrefix(name, m.dir+string(filepath.Separator)), text)
		}
	}
	return nil
}

// read are texts that a person has read, since no tool knows them.
var read = map[string][]string{
	"github.com/opencontainers/go-digest/LICENSE.docs": nil, // of pages that are not linked
	"modernc.org/memory/LICENSE-LOGO":                  nil, // of a picture that is not linked
	"modernc.org/sqlite/LICENSE-SQLITE":                {"blessing"},
}

// licences are the SPDX identifiers of a module's texts.
func (m *module) licences() ([]string, error) {
	var found []string
	var problems error
	err := m.each(licence, func(name string, text []byte) {
		if said, ok := read[m.path+"/"+name]; ok {
			found = append(found, said...)
			return
		}
		coverage := licensecheck.Scan(text)
		if len(coverage.Match) == 0 {
			problems = errors.Join(problems, fmt.Errorf("%s@%s: %s is no licence that is known", m.path, m.version, name))
		}
		for _, match := range coverage.Match {
			found = append(found, match.ID)
		}
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s@%s has no text of a licence", m.path, m.version)
	}
	slices.Sort(found)
	return slices.Compact(found), errors.Join(err, problems)
}

const head = `# Licences of what is linked into the binaries

Written by ` + "`make generate`" + `, for linux, darwin and windows, from the texts that come with the modules; a release has these texts in
third-party-licences.txt. The program itself is under the [Apache License 2.0](LICENSE), and the standard library of Go under BSD-3-Clause.

| module | version | licences |
|---|---|---|
`

func printList(out io.Writer, modules []*module) error {
	var list bytes.Buffer
	list.WriteString(head)
	var problems error
	for _, m := range modules {
		names, err := m.licences()
		problems = errors.Join(problems, err)
		fmt.Fprintf(&list, "| %s | %s | %s |\n", m.path, m.version, strings.Join(names, ", "))
	}
	if problems != nil {
		return problems
	}
	_, err := out.Write(list.Bytes())
	return err
}

func printTexts(out io.Writer, modules []*module) error {
	var all bytes.Buffer
	if err := printGo(&all); err != nil {
		return err
	}
	for _, m := range modules {
		for _, names := range []*regexp.Regexp{licence, notice} {
			err := m.each(names, func(name string, text []byte) {
				printText(&all, fmt.Sprintf("%s %s, %s", m.path, m.version, filepath.ToSlash(name)), text)
			})
			if err != nil {
				return err
			}
		}
	}
	_, err := out.Write(all.Bytes())
	return err
}

func printText(out io.Writer, of string, text []byte) {
	fmt.Fprintf(out, "%s\n%s\n\n%s\n\n", strings.Repeat("=", 80), of, bytes.TrimSpace(text))
}

// printGo prints the licence of the standard library, which is linked as well.
func printGo(out io.Writer) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "LICENSE"))
	if err != nil {
		return fmt.Errorf("the licence of Go: %w", err)
	}
	printText(out, "the standard library of Go, LICENSE", text)
	return nil
}
