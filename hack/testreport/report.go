package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// The actions with which a test or a package ends.
const (
	passed  = "pass"
	failed  = "fail"
	skipped = "skip"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action     string  `json:"Action"`
	Package    string  `json:"Package"`
	ImportPath string  `json:"ImportPath"`
	Test       string  `json:"Test"`
	Elapsed    float64 `json:"Elapsed"`
	Output     string  `json:"Output"`
}

// pkg is what is known of one package's tests so far.
type pkg struct {
	tests  map[string]*test
	output strings.Builder
}

// test is one Go test or subtest.
type test struct {
	verdict string
	output  strings.Builder
	parent  bool
	// ran: it reported something itself.
	ran bool
	// specs is set once a Ginkgo suite has printed its totals.
	specs *tally
}

type tally struct{ passed, failed, skipped int }

func (t *tally) add(other tally) {
	t.passed += other.passed
	t.failed += other.failed
	t.skipped += other.skipped
}

type report struct {
	out      io.Writer
	packages map[string]*pkg
	total    tally
	skipped  []string
	// build holds compiler output by the import path it belongs to.
	build map[string]*strings.Builder
	// leaks names the tests that printed a secret of tests.
	leaks []string
	// stray is set when a line was no event, as when go itself cannot start.
	stray bool
}

func newReport(out io.Writer) *report {
	return &report{out: out, packages: map[string]*pkg{}, build: map[string]*strings.Builder{}}
}

// add takes one line of input and tells whether it printed something.
func (r *report) add(line []byte) bool {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		r.stray = true
		fmt.Fprintf(r.out, "%s\n", line)
		return true
	}
	if e.Action == "output" && sinktest.Leaks(e.Output) {
		r.leaks = append(r.leaks, strings.TrimSpace(short(e.Package)+" "+e.Test))
	}
	switch {
	case e.Action == "build-output":
		r.buildOutput(e)
	case e.Package == "" || e.Action == "build-fail":
	case e.Test != "":
		r.addTest(e)
	case e.Action == "output":
		r.pkg(e.Package).output.WriteString(e.Output)
	case e.Action == "start":
		r.pkg(e.Package)
	default:
		return r.endPackage(e)
	}
	return false
}

func (r *report) buildOutput(e event) {
	// "path [path.test]" names the test variant of the package at path.
	path, _, _ := strings.Cut(e.ImportPath, " ")
	if r.build[path] == nil {
		r.build[path] = &strings.Builder{}
	}
	r.build[path].WriteString(e.Output)
}

func (r *report) pkg(path string) *pkg {
	p := r.packages[path]
	if p == nil {
		p = &pkg{tests: map[string]*test{}}
		r.packages[path] = p
	}
	return p
}

func (r *report) addTest(e event) {
	t := r.pkg(e.Package).test(e.Test)
	t.ran = true
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
		if specs := ginkgoTotals(e.Output); specs != nil {
			t.specs = specs
		}
	case passed, failed, skipped:
		t.verdict = e.Action
	}
}

// test finds or makes the test of that name and marks its parents as such.
func (p *pkg) test(name string) *test {
	if t := p.tests[name]; t != nil {
		return t
	}
	t := &test{}
	p.tests[name] = t
	if slash := strings.LastIndex(name, "/"); slash > 0 {
		p.test(name[:slash]).parent = true
	}
	return t
}

// endPackage counts a finished package and prints its line.
func (r *report) endPackage(e event) bool {
	p := r.pkg(e.Package)
	delete(r.packages, e.Package)

	sum := p.count()
	if e.Action == failed && sum.failed == 0 {
		sum.failed = 1
	}
	r.total.add(sum)
	r.noteSkipped(e.Package, p)

	switch {
	case e.Action == failed:
		fmt.Fprintf(r.out, "FAIL  %4.0fs  %s (%d passed, %d failed)\n", e.Elapsed, short(e.Package), sum.passed, sum.failed)
		r.explain(e.Package, p)
	case sum == tally{}:
		// A package without tests is no news.
		return false
	default:
		fmt.Fprintf(r.out, "ok    %4.0fs  %s (%d)\n", e.Elapsed, short(e.Package), sum.passed)
	}
	return true
}

// count adds up the package's leaves, and its specs where Ginkgo ran.
func (p *pkg) count() tally {
	var sum tally
	for name, t := range p.tests {
		switch {
		case !t.ran:
			// No test: the name of a subtest holds a slash.
		case t.specs != nil:
			sum.add(*t.specs)
			// The suite itself can fail where no spec did: focus left in, a leak.
			if t.verdict != passed && t.specs.failed == 0 {
				sum.failed++
			}
		case t.verdict == skipped:
			sum.skipped++
		case t.verdict == passed && !t.parent:
			sum.passed++
		case t.verdict != passed && !p.childFailed(name):
			// Failed, or cut short by a panic or a time-out.
			sum.failed++
		}
	}
	return sum
}

func (p *pkg) childFailed(name string) bool {
	for child, t := range p.tests {
		if strings.HasPrefix(child, name+"/") && t.verdict != passed && t.verdict != skipped {
			return true
		}
	}
	return false
}

// explain prints what a failed package's builds and tests said.
func (r *report) explain(path string, p *pkg) {
	if b := r.build[path]; b != nil {
		r.indent(b.String())
	}
	for _, name := range slices.Sorted(maps.Keys(p.tests)) {
		if t := p.tests[name]; t.verdict != passed && t.verdict != skipped {
			r.indent(t.output.String())
		}
	}
	r.indent(p.output.String())
}

func (r *report) indent(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(r.out, "      %s\n", strings.TrimRight(line, "\n"))
	}
}

func (r *report) noteSkipped(path string, p *pkg) {
	for _, name := range slices.Sorted(maps.Keys(p.tests)) {
		if p.tests[name].verdict == skipped {
			r.skipped = append(r.skipped, short(path)+" "+name+": "+skipReason(p.tests[name].output.String()))
		}
	}
}

// running names the packages that have started and not ended.
func (r *report) running() string {
	if len(r.packages) == 0 {
		return "compiling"
	}
	names := slices.Sorted(maps.Keys(r.packages))
	for i, name := range names {
		names[i] = short(name)
	}
	return strings.Join(names, ", ")
}

// finish prints the totals and tells whether all went well.
func (r *report) finish(took time.Duration) bool {
	for _, path := range slices.Sorted(maps.Keys(r.packages)) {
		// go test itself ended before the package did.
		r.total.failed++
		fmt.Fprintf(r.out, "FAIL         %s (never finished)\n", short(path))
	}
	if r.stray && r.total.failed == 0 {
		r.total.failed = 1
	}
	slices.Sort(r.leaks)
	for _, test := range slices.Compact(r.leaks) {
		r.total.failed++
		fmt.Fprintf(r.out, "FAIL         %s (it printed a secret)\n", test)
	}
	for _, line := range r.skipped {
		fmt.Fprintf(r.out, "skip  %s\n", line)
	}
	if r.total.skipped > 0 {
		fmt.Fprintf(r.out, "%d skipped\n", r.total.skipped)
	}
	fmt.Fprintf(r.out, "tests took %s\n", took.Round(time.Second))
	fmt.Fprintf(r.out, "%d passed, %d failed\n", r.total.passed, r.total.failed)
	return r.total.failed == 0 && r.total.passed > 0
}

// short drops what all our packages have in common.
func short(path string) string {
	return strings.TrimPrefix(path, "github.com/dora-controller/dora-controller/")
}

// skipReason is the last thing a skipped test said before go test's own line.
func skipReason(output string) string {
	reason := "no reason given"
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			reason = line
		}
	}
	return reason
}

var (
	escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")
	totals  = regexp.MustCompile(`^(?:SUCCESS!|FAIL!).* -- (\d+) Passed \| (\d+) Failed \| (\d+) Pending \| (\d+) Skipped`)
)

// ginkgoTotals reads the line with which a Ginkgo suite ends. Pending and
// skipped specs are both specs that did not run.
func ginkgoTotals(line string) *tally {
	m := totals.FindStringSubmatch(escapes.ReplaceAllString(line, ""))
	if m == nil {
		return nil
	}
	n := make([]int, len(m))
	for i, digits := range m[1:] {
		n[i], _ = strconv.Atoi(digits)
	}
	return &tally{passed: n[0], failed: n[1], skipped: n[2] + n[3]}
}
