// Package replay_test replays recordings of a real Argo CD and Argo Rollouts and compares what comes out with the events
// that must come out, and no others.
package replay_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/replay"
)

// expected is one line of NAME.expected.jsonl. A field that is absent is not checked.
type expected struct {
	Type            dora.Type       `json:"type"`
	Outcome         dora.Outcome    `json:"outcome"`
	Version         string          `json:"version"`
	Previous        json.RawMessage `json:"previous"`
	CausedByVersion string          `json:"caused_by_version"`
	Success         *bool           `json:"success"`
	IsRollback      *bool           `json:"is_rollback"`
	Unplanned       *bool           `json:"unplanned"`
	Exposed         *bool           `json:"exposed"`
	OccurredAt      time.Time       `json:"occurred_at"`
}

// policy is what the recordings' expectations assume: nothing waits, images alone count, following began before everything.
func policy(labels map[string]string, name string) deploy.Policy {
	service := labels["service"]
	if service == "" {
		service = name
	}
	return deploy.Policy{
		Service: service, Team: labels["team"], Environment: labels["env"],
		FailureWindow: deploy.DefaultFailureWindow, VerdictTimeout: deploy.DefaultVerdictTimeout,
	}
}

func recordings(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("testdata/*.expected.jsonl")
	if err != nil || len(all) < 36 {
		t.Fatalf("want at least 36 recordings, found %d (%v)", len(all), err)
	}
	for i, f := range all {
		all[i] = strings.TrimSuffix(f, ".expected.jsonl")
	}
	return all
}

func read(t *testing.T, name string) []replay.Event {
	t.Helper()
	f, err := os.Open(name + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var events []replay.Event
	if err := replay.Read(name, f, func(e replay.Event) { events = append(events, e) }); err != nil {
		t.Fatal(err)
	}
	return events
}

func wanted(t *testing.T, name string) []expected {
	t.Helper()
	data, err := os.ReadFile(name + ".expected.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var want []expected
	for scan := bufio.NewScanner(bytes.NewReader(data)); scan.Scan(); {
		var e expected
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		want = append(want, e)
	}
	return want
}

func run(w *replay.World, events []replay.Event) []dora.Event {
	var out []dora.Event
	for _, e := range events {
		out = collect(out, w.Apply(e))
	}
	return out
}

func collect(out []dora.Event, steps []replay.Step) []dora.Event {
	for _, s := range steps {
		out = append(out, s.Events...)
	}
	return out
}

func TestRecordingsReplayToTheirEvents(t *testing.T) {
	for _, name := range recordings(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			got := run(replay.NewWorld("test", policy), read(t, name))
			compare(t, got, wanted(t, name))
			uniqueIDs(t, got)
		})
	}
}

func text(e dora.Event) string {
	line, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	return string(line)
}

func uniqueIDs(t *testing.T, events []dora.Event) {
	t.Helper()
	seen := map[string]bool{}
	for _, e := range events {
		if e.ID == "" || seen[e.ID] {
			t.Errorf("id %q of a %s event is not unique", e.ID, e.Type)
		}
		seen[e.ID] = true
	}
}

func compare(t *testing.T, got []dora.Event, want []expected) {
	t.Helper()
	byID := map[string]dora.Event{}
	for i, e := range got {
		byID[e.ID] = e
		line := text(e)
		if i >= len(want) {
			t.Errorf("event %d was not expected: %s", i+1, line)
			continue
		}
		for _, d := range differences(e, want[i], byID) {
			t.Errorf("event %d: %s\n  got %s", i+1, d, line)
		}
	}
	for i := len(got); i < len(want); i++ {
		t.Errorf("event %d is missing: %+v", i+1, want[i])
	}
}

func differences(e dora.Event, want expected, byID map[string]dora.Event) []string {
	var d []string
	check := func(ok bool, what string) {
		if !ok {
			d = append(d, what)
		}
	}
	check(e.Type == want.Type, "type is not "+string(want.Type))
	check(e.Outcome == want.Outcome, "outcome is not "+string(want.Outcome))
	check(want.Version == "" || e.Version != nil && e.Version.Tag == want.Version, "version is not "+want.Version)
	check(sameFlag(want.Success, e.Success), "success differs")
	check(sameFlag(want.IsRollback, e.IsRollback), "is_rollback differs")
	check(sameFlag(want.Unplanned, e.Unplanned), "unplanned differs")
	check(sameFlag(want.Exposed, e.Exposed), "exposed differs")
	check(e.OccurredAt.Sub(want.OccurredAt).Abs() <= 3*time.Second, "occurred_at is not "+want.OccurredAt.String())
	check(samePrevious(want.Previous, e.Previous), "previous is not "+string(want.Previous))
	if want.CausedByVersion != "" {
		cause := byID[e.CausedBy]
		check(cause.Version != nil && cause.Version.Tag == want.CausedByVersion, "caused_by is not the deployment of "+want.CausedByVersion)
	}
	return d
}

func sameFlag(want, got *bool) bool { return want == nil || got != nil && *got == *want }

func samePrevious(want json.RawMessage, got dora.Predecessor) bool {
	switch {
	case want == nil:
		return true
	case string(want) == "null":
		return got.Known && got.Version == nil
	}
	var tag string
	return json.Unmarshal(want, &tag) == nil && got.Version != nil && got.Version.Tag == tag
}
