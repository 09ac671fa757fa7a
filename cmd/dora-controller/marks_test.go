package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

func TestMarksAreToldAsTheyWereMade(t *testing.T) {
	path, store, events := ledgerOf(t, "r02-abort-retry")
	at := time.Unix(1, 0).UTC()
	id := events[0].ID
	for _, m := range []dora.Mark{
		{EventID: id, Verdict: dora.Ignore, Reason: "a drill", By: "ada", At: at, Source: "DoraTarget shop/production"},
		{EventID: id, Reason: "no drill", By: "bob", At: at.Add(time.Minute), Source: "DoraTarget shop/production"},
		{EventID: events[1].ID, Verdict: dora.Failure, Reason: "slow", By: "ada", At: at},
	} {
		if err := store.Commit(t.Context(), ledger.Change{Marks: []dora.Mark{m}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{`"ignore"`, `"verdict":""`, `"failure"`}},
		{[]string{"--standing"}, []string{`"failure"`}},
		{[]string{"--id", id}, []string{`"ignore"`, `"verdict":""`}},
		{[]string{"--of", "nobody"}, nil},
		{[]string{"--of", events[1].Service, "--standing"}, []string{`"failure"`}},
	} {
		got := runCommand(t, "", append([]string{"marks", "-o", "json", "--ledger", path}, c.args...)...)
		if got.code != exitOK || strings.Count(got.stdout, "\n") != len(c.want) {
			t.Errorf("%v: want %d lines, got %+v", c.args, len(c.want), got)
			continue
		}
		for i, line := range strings.SplitN(got.stdout, "\n", len(c.want)) {
			if !strings.Contains(line, c.want[i]) {
				t.Errorf("%v: want %s in %s", c.args, c.want[i], line)
			}
		}
	}
	got := runCommand(t, "", "marks", "-o", "table", "--ledger", path, "--id", id)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], "ignore") || !strings.Contains(lines[1], "ada") ||
		!strings.Contains(lines[2], "taken back") || !strings.Contains(lines[2], "bob") || !strings.Contains(lines[2], "no drill") {
		t.Errorf("got %+v", got)
	}
	if got := runCommand(t, "", "marks", "--ledger", path, "--id", id, "--of", "x"); got.code != exitUsage {
		t.Errorf("got %+v", got)
	}
	if got := runCommand(t, "", "marks", "-o", "table", "--ledger", path, "--id", "none"); got.stderr != "No marks.\n" {
		t.Errorf("got %+v", got)
	}
}
