package gitlab_test

import (
	"net/netip"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/gitlab"
	"github.com/dora-controller/dora-controller/internal/commit/gitlab/gitlabtest"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// project is in nested groups, and has what must be escaped in a URL.
const project = "group/sub.group/nested/my.project"

// local lets a driver reach the tests' servers.
var local = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// open opens a repository with what may be set of a location beside its URL.
func open(t *testing.T, url string, c commit.Credentials) commit.Repository {
	t.Helper()
	opened, err := gitlab.New(gitlab.Options{Guard: local}).Open(t.Context(), commit.Location{URL: url, Credentials: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened
}

// With the feature flag remove_file_commit_history_following GitLab answers about folders as git log does; see TestAFolder for the rest.
func TestGitLabPassesTheSuite(t *testing.T) {
	committest.Suite(t, committest.Capabilities{Peeled: true, Path: true}, func(t *testing.T, r *committest.Repo) commit.Repository {
		t.Helper()
		server := gitlabtest.New(t, r, project)
		server.Unfollowed = true
		return open(t, server.URL, commit.Credentials{})
	})
}
