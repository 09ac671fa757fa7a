package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

var made = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// unpacked is the files of an archive by their names.
func unpacked(t *testing.T, b *Bundle) map[string]string {
	t.Helper()
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[head.Name] = string(content)
	}
}

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
		if redacted := Redact(text); sinktest.Leaks(redacted) {
			t.Errorf("%s is not redacted", name)
		}
	}
}

func TestKnownTokensAreRecognisedByThemselves(t *testing.T) {
	for _, token := range []string{
		"ghp_" + strings.Repeat("a1", 18), "github_pat_" + strings.Repeat("b2", 20), "glpat-" + strings.Repeat("c3", 10), "xoxb-" + strings.Repeat("1", 12),
		"AKIA" + strings.Repeat("Z", 16), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
	} {
		if got := Redact("answered " + token + " to it"); got != "answered "+Redacted+" to it" {
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
		if got := Redact(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestWhatFollowsAPrivateKeyStays(t *testing.T) {
	g := NewWithT(t)
	key := "-----BEGIN PRIVATE KEY-----\n" + base64.StdEncoding.EncodeToString([]byte(sinktest.Secret("key"))) + "\n-----END PRIVATE KEY-----"
	g.Expect(Redact("before\n" + key + "\nafter")).To(Equal("before\nREDACTED\nafter"))
}

func deployment(secret string) map[string]any {
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{
			"name": "dora-controller", "managedFields": []any{map[string]any{"manager": secret}},
			"annotations": map[string]any{"kubectl.kubernetes.io/last-applied-configuration": `{"x":"` + secret + `"}`, "kept": "yes"},
		},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
			"imagePullSecrets": []any{map[string]any{"name": "registry"}},
			"volumes":          []any{map[string]any{"name": "tls", "secret": map[string]any{"secretName": "tls-of-it"}}},
			"containers": []any{map[string]any{"name": "manager", "env": []any{
				map[string]any{"name": "HARMLESS_NAME", "value": secret},
				map[string]any{"name": "FROM", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "of-port", "key": "clientId"}}},
			}}},
		}}},
	}
}

func TestObjectsLoseWhatMayHoldACredential(t *testing.T) {
	g := NewWithT(t)
	original := deployment(sinktest.Secret("env"))
	b := New(Options{Made: made})
	g.Expect(b.Objects("controller.yaml", original)).To(Succeed())
	text := unpacked(t, b)["dora-bundle-20261120-120000/controller.yaml"]
	g.Expect(sinktest.Leaks(text)).To(BeFalse())
	g.Expect(text).To(And(ContainSubstring("name: HARMLESS_NAME"), ContainSubstring("value: REDACTED"), ContainSubstring("kept: "), ContainSubstring("name: of-port")))
	g.Expect(original).To(Equal(deployment(sinktest.Secret("env")))) // a copy was redacted
}

func TestNamesOfSecretsAreHashedAlikeInOneArchive(t *testing.T) {
	g := NewWithT(t)
	b := New(Options{Made: made, HashNames: true})
	sink := map[string]any{"kind": "DoraSink", "spec": map[string]any{"port": map[string]any{"secretRef": map[string]any{"name": "of-port"}}}}
	g.Expect(b.Objects("controller.yaml", deployment("x"))).To(Succeed())
	g.Expect(b.Objects("sinks.yaml", sink)).To(Succeed())
	files := unpacked(t, b)
	for _, name := range []string{"of-port", "tls-of-it", "registry"} {
		for file, text := range files {
			g.Expect(text).NotTo(ContainSubstring(name), file)
		}
	}
	g.Expect(files["dora-bundle-20261120-120000/sinks.yaml"]).To(ContainSubstring(b.Secret("of-port")))
	g.Expect(files["dora-bundle-20261120-120000/controller.yaml"]).To(ContainSubstring(b.Secret("of-port")))
	g.Expect(New(Options{HashNames: true}).Secret("of-port")).NotTo(Equal(b.Secret("of-port")))
	g.Expect(New(Options{}).Secret("of-port")).To(Equal("of-port"))
}

func TestASecretIsRefused(t *testing.T) {
	g := NewWithT(t)
	b := New(Options{Made: made})
	g.Expect(b.Objects("x.yaml", map[string]any{"kind": "Secret", "data": map[string]any{"x": sinktest.Secret("refused")}})).NotTo(Succeed())
	g.Expect(b.Entries()).To(HaveLen(1)) // the list alone
}

func TestTheListNamesWhatIsInTheArchiveAndWhatIsNot(t *testing.T) {
	g := NewWithT(t)
	b := New(Options{Made: made})
	b.Add("logs/../versions.txt", "kubectl-dora dev\n")
	b.Missing("logs", errors.New("pods is forbidden:\n token="+sinktest.Secret("note")))
	files := unpacked(t, b)
	g.Expect(files).To(HaveLen(2))
	list := files["dora-bundle-20261120-120000/contents.txt"]
	g.Expect(list).To(And(ContainSubstring("versions.txt   17 bytes\n"), ContainSubstring("not in it: logs: pods is forbidden: token=REDACTED\n")))
	g.Expect(b.Notes()).To(HaveLen(1))
	g.Expect(b.Entries()[1]).To(Equal(Entry{"versions.txt", 17}))
}

func TestOfALongFileTheEndIsKept(t *testing.T) {
	g := NewWithT(t)
	b := New(Options{Made: made})
	b.Add("log", "first\n"+strings.Repeat("x\n", maxFile/2)+"last\n")
	text := unpacked(t, b)["dora-bundle-20261120-120000/log"]
	g.Expect(text).To(And(HavePrefix(cut), HaveSuffix("last\n")))
	g.Expect(text).To(HaveLen(len(cut) + maxFile))
}

// No path leads out of the folder that the archive is unpacked to.
func TestNamesStayInTheFolder(t *testing.T) {
	b := New(Options{Made: made})
	b.Add("../../etc/passwd", "x")
	for name := range unpacked(t, b) {
		if strings.Contains(name, "..") || !strings.HasPrefix(name, "dora-bundle-") {
			t.Errorf("the archive has %q", name)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("https://a:b@c", "password: |\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		// Whatever stands around it on other lines, a plain line with a password is redacted.
		text := Redact(before + "\npassword=" + sinktest.Secret("fuzz") + "\n" + after)
		if strings.Contains(text, "password="+sinktest.Canary) {
			t.Errorf("not redacted in %q", text)
		}
	})
}
