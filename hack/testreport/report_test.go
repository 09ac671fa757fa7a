package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const module = "github.com/dora-controller/dora-controller/"

func TestReport(t *testing.T) {
	cases := map[string]struct {
		events   []event
		wantOK   bool
		wantLast string
		wantText []string
	}{
		"subtests count, their parents do not": {
			events: []event{
				start("a"), pass("a", "TestX/one"), pass("a", "TestX/two"), pass("a", "TestX"), end("a", "pass"),
			},
			wantOK: true, wantLast: "2 passed, 0 failed", wantText: []string{"ok", " a (2)"},
		},
		"a failed subtest fails once and says why": {
			events: []event{
				start("a"), says("a", "TestX/one", "want 1, got 2"), fail("a", "TestX/one"), fail("a", "TestX"), end("a", "fail"),
			},
			wantLast: "0 passed, 1 failed", wantText: []string{"FAIL", "want 1, got 2"},
		},
		"a parent that fails by itself counts": {
			events:   []event{start("a"), pass("a", "TestX/one"), fail("a", "TestX"), end("a", "fail")},
			wantLast: "1 passed, 1 failed",
		},
		"a package that does not build counts as one failure": {
			events: []event{
				{Action: "build-output", ImportPath: module + "a [a.test]", Output: "a.go:1: undefined: b\n"},
				{Action: "build-fail", ImportPath: module + "a [a.test]"},
				start("a"), end("a", "fail"),
			},
			wantLast: "0 passed, 1 failed", wantText: []string{"undefined: b"},
		},
		"a test cut short by a panic counts": {
			events:   []event{start("a"), pass("a", "TestX"), says("a", "TestY", "panic: boom"), end("a", "fail")},
			wantLast: "1 passed, 1 failed", wantText: []string{"panic: boom"},
		},
		"a package that exits badly after its tests passed counts": {
			events:   []event{start("a"), pass("a", "TestX"), end("a", "fail")},
			wantLast: "1 passed, 1 failed",
		},
		"a Ginkgo suite counts its specs": {
			events: []event{
				start("a"), says("a", "TestSuite", "\x1b[1mSUCCESS!\x1b[0m -- \x1b[1m7 Passed\x1b[0m | 0 Failed | 1 Pending | 2 Skipped"),
				pass("a", "TestSuite"), pass("a", "TestPlain"), end("a", "pass"),
			},
			wantOK: true, wantLast: "8 passed, 0 failed", wantText: []string{"3 skipped"},
		},
		"a Ginkgo suite that fails without a failed spec counts": {
			events: []event{
				start("a"), says("a", "TestSuite", "FAIL! - Interrupted by Timeout -- 7 Passed | 0 Failed | 0 Pending | 0 Skipped"),
				fail("a", "TestSuite"), end("a", "fail"),
			},
			wantLast: "7 passed, 1 failed",
		},
		"skipped tests are listed with their reason": {
			events: []event{
				start("a"), pass("a", "TestX"), says("a", "TestY", "    y_test.go:3: no PostgreSQL here"),
				says("a", "TestY", "--- SKIP: TestY (0.00s)"),
				{Action: "skip", Package: module + "a", Test: "TestY"},
				end("a", "pass"),
			},
			wantOK: true, wantLast: "1 passed, 0 failed", wantText: []string{"a TestY: y_test.go:3: no PostgreSQL here", "1 skipped"},
		},
		"a package that never ends counts": {
			events:   []event{start("a"), pass("a", "TestX")},
			wantLast: "0 passed, 1 failed", wantText: []string{"never finished"},
		},
		"a test that prints a secret fails, though it passed": {
			events: []event{
				start("a"), says("a", "TestX", "password "+sinktest.Secret("x")), says("a", "TestX", sinktest.Secret("y")), pass("a", "TestX"),
				end("a", "pass"),
			},
			wantLast: "1 passed, 1 failed", wantText: []string{"a TestX (it printed a secret)"},
		},
		"a run without tests is no success": {
			events: []event{start("a"), end("a", "skip")}, wantLast: "0 passed, 0 failed",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var in, out strings.Builder
			for _, e := range tc.events {
				line, err := json.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				in.Write(append(line, '\n'))
			}
			checkReport(t, in.String(), &out, tc.wantOK, tc.wantLast, tc.wantText)
		})
	}
}

func TestLinesThatAreNoEventsFail(t *testing.T) {
	var out strings.Builder
	checkReport(t, "go: cannot find main module\n", &out, false, "0 passed, 1 failed", []string{"cannot find main module"})
}

func checkReport(t *testing.T, in string, out *strings.Builder, wantOK bool, wantLast string, wantText []string) {
	t.Helper()
	if ok := run(strings.NewReader(in), out); ok != wantOK {
		t.Errorf("run() = %v, want %v", ok, wantOK)
	}
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if last := lines[len(lines)-1]; last != wantLast {
		t.Errorf("last line %q, want %q", last, wantLast)
	}
	for _, text := range wantText {
		if !strings.Contains(out.String(), text) {
			t.Errorf("report lacks %q:\n%s", text, out)
		}
	}
}

func start(p string) event       { return event{Action: "start", Package: module + p} }
func end(p, action string) event { return event{Action: action, Package: module + p} }
func pass(p, test string) event  { return event{Action: "pass", Package: module + p, Test: test} }
func fail(p, test string) event  { return event{Action: "fail", Package: module + p, Test: test} }
func says(p, test, s string) event {
	return event{Action: "output", Package: module + p, Test: test, Output: s + "\n"}
}
