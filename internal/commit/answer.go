package commit

import (
	"strings"
	"time"
	"unicode"
)

// Add counts one more commit of a range.
func (r *Range) Add(sha string, at time.Time) {
	r.Commits++
	if r.First == "" || at.Before(r.FirstAt) {
		r.First, r.FirstAt = sha, at.UTC()
	}
}

// maxQuote is how many characters of what a server said go into an error.
const maxQuote = 200

// Quote is what a server said, fit for an error: one short line without these credentials, should the server have repeated them.
func (c Credentials) Quote(said string) string {
	for _, secret := range []string{c.Password, c.Token} {
		if secret != "" {
			said = strings.ReplaceAll(said, secret, "[redacted]")
		}
	}
	clean := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}
	line := strings.Join(strings.Fields(strings.Map(clean, strings.ToValidUTF8(said, " "))), " ")
	if runes := []rune(line); len(runes) > maxQuote {
		return string(runes[:maxQuote]) + "…"
	}
	return line
}
