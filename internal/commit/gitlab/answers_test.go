package gitlab_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/gitlab"
	"github.com/dora-controller/dora-controller/internal/commit/gitlab/gitlabtest"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// canary is a token that no error may repeat.
const canary = "glpat-canary"

func TestWhoMayRead(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	for _, test := range []struct {
		name    string
		private bool
		as      commit.Credentials
		want    error
	}{
		{"a public project without credentials", false, commit.Credentials{}, nil},
		{"a private project with a private token", true, commit.Credentials{Username: "ada", Password: canary}, nil},
		{"a private project with a bearer token", true, commit.Credentials{Token: canary}, nil},
		{"a bearer token comes first", true, commit.Credentials{Token: canary, Password: "another"}, nil},
		{"a private project without credentials", true, commit.Credentials{}, commit.ErrNoRepository},
		{"a private project with another token", true, commit.Credentials{Password: "another"}, commit.ErrUnauthorized},
		{"a public project with a token that has expired", false, commit.Credentials{Token: "another"}, commit.ErrUnauthorized},
	} {
		server := gitlabtest.New(t, r, project)
		if test.private {
			server.Token = canary
		}
		got, err := open(t, server.URL, test.as).Commit(t.Context(), sha[:8])
		if !errors.Is(err, test.want) || (err == nil) != (got == sha) {
			t.Errorf("%s: got %q and %v, want %v", test.name, got, err, test.want)
		}
		for _, asked := range server.Asked() {
			if asked.UserAgent() != "dora-controller" {
				t.Errorf("%s: asked as %q", test.name, asked.UserAgent())
			}
		}
	}
}

func TestWhatIsNotThereIsToldFromAProjectThatIsNot(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	server := gitlabtest.New(t, r, project)
	there, elsewhere := open(t, server.URL, commit.Credentials{}), open(t, server.URL+"-2", commit.Credentials{})
	for _, ask := range questions(strings.Repeat("a", 40), strings.Repeat("b", 40)) {
		if err := ask.of(t.Context(), there); !errors.Is(err, commit.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", ask.name, err)
		}
		if err := ask.of(t.Context(), elsewhere); !errors.Is(err, commit.ErrNoRepository) {
			t.Errorf("%s elsewhere: got %v, want ErrNoRepository", ask.name, err)
		}
	}
}

// question is one of the questions that a repository answers.
type question struct {
	name string
	of   func(context.Context, commit.Repository) error
}

func questions(base, head string) []question {
	return []question{
		{"commit", func(ctx context.Context, r commit.Repository) error {
			_, err := r.Commit(ctx, head)
			return err
		}},
		{"tag", func(ctx context.Context, r commit.Repository) error {
			_, err := r.Tag(ctx, "v1")
			return err
		}},
		{"range", func(ctx context.Context, r commit.Repository) error {
			_, err := r.Range(ctx, base, head, commit.RangeOptions{Squash: true})
			return err
		}},
	}
}

// Each refusal is answered to each question. The message repeats the token, as a careless server might.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   error
		after  time.Duration
		says   string
	}{
		{name: "unknown token", status: 401, body: `{"message":"401 Unauthorized"}`, want: commit.ErrUnauthorized, says: "read_api"},
		{
			name: "a token without the scope", status: 403, want: commit.ErrUnauthorized, says: "higher privileges",
			body: `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token."}`,
		},
		{
			name: "rate limit with seconds", status: 429, header: map[string]string{"Retry-After": "17"}, body: "Retry later",
			after: 17 * time.Second, says: "Retry later",
		},
		{
			name: "rate limit with a reset", status: 429, after: 45 * time.Second, body: `{"message":"429 Too Many Requests"}`,
			header: map[string]string{
				"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Ratelimit-Limit": "60", "Ratelimit-Remaining": "0", "Ratelimit-Reset": "1792567725",
			},
		},
		{name: "rate limit without a word", status: 429, after: time.Minute},
		{name: "maintenance", status: 503, header: map[string]string{"Retry-After": "120"}, after: 2 * time.Minute},
		{name: "no gateway", status: 502, body: "<html>" + strings.Repeat("x", 10_000), says: "502"},
		{name: "a fault", status: 500, body: `{"message":"500 Internal Server Error ` + canary + `"}`, says: "[redacted]"},
		{name: "no JSON", status: 200, body: "<html>sign in</html>", says: "cannot read"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range test.header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}))
		opened := open(t, server.URL+"/"+project, commit.Credentials{Password: canary})
		for _, ask := range questions(strings.Repeat("a", 40), strings.Repeat("b", 40)) {
			err := ask.of(t.Context(), opened)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s, %s: got %v, want %v that says %q", test.name, ask.name, err, test.want, test.says)
				continue
			}
			if got := commit.RetryAfter(err); got != test.after {
				t.Errorf("%s, %s: to be left alone for %v, want %v", test.name, ask.name, got, test.after)
			}
			if strings.Contains(err.Error(), canary) || len(err.Error()) > 600 {
				t.Errorf("%s, %s: the error tells too much: %v", test.name, ask.name, err)
			}
		}
		server.Close()
	}
}

// GitLab's client would repeat these.
func TestARequestIsMadeOnce(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(status)
		}))
		if _, err := open(t, server.URL+"/"+project, commit.Credentials{}).Tag(t.Context(), "v1"); err == nil || asked.Load() != 1 {
			t.Errorf("%d: asked %d times, %v", status, asked.Load(), err)
		}
		server.Close()
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	for _, ask := range questions(strings.Repeat("a", 40), strings.Repeat("b", 40)) {
		ctx, cancel := context.WithCancel(t.Context())
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		}))
		if err := ask.of(ctx, open(t, server.URL+"/"+project, commit.Credentials{})); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", ask.name, err)
		}
		server.Close()
	}
}

func TestAnAnswerHasABound(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"`)
		for chunk := strings.Repeat("a", 1<<20); ; {
			if _, err := io.WriteString(w, chunk); err != nil {
				return // the reader has had enough
			}
		}
	}))
	defer server.Close()
	_, err := open(t, server.URL+"/"+project, commit.Credentials{}).Commit(t.Context(), strings.Repeat("a", 40))
	if !errors.Is(err, commit.ErrTooLarge) {
		t.Errorf("got %.200v, want ErrTooLarge", err)
	}
}

func TestATokenFollowsNoRedirectToAnotherServer(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	for _, as := range []commit.Credentials{{Password: canary}, {Token: canary}} {
		other := gitlabtest.New(t, r, project)
		server := gitlabtest.New(t, r, project)
		server.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, strings.TrimSuffix(other.URL, "/"+project)+r.URL.RequestURI(), http.StatusTemporaryRedirect)
			return true
		}
		if got, err := open(t, server.URL, as).Commit(t.Context(), sha); got != sha || err != nil {
			t.Errorf("got %q and %v, want %s", got, err, sha)
		}
		for _, asked := range other.Asked() {
			if strings.Contains(fmt.Sprint(asked.Header), canary) {
				t.Errorf("the token went to another server: %v", asked.Header)
			}
		}
		if len(other.Asked()) != 1 || len(server.Asked()) != 1 {
			t.Error("the redirect was not followed once")
		}
	}
}

func TestARedirectInsideIsRefused(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/latest/meta-data/", http.StatusFound))
	defer server.Close()
	_, err := open(t, server.URL+"/"+project, commit.Credentials{Password: canary}).Tag(t.Context(), "v1")
	if !errors.Is(err, egress.ErrRefused) || strings.Contains(err.Error(), canary) {
		t.Errorf("got %v, want ErrRefused", err)
	}
	provider := gitlab.New(gitlab.Options{})
	opened, err := provider.Open(t.Context(), commit.Location{URL: server.URL + "/" + project})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Tag(t.Context(), "v1"); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("an address inside: got %v, want ErrRefused", err)
	}
}

func TestACertificateAuthorityOfOnesOwn(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	secure := httptest.NewTLSServer(gitlabtest.New(t, r, project))
	defer secure.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	url := secure.URL + "/" + project
	if got, err := open(t, url, commit.Credentials{CA: ca}).Commit(t.Context(), sha); got != sha || err != nil {
		t.Errorf("got %q and %v, want %s", got, err, sha)
	}
	if _, err := open(t, url, commit.Credentials{}).Commit(t.Context(), sha); err == nil || errors.Is(err, commit.ErrNoRepository) {
		t.Errorf("without it: got %v", err)
	}
	_, err := gitlab.New(gitlab.Options{Guard: local}).Open(t.Context(), commit.Location{URL: url, Credentials: commit.Credentials{CA: []byte("x")}})
	if err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("no certificate: got %v", err)
	}
}

func TestRateLimitsAreTold(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	server := gitlabtest.New(t, r, project)
	server.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Ratelimit-Limit", "600")
		w.Header().Set("Ratelimit-Observed", "6")
		w.Header().Set("Ratelimit-Remaining", "594")
		w.Header().Set("Ratelimit-Reset", "1792567725")
		return false
	}
	var told []string
	provider := gitlab.New(gitlab.Options{Guard: local, OnLimit: func(host string, remaining, limit int, reset time.Time) {
		told = append(told, fmt.Sprint(host, " ", remaining, " of ", limit, " until ", reset.Format(time.RFC3339)))
	}})
	opened, err := provider.Open(t.Context(), commit.Location{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Commit(t.Context(), sha); err != nil {
		t.Fatal(err)
	}
	want := commit.HostOf(server.URL) + " 594 of 600 until 2026-10-21T07:28:45Z"
	if len(told) != 1 || told[0] != want {
		t.Errorf("told %q, want %q", told, want)
	}
}
