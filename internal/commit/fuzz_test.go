package commit_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// A Secret is read, or the error names the key that is wrong and tells no value; and credentials never print.
func FuzzReadCredentials(f *testing.F) {
	f.Add("username", "ada", "password", "pass\n")
	f.Add("sshPrivateKey", "-----BEGIN", "known_hosts", "github.com ssh-ed25519 AAAA")
	f.Add("githubAppID", "12", "githubAppPrivateKey", "key")
	f.Add("githubAppID", "-1", "token", "t")
	f.Add("insecure", "false", "enableLfs", "true")
	f.Add("insecure", "true", "Token", "")
	f.Fuzz(func(t *testing.T, key, value, otherKey, otherValue string) {
		const canary = "canary-7d1f3b-"
		for _, prefix := range []string{"", canary} {
			data := map[string][]byte{key: []byte(prefix + value), otherKey: []byte(prefix + otherValue)}
			c, err := commit.ReadCredentials(data)
			if err != nil {
				if strings.Contains(err.Error(), canary) && !strings.Contains(key+otherKey, canary) {
					t.Errorf("the error tells a value: %v", err)
				}
				if c.Fingerprint() != (commit.Credentials{}).Fingerprint() {
					t.Error("something was read all the same")
				}
				continue
			}
			again, err := commit.ReadCredentials(data)
			if err != nil || again.Fingerprint() != c.Fingerprint() {
				t.Errorf("read again they differ, %v", err)
			}
			printed, err := json.Marshal([]any{c, &c})
			text := fmt.Sprintf("%v %+v %#v %s %q %x %d %s", c, &c, struct{ Held commit.Credentials }{c}, c, c, c, c, printed)
			if err != nil || strings.Contains(text, canary) {
				t.Errorf("they print as %s, %v", text, err)
			}
		}
	})
}

// repeated are the forms in which a server may repeat what it was sent.
var repeated = map[string]func(secret string) string{
	"as it is":        func(s string) string { return s },
	"in a query":      url.QueryEscape,
	"in a path":       url.PathEscape,
	"in a URL":        func(s string) string { return url.UserPassword("ada", s).String() },
	"in quotes":       strconv.Quote,
	"in a header":     func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte("ada:"+s)) },
	"without a user":  func(s string) string { return base64.StdEncoding.EncodeToString([]byte("git:" + s)) },
	"over some lines": func(s string) string { return strings.ReplaceAll(s, " ", "\r\n\t") },
}

// What a server said is one short line, and holds no secret in any of the forms in which it may have come back.
func FuzzQuoteOfAServer(f *testing.F) {
	f.Add("tok3n+/=", "bad token ", ", sorry")
	f.Add("pass word", "\x1b[31m", "\u202e")
	f.Add(`"quoted\`, "%22", "%")
	f.Add("ü🔑", "a\xff", "")
	f.Fuzz(func(t *testing.T, secret, before, behind string) {
		if len(secret) < 4 || len(secret) > 100 || strings.Contains(commit.Credentials{}.String(), secret) || strings.TrimSpace(secret) != secret ||
			!utf8.ValidString(secret) || strings.ContainsFunc(secret, unicode.IsControl) {
			return // what no Secret holds and no header can
		}
		c := commit.Credentials{Username: "ada", Password: secret}
		for name, form := range repeated {
			if strings.Contains(before+behind, secret) {
				return
			}
			said := c.Quote(before + form(secret) + behind)
			for _, shown := range []string{secret, form(secret)} {
				if strings.Contains(said, shown) {
					t.Errorf("%s: %q is shown in %q", name, secret, said)
				}
			}
			if len([]rune(said)) > 201 || strings.ContainsFunc(said, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(said) {
				t.Errorf("it is no short line: %q", said)
			}
			if c.Quote(said) != said {
				t.Errorf("quoted again %q becomes %q", said, c.Quote(said))
			}
		}
	})
}

// The image that carries the commit is one of the version's, that the source lets carry it and that was not there before.
func FuzzCarrier(f *testing.F) {
	f.Add("r/cart:1.0.0-1a1a1a1 r/envoy:1", "r/cart:0.9.0-2b2b2b2 r/envoy:1", "*/cart", "1.0.0-1a1a1a1", byte(1))
	f.Add("a:1 b:2", "", "", "2", byte(0))
	f.Add("a@sha256:00", "a:1", "?", "", byte(1))
	f.Fuzz(func(t *testing.T, images, before, glob, tag string, known byte) {
		e := &dora.Event{Type: dora.TypeDeploy, Version: &dora.Version{Images: strings.Fields(images), Tag: tag}}
		e.Previous.Known = known&1 == 1
		if e.Previous.Known && known&2 == 0 {
			e.Previous.Version = &dora.Version{Images: strings.Fields(before)}
		}
		s := &commit.Source{Image: glob}
		got := s.Carrier(e)
		if again := s.Carrier(e); again != got {
			t.Errorf("%q, and then %q", got, again)
		}
		if got == "" {
			return
		}
		if !slices.Contains(e.Version.Images, got) || glob != "" && !dora.GlobImage(glob, got) {
			t.Errorf("%q does not carry the commit of %q", got, images)
		}
		if e.Previous.Version != nil && slices.Contains(e.Previous.Version.Images, got) {
			t.Errorf("%q was there before", got)
		}
		if other := commit.Counterpart(got, e.Version.Images, strings.Fields(before)); other != "" && !slices.Contains(strings.Fields(before), other) {
			t.Errorf("%q takes the place of %q, which was not there", got, other)
		}
	})
}
