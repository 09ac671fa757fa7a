package ingest

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is kept as it came. A ledger in SQLite has place for 1000 levels, one in PostgreSQL for numbers of 131072 digits: these are
// narrower, so that what is kept is not a thousand times longer when it is written out, and others can read it.
const (
	maxRest   = 16 << 10
	maxDepth  = 100
	maxDigits = 400
)

// Rest is what is kept of fields that nobody here reads, or nil if there are none. What a ledger or a sink could not hold is refused, with
// the name of its field.
func Rest(fields map[string]json.RawMessage) (json.RawMessage, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if mend := unkeepable(name, fields[name]); mend != "" {
			return nil, &BadRequestError{Field: plain.FindString(name), Mend: "is kept as it came, and " + mend}
		}
	}
	text, err := json.Marshal(fields)
	if err != nil || len(text) > maxRest {
		return nil, &BadRequestError{Mend: "fields of other names are kept, but at most 16 KiB of them"}
	}
	return text, nil
}

// plain is a name that may stand in an answer and in a log.
var plain = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)

// unkeepable says what is wrong with a field, token by token: of fields that stand there twice a decoder would show one.
func unkeepable(name string, value json.RawMessage) string {
	if !keepableText(name) {
		return badText
	}
	tokens := json.NewDecoder(bytes.NewReader(value))
	tokens.UseNumber()
	depth := 1
	for {
		token, err := tokens.Token()
		if err != nil { // the end: it was read as JSON before
			return ""
		}
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{', '[':
				depth++
			default:
				depth--
			}
			if depth > maxDepth {
				return "must not be deeper than 100 levels"
			}
		case string:
			if !keepableText(token) {
				return badText
			}
		case json.Number:
			if !keepableNumber(string(token)) {
				return "must have no number that a double does not hold, nor one of more than 400 digits: send it as a text"
			}
		}
	}
}

const badText = "must have no text with the character U+0000 or U+FFFD, or with half of a character"

// keepableText: the decoder puts U+FFFD in the place of what is no character.
func keepableText(text string) bool { return !strings.ContainsAny(text, "\x00\ufffd") }

// keepableNumber tells whether a double comes near to a number, also if that is tiny.
func keepableNumber(text string) bool {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(value, 0) || len(text) > maxDigits {
		return false
	}
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return true
	}
	exponent, err := strconv.Atoi(text[at+1:])
	return err == nil && max(exponent, -exponent) <= maxDigits
}
