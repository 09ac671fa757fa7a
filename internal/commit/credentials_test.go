package commit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
)

type secret = map[string]string

func read(of secret) (commit.Credentials, error) {
	data := map[string][]byte{}
	for key, value := range of {
		data[key] = []byte(value)
	}
	return commit.ReadCredentials(data)
}

// The Secrets are those of Argo CD's docs/operator-manual/argocd-repositories.yaml and of Flux' GitRepository.
func TestTheSecretsOfArgoAndFluxAreUnderstood(t *testing.T) {
	for story, c := range map[string]struct {
		secret secret
		want   commit.Credentials
	}{
		"nothing":                      {nil, commit.Credentials{}},
		"Argo CD, with a password":     {secret{"type": "git", "url": "https://x", "name": "x", "project": "x", "username": "robot", "password": "canary\n"}, commit.Credentials{Username: "robot", Password: "canary"}},
		"Argo CD, with a bearer token": {secret{"url": "https://x", "bearerToken": " canary "}, commit.Credentials{Token: "canary"}},
		"Argo CD, with a GitHub App": {
			secret{"githubAppID": "1\n", "githubAppInstallationID": "2", "githubAppPrivateKey": "canary"},
			commit.Credentials{AppID: 1, InstallationID: 2, AppKey: []byte("canary")},
		},
		"an installation to be found out": {secret{"githubAppID": "1", "githubAppPrivateKey": "canary"}, commit.Credentials{AppID: 1, AppKey: []byte("canary")}},
		"Argo CD, with an SSH key":        {secret{"sshPrivateKey": "canary\n", "known_hosts": "h k\n"}, commit.Credentials{SSHKey: []byte("canary\n"), KnownHosts: []byte("h k\n")}},
		"Flux, with an SSH key": {
			secret{"identity": "canary", "identity.pub": "public", "known_hosts": "h k", "sshPassphrase": "open\n"},
			commit.Credentials{SSHKey: []byte("canary"), KnownHosts: []byte("h k"), SSHPassphrase: []byte("open")},
		},
		"Flux, with a CA":            {secret{"username": "robot", "password": "canary", "ca.crt": "pem\n"}, commit.Credentials{Username: "robot", Password: "canary", CA: []byte("pem\n")}},
		"a password without a name":  {secret{"password": "canary"}, commit.Credentials{Password: "canary"}},
		"a token of this controller": {secret{"token": "canary"}, commit.Credentials{Token: "canary"}},
	} {
		got, err := read(c.secret)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: not what was written, %v", story, err)
		}
	}
}

func TestKeysThatOthersWriteTooArePassedOver(t *testing.T) {
	got, err := read(secret{"password": "p", "type": "git", "url": "https://a", "insecure": "false", "enableLfs": "true", "caFile": "c"})
	if err != nil || got.Password != "p" || string(got.CA) != "c" {
		t.Errorf("read %v: %v", got.Password == "p", err)
	}
}

func TestASecretThatIsNotCompleteSaysWhatIsMissing(t *testing.T) {
	for story, c := range map[string]struct {
		secret secret
		want   string
	}{
		"an app without a key":         {secret{"githubAppID": "1"}, "githubAppPrivateKey"},
		"a key without an app":         {secret{"githubAppPrivateKey": "canary"}, "githubAppID"},
		"an SSH key without hosts":     {secret{"sshPrivateKey": "canary"}, "known_hosts"},
		"a name without a password":    {secret{"username": "canary"}, "password"},
		"an app that is no number":     {secret{"githubAppID": "canary", "githubAppPrivateKey": "canary"}, "githubAppID"},
		"an app below one":             {secret{"githubAppID": "0", "githubAppPrivateKey": "canary"}, "githubAppID"},
		"an installation without end":  {secret{"githubAppID": "1", "githubAppInstallationID": "99999999999999999999", "githubAppPrivateKey": "canary"}, "githubAppInstallationID"},
		"a key that means nothing":     {secret{"pasword": "canary"}, "pasword"},
		"trust in any server's key":    {secret{"insecure": "true", "password": "canary"}, "insecure"},
		"a key in another spelling":    {secret{"Password": "canary"}, "Password"},
		"a key that means nothing yet": {secret{"password": "canary", "tlsClientCertKey": "canary"}, "tlsClientCertKey"},
	} {
		got, err := read(c.secret)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want it to name %s", story, err, c.want)
		}
		if !reflect.DeepEqual(got, commit.Credentials{}) {
			t.Errorf("%s: something is read all the same", story)
		}
	}
}

func TestTheKeysAreListedInOrder(t *testing.T) {
	keys := commit.CredentialKeys()
	if !slices.IsSorted(keys) || !slices.Contains(keys, "password") {
		t.Errorf("got %v", keys)
	}
}

func full() commit.Credentials {
	key := []byte("canary")
	return commit.Credentials{
		Username: "canary", Password: "canary", Token: "canary", SSHKey: key, SSHPassphrase: key, KnownHosts: key, AppID: 1, InstallationID: 2, AppKey: key, CA: key,
	}
}

func TestCredentialsPrintAsNothing(t *testing.T) {
	var none *commit.Credentials
	c, pull := full(), commit.PullSecrets{[]byte("canary")}
	inside := commit.Location{URL: "https://h/x", Credentials: c}
	shown := []string{c.String(), pull.String(), fmt.Sprint(c, pull, none), errors.Join(fmt.Errorf("%w %v", errors.ErrUnsupported, c)).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%c", "%U", "%10.3s", "%t"} {
		for _, what := range []any{c, &c, pull, &pull, inside, &inside, []commit.Credentials{c}, map[string]commit.PullSecrets{"a": pull}, struct{ P commit.PullSecrets }{pull}} {
			shown = append(shown, fmt.Sprintf(verb, what))
		}
	}
	text, err := json.Marshal(map[string]any{"a": c, "b": &c, "c": pull, "d": inside})
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "a", c, "b", &c, "c", pull, "d", inside)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "a", c, "b", &c, "c", pull, "d", inside)
	for _, printed := range append(shown, string(text), logged.String()) {
		for _, form := range []string{"canary", "Y2FuYXJ5", fmt.Sprintf("%x", "canary"), fmt.Sprintf("%X", "canary"), "99 97 110", "143 141 156", "U+0063", "0x63", "['c'"} {
			if strings.Contains(printed, form) {
				t.Errorf("printed as %s", printed)
			}
		}
	}
}

func TestAnAPITokenIsTheTokenOrElseThePassword(t *testing.T) {
	for want, c := range map[string]commit.Credentials{"": {Username: "x"}, "token": {Token: "token", Password: "password"}, "password": {Password: "password"}} {
		if got := c.APIToken(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Credentials that differ anywhere differ in their fingerprint, also where the same letters are divided otherwise.
func TestAFingerprintTellsCredentialsApart(t *testing.T) {
	seen := map[string]string{}
	note := func(story string, c commit.Credentials) {
		mark := c.Fingerprint()
		if other, known := seen[mark]; known {
			t.Errorf("%s has the fingerprint of %s", story, other)
		}
		if seen[mark] = story; strings.Contains(mark, "canary") || len(mark) != 64 {
			t.Errorf("%s: %s", story, mark)
		}
	}
	all := full()
	first := all.Fingerprint()
	note("none", commit.Credentials{})
	note("all", all)
	note("ab and c", commit.Credentials{Username: "ab", Password: "c"})
	note("a and bc", commit.Credentials{Username: "a", Password: "bc"})
	note("a length as text", commit.Credentials{Username: "a1:b", Password: "c"})
	fields := reflect.TypeFor[commit.Credentials]()
	for i := range fields.NumField() {
		changed := full()
		field := reflect.ValueOf(&changed).Elem().Field(i)
		field.SetZero()
		note("all without "+fields.Field(i).Name, changed)
	}
	if again := full(); again.Fingerprint() != first {
		t.Error("the same credentials differ")
	}
}
