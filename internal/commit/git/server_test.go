package git_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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

// telling serves a repository whose server tells other capabilities than git does: in each list of branches, the first old becomes new.
func telling(actual http.Handler, old, replacement string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet {
			actual.ServeHTTP(w, req)
			return
		}
		answer := httptest.NewRecorder()
		actual.ServeHTTP(answer, req)
		maps.Copy(w.Header(), answer.Header())
		list, _ := strings.CutPrefix(answer.Body.String(), service)
		length, err := strconv.ParseUint(list[:4], 16, 16)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		first := strings.Replace(list[4:length], old, replacement, 1)
		_, _ = io.WriteString(w, service+line(first)+list[length:])
	})
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

// watched counts what goes through a server.
type watched struct {
	http.Handler
	mu       sync.Mutex
	requests int
	bytes    int
	headers  http.Header // of the last request
}

func watch(h http.Handler) *watched { return &watched{Handler: h} }

func (w *watched) ServeHTTP(to http.ResponseWriter, req *http.Request) {
	w.mu.Lock()
	w.requests++
	w.headers = req.Header.Clone()
	w.mu.Unlock()
	w.Handler.ServeHTTP(&countingWriter{to, w}, req)
}

// since are the requests and bytes since it was asked last.
func (w *watched) since() (requests, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	requests, bytes = w.requests, w.bytes
	w.requests, w.bytes = 0, 0
	return requests, bytes
}

type countingWriter struct {
	http.ResponseWriter
	w *watched
}

func (c *countingWriter) Write(p []byte) (int, error) {
	c.w.mu.Lock()
	c.w.bytes += len(p)
	c.w.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

// only lets requests through that have this header.
func only(authorization string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != authorization {
			http.Error(w, "who are you, "+req.Header.Get("Authorization")+"?", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, req)
	})
}

func wantError(tb testing.TB, err, want error, words ...string) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got %v, want %v", err, want)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			tb.Errorf("%q does not say %q", err, word)
		}
	}
	for _, secret := range []string{"s3cret", "czNjcmV0", "Basic", "Bearer", "PRIVATE KEY"} {
		if strings.Contains(err.Error(), secret) {
			tb.Errorf("%q tells a secret", err)
		}
	}
}

// wantEmpty wants nothing in a cache folder but the folders of copies.
func wantEmpty(tb testing.TB, folder string) {
	tb.Helper()
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() || strings.HasPrefix(entry.Name(), "tmp-") {
			tb.Errorf("%s was left", path)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}
