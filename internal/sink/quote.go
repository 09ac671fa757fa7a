package sink

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxHeard = 4 << 10 // of what a server says, in bytes: what is behind that is not looked at, and so not shown
	maxSaid  = 300     // of what is kept of it, in characters
)

// withheld is what is shown in the place of an answer that holds a part of a secret.
const withheld = "(an answer that repeats a credential)"

// Quote makes what a server said fit to be shown: one line, shortened and printable. What holds any part of a secret that is worth a
// guess, in whatever of the usual forms, is not shown at all: to cut the secret out would leave what was not recognised of it.
func Quote(said string, secrets ...string) string {
	said = said[:min(len(said), maxHeard)]
	if repeats(said, secrets) {
		return withheld
	}
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(said, " "))
	clean = strings.Join(strings.Fields(clean), " ")
	if runes := []rune(clean); len(runes) > maxSaid {
		return string(runes[:maxSaid]) + "…"
	}
	return clean
}

const (
	// telling is the number of bytes in a row of a secret that are told by nobody who does not know it.
	telling = 8
	// shortest is the length of a secret that is worth hiding: to hide a shorter one would hide most answers, and tell what it is.
	shortest = 4
	// layers is how many encodings are looked through, one within the other.
	layers = 2
)

// repeats tells whether a text holds a part of a secret, as it is or encoded.
func repeats(text string, secrets []string) bool {
	known := partsOf(secrets)
	if len(known.pieces) == 0 && len(known.whole) == 0 {
		return false
	}
	seen := map[string]bool{text: true}
	for todo, layer := []string{text}, 0; len(todo) > 0; layer++ {
		var next []string
		for _, text := range todo {
			if known.in(text) || known.in(squeeze(text)) || known.in(squeeze(unplus(text))) {
				return true
			}
			for _, decode := range decoders {
				if decoded := decode(text); layer < layers && !seen[decoded] {
					seen[decoded] = true
					next = append(next, decoded)
				}
			}
		}
		todo = next
	}
	return false
}

// parts are what secrets are known by: all that is telling of the long ones, and the short ones as a whole.
type parts struct {
	pieces map[uint64]bool
	whole  []string
}

func partsOf(secrets []string) parts {
	p := parts{pieces: map[uint64]bool{}}
	for _, secret := range secrets {
		for _, form := range []string{fold(secret), fold(squeeze(secret))} {
			if len(form) >= shortest && len(form) < telling {
				p.whole = append(p.whole, form)
			}
			windows(form, func(piece uint64) bool {
				p.pieces[piece] = true
				return false
			})
		}
	}
	return p
}

// in tells whether a text holds any of the parts.
func (p parts) in(text string) bool {
	text = fold(text)
	for _, secret := range p.whole {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return windows(text, func(piece uint64) bool { return p.pieces[piece] })
}

// windows calls f with each telling number of bytes in a row, until it says true.
func windows(text string, f func(piece uint64) bool) bool {
	var piece uint64
	for i := range len(text) {
		piece = piece<<8 | uint64(text[i])
		if i >= telling-1 && f(piece) {
			return true
		}
	}
	return false
}

// fold makes letters that differ in their case the same, and leaves bytes that are no text as they are.
func fold(text string) string {
	var b strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			b.WriteByte(text[0])
		} else {
			b.WriteRune(folded(r))
		}
		text = text[size:]
	}
	return b.String()
}

// folded is the least of all letters that are the same as this one but for their case.
func folded(r rune) rune {
	r = unicode.ToUpper(r)
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

// squeeze leaves out what is not seen: where a text was folded, and what would be shown as a blank.
func squeeze(text string) string {
	var b strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if unicode.IsPrint(r) && r != ' ' && (r != utf8.RuneError || size > 1) {
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// decoders undo encodings wherever they stand in a text. Each takes time in proportion to it, and none makes it more than three times as long.
var decoders = []func(string) string{unescape, html.UnescapeString, unpercent, unform, unbase64, unhex}

var (
	escaped    = regexp.MustCompile(`(?s)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\.`)
	percented  = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
	likeBase64 = regexp.MustCompile(`[A-Za-z0-9+/_-]{6,}`)
	likeHex    = regexp.MustCompile(`[0-9a-fA-F]{8,}`)
)

// unescape undoes the escapes of JSON, and \x of others.
func unescape(text string) string {
	return escaped.ReplaceAllStringFunc(text, func(found string) string {
		switch {
		case len(found) == len(`\ud83d\ude00`):
			return string(utf16.DecodeRune(unit(found[2:6]), unit(found[8:])))
		case found[1] == 'u' && len(found) > 2:
			return string(unit(found[2:]))
		case found[1] == 'x' && len(found) > 2:
			return undigit(found[2:])
		case strings.IndexByte("bfnrt", found[1]) >= 0:
			return " "
		}
		return found[1:]
	})
}

func unpercent(text string) string {
	return percented.ReplaceAllStringFunc(text, func(found string) string { return undigit(found[1:]) })
}

// unform decodes what a form holds: a plus is a blank there, and only an escaped one is a plus.
func unform(text string) string { return unpercent(unplus(text)) }

// unplus undoes what forms make of blanks.
func unplus(text string) string { return strings.ReplaceAll(text, "+", " ") }

// unbase64 decodes all that may be base64, from each of the places where it may begin.
func unbase64(text string) string {
	var b strings.Builder
	for _, word := range likeBase64.FindAllString(squeeze(text), -1) {
		word = strings.NewReplacer("-", "+", "_", "/").Replace(word)
		for from := range 4 {
			part := word[from:]
			if len(part)%4 == 1 {
				part = part[:len(part)-1]
			}
			raw, _ := base64.RawStdEncoding.DecodeString(part) // it is of the alphabet, and of a length that can be
			b.Write(raw)
			b.WriteByte(0)
		}
	}
	return b.String()
}

// unhex decodes all that may be hexadecimal, from both of the places where it may begin.
func unhex(text string) string {
	var b strings.Builder
	for _, word := range likeHex.FindAllString(squeeze(text), -1) {
		for from := range 2 {
			part := word[from:]
			b.WriteString(undigit(part[:len(part)/2*2]))
			b.WriteByte(0)
		}
	}
	return b.String()
}

// undigit is what hexadecimal digits stand for, of which there is an even number.
func undigit(digits string) string {
	raw, _ := hex.DecodeString(digits) // they were matched
	return string(raw)
}

// unit is the code unit of four hexadecimal digits.
func unit(digits string) rune {
	raw := undigit(digits)
	return rune(raw[0])<<8 | rune(raw[1])
}
