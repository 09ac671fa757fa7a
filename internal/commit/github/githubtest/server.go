// Package githubtest is a GitHub to test against: the REST endpoints that package github asks, served from a real git repository by the
// git command.
//
// # Guarantees
//
//   - What GitHub refuses is refused, with its status, headers and JSON body: credentials, App tokens, unknown endpoints, SHAs and
//     refs, used-up limits. Facts come from GitHub's documentation and its OpenAPI description, and from recorded answers where those
//     are silent; the comments say which.
//   - Each request is noted, so that a test can say what was asked and what counted against the limit.
//
// It serves one repository, below /api/v3/ as an Enterprise Server does.
package githubtest

import (
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
)

// The repository's owner, name and number.
const (
	Owner = "dora"
	Name  = "shop"
	ID    = 4711
)

const prefix = "/api/v3/"

// Pull is a pull request.
type Pull struct {
	Number int
	// MergedAs is the commit that the base branch was at once the pull request was merged: the merge, the squashed commit, or the
	// last rebased one. Empty is a pull request that was not merged.
	MergedAs string
	// Commits are those of the pull request's own branch, oldest first.
	Commits []string
	// Contains are further commits that GitHub associates with the pull request, beside MergedAs and Commits.
	Contains []string
}

// Request is one that the server got.
type Request struct {
	Method, Path, Query, Authorization, Accept, UserAgent, Version string
	Status                                                         int
	// Counted says whether it counted against the limit.
	Counted bool
}

// Server is a GitHub.
type Server struct {
	t    testing.TB
	http *httptest.Server
	repo *committest.Repo

	mu        sync.Mutex
	private   bool
	filled    bool                 // there are commits
	tokens    map[string]time.Time // and when they expire; zero is never
	app       *app
	pulls     []Pull
	former    string
	limit     *limit
	secondary *secondary
	now       func() time.Time // that answers tell
	intercept func(http.ResponseWriter, *http.Request) bool
	requests  []Request
}

type limit struct {
	remaining int
	reset     time.Time
}

type secondary struct {
	retryAfter string
	status     int
}

// New serves a repository that everybody may read, until the test ends.
func New(tb testing.TB, repo *committest.Repo) *Server {
	tb.Helper()
	return start(tb, repo, httptest.NewServer)
}

// NewTLS is New with https, and a certificate that nobody trusts without CA.
func NewTLS(tb testing.TB, repo *committest.Repo) *Server {
	tb.Helper()
	return start(tb, repo, httptest.NewTLSServer)
}

func start(tb testing.TB, repo *committest.Repo, listen func(http.Handler) *httptest.Server) *Server {
	tb.Helper()
	s := &Server{t: tb, repo: repo, tokens: map[string]time.Time{}, now: time.Now}
	s.http = listen(s)
	tb.Cleanup(s.http.Close)
	return s
}

// CA is the certificate of a server with https, in PEM form.
func (s *Server) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
}

// URL is the repository's address.
func (s *Server) URL() string { return s.http.URL + "/" + Owner + "/" + Name }

// Host is the API's host and port.
func (s *Server) Host() string { return strings.SplitN(s.http.URL, "//", 2)[1] }

// Location is the repository with these credentials.
func (s *Server) Location(c commit.Credentials) commit.Location {
	return commit.Location{URL: s.URL(), Credentials: c}
}

// Private hides the repository from requests without credentials.
func (s *Server) Private() { s.set(func() { s.private = true }) }

// Token makes a personal access token. A zero time is one that does not expire.
func (s *Server) Token(token string, expires time.Time) {
	s.set(func() { s.tokens[token] = expires })
}

// Revoke takes back a token, or all of an App's.
func (s *Server) Revoke(token string) { s.set(func() { delete(s.tokens, token) }) }

// Pull makes a pull request.
func (s *Server) Pull(p Pull) { s.set(func() { s.pulls = append(s.pulls, p) }) }

// Renamed lets owner/name be the repository's former name. GitHub answers for it with a redirect to the repository's number.
func (s *Server) Renamed(ownerAndName string) { s.set(func() { s.former = ownerAndName }) }

// Limit is how many requests may be made until the reset, by all credentials together.
func (s *Server) Limit(remaining int, reset time.Time) {
	s.set(func() { s.limit = &limit{remaining, reset} })
}

// Clock is what answers tell for the time. Credentials go by the real time.
func (s *Server) Clock(now func() time.Time) { s.set(func() { s.now = now }) }

// Secondary refuses all requests by the secondary limit, with a Retry-After of that text unless it is empty. A status of 0 ends it.
func (s *Server) Secondary(status int, retryAfter string) {
	s.set(func() {
		s.secondary = &secondary{retryAfter, status}
		if status == 0 {
			s.secondary = nil
		}
	})
}

// Intercept is asked first, and answers itself if it returns true. It is for answers that GitHub should not give.
func (s *Server) Intercept(f func(http.ResponseWriter, *http.Request) bool) {
	s.set(func() { s.intercept = f })
}

// Requests are those since the last call.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.requests
	s.requests = nil
	return got
}

func (s *Server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// ServeHTTP implements http.Handler. One request is served at a time.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := Request{
		Method: req.Method, Path: req.URL.Path, Query: req.URL.RawQuery, Authorization: req.Header.Get("Authorization"),
		Accept: req.Header.Get("Accept"), UserAgent: req.UserAgent(), Version: req.Header.Get("X-Github-Api-Version"),
	}
	if s.intercept != nil && s.intercept(w, req) {
		s.requests = append(s.requests, got)
		return
	}
	a := s.answer(req)
	got.Counted = s.count(req, &a)
	got.Status = a.status
	s.requests = append(s.requests, got)
	a.write(w)
}

// count takes the request off the limit, and tells the limit's state. An answer of "not modified" does not count if the request was
// authorized (documentation, "Use conditional requests if appropriate").
func (s *Server) count(req *http.Request, a *answer) bool {
	authorized := req.Header.Get("Authorization") != ""
	counted := a.status != http.StatusNotModified || !authorized
	total, remaining, reset := 5000, 4999, s.now().Add(time.Hour)
	if !authorized {
		total, remaining = 60, 59
	}
	if s.limit != nil {
		if counted && s.limit.remaining > 0 && a.status != http.StatusForbidden {
			s.limit.remaining--
		}
		remaining, reset = s.limit.remaining, s.limit.reset
	}
	a.set("Date", s.now().UTC().Format(http.TimeFormat))
	a.set("X-RateLimit-Limit", strconv.Itoa(total))
	a.set("X-RateLimit-Remaining", strconv.Itoa(remaining))
	a.set("X-RateLimit-Used", strconv.Itoa(total-remaining))
	a.set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	a.set("X-RateLimit-Resource", "core")
	return counted
}

// answer is what GitHub answers.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) set(key, value string) {
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set(key, value)
}

func (a *answer) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may have gone
}

// refusal is an error body as GitHub writes it: the status is a string.
func refusal(status int, message string) answer {
	return of(status, map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)})
}

func of(status int, value any) answer {
	body, err := json.Marshal(value)
	if err != nil {
		return refusal(http.StatusInternalServerError, err.Error())
	}
	a := answer{status: status, body: body}
	a.set("Content-Type", "application/json; charset=utf-8")
	return a
}

func notFound() answer { return refusal(http.StatusNotFound, "Not Found") }

// app is a GitHub App.
type app struct {
	id, installation int64
	key              *rsa.PublicKey
	installed        bool
	suspended        bool
	issued           int
}
