package mark

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// The most bytes that are kept of what people write.
const (
	MaxReason = 500
	MaxBy     = 200
)

// withdrawn is the word for a mark that is taken back, which has no verdict.
const withdrawn = "withdrawn"

var (
	errNoVerdict = errors.New("it must begin with not-a-failure, failure, ignore or withdrawn, and a colon before the reason")
	errNoReason  = errors.New("it must say why, as in \"ignore: a drill\"")
	errNoTime    = errors.New("what follows \"at\" must be a time such as 2026-03-01T12:00:00Z")
	errTooLong   = fmt.Errorf("the reason may have %d bytes, and the name of who says so %d", MaxReason, MaxBy)
	errNoText    = errors.New("it must be one line of text, without control characters")
)

// Parse reads what an annotation says of an event: "VERDICT: REASON", or "VERDICT by WHO at TIME: REASON". The time is zero, and who says so
// is empty, if they are not told. The verdict "withdrawn" takes back what the annotation said before.
func Parse(text string) (dora.Mark, error) {
	head, reason, _ := strings.Cut(text, ": ")
	verdict, told, _ := strings.Cut(head, " ")
	m := dora.Mark{Verdict: dora.Verdict(strings.TrimSuffix(verdict, ":")), Reason: strings.TrimSpace(reason)}
	switch {
	case m.Verdict == withdrawn:
		m.Verdict = dora.Withdrawn
	case m.Verdict == dora.Withdrawn || !m.Verdict.Known():
		return dora.Mark{}, errNoVerdict
	}
	if m.Reason == "" {
		return dora.Mark{}, errNoReason
	}
	if told != "" {
		who, when, timed := cutLast(told, " at ")
		by, named := strings.CutPrefix(who, "by ")
		if !named {
			return dora.Mark{}, errNoVerdict
		}
		m.By = strings.TrimSpace(by)
		if timed {
			at, err := time.Parse(time.RFC3339, when)
			if err != nil {
				return dora.Mark{}, errNoTime
			}
			m.At = at.UTC()
		}
	}
	return m, fits(m)
}

// cutLast cuts at the last separator: a name may hold it.
func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}

func fits(m dora.Mark) error {
	switch {
	case len(m.Reason) > MaxReason || len(m.By) > MaxBy:
		return errTooLong
	case !plain(m.Reason) || !plain(m.By):
		return errNoText
	}
	return nil
}

func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// Format is the text that Parse reads. A name that would be read as something else loses what is in the way.
func Format(m dora.Mark) (string, error) {
	text := cmp.Or(string(m.Verdict), withdrawn)
	if by := strings.ReplaceAll(m.By, ": ", ":"); by != "" {
		text += " by " + by + " at " + m.At.UTC().Format(time.RFC3339)
	}
	text += ": " + m.Reason
	_, err := Parse(text)
	return text, err
}
