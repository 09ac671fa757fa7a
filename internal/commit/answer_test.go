package commit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

func TestARangeKeepsItsEarliestCommit(t *testing.T) {
	noon := time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	var r commit.Range
	r.Add("b", noon.Add(time.Hour))
	r.Add("a", noon)
	r.Add("c", noon.Add(time.Minute))
	if want := (commit.Range{Commits: 3, First: "a", FirstAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}); r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestWhatAServerSaidIsQuotedWithoutSecrets(t *testing.T) {
	c := commit.Credentials{Password: "hunter2", Token: "canary"}
	for said, want := range map[string]string{
		"":                           "",
		"401 Unauthorized":           "401 Unauthorized",
		"bad token canary":           "bad token [redacted]",
		"hunter2canary":              "[redacted][redacted]",
		" a\n\tline \x1b[31m\x00 b ": "a line [31m b",
		"\xff\xfe":                   "",
		strings.Repeat("é", 201):     strings.Repeat("é", 200) + "…",
	} {
		if got := c.Quote(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
	if got := (commit.Credentials{}).Quote("nothing to hide"); got != "nothing to hide" {
		t.Errorf("got %q", got)
	}
}
