package github_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/github"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const commit = "8d3f2c1a9b7e6f5d4c3b2a1908f7e6d5c4b3a291"

func at(month time.Month, day, hour, minute, second int) time.Time {
	return time.Date(2026, month, day, hour, minute, second, 0, time.UTC)
}

func change(key string, c ingest.Change) []ingest.Report {
	c.Commit, c.Repository = commit, "https://github.com/acme/checkout"
	return []ingest.Report{{Source: "github", Key: key, Service: "checkout", Change: &c}}
}

func suite() *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: github.Driver{},
		Secret: map[string][]byte{"signingSecret": []byte(sinktest.Secret("github"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			mac := hmac.New(sha256.New, secret["signingSecret"])
			mac.Write(r.Body)
			r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		},
		SignsBody: true,
		Now:       at(3, 1, 13, 0, 0),
		Samples: []ingesttest.Sample{
			{File: "push.json", Want: change("push:acme/checkout@"+commit, ingest.Change{OccurredAt: at(3, 1, 12, 0, 0), FirstCommitAt: at(2, 28, 17, 0, 0)})},
			{File: "release.json", Want: change("release:acme/checkout@v1.4.2", ingest.Change{OccurredAt: at(3, 1, 12, 30, 0)})},
			{File: "push_to_a_branch.json"},
			{File: "push_of_a_tag.json"},
			{File: "end_of_a_branch.json"},
			{File: "ping.json"},
			{File: "release_of_a_branch.json"},
			{File: "release_edited.json"},
		},
	}
}

func TestGitHub(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

// TestDocumentedSignature: the values are those by which GitHub's documentation lets one check one's own code.
func TestDocumentedSignature(t *testing.T) {
	r := &ingest.Request{Header: http.Header{}, Body: []byte("Hello, World!")}
	r.Header.Set("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	if err := (github.Driver{}).Verify(r, map[string][]byte{"signingSecret": []byte("It's a Secret to Everybody")}); err != nil {
		t.Error(err)
	}
}
