package sink_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink"
)

const withheld = "(an answer that repeats a credential)"

// each writes every byte of a text in some way.
func each(text, format string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

func folded(text string, width int, with string) string {
	var b strings.Builder
	for i, r := range []rune(text) {
		if i > 0 && i%width == 0 {
			b.WriteString(with)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// escapedInJSON writes each character as an escape, those beyond the first plane as two.
func escapedInJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r > 0xffff {
			fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String()
}

func inJSON(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // no text is refused
	}
	return string(quoted)
}

// encodings are the forms in which servers and proxies repeat what they were sent.
var encodings = map[string]func(secret string) string{
	"as it is":               func(s string) string { return s },
	"in capitals":            strings.ToUpper,
	"in JSON":                inJSON,
	"in JSON of PHP":         func(s string) string { return strings.ReplaceAll(inJSON(s), "/", `\/`) },
	"in escapes of JSON":     escapedInJSON,
	"in JSON in JSON":        func(s string) string { return inJSON(inJSON(s)) },
	"in escapes of bytes":    func(s string) string { return each(s, `\x%02x`) },
	"quoted by Go":           func(s string) string { return fmt.Sprintf("%q", s) },
	"in HTML":                func(s string) string { return strings.ReplaceAll(html.EscapeString(s), "+", "&#43;") },
	"in HTML, in hex":        func(s string) string { return strings.ReplaceAll(html.EscapeString(s), "+", "&#x2B;") },
	"in a query":             url.QueryEscape,
	"in a path":              url.PathEscape,
	"in percents":            func(s string) string { return each(s, "%%%02X") },
	"in small percents":      func(s string) string { return each(s, "%%%02x") },
	"in percents in HTML":    func(s string) string { return html.EscapeString(url.QueryEscape(s)) },
	"in percents twice":      func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"in lines":               func(s string) string { return folded(s, 3, "\r\n ") },
	"in lines of JSON":       func(s string) string { return inJSON(folded(s, 3, "\n")) },
	"with what nobody sees":  func(s string) string { return folded(s, 3, "\u200b\x00") },
	"in base64":              func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"in base64 of addresses": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"in base64, one behind":  func(s string) string { return base64.StdEncoding.EncodeToString([]byte("a" + s)) },
	"in base64, two behind":  func(s string) string { return base64.StdEncoding.EncodeToString([]byte("Bearer: " + s)) },
	"in base64, as a header": func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte("Bearer " + s + "\r\n")) },
	"in base64 in lines": func(s string) string {
		return folded(base64.StdEncoding.EncodeToString([]byte("Bearer "+s)), 5, "\r\n")
	},
	"in base64 in a query": func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) },
	"in base64 twice": func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(s))))
	},
	"in hex":             func(s string) string { return hex.EncodeToString([]byte(s)) },
	"in capitals of hex": func(s string) string { return each(s, "%02X") },
	"in hex, as dumped":  func(s string) string { return each(s, "%02x ") },
}

// The secrets are no longer than what is told of nobody, or have what each of the encodings has to encode.
func TestAnAnswerThatRepeatsASecretIsNotShown(t *testing.T) {
	for _, secret := range []string{"a/b+", "tok3n+/=", "tok3n-bearer/abc+def==", `s3cr+t/ü"x<&>'\ y z`, "pass word", "%2f%2B&amp;\\u002b", "🔑🔑🔑"} {
		for name, encode := range encodings {
			t.Run(secret+" "+name, func(t *testing.T) {
				for _, around := range []string{"%s", "bad token %s", `{"error":"bad token %s"}`, "<p>token=%s&amp;x=1</p>", "a%sb"} {
					NewWithT(t).Expect(sink.Quote(fmt.Sprintf(around, encode(secret)), "", "no", secret, "another one")).To(Equal(withheld), "around: %q", around)
				}
			})
		}
	}
}

func TestAPartOfASecretIsNotShown(t *testing.T) {
	g := NewWithT(t)
	const secret = "0123456789abcdef"
	g.Expect(sink.Quote("it begins with 01234567…", secret)).To(Equal(withheld))
	g.Expect(sink.Quote("it ends with 89abcdef", secret)).To(Equal(withheld))
	g.Expect(sink.Quote("in between is "+base64.StdEncoding.EncodeToString([]byte("456789ab")), secret)).To(Equal(withheld))
	g.Expect(sink.Quote("it begins with 0123456", secret)).To(Equal("it begins with 0123456"), "seven are told of nobody")
	g.Expect(sink.Quote("dora is not known", "dora")).To(Equal(withheld), "a short one counts as a whole")
	g.Expect(sink.Quote("no", "no")).To(Equal("no"), "one of less than four characters is no secret")
	g.Expect(sink.Quote(strings.Repeat(" ", 4096)+secret, secret)).To(BeEmpty(), "what is far behind is not looked at, and not shown")
}

func TestAnAnswerIsMadeFitToBeShown(t *testing.T) {
	g := NewWithT(t)
	g.Expect(sink.Quote("no \x1b[31msuch\n\tthing\xff: 100% &c \\", "tok3n-bearer")).To(Equal(`no [31msuch thing : 100% &c \`))
	g.Expect([]rune(sink.Quote(strings.Repeat("ü", 1000)))).To(HaveLen(301))
	g.Expect(sink.Quote(strings.Repeat("%25", 1<<20), "tok3n-bearer")).To(HaveLen(303))
}

// FuzzQuote holds that whatever the secret and whatever stands around it, none of the encodings brings it through.
func FuzzQuote(f *testing.F) {
	f.Add("tok3n-bearer/abc+def==", "bad token ", "")
	f.Add(`s3cr+t/ü"x<&>'`, "%2", "abc")
	f.Add("        a", "\\", "&")
	f.Fuzz(func(t *testing.T, secret, before, behind string) {
		if !utf8.ValidString(secret) || len(visible(secret)) < 4 || len(secret) > 64 || len(before)+len(behind) > 256 {
			return // what cannot be in JSON at all is not in it as a secret
		}
		if strings.ContainsFunc(secret, unicode.IsControl) {
			return // nor can it be in a header
		}
		for name, encode := range encodings {
			if said := sink.Quote(before+" "+encode(secret)+" "+behind, secret); said != withheld {
				t.Errorf("%s: %q shows %q as %q", name, secret, encode(secret), said)
			}
		}
		_ = sink.Quote(before, behind)
	})
}

// visible is what of a secret can be seen.
func visible(secret string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == ' ' {
			return -1
		}
		return r
	}, secret)
}

func BenchmarkQuote(b *testing.B) {
	for name, said := range map[string]string{
		"short": "the token is not valid", "letters": strings.Repeat("aZ09", 1024), "digits": strings.Repeat("73", 2048), "escapes": strings.Repeat("%25", 1365),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_ = sink.Quote(said, "tok3n-bearer/abc+def==", "another-secret-of-a-sink")
			}
		})
	}
}
