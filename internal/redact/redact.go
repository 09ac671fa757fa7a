// Package redact replaces what looks like a credential in a text that somebody else wrote: a message of Argo's, which may quote an address with a
// password in it, or a log that goes into an archive.
//
// It is a net, no reason to let a text near a secret. Some harmless text may go with it. Redacting twice is as redacting once.
package redact

import (
	"regexp"
	"strings"
)

// Mark stands where a credential stood.
const Mark = "REDACTED"

// credentials are the forms in which credentials are written, and what is left of them.
var credentials = []struct {
	form *regexp.Regexp
	left string
}{
	// A private key or a certificate's key, also with its line breaks written as \n.
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|\z)`), Mark},
	// user:password@host, and token@host.
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"'<>]+@`), "${1}" + Mark + "@"},
	// Authorization: Bearer …, Proxy-Authorization, X-Api-Key.
	{
		regexp.MustCompile(`(?i)((?:proxy-)?authorization|x-[a-z-]*(?:token|key|auth|secret|signature)[a-z0-9-]*)(["']?\s*[:=]\s*["'\[]*)[^"'\r\n,\]}]+`),
		"${1}${2}" + Mark,
	},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}`), "${1} " + Mark},
	// password: …, "clientSecret":"…", token=…, also within a query of an address, with escaped quotes, and as a block of YAML.
	{
		regexp.MustCompile(`(?i)([a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|(?:api|private|access)[_-]?key|hmackey|credential|pgpass)s?` +
			`\\?["']?[ \t]*[:=][ \t]*)` +
			`(\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[|>][-+]?[ \t]*\n(?:[ \t]+[^\n]*(?:\n|\z))+|[^\s"'\\,;&{}\[\]]+)`),
		"${1}" + Mark,
	},
	// Tokens that are known by their beginnings: of GitHub, GitLab, Slack, AWS, and JSON Web Tokens.
	{regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})`), Mark},
	{regexp.MustCompile(`\b(?:xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16})`), Mark},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?`), Mark},
}

// endOfKey is the end of a private key whose beginning was cut off.
var endOfKey = regexp.MustCompile(`(?:[A-Za-z0-9+/=]+(?:\\n|\s)+)+-----END [A-Z ]*PRIVATE KEY-----`)

// telling is in whatever looks like a credential. Most messages have nothing of it, and one look through them is a tenth of the work.
var telling = regexp.MustCompile(`(?i)[:=@]|bearer|basic|private key|gh[pousr]_|github_pat_|glpat-|xox|akia|eyj`)

// Text is the text without what looks like a credential.
func Text(text string) string {
	if !telling.MatchString(text) {
		return text
	}
	for range passes {
		left := once(text)
		if left == text {
			break
		}
		text = left
	}
	return text
}

// passes are how often what is left is looked at: what stood beside a credential may look like one once that is gone.
const passes = 8

func once(text string) string {
	for _, c := range credentials {
		text = c.form.ReplaceAllString(text, c.left)
	}
	if strings.Contains(text, "PRIVATE KEY-----") { // rare, and slow to look for
		text = endOfKey.ReplaceAllString(text, Mark)
	}
	return text
}
