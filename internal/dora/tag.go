package dora

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// TagPattern reads the commit that an image's tag carries. The nil pattern is the default one, whose rules are CommitFromTag's.
type TagPattern struct {
	expression *regexp.Regexp
	group      int
}

// ParseTagPattern reads a regular expression (RE2) whose group named sha captures the commit: (?P<sha>[0-9a-f]{7,40}). It need not match
// the whole tag unless it says so with ^ and $. The empty text is the default pattern.
func ParseTagPattern(text string) (*TagPattern, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // the nil pattern is the default one
	}
	expression, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("it is no regular expression: %w", err)
	}
	group := expression.SubexpIndex("sha")
	if group < 0 {
		return nil, errors.New("it has no group named sha: write (?P<sha>[0-9a-f]{7,40}) where the commit stands")
	}
	return &TagPattern{expression: expression, group: group}, nil
}

// String is the text that was parsed.
func (p *TagPattern) String() string {
	if p == nil {
		return ""
	}
	return p.expression.String()
}

// Commit is the SHA, of 7 digits or more, that a tag carries; empty if it carries none.
func (p *TagPattern) Commit(tag string) string {
	if p == nil {
		return CommitFromTag(tag)
	}
	m := p.expression.FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	if sha := strings.ToLower(m[p.group]); IsSHA(sha) {
		return sha
	}
	return ""
}

var hexDigits = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// IsSHA tells whether a text can be a commit's SHA, in full (SHA-1 or SHA-256) or its first 7 digits or more.
func IsSHA(text string) bool {
	return len(text) <= 40 && hexDigits.MatchString(text) || len(text) == 64 && hexDigits.MatchString(text)
}

// commitInTag finds a commit SHA of 7 to 40 hex digits at the end of a tag: the whole of it, or after
// `-`, `_` or `.`, with an optional `g` (git describe) or `sha-` before it.
var commitInTag = regexp.MustCompile(`(?:^|[-_.])(g|sha-?)?([0-9a-f]{7,40})$`)

// date finds what begins like a date of this century, written YYYYMMDD.
var date = regexp.MustCompile(`^20\d{2}(?:0[1-9]|1[012])(?:0[1-9]|[12]\d|3[01])`)

// CommitFromTag reads the commit that a tag carries at its end. What could be a date or a build number (digits alone, or what begins
// with a date) carries none, unless `g` or `sha-` before it says that it is a commit.
func CommitFromTag(tag string) string {
	m := commitInTag.FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	marked, sha := m[1] != "", m[2]
	if !marked && (!strings.ContainsAny(sha, "abcdef") || date.MatchString(sha)) {
		return ""
	}
	return sha
}
