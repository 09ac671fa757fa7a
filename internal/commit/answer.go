package commit

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
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

// shortest is how much must be left of a secret for that to be taken out: of one with hardly a character that can be printed a letter may be left,
// and every word has that.
const shortest = 4

// maxQuote is how many characters of what a server said go into an error.
const maxQuote = 200

// Quote is what a server said, fit for an error: one short line without these credentials, should the server have repeated them in one of
// the forms in which they are sent or printed, and without anything that a terminal or a reader of logs would obey.
func (c Credentials) Quote(said string) string {
	line := oneLine(said)
	for _, secret := range c.spellings() { // made a line too, since that may bring together what was sent apart
		line = strings.ReplaceAll(line, secret, redacted)
	}
	if runes := []rune(line); len(runes) > maxQuote {
		return string(runes[:maxQuote]) + "…"
	}
	return line
}

// Told is an error that may repeat what a server said, with a text that is quoted. What it wraps can still be told from other errors.
func (c Credentials) Told(err error) error {
	return told{text: c.Quote(err.Error()), err: err}
}

type told struct {
	text string
	err  error
}

func (t told) Error() string { return t.text }

// Unwrap returns the error as it was.
func (t told) Unwrap() error { return t.err }

// oneLine leaves single blanks in the place of all that is not printed: controls, and what only says how the rest is to be shown, such as
// from right to left.
func oneLine(text string) string {
	clean := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}
	return strings.Join(strings.Fields(strings.Map(clean, strings.ToValidUTF8(text, " "))), " ")
}

// spellings are the secrets that may be sent to a server, as they are and as they may come back: within a URL, within quotes, and encoded
// as HTTP's basic authentication does, each as oneLine leaves it. The longest come first, so that no part of one is left.
func (c Credentials) spellings() []string {
	var all []string
	for _, secret := range []string{c.Password, c.Token, string(c.SSHPassphrase)} {
		if secret == "" {
			continue
		}
		quoted := strconv.Quote(secret)
		all = append(all, secret, url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()[1:], quoted[1:len(quoted)-1])
		for _, plain := range []string{secret, c.Username + ":" + secret, "git:" + secret, secret + ":"} {
			all = append(all, base64.RawStdEncoding.EncodeToString([]byte(plain)), base64.RawURLEncoding.EncodeToString([]byte(plain)))
		}
	}
	var lines []string
	for _, text := range all {
		if line := oneLine(text); line == text || len(line) >= shortest {
			lines = append(lines, line)
		}
	}
	all = lines
	slices.SortFunc(all, func(x, y string) int { return cmp.Or(cmp.Compare(len(y), len(x)), cmp.Compare(x, y)) })
	return slices.Compact(all)
}
