package github_test

import (
	"net/netip"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/github"
	"github.com/dora-controller/dora-controller/internal/commit/github/githubtest"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// loopback lets tests reach their own server.
var loopback = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func TestTheDriverAnswersWhatEveryDriverAnswers(t *testing.T) {
	caps := committest.Capabilities{
		Path: true, Peeled: true,
		Ambiguous:   false, // GitHub's answer is the one for an unknown SHA
		Unreachable: false, // GitHub keeps what nothing reaches for a while
	}
	committest.Suite(t, caps, func(t *testing.T, r *committest.Repo) commit.Repository {
		t.Helper()
		s := githubtest.New(t, r)
		return open(t, github.New(github.Options{Guard: loopback}), s.Location(commit.Credentials{}))
	})
}

func open(t *testing.T, p *github.Provider, at commit.Location) commit.Repository {
	t.Helper()
	r, err := p.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}
