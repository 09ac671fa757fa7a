package demo

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/show"
)

const recordings = "../../test/replay/testdata"

var begin = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func told(t *testing.T) []line {
	t.Helper()
	lines, err := tell(recordings, begin, &source{})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestStoriesBeginTogetherAndKeepTheirOrder(t *testing.T) {
	lines := told(t)
	if !lines[0].at.Equal(begin) || !slices.IsSortedFunc(lines, func(a, b line) int { return a.at.Compare(b.at) }) {
		t.Errorf("want lines in order from %s, the first is at %s", begin, lines[0].at)
	}
	if length := lines[len(lines)-1].at.Sub(begin); length < 30*time.Second || length > 70*time.Second {
		t.Errorf("want about a minute, got %s", length)
	}
	for i := range lines {
		for _, s := range stories {
			if strings.Contains(string(lines[i].raw), s.recording) {
				t.Fatalf("line %d still names recording %s", i, s.recording)
			}
		}
	}
}

func TestEveryTimeIsShiftedByTheSame(t *testing.T) {
	got := shifted(map[string]any{
		"at": "2026-11-20T20:57:26Z", "precise": "2026-11-20T20:57:26.5Z", "list": []any{"2026-11-20T20:57:26+02:00"},
		"name": "2026-11-20", "number": int64(7), "nothing": nil,
	}, time.Hour)
	want := map[string]any{
		"at": "2026-11-20T21:57:26Z", "precise": "2026-11-20T21:57:26.5Z", "list": []any{"2026-11-20T21:57:26+02:00"},
		"name": "2026-11-20", "number": int64(7), "nothing": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLinesOfOneSecondAreSpreadOverIt(t *testing.T) {
	lines := []line{{at: begin}, {at: begin}, {at: begin}, {at: begin}, {at: begin.Add(time.Second)}}
	spread(lines)
	for i, want := range []int64{0, 250, 500, 750, 1000} {
		if got := lines[i].at.Sub(begin).Milliseconds(); got != want {
			t.Errorf("line %d: want %d ms, got %d ms", i, want, got)
		}
	}
}

func TestAStoryThatCannotBeRead(t *testing.T) {
	if _, err := tell(t.TempDir(), begin, &source{}); err == nil || !strings.Contains(err.Error(), stories[0].recording) {
		t.Errorf("want the missing recording named, got %v", err)
	}
}

// The events that the demo shows, told by the same rules without a cluster.
func TestStoriesLeadToTheirEvents(t *testing.T) {
	events, err := expected(told(t), &source{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for i := range events {
		service, what, _ := strings.Cut(show.Line(&events[i]), ": ")
		got[service] = append(got[service], what)
	}
	want := map[string][]string{
		"checkout": {
			"deploy succeeded main-1a1a1a1",
			"deploy succeeded main-2b2b2b2, before it main-1a1a1a1",
			"deploy succeeded main-3c3c3c3, before it main-2b2b2b2",
		},
		"payments": {
			"deploy succeeded main-1a1a1a1",
			"deploy failed bad-2b2b2b2, before it main-1a1a1a1",
			"degraded bad-2b2b2b2",
			"deploy rolled_back main-1a1a1a1, before it bad-2b2b2b2",
			"recovered main-1a1a1a1",
			"deploy succeeded main-3c3c3c3, before it main-1a1a1a1",
		},
		"search": {
			"deploy succeeded main-1a1a1a1",
			"deploy rolled_back main-2b2b2b2, before it main-1a1a1a1",
			"degraded main-1a1a1a1",
			"recovered main-1a1a1a1",
			"deploy succeeded main-2b2b2b2, before it main-1a1a1a1",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDifferencesAreNamed(t *testing.T) {
	want, err := expected(told(t), &source{})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func([]ledger.Row) []ledger.Row
		want   string
	}{
		"none":                  {func(rows []ledger.Row) []ledger.Row { return rows }, ""},
		"a second more or less": {func(rows []ledger.Row) []ledger.Row { return moved(rows, time.Second) }, ""},
		"another time":          {func(rows []ledger.Row) []ledger.Row { return moved(rows, time.Minute) }, "instead of"},
		"one is missing":        {func(rows []ledger.Row) []ledger.Row { return rows[:len(rows)-1] }, "is missing"},
		"one too many":          {func(rows []ledger.Row) []ledger.Row { return append(rows, rows[len(rows)-1]) }, "is one too many"},
		"another outcome": {func(rows []ledger.Row) []ledger.Row {
			rows[0].Event.Outcome = dora.Failed
			return rows
		}, "deploy failed main-1a1a1a1"},
	} {
		t.Run(name, func(t *testing.T) {
			var rows []ledger.Row
			for i := range want {
				rows = append(rows, ledger.Row{Event: want[i]})
			}
			got := difference(test.change(rows), want)
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("want %q, got %q", test.want, got)
			}
		})
	}
}

func moved(rows []ledger.Row, by time.Duration) []ledger.Row {
	rows[0].Event.OccurredAt = rows[0].Event.OccurredAt.Add(by)
	return rows
}
