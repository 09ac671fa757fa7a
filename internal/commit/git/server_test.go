package git_test

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// loopback allows the servers of these tests.
func loopback() egress.Guard {
	return egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
}

// backend serves a repository by git's own http-backend.
func backend(tb testing.TB, r *committest.Repo) http.Handler {
	tb.Helper()
	where, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(where)), "git-http-backend"),
		Dir:  r.Dir,
		Env: []string{
			"GIT_PROJECT_ROOT=" + filepath.Dir(r.Dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME=" + r.Dir,
		},
	}
}

// serve serves a handler, and returns the address of the repository in it.
func serve(tb testing.TB, h http.Handler) string {
	tb.Helper()
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	return server.URL + "/repo"
}

func provider(tb testing.TB, o git.Options) *git.Provider {
	tb.Helper()
	if o.Folder == "" {
		o.Folder = tb.TempDir()
	}
	if o.Guard.Allowed == nil {
		o.Guard = loopback()
	}
	p, err := git.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func open(tb testing.TB, p *git.Provider, at commit.Location) commit.Repository {
	tb.Helper()
	opened, err := p.Open(tb.Context(), at)
	if err != nil {
		tb.Fatal(err)
	}
	return opened
}

// opened is open for tests that do not close what they opened themselves.
func opened(tb testing.TB, p *git.Provider, at commit.Location) commit.Repository {
	tb.Helper()
	one := open(tb, p, at)
	tb.Cleanup(func() { _ = one.Close() })
	return one
}
