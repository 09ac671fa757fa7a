package show_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/show"
)

// Whatever an event of a ledger says, it is one line, with nothing that a terminal would obey; and as JSON it is what it was.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a","type":"deploy","outcome":"rolled_back","success":false,"exposed":true,"service":"cart","version":{"images":["a:1"]},"running":{"images":["a:0","b"]}}`,
		`{"type":"recovered","recovery_seconds":61.5,"service":"cart","message":"two\nlines"}`,
		`{"id":"a","type":"degraded","caused_by":"a","service":"c\u001b[31m\u202e"}`,
		`{"type":"deploy","lead_time_seconds":1e300,"previous":null,"version":{"tag":"sha256:0123456789abcdef0123"}}`,
		`{"type":"deploy","lead_time_seconds":-9.3e9,"outcome":"succeeded","lead_time_unknown":"NoAncestor","basis":"history"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e dora.Event
		if json.Unmarshal(raw, &e) != nil {
			return
		}
		table, text := show.NewTable(), new(strings.Builder)
		table.Event(&e)
		table.Decision(e.OccurredAt, e.Service, deploy.Decision{Message: e.Message})
		if err := table.Print(text); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(text.String(), "\n")
		if len(lines) != 4 || lines[3] != "" {
			t.Errorf("%d lines of %s:\n%s", len(lines), raw, text)
		}
		for _, line := range append(lines, show.Line(&e), show.Decision(e.OccurredAt, e.Subject, deploy.Decision{Message: e.Message})) {
			if obeyed := strings.IndexFunc(line, obeys); obeyed >= 0 || !utf8.ValidString(line) {
				t.Errorf("a terminal obeys %q of %q", line[max(obeyed, 0):], line)
			}
		}
		toldAsJSON(t, &e)
	})
}

// obeys tells whether a terminal changes what it shows by a character, instead of showing it.
func obeys(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

func toldAsJSON(t *testing.T, e *dora.Event) {
	t.Helper()
	text := new(strings.Builder)
	if err := show.NewJSON(text).Event(e); err != nil {
		t.Fatal(err)
	}
	var back dora.Event
	if err := json.Unmarshal([]byte(text.String()), &back); err != nil || strings.Count(text.String(), "\n") != 1 {
		t.Fatalf("%q cannot be read: %v", text, err)
	}
	if diff := cmp.Diff(e, &back); diff != "" && !cmp.Equal(e.Version, back.Version) {
		t.Errorf("(-event +JSON)\n%s", diff)
	}
}

// A length of time is told in its two largest units, so that it is too short by less than the smaller of them.
func FuzzDuration(f *testing.F) {
	for _, seed := range []int64{0, int64(time.Second), int64(25 * time.Hour), -int64(90 * time.Minute), math.MaxInt64, math.MinInt64} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, length int64) {
		d := time.Duration(length)
		text := show.Duration(d)
		if len(text) > 12 {
			t.Errorf("%v is told as %q", d, text)
		}
		days, rest, found := strings.Cut(strings.TrimPrefix(text, "-"), "d")
		if !found {
			days, rest = "0", days
		}
		read, err := time.ParseDuration("0s" + rest)
		whole, daysErr := time.ParseDuration(days + "h")
		told := read.Hours() + 24*whole.Hours()
		if off := math.Abs(d.Hours()) - told; err != nil || daysErr != nil || off < -1e-6 || off > max(told/10, 1.0/3600) || (d < 0) != strings.HasPrefix(text, "-") {
			t.Errorf("%v is told as %q, %v, %v", d, text, err, daysErr)
		}
	})
}
