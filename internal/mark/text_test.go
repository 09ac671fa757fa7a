package mark_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/mark"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestWhatAnAnnotationSays(t *testing.T) {
	for text, want := range map[string]dora.Mark{
		"ignore: a drill":                                     {Verdict: dora.Ignore, Reason: "a drill"},
		"not-a-failure: the quota: it was small":              {Verdict: dora.NotAFailure, Reason: "the quota: it was small"},
		"failure:  slow ":                                     {Verdict: dora.Failure, Reason: "slow"},
		"ignore by ada: a drill":                              {Verdict: dora.Ignore, Reason: "a drill", By: "ada"},
		"ignore by ada at 2026-03-01T13:00:00+01:00: a drill": {Verdict: dora.Ignore, Reason: "a drill", By: "ada", At: noon},
		"ignore by system:serviceaccount:ci:bot at 2026-03-01T12:00:00Z: a, b": {Verdict: dora.Ignore, Reason: "a, b", By: "system:serviceaccount:ci:bot", At: noon},
		"failure by look at me at 2026-03-01T12:00:00Z: x":                     {Verdict: dora.Failure, Reason: "x", By: "look at me", At: noon},
		"withdrawn: no drill":                                {Reason: "no drill"},
		"withdrawn by ada at 2026-03-01T12:00:00Z: no drill": {Reason: "no drill", By: "ada", At: noon},
	} {
		got, err := mark.Parse(text)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got)\n%s", text, err, d)
		}
	}
}

func TestWhatAnAnnotationMustSay(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "begin with",
		"fine: really":                        "begin with",
		": a drill":                           "begin with",
		" by ada: a drill":                    "begin with",
		"Ignore: a drill":                     "begin with",
		"ignore ada: a drill":                 "begin with",
		"ignore":                              "say why",
		"withdrawn":                           "say why",
		"ignore: ":                            "say why",
		"ignore:":                             "say why",
		"ignore by ada at noon: a drill":      "a time such as",
		"ignore: a\ndrill":                    "one line",
		"ignore: \xff":                        "one line",
		"ignore: " + strings.Repeat("x", 501): "500 bytes",
		"ignore by " + strings.Repeat("x", 201) + ": y": "500 bytes",
	} {
		if _, err := mark.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says: %s", text, err, want)
		}
	}
}

// Whatever an annotation holds, it is refused or says something that is written and read as the same, and no longer than it may be.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"ignore: a drill", "not-a-failure by ada at 2026-03-01T12:00:00Z: it was the quota", "failure by a at b at 2026-03-01T12:00:00Z: c: d",
		"failure by : x", "ignore", "withdrawn by ada at 2026-03-01T12:00:00Z: no drill", "by", ": ", "ignore by ada at 9999-12-31T23:59:59-12:00: x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := mark.Parse(text)
		if err != nil {
			return
		}
		if got.Reason == "" || len(got.Reason) > mark.MaxReason || len(got.By) > mark.MaxBy || !got.Verdict.Known() {
			t.Fatalf("%q says %+v", text, got)
		}
		written, err := mark.Format(got)
		if got.By == "" || err != nil { // without a name no time is written; and a year may have five digits elsewhere
			return
		}
		again, err := mark.Parse(written)
		if d := cmp.Diff(got, again); err != nil || d != "" {
			t.Errorf("%q is written %q, %v (-want +got)\n%s", text, written, err, d)
		}
	})
}
