package architecture

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestThisTreeKeepsTheRules(t *testing.T) {
	violations, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

func TestImports(t *testing.T) {
	const argo = "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	cases := map[string]struct {
		file    string
		imports string
		// want is part of the complaint; empty where the import is fine.
		want string
	}{
		"the core uses the standard library":       {"internal/deploy/a.go", "time", ""},
		"the core uses its nouns":                  {"internal/fourkeys/a.go", module + "/internal/dora", ""},
		"the core uses no other part of the core":  {"internal/fourkeys/a.go", module + "/internal/deploy", "the pure core imports"},
		"the core waits for nothing":               {"internal/dora/a.go", "context", "does not import context"},
		"the core does not log":                    {"internal/deploy/a.go", "log/slog", "does not import log/slog"},
		"the core draws no lots":                   {"internal/deploy/a.go", "math/rand/v2", "does not import math/rand/v2"},
		"the core knows no network":                {"internal/deploy/a.go", "net/url", "does not import net/url"},
		"the core reads no environment":            {"internal/fourkeys/a.go", "os", "does not import os"},
		"the core counts with math":                {"internal/fourkeys/a.go", "math", ""},
		"the core takes no logger":                 {"internal/deploy/a.go", "github.com/go-logr/logr", "the pure core imports"},
		"the core's own folders are as pure":       {"internal/deploy/window/a.go", "os/exec", "does not import os/exec"},
		"a package like the core's is not in it":   {"internal/deployments/a.go", "os", ""},
		"the core's tests read files":              {"internal/deploy/a_test.go", "os", ""},
		"support for the core's tests reads files": {"internal/deploy/deploytest/a.go", "os", ""},

		"the app chooses a ledger":                     {"internal/app/a.go", module + "/internal/ledger/sqlite", ""},
		"a command chooses a sink":                     {"cmd/dora-controller/a.go", module + "/internal/sink/port", ""},
		"a controller chooses no ledger":               {"controllers/application/a.go", module + "/internal/ledger/postgres", "only internal/app and cmd"},
		"a contract knows no driver":                   {"internal/ledger/a.go", module + "/internal/ledger/sqlite", "only internal/app and cmd"},
		"a worker knows no forge":                      {"internal/enrich/a.go", module + "/internal/commit/github", "only internal/app and cmd"},
		"a worker uses the contract":                   {"internal/enrich/a.go", module + "/internal/commit", ""},
		"a driver uses its own folders":                {"internal/sink/port/a.go", module + "/internal/sink/port/portapi", ""},
		"a driver uses what drivers share":             {"internal/ledger/sqlite/a.go", module + "/internal/ledger/internal/rows", ""},
		"a driver knows no other":                      {"internal/ledger/sqlite/a.go", module + "/internal/ledger/postgres", "drivers do not import each other"},
		"a driver knows no other, in its folders":      {"internal/sink/port/portapi/a.go", module + "/internal/sink/stdout", "drivers do not import each other"},
		"a shared suite is no driver":                  {"internal/kube/a.go", module + "/internal/ledger/ledgertest", ""},
		"a test uses a real driver":                    {"internal/dispatch/a_test.go", module + "/internal/ledger/sqlite", ""},
		"a sink knows no ledger":                       {"internal/sink/a.go", module + "/internal/ledger", "internal/sink does not know internal/ledger"},
		"a ledger knows no commits":                    {"internal/ledger/sqlite/a.go", module + "/internal/commit", "internal/ledger does not know internal/commit"},
		"commits know no sink":                         {"internal/commit/a.go", module + "/internal/sink", "internal/commit does not know internal/sink"},
		"a driver of one seam knows none of another":   {"internal/sink/postgres/a.go", module + "/internal/ledger/postgres", "drivers do not import each other"},
		"dispatch joins the ledger and sinks":          {"internal/dispatch/a.go", module + "/internal/sink", ""},
		"a package named like a seam is not a part it": {"internal/sinks/a.go", module + "/internal/ledger", ""},

		"Rollouts are observed with Argo's types": {"internal/rollouts/a.go", argo, ""},
		"a controller watches Argo's types":       {"controllers/rollout/a.go", argo, ""},
		"fixtures use Argo's types":               {"test/replay/a.go", argo, ""},
		"the ledger knows no Argo":                {"internal/ledger/a.go", argo, "Argo's types stay"},
		"the core knows no Argo":                  {"internal/deploy/a.go", argo, "Argo's types stay"},
		"the app knows no Argo":                   {"internal/app/a.go", argo, "Argo's types stay"},

		"the app chooses where traces go":         {"internal/app/a.go", "go.opentelemetry.io/otel/sdk/trace", ""},
		"a worker does not know who takes traces": {"internal/dispatch/a.go", "go.opentelemetry.io/otel/trace", "OpenTelemetry stays in internal/tracing"},
		"a worker tells of its work":              {"internal/dispatch/a.go", module + "/internal/tracing", ""},

		"api uses apimachinery":             {"api/v1alpha1/a.go", "k8s.io/apimachinery/pkg/runtime", ""},
		"api uses Kubernetes' types":        {"api/v1alpha1/a.go", "k8s.io/api/core/v1", ""},
		"api uses an older version of it":   {"api/v1beta1/a.go", module + "/api/v1alpha1", ""},
		"api uses no controller-runtime":    {"api/v1alpha1/a.go", "sigs.k8s.io/controller-runtime/pkg/scheme", "api imports"},
		"api uses no other part of k8s":     {"api/v1alpha1/a.go", "k8s.io/apiserver/pkg/util/feature", "api imports"},
		"api uses nothing internal":         {"api/v1alpha1/a.go", module + "/internal/dora", "api imports"},
		"generated code keeps the rule too": {"api/v1alpha1/zz_generated.go", "k8s.io/client-go/rest", "api imports"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			source := "// Package x is for this test.\npackage x\n\nimport _ \"" + tc.imports + "\"\n"
			expect(t, fstest.MapFS{tc.file: {Data: []byte(source)}}, tc.want)
		})
	}
}

func TestNamesDocsAndWords(t *testing.T) {
	cases := map[string]struct {
		tree map[string]string
		want string
	}{
		"a documented package":                    {map[string]string{"internal/a/a.go": "// Package a is a.\npackage a\n"}, ""},
		"a doc comment in one file is enough":     {map[string]string{"a/a.go": "package a\n", "a/doc.go": "// Package a is a.\npackage a\n", "a/z.go": "package a\n"}, ""},
		"no doc comment":                          {map[string]string{"internal/a/a.go": "package a\n"}, "internal/a: the package has no doc comment"},
		"a comment apart from the clause":         {map[string]string{"a/a.go": "// Package a is a.\n\npackage a\n"}, "a: the package has no doc comment"},
		"tests alone need none":                   {map[string]string{"test/a/a_test.go": "package a\n"}, ""},
		"generated code alone needs none":         {map[string]string{"a/a.go": "// Code generated by x. DO NOT EDIT.\n\npackage a\n"}, ""},
		"a generated file's comment does not do":  {map[string]string{"a/a.go": "package a\n", "a/z.go": "// Code generated by x. DO NOT EDIT.\n\n// Package a is a.\npackage a\n"}, "no doc comment"},
		"a package called util":                   {map[string]string{"internal/util/a.go": "// Package util is a.\npackage util\n"}, "a package called util"},
		"a package called types":                  {map[string]string{"a/b/a.go": "// Package types is a.\npackage types\n"}, "a package called types"},
		"a path of a machine":                     {map[string]string{"README.md": "Run it\nfrom /wo" + "rk/main\n"}, "README.md:2: a path of one machine"},
		"a path of a person's machine":            {map[string]string{"Makefile": "BIN=/ho" + "me/ann/bin\n"}, "Makefile:1: a path of one machine"},
		"a route that looks like one":             {map[string]string{"README.md": "https://example.com/wo" + "rk/item\n"}, ""},
		"a note to oneself":                       {map[string]string{"a/a.go": "// Package a is a.\npackage a\n\n// TO" + "DO: finish\n"}, "a/a.go:4: unfinished"},
		"a note to oneself in generated code":     {map[string]string{"a/a.go": "// Code generated by x. DO NOT EDIT.\n\npackage a\n\n// TO" + "DO: finish\n"}, ""},
		"a function that does not exist yet":      {map[string]string{"a/a.go": "// Package a is a.\npackage a\n\nfunc a() { panic(\"not imple" + "mented\") }\n"}, "a/a.go:4: unfinished"},
		"recorded input is not ours to word":      {map[string]string{"test/a/testdata/a.md": "TO" + "DO\n"}, ""},
		"what tools built is not ours":            {map[string]string{"bin/a.go": "package util\n"}, ""},
		"the words of a CRD are its dependencies": {map[string]string{"config/crd/bases/a.yaml": "description: TO" + "DO\n"}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for file, text := range tc.tree {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			expect(t, root, tc.want)
		})
	}
}

func TestATreeThatDoesNotParseIsAnError(t *testing.T) {
	if _, err := Check(fstest.MapFS{"a/a.go": {Data: []byte("pack a\n")}}); err == nil {
		t.Error("Check() = nil, want an error")
	}
}

// expect checks that the tree breaks a rule with that complaint, or none where
// want is empty.
func expect(t *testing.T, root fstest.MapFS, want string) {
	t.Helper()
	violations, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case want == "" && len(violations) > 0:
		t.Errorf("unexpected violations:\n%s", strings.Join(violations, "\n"))
	case want != "" && !slices.ContainsFunc(violations, func(v string) bool { return strings.Contains(v, want) }):
		t.Errorf("violations %q, want one that says %q", violations, want)
	}
}
