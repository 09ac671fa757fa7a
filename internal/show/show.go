// Package show prints events, decisions and deliveries: one JSON object a line for programs, and an aligned table for people.
//
// A JSON line of an event is exactly the form that docs/events.md describes, and nothing else is ever among those lines. A line of
// a delivery is what the ledger's log holds, or how an event stands with a sink, with the event beside it if that is asked for.
// The table leaves out what does not fit in a line. What it prints came from a cluster, so control characters, which a
// terminal would obey, are taken out.
package show

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// Nothing is what tables show where there is no value.
const Nothing = "–"

// JSON writes events, one a line.
type JSON struct{ encoder *json.Encoder }

// NewJSON returns a writer of lines.
func NewJSON(w io.Writer) *JSON { return &JSON{json.NewEncoder(w)} }

// Event writes one line.
func (j *JSON) Event(e *dora.Event) error {
	if err := j.encoder.Encode(e); err != nil {
		return fmt.Errorf("cannot write an event: %w", err)
	}
	return nil
}

// Decision is one line about something that led to no event.
func Decision(at time.Time, subject dora.Subject, d deploy.Decision) string {
	parts := []string{clock(at), string(subject.Kind) + " " + subject.Namespace + "/" + subject.Name, string(d.Reason) + ":", d.Message}
	if d.Attempt != "" {
		parts = append(parts, "(attempt "+d.Attempt+")")
	}
	return Printable(strings.Join(parts, " "))
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// units are those that a duration is told in, each with the next smaller one.
var units = []struct {
	large, small         time.Duration
	largeName, smallName string
}{{24 * time.Hour, time.Hour, "d", "h"}, {time.Hour, time.Minute, "h", "m"}, {time.Minute, time.Second, "m", "s"}}

// Duration is a length of time in its two largest units: 1d3h, 2h10m, 3s.
func Duration(d time.Duration) string {
	if d < 0 {
		return "-" + Duration(-max(d, -math.MaxInt64)) // the least of all has no positive counterpart
	}
	for _, u := range units {
		n, rest := d/u.large, d%u.large/u.small
		switch {
		case n > 0 && rest > 0:
			return fmt.Sprintf("%d%s%d%s", n, u.largeName, rest, u.smallName)
		case n > 0:
			return fmt.Sprintf("%d%s", n, u.largeName)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// Printable replaces what a terminal would not print but obey: controls, and what turns the direction of the rest around.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, text)
}
