package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

// root is the checkout.
const root = "../.."

// result is what one command line did.
type result struct {
	code           int
	stdout, stderr string
}

func run(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := execute(t.Context(), args, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// monthOf is the events of the month that docs/metrics.md works out by hand.
func monthOf(t *testing.T) []dora.Event {
	t.Helper()
	file, err := os.Open(filepath.Join(root, "internal", "fourkeys", "testdata", "worked-example.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var events []dora.Event
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e dora.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// aLedger is a ledger's file with that month, left open as a controller does, and a decision about what was not counted.
func aLedger(t *testing.T) (path string, events []dora.Event) {
	t.Helper()
	events = monthOf(t)
	path = filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	subject := ledger.Subject{
		Subject: events[0].Subject, Cluster: events[0].Cluster, Service: "checkout", Environment: "production",
		FollowedSince: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC),
	}
	decided := ledger.Decision{
		Cluster: events[0].Cluster, UID: events[0].Subject.UID, Service: "checkout", At: time.Date(2026, 11, 9, 9, 0, 0, 0, time.UTC),
		Reason: "Superseded", Message: "a newer version replaced it before any verdict",
	}
	for i := range events {
		change := ledger.Change{Events: events[i : i+1]}
		if i == 0 {
			change.Subject, change.Decisions = &subject, []ledger.Decision{decided}
		}
		if err := store.Commit(context.Background(), change); err != nil {
			t.Fatal(err)
		}
	}
	return path, events
}

func TestWrongCommandLines(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a word that is no command":       {[]string{"stauts"}, `"stauts" is no command of kubectl dora; did you mean status?`},
		"an unknown flag":                 {[]string{"events", "--nope"}, "unknown flag: --nope"},
		"an output that is none":          {[]string{"report", "-o", "pdf"}, "want table or json or csv or markdown or html"},
		"a type that is none":             {[]string{"events", "--type", "rollback"}, "want deploy, degraded, recovered or change"},
		"an outcome that is none":         {[]string{"events", "--outcome", "good"}, "want succeeded, failed, rolled_back or unknown"},
		"a negative limit":                {[]string{"events", "--limit", "-1"}, "must not be negative"},
		"a limit of what is selected":     {[]string{"events", "--limit", "1", "--outcome", "failed"}, "leave one of them out"},
		"a time that is none":             {[]string{"events", "--since", "soon"}, "neither a time such as"},
		"a report of the future":          {[]string{"report", "--since", "2999-01-01T00:00:00Z"}, "must lie before its end"},
		"nothing to explain":              {[]string{"explain"}, "accepts between 1 and 2 arg(s)"},
		"two targets":                     {[]string{"status", "a", "b"}, "accepts at most 1 arg(s)"},
		"a namespace and all of them":     {[]string{"status", "-A", "-n", "x"}, "leave out --namespace"},
		"sinks of a namespace and of all": {[]string{"sinks", "-A", "-n", "x"}, "leave out --namespace"},
		"a mark without a verdict":        {[]string{"mark", "e1", "--reason", "x"}, "--not-a-failure, --failure or --ignore"},
		"a mark with two":                 {[]string{"mark", "e1", "--failure", "--ignore", "--reason", "x"}, "say one thing"},
		"a mark without a reason":         {[]string{"mark", "e1", "--ignore", "--reason", " "}, "say why"},
		"a mark of two lines":             {[]string{"mark", "e1", "--ignore", "--reason", "a\nb"}, "one line"},
		"a mark of no event":              {[]string{"mark", "e 1", "--ignore", "--reason", "x"}, "is no id of an event"},
		"a mark that is undone and made":  {[]string{"mark", "e1", "--ignore", "--undo", "--reason", "x"}, "--undo takes back"},
		"an undo without a reason":        {[]string{"mark", "e1", "--undo"}, "say why"},
		"doctor with an argument":         {[]string{"doctor", "x"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, test.args...)
			if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, test.want) || !strings.Contains(got.stderr, "--help") {
				t.Errorf("want exit code 2 and %q with a hint on stderr, got %+v", test.want, got)
			}
		})
	}
}

// One cause has one exit code, whatever was asked: a script that takes 3 of doctor for "nothing found" is not told so of no cluster at all.
func TestWithoutAKubeconfigEachCommandFailsAlike(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"status", "-A"}, {"sinks"}, {"sinks", "-A"}, {"events"}, {"explain", "x"}, {"report"}, {"doctor"}, {"bundle"}} {
		got := run(t, append(args, "--kubeconfig", filepath.Join(t.TempDir(), "none"))...)
		if got.code != exitFailure || !strings.Contains(got.stderr, "cannot read the kubeconfig") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestHelpSpeaksOfKubectlDora(t *testing.T) {
	g := NewWithT(t)
	got := run(t, "--help")
	g.Expect(got.code).To(Equal(exitOK))
	g.Expect(got.stdout).To(ContainSubstring("kubectl dora [command]"))
	for _, name := range []string{"status", "events", "explain", "mark", "sinks", "report", "doctor", "bundle", "version", "completion"} {
		g.Expect(got.stdout).To(MatchRegexp("(?m)^  " + name + " "))
	}
	g.Expect(run(t, "version").stdout).To(HavePrefix("kubectl-dora "))
}

func TestCompletionIsWrittenForEveryShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := run(t, "completion", shell); got.code != exitOK || !strings.Contains(got.stdout, "dora") {
			t.Errorf("%s: %+v", shell, got)
		}
	}
	g := NewWithT(t)
	g.Expect(run(t, "__complete", "events", "--outcome", "").stdout).To(HavePrefix("succeeded\nfailed\nrolled_back\nunknown\n"))
	g.Expect(run(t, "__complete", "report", "-o", "").stdout).To(HavePrefix("table\njson\ncsv\nmarkdown\nhtml\n"))
}

func TestEventsOfALedger(t *testing.T) {
	path, events := aLedger(t)
	for name, test := range map[string]struct {
		args []string
		want int
	}{
		"all":            {nil, len(events)},
		"one service":    {[]string{"--service", "checkout"}, len(events)},
		"another":        {[]string{"--service", "search"}, 0},
		"failures":       {[]string{"--type", "degraded"}, 4},
		"what failed":    {[]string{"--outcome", "failed"}, 1},
		"what was bad":   {[]string{"--outcome", "failed,rolled_back"}, 4},
		"since a moment": {[]string{"--since", "2026-11-20T10:00:00Z"}, 5}, // numbers 8, 9 and 10, and the incident's two
		"the newest":     {[]string{"--limit", "2"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, append([]string{"events", "-o", "json", "--ledger", path}, test.args...)...)
			if n := strings.Count(got.stdout, "\n"); n != test.want || got.code != exitOK || got.stderr != "" {
				t.Errorf("want %d events, got %d: %+v", test.want, n, got)
			}
		})
	}
}

func TestEventsAsTableAndCSV(t *testing.T) {
	g := NewWithT(t)
	path, events := aLedger(t)
	table := run(t, "events", "--ledger", path, "--outcome", "failed")
	g.Expect(table.stdout).To(MatchRegexp(`^TIME +TYPE +OUTCOME +SERVICE +ENVIRONMENT +VERSION +PREVIOUS +NOTE\n2026-11-12T\S+ +deploy +failed +checkout`))
	rows := run(t, "events", "--ledger", path, "-o", "csv").stdout
	g.Expect(strings.Count(rows, "\n")).To(Equal(len(events) + 1))
	g.Expect(rows).To(HavePrefix("id,type,outcome,service,"))
	g.Expect(run(t, "events", "--ledger", path, "--service", "none")).To(Equal(result{stderr: "No events.\n"}))
}

func TestNoCellIsAFormula(t *testing.T) {
	g := NewWithT(t)
	g.Expect(eventCells(&dora.Event{ID: "x", Service: "=1+1"})).To(ContainElement("'=1+1"))
}

func TestALedgerThatIsNotThere(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "none.db")
	got := run(t, "events", "--ledger", path)
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(ContainSubstring(path))
}

// A ledger is watched: what was there is printed, and then each event once as it is recorded.
func TestEventsAreWatched(t *testing.T) {
	g := NewWithT(t)
	path, events := aLedger(t)
	store, err := sqlite.OpenReadOnly(t.Context(), path)
	g.Expect(err).NotTo(HaveOccurred())
	h := &fileHistory{store}
	defer h.close()
	ctx, stop := context.WithCancel(t.Context())
	seen := 0
	g.Expect(h.events(ctx, eventQuery{follow: true}, func(*dora.Event) error {
		seen++
		if seen == len(events) {
			stop()
		}
		return nil
	})).To(Succeed())
	g.Expect(seen).To(Equal(len(events)))
}

func TestExplainSaysWhatCountsAndWhatDoesNot(t *testing.T) {
	g := NewWithT(t)
	path, events := aLedger(t)
	got := run(t, "explain", "checkout", "--ledger", path)
	g.Expect(got.code).To(Equal(exitOK))
	g.Expect(got.stderr).To(BeEmpty())
	for _, row := range []string{
		`deploy succeeded +1.1.0 +a deployment +3, 4`, `deploy failed +1.4.0 +a failed attempt +7`, `deploy rolled_back +1.5.0 +a failed attempt +6`,
		`deploy rolled_back +1.7.0 +nothing: stopped before anybody met it +6`, `deploy rolled_back +1.1.0 +no attempt: it brought an earlier version back +6`,
		`deploy unknown +1.9.0 +nothing, shown apart`, `degraded +\S+ +an incident, in no metric`, `deploy succeeded +1.3.0 +a deployment, rework`,
		`Superseded +– +nothing +6 +a newer version replaced it before any verdict`,
	} {
		g.Expect(got.stdout).To(MatchRegexp(row))
	}
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	g.Expect(lines).To(HaveLen(1 + len(events) + 1)) // the header, the events, the decision

	g.Expect(run(t, "explain", "checkout", "--ledger", path, "--limit", "3", "-o", "json").stdout).To(HaveSuffix("}\n"))
	nobody := run(t, "explain", "nobody", "--ledger", path)
	g.Expect(nobody.code).To(Equal(exitFailure))
	g.Expect(nobody.stderr).To(HavePrefix("error: the ledger has nothing about it"))
}

func TestExplainOneEvent(t *testing.T) {
	g := NewWithT(t)
	path, events := aLedger(t)
	second := events[1] // 1.2.0, which broke forty minutes later
	got := run(t, "explain", "checkout", second.ID, "--ledger", path)
	g.Expect(got.code).To(Equal(exitOK))
	g.Expect(got.stdout).To(MatchRegexp(`it caused +a failure since 2026-11-06T15:40:00Z \(\S+\), so it is a failed attempt`))
	g.Expect(got.stdout).To(MatchRegexp(`how that is known +it was seen as it happened`))
	g.Expect(got.stdout).To(ContainSubstring("registry.example/checkout:1.2.0"))

	missing := run(t, "explain", "checkout", "no-such-id", "--ledger", path)
	g.Expect(missing.code).To(Equal(exitFailure))
	g.Expect(missing.stderr).To(ContainSubstring("there is no event no-such-id"))
}

// Every reason of a decision has the rule that docs/events.md names.
func TestEveryReasonHasTheRuleOfThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "events.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Decisions that lead to no event")
	found := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		found++
		rule, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(cells[3]), "["), "]")
		reason := strings.Trim(strings.TrimSpace(cells[1]), "`")
		if got := ruleOfReason(reason); got != rule {
			t.Errorf("%s: docs/events.md says rule %s, explain says %q", reason, rule, got)
		}
	}
	if found != len(rulesOfDecisions) {
		t.Errorf("the page has %d reasons, explain %d", found, len(rulesOfDecisions))
	}
}

func TestReportsOfALedger(t *testing.T) {
	g := NewWithT(t)
	path, _ := aLedger(t)
	for form, want := range map[string]string{
		asTable: "METRIC", asJSON: `"deployments_per_week"`, asCSV: "of,service,", asMarkdown: "| Metric |", asHTML: "<!DOCTYPE html>",
	} {
		got := run(t, "report", "--ledger", path, "--since", "2026-11-01T00:00:00Z", "--until", "2026-11-20T00:00:00Z", "-o", form)
		g.Expect(got.code).To(Equal(exitOK), got.stderr)
		g.Expect(got.stdout).To(ContainSubstring(want))
		g.Expect(got.stdout).To(ContainSubstring("checkout"))
	}
}

func TestColoursAreOfCellsAloneAndKeepTheWords(t *testing.T) {
	g := NewWithT(t)
	g.Expect(string(paint([]byte("checkout   prod   Elite   x")))).To(Equal("checkout   prod   " + green + "Elite" + plain + "   x"))
	g.Expect(string(paint([]byte("the True word of a Low sentence")))).To(Equal("the True word of a Low sentence"))
	g.Expect(string(paint([]byte("Ready: False   NothingSelected")))).To(Equal("Ready: " + red + "False" + plain + "   NothingSelected"))
	var out bytes.Buffer
	g.Expect(painted(&out)).To(BeIdenticalTo(&out)) // no terminal
	p := &painter{out: &out}
	_, err := p.Write([]byte("a   Lo"))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = p.Write([]byte("w\n"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out.String()).To(Equal("a   " + red + "Low" + plain + "\n"))
}
