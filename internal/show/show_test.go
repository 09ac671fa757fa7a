package show

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func version(tag string) *dora.Version {
	return &dora.Version{Images: []string{"example.com/web:" + tag}, Tag: tag}
}

func deployment(change func(*dora.Event)) *dora.Event {
	e := &dora.Event{
		ID: "d1", Type: dora.TypeDeploy, Outcome: dora.Succeeded, Service: "checkout", Environment: "prod", OccurredAt: noon,
		Version: version("2"), Previous: dora.Predecessor{Known: true, Version: version("1")}, Running: version("2"),
		Change: dora.ChangeImage, Basis: dora.BasisLive, Success: new(true), IsRollback: new(false),
	}
	if change != nil {
		change(e)
	}
	return e
}

func TestNotesSayWhatTheFlagsMean(t *testing.T) {
	for want, change := range map[string]func(*dora.Event){
		"":                     nil,
		"first deployment":     func(e *dora.Event) { e.Previous.Version = nil },
		"unplanned":            func(e *dora.Event) { e.Unplanned = new(true) },
		"configuration only":   func(e *dora.Event) { e.Change = dora.ChangeConfig },
		"lead time 2h10m":      func(e *dora.Event) { e.LeadTimeSeconds = new(7800.0) },
		"no lead time: NoBase": func(e *dora.Event) { e.LeadTimeUnknown = "NoBase" },
		"read from history":    func(e *dora.Event) { e.Basis = dora.BasisHistory },
		"partial sync":         func(e *dora.Event) { e.Basis = dora.BasisPartialSync },
		"reported":             func(e *dora.Event) { e.Basis = dora.BasisAPI },
		"no verdict within the timeout": func(e *dora.Event) {
			e.Outcome, e.Success, e.Message = dora.Unknown, nil, "no verdict within the timeout"
		},
		"brought an earlier version back":    func(e *dora.Event) { e.Outcome, e.IsRollback = dora.RolledBack, new(true) },
		"aborted or reverted, 1 serves":      func(e *dora.Event) { e.Outcome, e.Success, e.Running = dora.RolledBack, new(false), version("1") },
		"stopped before it took traffic":     func(e *dora.Event) { e.Outcome, e.Success, e.Exposed = dora.RolledBack, new(false), new(false) },
		"unplanned; partial sync; see below": func(e *dora.Event) { e.Unplanned, e.Basis, e.Message = new(true), dora.BasisPartialSync, "see below" },
	} {
		if got := NewTable().note(deployment(change)); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

func TestFailuresNameTheirCause(t *testing.T) {
	table := NewTable()
	failure := &dora.Event{Type: dora.TypeDegraded, CausedBy: "d1"}
	for _, want := range []string{"caused by deployment d1", "caused by the deployment of 2"} {
		if got := table.note(failure); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
		table.Know(deployment(nil))
	}
	if got := table.note(&dora.Event{Type: dora.TypeDegraded}); got != "an incident: no deployment caused it" {
		t.Errorf("got %q", got)
	}
	if got := table.note(&dora.Event{Type: dora.TypeRecovered, RecoverySeconds: new(95.0)}); got != "after 1m35s" {
		t.Errorf("got %q", got)
	}
	if got := table.note(&dora.Event{Type: dora.TypeRecovered}); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestVersionsAreNamedInAWord(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for want, v := range map[string]*dora.Version{
		Nothing:               nil,
		"1.2.0":               {Tag: "1.2.0"},
		"sha256:abababababab": {Tag: digest},
		"3":                   {Images: []string{"example.com/web:3"}},
		"2 images":            {Images: []string{"example.com/a:1", "example.com/b:1"}},
	} {
		if got := tag(v); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	unknown := deployment(func(e *dora.Event) { e.Previous = dora.Predecessor{} })
	if got := previousOf(unknown); got != "?" {
		t.Errorf("want ? for a version before that is not known, got %q", got)
	}
}

func TestDurations(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 400 * time.Millisecond, "59s": 59 * time.Second, "1m": time.Minute, "1m35s": 95 * time.Second, "2h": 2 * time.Hour,
		"2h10m": 2*time.Hour + 10*time.Minute + 5*time.Second, "1d3h": 27 * time.Hour, "-3s": -3 * time.Second,
	} {
		if got := Duration(d); got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	}
}

func TestALaterPartOfATableStandsBelowTheFirst(t *testing.T) {
	var out bytes.Buffer
	table := NewTable()
	table.Event(deployment(nil))
	if err := table.Print(&out); err != nil {
		t.Fatal(err)
	}
	table.Decision(noon, "checkout", deploy.Decision{Reason: deploy.ReasonSelfHeal, Message: "drift"})
	for range 2 { // the second time there is nothing left to print
		if err := table.Print(&out); err != nil {
			t.Fatal(err)
		}
	}
	want := `TIME                   TYPE     OUTCOME     SERVICE    ENVIRONMENT   VERSION   PREVIOUS   NOTE
2026-11-20T12:00:00Z   deploy   succeeded   checkout   prod          2         1
2026-11-20T12:00:00Z   decision   SelfHeal    checkout   –             –         –          drift
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestControlCharactersAreTakenOut(t *testing.T) {
	evil := "\x1b]0;owned\x07\x1b[2Jweb\r\nSECOND"
	var out bytes.Buffer
	table := NewTable()
	table.Event(deployment(func(e *dora.Event) { e.Service, e.Message = evil, evil }))
	if err := table.Print(&out); err != nil {
		t.Fatal(err)
	}
	line := Decision(noon, dora.Subject{Name: evil}, deploy.Decision{Message: evil, Attempt: "a"})
	for _, text := range []string{out.String(), line, Line(deployment(func(e *dora.Event) { e.Service = evil }))} {
		if strings.ContainsAny(text, "\x1b\x07\r") || strings.Count(text, "\n") > 2 {
			t.Errorf("got %q", text)
		}
	}
}

func TestJSONIsOneEventALine(t *testing.T) {
	var out bytes.Buffer
	lines := NewJSON(&out)
	for range 2 {
		if err := lines.Event(deployment(func(e *dora.Event) { e.Message = "two\nlines" })); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(out.String(), "\n") != 2 {
		t.Errorf("got %s", out.String())
	}
}
