package recording

import (
	"regexp"
	"strings"

	"github.com/dora-controller/dora-controller/internal/dora"
)

var (
	separator = regexp.MustCompile(`[-_.]`)
	hexDigits = regexp.MustCompile(`^[0-9a-f]+$`)
	sha       = regexp.MustCompile(`^[0-9a-f]{7,}$`)
	marked    = regexp.MustCompile(`^(g|sha)([0-9a-f]{7,})$`)
	digits    = regexp.MustCompile(`^\d+$`)
	mixed     = regexp.MustCompile(`^([A-Za-z]*)(\d+)([A-Za-z]*)$`)
	date      = regexp.MustCompile(`^20\d{2}(?:0[1-9]|1[012])(?:0[1-9]|[12]\d|3[01])`)
)

// tagBytes is the length that a tag may have.
const tagBytes = 128

// Tag replaces the words, numbers and SHAs of a tag, and leaves the separators: main-1a2b3c4 stays a word and a SHA of seven digits, v1.30.0
// a version, 20261120 a number. By dora.CommitFromTag it carries a commit exactly if the tag did. Revisions of git and of charts look alike
// and are replaced alike.
func (p *Pseudonyms) Tag(tag string) string {
	if p == nil || tag == "" {
		return tag
	}
	var text strings.Builder
	before, rest := "", tag
	for {
		at := separator.FindStringIndex(rest)
		if at == nil {
			_, _ = text.WriteString(p.token(rest, before))
			break
		}
		_, _ = text.WriteString(p.token(rest[:at[0]], before) + rest[at[0]:at[1]])
		before, rest = rest[:at[1]], rest[at[1]:]
	}
	if text.Len() > tagBytes && len(tag) <= tagBytes {
		return p.shortTag(tag)
	}
	return text.String()
}

// shortTag is for tags of many short words, which would become longer than a tag may be.
func (p *Pseudonyms) shortTag(tag string) string {
	if commit := dora.CommitFromTag(tag); commit != "" {
		return p.Name(tag) + "-g" + p.sha(commit)
	}
	return p.Name(tag)
}

// token replaces what stands between separators. What stands before it counts too: behind sha- even a date is a commit.
func (p *Pseudonyms) token(token, before string) string {
	behindSHA := before == "sha-"
	switch m := marked.FindStringSubmatch(token); {
	case token == "" || token == "sha":
		return token
	case m != nil:
		return m[1] + p.sha(m[2])
	case digits.MatchString(token):
		return p.number(token)
	case sha.MatchString(token) && (behindSHA || !date.MatchString(token)):
		return p.sha(token)
	}
	return p.mixture(token)
}

// mixture is a word, or a word and a number. What looks like a SHA here begins like a date, and stays none.
func (p *Pseudonyms) mixture(token string) string {
	m := mixed.FindStringSubmatch(token)
	if len(m) == 0 || m[1] != "" && m[3] != "" || sha.MatchString(token) {
		return p.Name(token)
	}
	if m[1] == "v" {
		return "v" + p.number(m[2])
	}
	return p.Name(m[1]) + p.number(m[2]) + p.Name(m[3])
}

// number stays one without a leading zero, if it was.
func (p *Pseudonyms) number(number string) string {
	return p.permute(number, digitAlphabet, func(other string) bool {
		return len(number) == 1 || (number[0] == '0') == (other[0] == '0')
	})
}

// sha stays what is taken for a commit without a marker, if it was: no number, and not begun like a date.
func (p *Pseudonyms) sha(text string) string {
	if digits.MatchString(text) {
		return p.number(text)
	}
	return p.permute(text, hexAlphabet, func(other string) bool {
		return !digits.MatchString(other) && (date.MatchString(text) || !date.MatchString(other))
	})
}
