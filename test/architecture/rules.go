// Package architecture keeps the direction of the arrows: who may import whom,
// what a package may be called, and that each one says what it is for.
//
// The tree is read with go/parser alone. A test that asked `go list` would be
// cached by the state of its own package and pass on after the tree has changed;
// files that a test opens are part of its cache key.
//
// The import rules hold for all files but tests, which may reach for real drivers
// and fixtures:
//
//  1. internal/dora, internal/deploy, internal/fourkeys and internal/incident import the standard
//     library and internal/dora only, and of the former nothing that waits, logs,
//     draws lots or reaches outside the process.
//  2. Drivers (the packages inside internal/ledger, internal/sink, internal/commit
//     and internal/ingest) are imported by internal/app, cmd and test only. Packages
//     named …test and folders named internal are no drivers.
//  3. internal/ledger, internal/sink, internal/commit and internal/ingest do not
//     import each other, and no driver imports another.
//  4. Argo's types stay in internal/argocd, internal/rollouts, controllers and test.
//  5. api imports the standard library, k8s.io/apimachinery and k8s.io/api only.
//  6. OpenTelemetry stays in internal/tracing, and in internal/app, which chooses where traces go.
package architecture

import (
	"path"
	"slices"
	"strings"
)

const module = "github.com/dora-controller/dora-controller"

// An importRule judges one import by the folder of the importing file. It returns
// what is wrong, or nothing. Folders and packages of this module are both given
// relative to its root; other packages by their full path.
type importRule func(folder, imported string) string

var importRules = []importRule{coreIsPure, driversAreChosenInOnePlace, seamsStandAlone, argoStaysAtTheEdge, apiIsLight, tracesGoOneWay}

var (
	core  = []string{"internal/dora", "internal/deploy", "internal/fourkeys", "internal/incident"}
	seams = []string{"internal/commit", "internal/ingest", "internal/ledger", "internal/sink"}

	impure   = []string{"context", "log", "math/rand", "net", "os"}
	badNames = []string{"common", "helper", "helpers", "misc", "types", "util", "utils"}
)

func coreIsPure(folder, imported string) string {
	if !within(folder, core...) || testSupport(folder) {
		return ""
	}
	switch {
	case within(imported, impure...):
		return "the pure core does not import " + imported
	case !standard(imported) && !within(imported, "internal/dora"):
		return "the pure core imports the standard library and internal/dora only, not " + imported
	}
	return ""
}

func driversAreChosenInOnePlace(folder, imported string) string {
	chosen := driver(imported)
	if chosen == "" || within(folder, "internal/app", "cmd", "test") {
		return ""
	}
	switch driver(folder) {
	case chosen:
		return ""
	case "":
		return "only internal/app and cmd import drivers, such as " + imported
	}
	return "drivers do not import each other, as here " + imported
}

func seamsStandAlone(folder, imported string) string {
	own, other := seam(folder), seam(imported)
	if own == "" || other == "" || own == other {
		return ""
	}
	return own + " does not know " + other + ": internal/dispatch and internal/enrich join them"
}

func argoStaysAtTheEdge(folder, imported string) string {
	if !within(imported, "github.com/argoproj") || within(folder, "internal/argocd", "internal/rollouts", "controllers", "test") {
		return ""
	}
	return "Argo's types stay in internal/argocd, internal/rollouts and controllers: " + imported
}

func apiIsLight(folder, imported string) string {
	if !within(folder, "api") || standard(imported) || within(imported, "api", "k8s.io/api", "k8s.io/apimachinery") {
		return ""
	}
	return "api imports k8s.io/apimachinery and k8s.io/api only, not " + imported
}

func tracesGoOneWay(folder, imported string) string {
	if !within(imported, "go.opentelemetry.io") || within(folder, "internal/tracing", "internal/app") {
		return ""
	}
	return "OpenTelemetry stays in internal/tracing and internal/app: " + imported
}

// driver is the folder of the driver that a package belongs to, if any:
// internal/sink/port for internal/sink/port/portapi.
func driver(pkg string) string {
	own := seam(pkg)
	if own == "" || own == pkg {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(pkg, own+"/"), "/")
	if name == "internal" || strings.HasSuffix(name, "test") {
		return ""
	}
	return own + "/" + name
}

// seam is the seam that a package belongs to, if any.
func seam(pkg string) string {
	if i := slices.IndexFunc(seams, func(s string) bool { return within(pkg, s) }); i >= 0 {
		return seams[i]
	}
	return ""
}

// within tells whether a package is one of the parents or inside one.
func within(pkg string, parents ...string) bool {
	return slices.ContainsFunc(parents, func(parent string) bool {
		return pkg == parent || strings.HasPrefix(pkg, parent+"/")
	})
}

// standard tells whether an import is from the standard library; only there the
// first element has no dot. Our own packages have lost their module path.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && !within(imported, ours...)
}

// ours are the top-level folders that hold packages of this module.
var ours = []string{"api", "cmd", "controllers", "hack", "internal", "test"}

func testSupport(folder string) bool {
	return strings.HasSuffix(path.Base(folder), "test")
}
