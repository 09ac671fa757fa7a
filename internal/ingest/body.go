package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	kjson "sigs.k8s.io/json"

	"github.com/dora-controller/dora-controller/internal/redact"
)

// Bounds of what a report holds, in bytes. What identifies something is refused beyond its bound; what people read is cut.
const (
	MaxName     = 200
	MaxKey      = 1000
	MaxTitle    = 300
	MaxLink     = 2000
	MaxMention  = 4000
	MaxMentions = 50
)

// Decode reads a body of JSON. Types are strict, and no field may stand there twice; fields that nobody asks for may be there. Its errors
// are BadRequestError, with the path of the field as the driver names it.
func Decode[T any](body []byte) (T, error) {
	var read, again T
	twice, err := kjson.UnmarshalStrict(body, &read, kjson.DisallowDuplicateFields)
	switch {
	case err == nil && len(twice) == 0:
		return read, nil
	case err == nil:
		return again, &BadRequestError{Mend: "give each field once: one is there twice"}
	case len(body) == 0:
		return again, &BadRequestError{Mend: "send a body of JSON: it is empty"}
	}
	// The standard library says which field it was.
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](json.Unmarshal(body, &again)); ok {
		return *new(T), &BadRequestError{Field: mistyped.Field, Mend: "must be " + kind(mistyped.Type)}
	}
	return *new(T), &BadRequestError{Mend: "must be one object of JSON, whole and well formed"}
}

// kind is what JSON calls a type.
func kind(t reflect.Type) string {
	name, ok := map[reflect.Kind]string{
		reflect.Struct: "an object", reflect.Map: "an object", reflect.Slice: "a list", reflect.String: "a text", reflect.Bool: "true or false",
	}[t.Kind()]
	if !ok {
		return "a number within its bounds"
	}
	return name
}

// Name is a text that identifies something: it must be there, be short, and be of characters that show.
func Name(field, text string) (string, error) {
	if text == "" || len(text) > MaxName || !Shows(text) {
		return "", &BadRequestError{Field: field, Mend: "must be a text of 1 to 200 bytes in which every character shows"}
	}
	return text, nil
}

// Shows tells whether all characters of a text can be seen.
func Shows(text string) bool { return !strings.ContainsFunc(text, unprintable) }

// unprintable is what neither a line of text nor a database has a place for, and what makes two texts that look alike differ.
func unprintable(r rune) bool { return unicode.IsControl(r) || formats(r) || r == utf8.RuneError }

// formats tells of a character that takes no place of its own, such as a space of no width, or the one that turns the order of letters.
func formats(r rune) bool { return unicode.Is(unicode.Cf, r) }

// oldest and newest bound the times that an incident or a deployment can have: what lies outside is a mistake, or a count of the wrong unit.
var (
	oldest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	newest = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// When reads a time in one of the layouts, or else in RFC 3339. An empty text, and the first second of year 1, which is how some
// senders write that there is none, is the zero time.
func When(field, text string, layouts ...string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range append(layouts, time.RFC3339) {
		if at, err := time.Parse(layout, text); err == nil {
			return Within(field, at)
		}
	}
	example := time.RFC3339
	if len(layouts) > 0 {
		example = layouts[0]
	}
	return time.Time{}, &BadRequestError{Field: field, Mend: "must be a time such as " + example}
}

// Within refuses a time that nothing can have happened at.
func Within(field string, at time.Time) (time.Time, error) {
	if at.IsZero() {
		return time.Time{}, nil
	}
	if at.Before(oldest) || !at.Before(newest) {
		return time.Time{}, &BadRequestError{Field: field, Mend: "must be a time from the year 2000 on and before 2200"}
	}
	return at.UTC(), nil
}

// ahead is how far ahead of ours the clock of whoever reports a deployment or a change may be.
const ahead = 5 * time.Minute

// Past refuses a time at which a deployment or a change cannot have happened yet.
func Past(field string, at, now time.Time) error {
	if at.After(now.Add(ahead)) {
		return &BadRequestError{Field: field, Mend: "must not lie in the future: is the sender's clock right?"}
	}
	return nil
}

// Digest is what a body is known by where a product names nothing better: one that is sent again byte by byte has the same.
func Digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}

// Texts are those of a value of JSON, in the order of its keys. Where a product leaves the form open, they are all that can be said.
func Texts(value any) (texts []string) {
	switch value := value.(type) {
	case json.RawMessage:
		var read any
		if json.Unmarshal(value, &read) == nil {
			return Texts(read)
		}
	case string:
		return []string{value}
	case []any:
		for _, inner := range value {
			texts = append(texts, Texts(inner)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			texts = append(texts, Texts(value[key])...)
		}
	}
	return texts
}

// Bounded is a report with its texts cut to their bounds, a link only if it is one, and each mention once. What looks like a credential is in none of
// the texts of an incident: monitoring quotes what failed, and people see it.
func Bounded(r Report) Report {
	r.Service, r.Environment, r.Team = line(r.Service, MaxName), line(r.Environment, MaxName), line(r.Team, MaxName)
	if r.Incident == nil {
		return r
	}
	i := *r.Incident
	i.Severity, i.Title, i.Link = line(i.Severity, MaxName), title(i.Title), link(i.Link)
	i.Mentions = mentions(i.Mentions)
	r.Incident = &i
	return r
}

// line is a text in one line. What is far beyond the bound is not looked at.
func line(text string, most int) string {
	return strings.TrimSpace(cut(strings.Join(strings.Fields(shown(cut(text, 4*most))), " "), most))
}

// title is redacted before it is cut, so that half of a credential is none that nobody knows.
func title(text string) string { return line(redact.Text(line(text, 4*MaxTitle)), MaxTitle) }

// shown has a space for each character that does not show, and nothing for one that takes no place: people write titles with such, which
// join the parts of an emoji, and an incident is not refused for them.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case formats(r):
			return -1
		case unprintable(r) && r != '\n':
			return ' '
		}
		return r
	}, text)
}

// cut keeps whole characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// link is an address that a person may follow, or nothing. One with a password in it is none. What looks like a credential in its query is left out.
func link(text string) string {
	if len(text) > MaxLink || strings.ContainsFunc(text, unprintable) {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || redact.Text(u.Path) != u.Path {
		return ""
	}
	kept := slices.DeleteFunc(strings.Split(u.RawQuery, "&"), secret)
	if query := strings.Join(kept, "&"); query != u.RawQuery || secret(u.EscapedFragment()) {
		u.RawQuery, u.Fragment, u.RawFragment = query, "", ""
		return u.String()
	}
	return text
}

// Repository is a repository's address as it is kept: without the user and the password by which a CI job reads it.
func Repository(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User == nil {
		return redact.Text(text)
	}
	if u.User.String() == "git" { // who is no secret
		return text
	}
	u.User = nil
	return redact.Text(u.String())
}

// secretName is the name of a parameter whose value lets somebody in.
var secretName = regexp.MustCompile(`(?i)token|secret|passw|pwd|credential|signature|jwt|^(sig|auth|code|.*[-_.]?key|.*[-_.]auth)$`)

// secret tells of a parameter, as it stands in an address, whether it looks like a credential. One that cannot be read may be one.
func secret(parameter string) bool {
	plain, err := url.QueryUnescape(parameter)
	name, _, valued := strings.Cut(plain, "=")
	return err != nil || valued && secretName.MatchString(name) || redact.Text(plain) != plain
}

// mentions keeps each text once, in its order.
func mentions(texts []string) []string {
	var kept []string
	seen := map[string]bool{}
	for _, text := range texts {
		text = strings.TrimSpace(cut(redact.Text(shown(cut(text, MaxMention))), MaxMention))
		if text == "" || seen[text] {
			continue
		}
		if len(kept) == MaxMentions {
			break
		}
		seen[text] = true
		kept = append(kept, text)
	}
	return kept
}
