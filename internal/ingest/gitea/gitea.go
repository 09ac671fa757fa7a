// Package gitea reads the webhooks of Gitea and of Forgejo: commits that came to the default branch, and releases of a commit. Their sender is
// known by the signature in X-Gitea-Signature, made with the secret that Gitea and the Secret of the receiver share.
package gitea

import (
	"encoding/hex"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/internal/forge"
)

// Driver reads them.
type Driver struct{}

var _ ingest.Driver = Driver{}

// Verify implements ingest.Driver.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	key, err := ingest.Value(secret, ingest.KeySigningSecret)
	if err != nil {
		return err
	}
	signature, err := hex.DecodeString(r.Header.Get("X-Gitea-Signature"))
	if err != nil {
		return ingest.ErrNotSender
	}
	return ingest.VerifyHMAC(key, [][]byte{signature}, r.Body)
}

// Read implements ingest.Driver.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) { return forge.ReadHub("gitea", r.Body) }
