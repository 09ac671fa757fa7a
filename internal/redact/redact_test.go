package redact

import (
	"encoding/base64"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// Each way in which a credential stands in logs and objects.
func TestCredentialsAreRecognised(t *testing.T) {
	secret := sinktest.Secret("bundle")
	for name, text := range map[string]string{
		"the password of an address":          "cannot reach https://dora:" + secret + "@git.example.com/acme/checkout",
		"one with signs in it":                "postgres://dora:" + secret + "/x@y@db.example.com/delivery",
		"a token instead of a user":           "https://" + secret + "@git.example.com/acme",
		"a query":                             "GET https://example.com/hook?team=a&access_token=" + secret + "&x=1",
		"a header":                            "Authorization: Bearer " + secret,
		"a header with a basic credential":    "authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("dora:"+secret)),
		"a header of its own":                 "X-Gitlab-Token: " + secret,
		"a field of JSON":                     `{"clientSecret":"` + secret + `","clientId":"x"}`,
		"a field of JSON with an escape":      `{"password":"a\"` + secret + `"}`,
		"JSON within JSON":                    `{"msg":"sent {\"password\":\"a ` + secret + `\"}"}`,
		"headers written by Go":               `map[Authorization:[Bearer ` + secret + `] Accept:[*/*]]`,
		"a key of YAML":                       "password: " + secret,
		"a quoted key of YAML":                "password: 'a " + secret + "'",
		"a block of YAML":                     "sshPrivateKey: |\n  line\n  " + secret + "\nnext: x",
		"a connection of libpq":               "host=db user=dora password=" + secret + " dbname=x",
		"a variable of the environment":       "PORT_CLIENT_SECRET=" + secret,
		"a flag":                              "--hmacKey " + "--token=" + secret,
		"a private key":                       "-----BEGIN OPENSSH PRIVATE KEY-----\n" + secret + "\n-----END OPENSSH PRIVATE KEY-----",
		"a private key on one line":           `-----BEGIN RSA PRIVATE KEY-----\n` + secret + `\n-----END RSA PRIVATE KEY-----\n`,
		"a private key that was cut off":      "-----BEGIN PRIVATE KEY-----\n" + secret,
		"the end of a private key":            "x\n" + base64.StdEncoding.EncodeToString([]byte(secret)) + "\n-----END PRIVATE KEY-----",
		"a word after bearer, in any writing": "sent with bearer " + secret,
	} {
		if redacted := Text(text); sinktest.Leaks(redacted) {
			t.Errorf("%s is not redacted", name)
		}
	}
}

func TestKnownTokensAreRecognisedByThemselves(t *testing.T) {
	for _, token := range []string{
		"ghp_" + strings.Repeat("a1", 18), "github_pat_" + strings.Repeat("b2", 20), "glpat-" + strings.Repeat("c3", 10), "xoxb-" + strings.Repeat("1", 12),
		"AKIA" + strings.Repeat("Z", 16), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
	} {
		if got := Text("answered " + token + " to it"); got != "answered "+Mark+" to it" {
			t.Errorf("%s became %q", token, got)
		}
	}
}

func TestWhatIsNoCredentialStays(t *testing.T) {
	for _, text := range []string{
		`{"level":"info","msg":"Deployed","service":"checkout","version":"main-1a2b3c4"}`, "https://git.example.com/acme/checkout", "secretRef:\n  name: port",
		"image: ghcr.io/dora-controller/dora-controller@sha256:" + strings.Repeat("ab", 32), "--trusted-namespaces=argocd",
		"cannot read Secret argocd/port", "resources:\n- secrets\nverbs:\n- get",
	} {
		if got := Text(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestWhatFollowsAPrivateKeyStays(t *testing.T) {
	g := NewWithT(t)
	key := "-----BEGIN PRIVATE KEY-----\n" + base64.StdEncoding.EncodeToString([]byte(sinktest.Secret("key"))) + "\n-----END PRIVATE KEY-----"
	g.Expect(Text("before\n" + key + "\nafter")).To(Equal("before\nREDACTED\nafter"))
}

func FuzzText(f *testing.F) {
	f.Add("https://a:b@c", "password: |\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		if plain := before + after; !telling.MatchString(plain) && once(plain) != plain {
			t.Errorf("%q is not looked through, and becomes %q", plain, once(plain))
		}
		// Whatever stands around it on other lines, a plain line with a password is redacted.
		text := Text(before + "\npassword=" + sinktest.Secret("fuzz") + "\n" + after)
		if strings.Contains(text, "password="+sinktest.Canary) {
			t.Errorf("not redacted in %q", text)
		}
		if again := Text(text); again != text {
			t.Errorf("%q becomes %q when it is redacted once more", text, again)
		}
	})
}
