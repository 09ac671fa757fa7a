package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/dora"
)

func TestReplayPrints(t *testing.T) {
	for golden, args := range map[string][]string{
		"abort-retry.jsonl":    {"-o", "json", recording("r02-abort-retry")},
		"rollback.table":       {"-o", "table", "--degraded-for", "0s", recording("d03-argocd-rollback")},
		"digest.table":         {"-o", "table", recording("d13-digest")},
		"self-heal.table":      {"-o", "table", "--explain", recording("d05-self-heal")},
		"config.table":         {"-o", "table", "--changes", "Image,Config", recording("d06-config-only")},
		"blue-green.table":     {"-o", "table", recording("r09-blue-green-failed")},
		"two-files.table":      {"-o", "table", recording("d01-success"), recording("d01-success")},
		"short-degraded.table": {"-o", "table", "--explain", "--degraded-for", "10m", recording("r16-crash-later")},
	} {
		t.Run(golden, func(t *testing.T) {
			got := runCommand(t, "", append([]string{"replay"}, args...)...)
			if got.code != exitOK || got.stderr != "" {
				t.Errorf("exit code %d, stderr:\n%s", got.code, got.stderr)
			}
			expectGolden(t, golden, got.stdout)
		})
	}
}

func TestReplayWritesNothingButEventsAsJSON(t *testing.T) {
	got := runCommand(t, "", "replay", "-o", "json", "--explain", recording("d05-self-heal"), recording("r02-abort-retry"))
	for line := range strings.Lines(got.stdout) {
		var e dora.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Schema != dora.Schema || e.ID == "" {
			t.Errorf("not an event: %s (%v)", line, err)
		}
	}
	if !strings.Contains(got.stderr, "Application argocd/d05-self-heal SelfHeal: Argo CD repaired drift") {
		t.Errorf("decisions are missing on stderr:\n%s", got.stderr)
	}
}

func TestReplayReadsStandardInput(t *testing.T) {
	want := runCommand(t, "", "replay", "-o", "json", recording("d01-success"))
	if got := runCommand(t, readRecording(t, "d01-success"), "replay", "-o", "json", "-"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReplayNamesBadLinesAndGoesOn(t *testing.T) {
	lines := strings.SplitAfter(readRecording(t, "d01-success"), "\n")
	lines = append(lines[:5:5], append([]string{"{\"type\":\"MODIFIED\",\n", "{\"type\":\"MOVED\"}\n"}, lines[5:]...)...)
	path := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, "", "replay", "-o", "json", path)
	whole := runCommand(t, "", "replay", "-o", "json", recording("d01-success"))
	if got.code != exitFailure || got.stdout != whole.stdout {
		t.Errorf("want all other lines to count and exit code 1, got %d and\n%s", got.code, got.stdout)
	}
	for _, want := range []string{path + ":6: ", path + ":7: "} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr does not name %s\n%s", want, got.stderr)
		}
	}
}

func TestReplaySaysWhereARecordingHasAGap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cut.jsonl")
	gap := `{"seen":"2026-03-02T10:05:00Z","type":"BOOKMARK","gap":{"kind":"Rollout","since":"2026-03-02T10:00:00Z"}}` + "\n"
	if err := os.WriteFile(path, []byte(gap), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, "", "replay", "-o", "json", path)
	want := "note: " + path + ": changes of a Rollout between 2026-03-02T10:00:00Z and 2026-03-02T10:05:00Z may be missing"
	if got.code != exitOK || got.stdout != "" || !strings.HasPrefix(got.stderr, want) {
		t.Errorf("got %+v", got)
	}
}

func TestReplayOfAMissingFileStillReadsTheOthers(t *testing.T) {
	got := runCommand(t, "", "replay", "-o", "json", "no-such-file", recording("d01-success"))
	if got.code != exitFailure || strings.Count(got.stdout, "\n") != 3 || !strings.Contains(got.stderr, "no-such-file") {
		t.Errorf("got %+v", got)
	}
}

func TestReplayOfNothing(t *testing.T) {
	got := runCommand(t, "", "replay", "-o", "table", "-")
	if want := (result{stderr: "No events.\n"}); got != want {
		t.Errorf("got %+v", got)
	}
	if got := runCommand(t, "", "replay", "-o", "json", "-"); got != (result{}) {
		t.Errorf("got %+v", got)
	}
}

func readRecording(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(recording(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// recordingUntil is a recording up to the first line whose Application has that health and, if given, sync status.
func recordingUntil(t *testing.T, name, health, sync string) string {
	t.Helper()
	type code struct {
		Status string `json:"status"`
	}
	cut := ""
	for line := range strings.Lines(readRecording(t, name)) {
		var e struct {
			Object struct {
				Status struct {
					Health code `json:"health"`
					Sync   code `json:"sync"`
				} `json:"status"`
			} `json:"object"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		cut += line
		if e.Object.Status.Health.Status == health && (sync == "" || e.Object.Status.Sync.Status == sync) {
			return cut
		}
	}
	t.Fatalf("%s is never %s", name, health)
	return ""
}

// Until the last line nothing later is known: a failure that has not lasted yet is none, until it is said to have lasted.
func TestReplayGoesOnOnlyWhenAsked(t *testing.T) {
	cut := recordingUntil(t, "d02-fix-forward", "Degraded", "")
	for name, test := range map[string]struct {
		args []string
		want int
	}{
		"stopping at the last line": {nil, 1},
		"for a shorter time":        {[]string{"--until", "30s"}, 1},
		"for a longer time":         {[]string{"--until", "61s"}, 3},
		"until a time":              {[]string{"--until", "2026-11-20T20:59:00Z"}, 3},
		"until a time in the past":  {[]string{"--until", "2026-11-20T20:00:00Z"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got := runCommand(t, cut, append([]string{"replay", "-o", "json", "-"}, test.args...)...)
			if n := strings.Count(got.stdout, "\n"); n != test.want {
				t.Errorf("want %d events, got %d", test.want, n)
			}
		})
	}
}

func TestReplayPolicyFlags(t *testing.T) {
	count := func(args ...string) int {
		return strings.Count(runCommand(t, "", append([]string{"replay", "-o", "json"}, args...)...).stdout, "\n")
	}
	if n := count("--exclude", "registry.example.com/acme/*", recording("d01-success")); n != 0 {
		t.Errorf("every image is excluded, and yet there are %d events", n)
	}
	if n := count("--include", "*/d01-success", recording("d01-success")); n != 3 {
		t.Errorf("want 3 events of the included image, got %d", n)
	}
}

// A recording of a cluster that already ran begins with what runs there, which is no deployment of that moment.
func TestReplayOfAClusterThatAlreadyRan(t *testing.T) {
	whole := readRecording(t, "d01-success")
	before := recordingUntil(t, "d01-success", "Healthy", "Synced")
	first := before[strings.LastIndex(strings.TrimSpace(before), "\n")+1:]
	cut := strings.Replace(first, `"MODIFIED"`, `"ADDED"`, 1) + whole[len(before):]
	for want, args := range map[string][]string{
		"main-2b2b2b2 main-3c3c3c3":              {"--baseline"},
		"main-1a1a1a1 main-2b2b2b2 main-3c3c3c3": nil,
	} {
		got := runCommand(t, cut, append([]string{"replay", "-o", "json", "-"}, args...)...)
		var tags []string
		for line := range strings.Lines(got.stdout) {
			var e dora.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			tags = append(tags, e.Version.Tag)
		}
		if got := strings.Join(tags, " "); got != want {
			t.Errorf("%v: want %s, got %s", args, want, got)
		}
	}
}

func TestReplayWithAnotherClusterNameGivesOtherIDs(t *testing.T) {
	ids := map[string]bool{}
	for _, cluster := range []string{"east", "west"} {
		for line := range strings.Lines(runCommand(t, "", "replay", "-o", "json", "--cluster", cluster, recording("d01-success")).stdout) {
			var e dora.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Cluster != cluster || ids[e.ID] {
				t.Errorf("cluster %s: %s (%v)", cluster, line, err)
			}
			ids[e.ID] = true
		}
	}
}
