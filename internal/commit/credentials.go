package commit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// redacted is what secrets print as.
const redacted = "[redacted]"

// Credentials are what a Secret holds for a git server. The zero value is none. They print as "[redacted]", by themselves and as an
// exported field of something else. (Package fmt asks no unexported field how it wants to be printed: print nothing that has one.)
type Credentials struct {
	// Username and Password are for HTTP basic authentication; Password may be a token.
	Username, Password string
	// Token is sent as a bearer token, or as an API's own header.
	Token string
	// SSHKey is a private key in PEM or OpenSSH form, SSHPassphrase opens it, KnownHosts are the host keys to trust.
	SSHKey, SSHPassphrase, KnownHosts []byte
	// AppID, InstallationID and AppKey are a GitHub App's. An InstallationID of 0 is to be found out.
	AppID, InstallationID int64
	AppKey                []byte
	// CA are certificates, in PEM form, to trust beside the system's.
	CA []byte
}

// String implements fmt.Stringer.
func (Credentials) String() string { return redacted }

// Format implements fmt.Formatter, for every verb: %d of a string prints it too.
func (Credentials) Format(to fmt.State, _ rune) { _, _ = io.WriteString(to, redacted) }

// MarshalJSON keeps credentials out of logs.
func (Credentials) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// APIToken is the token for a server's API: Token, else Password.
func (c Credentials) APIToken() string {
	if c.Token != "" {
		return c.Token
	}
	return c.Password
}

// Fingerprint tells two credentials apart without telling either. It is for keys of caches in memory, and never leaves the process.
func (c Credentials) Fingerprint() string {
	h := sha256.New()
	for _, part := range [][]byte{
		[]byte(c.Username), []byte(c.Password), []byte(c.Token), c.SSHKey, c.SSHPassphrase, c.KnownHosts,
		[]byte(strconv.FormatInt(c.AppID, 10)), []byte(strconv.FormatInt(c.InstallationID, 10)), c.AppKey, c.CA,
	} {
		fmt.Fprintf(h, "%d:", len(part))
		_, _ = h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The keys that a Secret may have: those of Argo CD's repository secrets and of Flux' GitRepository secrets.
var credentialKeys = map[string]func(*Credentials, []byte) error{
	"username":                func(c *Credentials, v []byte) error { c.Username = line(v); return nil },
	"password":                func(c *Credentials, v []byte) error { c.Password = line(v); return nil },
	"token":                   func(c *Credentials, v []byte) error { c.Token = line(v); return nil },
	"bearerToken":             func(c *Credentials, v []byte) error { c.Token = line(v); return nil },
	"sshPrivateKey":           func(c *Credentials, v []byte) error { c.SSHKey = v; return nil },
	"identity":                func(c *Credentials, v []byte) error { c.SSHKey = v; return nil },
	"sshPassphrase":           func(c *Credentials, v []byte) error { c.SSHPassphrase = []byte(line(v)); return nil },
	"known_hosts":             func(c *Credentials, v []byte) error { c.KnownHosts = v; return nil },
	"githubAppID":             func(c *Credentials, v []byte) error { return number(v, &c.AppID) },
	"githubAppInstallationID": func(c *Credentials, v []byte) error { return number(v, &c.InstallationID) },
	"githubAppPrivateKey":     func(c *Credentials, v []byte) error { c.AppKey = v; return nil },
	"caFile":                  func(c *Credentials, v []byte) error { c.CA = v; return nil },
	"ca.crt":                  func(c *Credentials, v []byte) error { c.CA = v; return nil },
}

// passedOver are keys that Argo CD and Flux write too and that say nothing here: where and how, not who; and the public half of a key.
var passedOver = []string{
	"type", "url", "name", "project", "proxy", "noProxy", "enableLfs", "enableOCI", "forceHttpBasicAuth",
	"githubAppEnterpriseBaseUrl", "githubAppBaseURL", "identity.pub",
}

// insecure are keys that may wish not to look at who a server is. They may stand there as long as they do not.
var insecure = []string{"insecure", "insecureIgnoreHostKey"}

func isPassedOver(key string, value []byte) bool {
	wished, err := strconv.ParseBool(line(value))
	return slices.Contains(passedOver, key) || slices.Contains(insecure, key) && err == nil && !wished
}

// CredentialKeys are the keys that a Secret may have, sorted.
func CredentialKeys() []string { return slices.Sorted(maps.Keys(credentialKeys)) }

// ReadCredentials reads the data of a Secret. The error names the key that is wrong and never its value.
func ReadCredentials(data map[string][]byte) (Credentials, error) {
	var c Credentials
	for _, key := range slices.Sorted(maps.Keys(data)) {
		set, known := credentialKeys[key]
		if !known && isPassedOver(key, data[key]) {
			continue
		}
		if slices.Contains(insecure, key) {
			return Credentials{}, fmt.Errorf("key %s: a server must prove who it is: add its certificates as ca.crt, or its host keys as known_hosts", key)
		}
		if !known {
			return Credentials{}, fmt.Errorf("key %s means nothing here: use %s", key, strings.Join(CredentialKeys(), ", "))
		}
		if err := set(&c, data[key]); err != nil {
			return Credentials{}, fmt.Errorf("key %s: %w", key, err)
		}
	}
	if err := c.complete(); err != nil {
		return Credentials{}, err
	}
	return c, nil
}

func (c Credentials) complete() error {
	switch {
	case c.AppID != 0 && len(c.AppKey) == 0:
		return errors.New("githubAppID is there and githubAppPrivateKey is not: add it")
	case c.AppID == 0 && len(c.AppKey) > 0:
		return errors.New("githubAppPrivateKey is there and githubAppID is not: add it")
	case len(c.SSHKey) > 0 && len(c.KnownHosts) == 0:
		return errors.New("an SSH key needs known_hosts: add the server's host keys, as ssh-keyscan prints them")
	case c.Username != "" && c.Password == "":
		return errors.New("username is there and password is not: add it, a token will do")
	}
	return nil
}

func line(v []byte) string { return string(bytes.TrimSpace(v)) }

func number(v []byte, into *int64) error {
	n, err := strconv.ParseInt(line(v), 10, 64)
	if err != nil || n <= 0 {
		return errors.New("not a number: write the id as digits")
	}
	*into = n
	return nil
}

// PullSecrets are the contents of Secrets of type kubernetes.io/dockerconfigjson, each as it stands under its key .dockerconfigjson. They
// print as "[redacted]".
type PullSecrets [][]byte

// String implements fmt.Stringer.
func (PullSecrets) String() string { return redacted }

// Format implements fmt.Formatter.
func (PullSecrets) Format(to fmt.State, _ rune) { _, _ = io.WriteString(to, redacted) }

// MarshalJSON keeps credentials out of logs.
func (PullSecrets) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
