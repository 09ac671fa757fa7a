// Package gitlab reads GitLab's webhooks: commits that came to the default branch, and releases. Its sender is known by the token in
// X-Gitlab-Token, which GitLab sends along as it is, so TLS alone keeps it.
package gitlab

import (
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/internal/forge"
)

// Driver reads them.
type Driver struct{}

var _ ingest.Driver = Driver{}

// Verify implements ingest.Driver.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	token, err := ingest.Value(secret, ingest.KeyToken)
	if err != nil {
		return err
	}
	if !ingest.Same([]byte(r.Header.Get("X-Gitlab-Token")), token) {
		return ingest.ErrNotSender
	}
	return nil
}

// message is what GitLab sends of a push and of a release.
type message struct {
	Kind         string         `json:"object_kind"`
	Ref          string         `json:"ref"`
	After        string         `json:"after"`
	Commits      []forge.Commit `json:"commits"`
	TotalCommits int            `json:"total_commits_count"`
	Project      *struct {
		Path          string `json:"path_with_namespace"`
		WebURL        string `json:"web_url"`
		DefaultBranch string `json:"default_branch"`
	} `json:"project"`
	Action     string       `json:"action"`
	Tag        string       `json:"tag"`
	ReleasedAt string       `json:"released_at"`
	Commit     forge.Commit `json:"commit"`
}

// Read implements ingest.Driver. GitLab does not tell when something was pushed: it is taken for the time of the commit that was, which of a
// merge is that of the merge.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	m, err := ingest.Decode[message](r.Body)
	if err != nil || m.Project == nil {
		return nil, err
	}
	at := forge.Repository{
		Source: "gitlab", Name: m.Project.Path, Address: m.Project.WebURL, Branch: m.Project.DefaultBranch,
		NameField: "project.path_with_namespace", AfterField: "after",
	}
	switch {
	case m.Kind == "push":
		// Of more than twenty commits the newest twenty are listed.
		return forge.Pushed(at, forge.Push{Ref: m.Ref, After: m.After, Commits: m.Commits, Whole: len(m.Commits) == m.TotalCommits})
	case m.Kind == "release" && m.Action == "create":
		released, err := ingest.When("released_at", m.ReleasedAt, "2006-01-02 15:04:05 MST", time.RFC3339)
		if err != nil || released.IsZero() {
			return nil, err
		}
		return forge.Released(at, m.Tag, m.Commit.ID, released)
	}
	return nil, nil
}
