// Package github reads GitHub's webhooks: commits that came to the default branch, and releases of a commit. Its sender is known by the
// signature in X-Hub-Signature-256, made with the secret that GitHub and the Secret of the receiver share.
package github

import (
	"encoding/hex"
	"strings"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/internal/forge"
)

// Driver reads them.
type Driver struct{}

var _ ingest.Driver = Driver{}

// Verify implements ingest.Driver. The older signature with SHA-1 is not looked at.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	key, err := ingest.Value(secret, ingest.KeySigningSecret)
	if err != nil {
		return err
	}
	given, ok := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	signature, err := hex.DecodeString(given)
	if !ok || err != nil {
		return ingest.ErrNotSender
	}
	return ingest.VerifyHMAC(key, [][]byte{signature}, r.Body)
}

// Read implements ingest.Driver.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	return forge.ReadHub("github", r.Body)
}
