package architecture

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	fewestTargets = 30
	fewestInputs  = 5
	mostInputs    = 30
	largestInput  = 64 << 10 // bytes
	largestCorpus = 1_500_000
)

// Every parser of what comes from outside has a fuzz target, and every target a corpus that is kept: small enough to clone, and run by go test.
func TestEveryFuzzTargetKeepsACorpus(t *testing.T) {
	targets, problems, err := corpora(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
	if len(targets) < fewestTargets {
		t.Errorf("%d fuzz targets, want %d or more", len(targets), fewestTargets)
	}
}

func TestCorporaThatAreNotKept(t *testing.T) {
	const source = "package a\n\nimport \"testing\"\n\nfunc FuzzA(f *testing.F) {}\n"
	input := &fstest.MapFile{Data: []byte("go test fuzz v1\nstring(\"\")\n")}
	tree := func(change func(fstest.MapFS)) fstest.MapFS {
		root := fstest.MapFS{"internal/a/a_test.go": {Data: []byte(source)}}
		for _, name := range []string{"1", "2", "3", "4", "5"} {
			root["internal/a/testdata/fuzz/FuzzA/"+name] = input
		}
		change(root)
		return root
	}
	for name, tc := range map[string]struct {
		change func(fstest.MapFS)
		want   string // a part of the only complaint, or none
	}{
		"one that is kept":     {func(fstest.MapFS) {}, ""},
		"one that is small":    {func(root fstest.MapFS) { delete(root, "internal/a/testdata/fuzz/FuzzA/3") }, "has 4 inputs"},
		"one without a target": {func(root fstest.MapFS) { root["internal/a/testdata/fuzz/FuzzB/1"] = input }, "FuzzB: there is no such target"},
		"one in another form": {func(root fstest.MapFS) {
			root["internal/a/testdata/fuzz/FuzzA/3"] = &fstest.MapFile{Data: []byte("{}")}
		}, "FuzzA/3: it is not in the form of Go's corpora"},
		"one that is large": {func(root fstest.MapFS) {
			root["internal/a/testdata/fuzz/FuzzA/3"] = &fstest.MapFile{Data: append(bytes.Clone(input.Data), make([]byte, largestInput)...)}
		}, "FuzzA/3: it is larger than"},
	} {
		targets, problems, err := corpora(tree(tc.change))
		if err != nil || !slices.Equal(targets, []string{"internal/a/testdata/fuzz/FuzzA"}) {
			t.Errorf("%s: the targets are %q, %v", name, targets, err)
		}
		if said := strings.Join(problems, "\n"); (said == "") != (tc.want == "") || !strings.Contains(said, tc.want) || len(problems) > 1 {
			t.Errorf("%s: said %q, want %q", name, said, tc.want)
		}
	}
}

// corpora lists the folders in which the corpora of all targets belong, and what is wrong with them.
func corpora(root fs.FS) (targets, problems []string, err error) {
	inputs, total := map[string]int{}, int64(0)
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (slices.Contains([]string{".git", "bin"}, entry.Name()) || name == "test/drift"):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		case strings.Contains(name, "/testdata/fuzz/"):
			size, problem, err := input(root, name)
			inputs[path.Dir(name)]++
			if total += size; problem != "" {
				problems = append(problems, name+": "+problem)
			}
			return err
		case strings.HasSuffix(name, "_test.go") && !strings.Contains(name, "testdata/"):
			found, err := fuzzed(root, name)
			targets = append(targets, found...)
			return err
		}
		return nil
	})
	for _, folder := range targets {
		if n := inputs[folder]; n < fewestInputs || n > mostInputs {
			problems = append(problems, folder+": a corpus of "+strconv.Itoa(fewestInputs)+" to "+strconv.Itoa(mostInputs)+" is to be kept, and it has "+strconv.Itoa(n)+" inputs")
		}
		delete(inputs, folder)
	}
	for folder := range inputs {
		problems = append(problems, folder+": there is no such target")
	}
	if total > largestCorpus {
		problems = append(problems, "all corpora together are larger than "+strconv.Itoa(largestCorpus)+" bytes")
	}
	slices.Sort(problems)
	return targets, problems, err
}

// input looks at a file of a corpus.
func input(root fs.FS, name string) (size int64, problem string, err error) {
	data, err := fs.ReadFile(root, name)
	switch {
	case !bytes.HasPrefix(data, []byte("go test fuzz v1\n")):
		problem = "it is not in the form of Go's corpora"
	case len(data) > largestInput:
		problem = "it is larger than " + strconv.Itoa(largestInput) + " bytes"
	}
	return int64(len(data)), problem, err
}

// fuzzed lists the folders of the targets of a file.
func fuzzed(root fs.FS, name string) ([]string, error) {
	source, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
			folders = append(folders, path.Join(path.Dir(name), "testdata/fuzz", f.Name.Name))
		}
	}
	return folders, nil
}
