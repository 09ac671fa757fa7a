package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/show"
)

// ledgerOf writes the events of recordings into a new ledger, one change each, and leaves it open as a controller does.
func ledgerOf(t *testing.T, recordings ...string) (path string, store *sqlite.Store, events []dora.Event) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	for _, name := range recordings {
		for line := range strings.Lines(runCommand(t, "", "replay", "-o", "json", "--degraded-for", "0s", recording(name)).stdout) {
			var e dora.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			record(t, store, e)
			events = append(events, e)
		}
	}
	return path, store, events
}

func record(t *testing.T, store ledger.Writer, e dora.Event) {
	t.Helper()
	if err := store.Commit(context.Background(), ledger.Change{Events: []dora.Event{e}}); err != nil {
		t.Fatal(err)
	}
}

func TestEventsAreThoseThatReplayPrints(t *testing.T) {
	path, _, _ := ledgerOf(t, "d03-argocd-rollback")
	for _, format := range []string{outputJSON, outputTable} {
		want := runCommand(t, "", "replay", "-o", format, "--degraded-for", "0s", recording("d03-argocd-rollback"))
		if got := runCommand(t, "", "events", "-o", format, "--ledger", path); got != want {
			t.Errorf("-o %s: got %+v\nwant %+v", format, got, want)
		}
	}
}

func TestEventsSelects(t *testing.T) {
	path, _, events := ledgerOf(t, "d03-argocd-rollback", "d01-success")
	for name, test := range map[string]struct {
		args []string
		want int
	}{
		"all":                     {nil, 9},
		"one service":             {[]string{"--service", "d01-success"}, 3},
		"an unknown service":      {[]string{"--service", "d99"}, 0},
		"one type":                {[]string{"--type", "degraded"}, 1},
		"two types":               {[]string{"--type", "degraded,recovered"}, 2},
		"by id":                   {[]string{"--id", events[0].ID + "," + events[8].ID}, 2},
		"since a time, inclusive": {[]string{"--since", "2026-11-20T21:08:41Z"}, 3},
		"until a time, exclusive": {[]string{"--until", "2026-11-20T21:08:41Z"}, 6},
		"since long ago":          {[]string{"--since", "3650d"}, 9},
		"longer ago than that":    {[]string{"--until", "3650d"}, 0},
		"the newest":              {[]string{"--limit", "2"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			got := runCommand(t, "", append([]string{"events", "-o", "json", "--ledger", path}, test.args...)...)
			if n := strings.Count(got.stdout, "\n"); n != test.want || got.code != exitOK || got.stderr != "" {
				t.Errorf("want %d events, got %d; exit code %d, stderr %s", test.want, n, got.code, got.stderr)
			}
		})
	}
}

func TestTheNewestEventsComeInTheirOrder(t *testing.T) {
	path, _, events := ledgerOf(t, "d01-success")
	got := runCommand(t, "", "events", "-o", "json", "--limit", "2", "--ledger", path)
	if first, last := strings.Index(got.stdout, events[1].ID), strings.Index(got.stdout, events[2].ID); first < 0 || last < first {
		t.Errorf("want the last two events, older first, got\n%s", got.stdout)
	}
}

// A failure names the version that caused it, even where that deployment is not among the rows.
func TestEventsTableNamesTheCause(t *testing.T) {
	path, _, _ := ledgerOf(t, "d03-argocd-rollback")
	got := runCommand(t, "", "events", "-o", "table", "--type", "degraded", "--ledger", path)
	if !strings.Contains(got.stdout, "caused by the deployment of bad-2b2b2b2") {
		t.Errorf("got\n%s", got.stdout)
	}
}

func TestEventsOfAnEmptyLedger(t *testing.T) {
	path, _, _ := ledgerOf(t)
	if got := runCommand(t, "", "events", "-o", "table", "--ledger", path); got != (result{stderr: "No events.\n"}) {
		t.Errorf("got %+v", got)
	}
	if got := runCommand(t, "", "events", "-o", "json", "--ledger", path); got != (result{}) {
		t.Errorf("got %+v", got)
	}
}

func TestEventsOfNoLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.db")
	got := runCommand(t, "", "events", "--ledger", path)
	if got.code != exitFailure || !strings.Contains(got.stderr, path) {
		t.Errorf("got %+v", got)
	}
}

// follow prints what is there, then each event once as it is recorded.
func TestEventsFollow(t *testing.T) {
	path, store, events := ledgerOf(t, "d01-success")
	reader, err := sqlite.OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var out bytes.Buffer
	p := &eventPrinter{reader: reader, out: &out, json: show.NewJSON(&out)}
	if err := p.print(t.Context(), ledger.EventQuery{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks, ended := make(chan time.Time), make(chan error)
	go func() { ended <- p.follow(ctx, ledger.EventQuery{}, ticks) }()
	for i := range 3 {
		next := events[0]
		next.ID = fmt.Sprintf("later-%d", i)
		record(t, store, next)
		ticks <- time.Time{}
		ticks <- time.Time{} // taken only when the tick before was worked off
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 6 {
		t.Errorf("want 6 events, got %d:\n%s", n, out.String())
	}
}
