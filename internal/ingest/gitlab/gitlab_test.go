package gitlab_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/gitlab"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const commit = "8d3f2c1a9b7e6f5d4c3b2a1908f7e6d5c4b3a291"

func at(month time.Month, day, hour, minute, second int) time.Time {
	return time.Date(2026, month, day, hour, minute, second, 0, time.UTC)
}

func change(key string, c ingest.Change) []ingest.Report {
	c.Commit, c.Repository = commit, "https://gitlab.example.com/acme/shop/checkout"
	return []ingest.Report{{Source: "gitlab", Key: key, Service: "checkout", Change: &c}}
}

func suite() *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: gitlab.Driver{},
		Secret: map[string][]byte{"token": []byte(sinktest.Secret("gitlab"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			r.Header.Set("X-Gitlab-Token", string(secret["token"]))
		},
		Now: at(3, 1, 13, 0, 0),
		Samples: []ingesttest.Sample{
			{File: "push.json", Want: change("push:acme/shop/checkout@"+commit, ingest.Change{OccurredAt: at(3, 1, 11, 59, 30), FirstCommitAt: at(2, 28, 17, 0, 0)})},
			{File: "release.json", Want: change("release:acme/shop/checkout@v1.4.2", ingest.Change{OccurredAt: at(3, 1, 12, 30, 0)})},
			{File: "push_to_a_branch.json"},
			{File: "end_of_a_branch.json"},
			{File: "push_without_commits.json"},
			{File: "tag.json"},
			{File: "release_updated.json"},
		},
	}
}

func TestGitLab(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

// TestManyCommits: of which the first is not listed, so when it was made is not known.
func TestManyCommits(t *testing.T) {
	body, err := os.ReadFile("testdata/push_of_many.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := gitlab.Driver{}.Read(&ingest.Request{Body: body})
	if want := change("push:acme/shop/checkout@"+commit, ingest.Change{OccurredAt: at(3, 1, 11, 59, 30)}); err != nil || !cmp.Equal(want, got) {
		t.Error(err, cmp.Diff(want, got))
	}
}
