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

// A server sees credentials as they are sent, and may repeat them in that form or in another.
func TestSecretsAreRecognisedInOtherForms(t *testing.T) {
	c := commit.Credentials{Username: "ada", Password: "p+ss/w\"rd?~", SSHPassphrase: []byte("open sesame")}
	token := commit.Credentials{Token: "canary>>>"}
	for said, of := range map[string]commit.Credentials{
		"YWRhOnArc3MvdyJyZD9+":                   c,     // printf 'ada:p+ss/w"rd?~' | base64
		"YWRhOnArc3MvdyJyZD9-":                   c,     // the same in the alphabet for URLs
		"cCtzcy93InJkP34=":                       c,     // the password alone
		"Z2l0OmNhbmFyeT4+Pg==":                   token, // printf 'git:canary>>>' | base64
		"https://ada:p%2Bss%2Fw%22rd%3F~@host":   c,
		"https://ada:p+ss%2Fw%22rd%3F~@host":     c,
		`parse "https://ada:p+ss/w\"rd?~@host"`:  c,
		"bad passphrase open sesame":             c,
		"bad passphrase open+sesame":             c,
		"https://host/?token=canary%3E%3E%3E&ok": token,
	} {
		got := of.Quote(said)
		if !strings.Contains(got, "[redacted]") {
			t.Errorf("%q: got %q", said, got)
		}
		for _, part := range []string{"rd", "YWRhOn", "Z2l0", "sesame", "canary", "34"} {
			if strings.Contains(got, part) {
				t.Errorf("%q: got %q, which tells a part", said, got)
			}
		}
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
		"\u009b31m a\u202eb\u2066\u200b\u200e\ufeff c\u2028d": "31m a b c d",
		strings.Repeat("é", 201):                              strings.Repeat("é", 200) + "…",
	} {
		if got := c.Quote(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
	if got := (commit.Credentials{}).Quote("nothing to hide"); got != "nothing to hide" {
		t.Errorf("got %q", got)
	}
}
