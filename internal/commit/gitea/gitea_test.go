package gitea_test

import (
	"net/netip"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/gitea"
	"github.com/dora-controller/dora-controller/internal/commit/gitea/giteatest"
	"github.com/dora-controller/dora-controller/internal/egress"
)

const repository = "owner/my.repository"

// local lets a driver reach the tests' servers.
var local = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// open opens a repository with what may be set of a location beside its URL.
func open(t *testing.T, url string, c commit.Credentials) commit.Repository {
	t.Helper()
	opened, err := gitea.New(gitea.Options{Guard: local}).Open(t.Context(), commit.Location{URL: url, Credentials: c})
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

func TestGiteaPassesTheSuite(t *testing.T) {
	committest.Suite(t, committest.Capabilities{Peeled: true, Path: true}, func(t *testing.T, r *committest.Repo) commit.Repository {
		t.Helper()
		return open(t, giteatest.New(t, r, repository).URL, commit.Credentials{})
	})
}
