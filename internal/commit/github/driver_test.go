package github_test

import (
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/github"
	"github.com/dora-controller/dora-controller/internal/commit/github/githubtest"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// canary is a secret that must not get into any text.
const canary = "ghp_canary0123456789"

var never time.Time

// fixture is a GitHub with two commits, and a provider.
type fixture struct {
	*githubtest.Server
	repo       *committest.Repo
	base, head string
	provider   *github.Provider
	now        time.Time
}

func newFixture(t *testing.T, o github.Options) *fixture {
	t.Helper()
	f := &fixture{repo: committest.New(t), now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	f.base = f.repo.Commit(committest.Commit{})
	f.head = f.repo.Commit(committest.Commit{})
	f.Server = githubtest.New(t, f.repo)
	if o.Guard.Allowed == nil {
		o.Guard = loopback
	}
	o.Now = func() time.Time { return f.now }
	f.Clock(o.Now)
	f.provider = github.New(o)
	return f
}

// ask asks for the head, and returns what came of it.
func (f *fixture) ask(t *testing.T, c commit.Credentials) error {
	t.Helper()
	_, err := f.askAt(t, f.Location(c))
	return err
}

func (f *fixture) askAt(t *testing.T, at commit.Location) (string, error) {
	t.Helper()
	r, err := f.provider.Open(t.Context(), at)
	if err != nil {
		return "", err
	}
	sha, err := r.Commit(t.Context(), f.head)
	if err == nil && sha != f.head {
		t.Errorf("got %s, want %s", sha, f.head)
	}
	return sha, err
}

// wantError wants an error of a kind, whose text has some words and not the canary.
func wantError(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	wantSilence(t, err)
}

func wantSilence(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "ghs_") || strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("the error tells what it must not, or has several lines: %q", err)
	}
	if n := len([]rune(err.Error())); n > 600 {
		t.Errorf("the error is %d characters long", n)
	}
}

func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	long := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		given   func(*githubtest.Server) commit.Credentials
		want    error
		wantSay string
	}{
		"nobody, a public repository": {given: func(*githubtest.Server) commit.Credentials { return commit.Credentials{} }},
		"nobody, a private repository": {given: func(s *githubtest.Server) commit.Credentials {
			s.Private()
			return commit.Credentials{}
		}, want: commit.ErrNoRepository, wantSay: "add a token"},
		"a token": {given: func(s *githubtest.Server) commit.Credentials {
			s.Private()
			s.Token(canary, never)
			return commit.Credentials{Token: canary}
		}},
		"a token as password": {given: func(s *githubtest.Server) commit.Credentials {
			s.Private()
			s.Token(canary, never)
			return commit.Credentials{Username: "git", Password: canary}
		}},
		"a token that GitHub does not know": {given: func(*githubtest.Server) commit.Credentials {
			return commit.Credentials{Token: canary}
		}, want: commit.ErrUnauthorized, wantSay: `"Bad credentials"; the token`},
		"a token that expired": {given: func(s *githubtest.Server) commit.Credentials {
			s.Token(canary, long)
			return commit.Credentials{Token: canary}
		}, want: commit.ErrUnauthorized, wantSay: "replace it"},
		"an App's installation": {given: func(s *githubtest.Server) commit.Credentials {
			s.Private()
			return s.App()
		}},
		"an App whose installation is to be found": {given: func(s *githubtest.Server) commit.Credentials {
			s.Private()
			app := s.App()
			app.InstallationID = 0
			return app
		}},
		"an App that is installed elsewhere": {given: func(s *githubtest.Server) commit.Credentials {
			app := s.App()
			s.Uninstall()
			app.InstallationID = 0
			return app
		}, want: commit.ErrNoRepository, wantSay: "not installed for dora/shop"},
		"an App whose named installation is gone": {given: func(s *githubtest.Server) commit.Credentials {
			app := s.App()
			s.Uninstall()
			return app
		}, want: commit.ErrUnauthorized, wantSay: "no installation 1234"},
		"an App that is suspended": {given: func(s *githubtest.Server) commit.Credentials {
			app := s.App()
			s.Suspend()
			return app
		}, want: commit.ErrUnauthorized, wantSay: "suspended"},
		"an App with another App's key": {given: func(s *githubtest.Server) commit.Credentials {
			app := s.App()
			s.App()
			return app
		}, want: commit.ErrUnauthorized, wantSay: "could not be decoded"},
		"another App with this App's key": {given: func(s *githubtest.Server) commit.Credentials {
			app := s.App()
			app.AppID, app.InstallationID = 7, 0
			return app
		}, want: commit.ErrNoRepository, wantSay: "not installed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, github.Options{})
			err := f.ask(t, c.given(f.Server))
			if c.want != nil {
				wantError(t, err, c.want, c.wantSay)
			} else if err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnAppsKeyMustBeAKey(t *testing.T) {
	f := newFixture(t, github.Options{})
	for _, installation := range []int64{0, 5} {
		err := f.ask(t, commit.Credentials{AppID: 1, InstallationID: installation, AppKey: []byte(canary)})
		wantSilence(t, err)
		if !strings.Contains(err.Error(), "githubAppPrivateKey") {
			t.Errorf("%q does not name the key of the Secret", err)
		}
	}
}

func TestAnInstallationsTokenIsFetchedOnceAndAgainWhenItIsRevoked(t *testing.T) {
	f := newFixture(t, github.Options{})
	app := f.App()
	for range 3 {
		if err := f.ask(t, app); err != nil {
			t.Fatal(err)
		}
	}
	posts := 0
	for _, r := range f.Requests() {
		if r.Method == http.MethodPost {
			posts++
		}
	}
	if posts != 1 {
		t.Errorf("asked %d times for a token, want 1", posts)
	}
	f.Revoke("ghs_installation1")
	wantError(t, f.ask(t, app), commit.ErrUnauthorized, "Bad credentials")
}

func TestRequestsSayWhoAsksAndInWhichVersion(t *testing.T) {
	f := newFixture(t, github.Options{})
	app := f.App()
	app.InstallationID = 0
	if err := f.ask(t, app); err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Requests() {
		if r.UserAgent != "dora-controller" || r.Method == http.MethodGet && r.Version != "2022-11-28" {
			t.Errorf("%s %s: user agent %q, version %q", r.Method, r.Path, r.UserAgent, r.Version)
		}
	}
}

func TestACustomCertificateAuthorityIsTrustedBesideTheSystems(t *testing.T) {
	f := newFixture(t, github.Options{})
	secure := githubtest.NewTLS(t, f.repo)
	if err := func() error { _, err := f.askAt(t, secure.Location(commit.Credentials{Token: canary})); return err }(); err == nil {
		t.Error("trusted a certificate of nobody")
	} else {
		wantSilence(t, err)
	}
	if _, err := f.askAt(t, secure.Location(commit.Credentials{CA: secure.CA()})); err != nil {
		t.Errorf("with its CA: %v", err)
	}
	_, err := f.askAt(t, secure.Location(commit.Credentials{CA: []byte("no certificate")}))
	if err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("with a broken CA: %v", err)
	}
}

func TestARenamedRepositoryIsFollowed(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Token(canary, never)
	f.Private()
	f.Renamed("dora/old-shop")
	at := f.Location(commit.Credentials{Token: canary})
	at.URL = strings.Replace(at.URL, "dora/shop", "dora/old-shop", 1)
	if _, err := f.askAt(t, at); err != nil {
		t.Fatal(err)
	}
	r := open(t, f.provider, at)
	got, err := r.Range(t.Context(), f.base, f.head, commit.RangeOptions{Path: "file", Squash: true})
	if want := f.repo.Log(f.base, f.head, commit.RangeOptions{Path: "file"}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

func TestARedirectToAnotherHostGetsNothing(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Token(canary, never)
	elsewhere := githubtest.New(t, f.repo)
	elsewhere.Token(canary, never)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		f.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://"+elsewhere.Host()+r.URL.Path+"?leak="+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), status)
			return true
		})
		wantError(t, f.ask(t, commit.Credentials{Token: canary}), egress.ErrRefused, "away from the API's host")
		f.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", status)
			return true
		})
		wantError(t, f.ask(t, commit.Credentials{Token: canary}), egress.ErrRefused)
	}
	if got := elsewhere.Requests(); len(got) != 0 {
		t.Errorf("the other host was asked: %+v", got)
	}
}

func TestRedirectsThatGoInCirclesEnd(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusMovedPermanently)
		return true
	})
	err := f.ask(t, commit.Credentials{Token: canary})
	wantSilence(t, err)
	wantPlain(t, err)
	if got := len(f.Requests()); got > 6 {
		t.Errorf("followed %d redirects, want 5 at most", got-1)
	}
}

func TestALongerTagIsNotTaken(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(`{"ref":"refs/tags/v1.2","object":{"type":"commit","sha":"` + f.head + `"}}`))
		return true
	})
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	_, err := r.Tag(t.Context(), "v1")
	wantError(t, err, commit.ErrNotFound)
}

func TestAnAddressInsideIsRefusedUnlessItIsAllowed(t *testing.T) {
	f := newFixture(t, github.Options{Guard: egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}})
	for _, c := range []commit.Credentials{{Token: canary}, f.App()} {
		wantError(t, f.ask(t, c), egress.ErrRefused, "--allow-networks")
	}
	if got := f.Requests(); len(got) != 0 {
		t.Errorf("the server was asked: %+v", got)
	}
}

func TestWhichAddressesAreRepositories(t *testing.T) {
	f := newFixture(t, github.Options{})
	for _, url := range []string{
		"https://github.com/dora", "https://github.com/dora/shop/tree/main", "https://github.com/dora/sh%6fp/..", "https://github.com/../shop",
		"https://github.com/do ra/shop", "file:///dora", "https://github.com/dora/" + strings.Repeat("x", 101),
	} {
		if _, err := f.provider.Open(t.Context(), commit.Location{URL: url}); err == nil || !strings.Contains(err.Error(), "owner/name") {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestWhatGitHubAnswersAndWhatItMeans(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		header  http.Header
		body    string
		want    error
		wantSay string
	}{
		"a token of an organization with single sign-on": {
			status: 403, header: http.Header{"X-Github-Sso": {"required; url=https://github.com/orgs/dora/sso?authorization_request=" + canary}},
			body: `{"message":"Resource protected by organization SAML enforcement. You must grant your personal access token access to this organization."}`,
			want: commit.ErrUnauthorized, wantSay: "authorize the token for the organization's single sign-on",
		},
		"an App without a permission": {
			status: 403, body: `{"message":"Resource not accessible by integration","documentation_url":"https://docs.github.com/rest","status":"403"}`,
			want: commit.ErrUnauthorized, wantSay: "Resource not accessible by integration",
		},
		"a token without a permission": {
			status: 403, body: `{"message":"Resource not accessible by personal access token"}`,
			want: commit.ErrUnauthorized, wantSay: "need read access",
		},
		"a server that wants credentials": {
			status: 401, body: `{"message":"Requires authentication"}`, want: commit.ErrUnauthorized, wantSay: "Requires authentication",
		},
		"an empty repository":                {status: 409, body: `{"message":"Git Repository is empty."}`, want: commit.ErrNotFound},
		"an unknown commit":                  {status: 422, body: `{"message":"No commit found for SHA: 0123456"}`, want: commit.ErrNotFound},
		"a repository that was taken down":   {status: 451, body: `{"message":"Repository access blocked"}`, want: commit.ErrNoRepository},
		"another 422":                        {status: 422, body: `{"message":"Validation Failed","errors":["x"]}`, wantSay: "answered 422: Validation Failed"},
		"a server that is broken":            {status: 502, body: `<html>Bad Gateway</html>`, wantSay: "answered 502"},
		"a server that repeats the token":    {status: 500, body: `{"message":"cannot do ` + canary + `"}`, wantSay: "cannot do [redacted]"},
		"a token repeated in a wrong answer": {status: 200, body: canary, wantSay: "no SHA"},
		"a message of several lines, and long": {
			status: 400, body: `{"message":"a\nb\r\tc\u0000d\u202e ` + strings.Repeat("e", 1000) + `"}`, wantSay: "answered 400: a b c d e",
		},
		"an accepted one without content": {status: 202, body: ``, wantSay: "again later"},
		"a redirect to nowhere":           {status: 301, body: ``, wantSay: "without an address"},
		"a token that wants a second factor": {
			status: 401, header: http.Header{"X-Github-Otp": {"required; app"}}, body: `{"message":"Must specify two-factor authentication OTP code."}`,
			want: commit.ErrUnauthorized, wantSay: "two-factor",
		},
		"a broken redirect that repeats the token": {
			status: 301, header: http.Header{"Location": {"http://" + canary + ":x:y/%zz"}}, wantSay: "Location",
		},
		"an answer that breaks off": {status: 200, header: http.Header{"Content-Length": {"100"}}, body: `abc`, wantSay: "broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, github.Options{})
			f.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
				maps.Copy(w.Header(), c.header)
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
				return true
			})
			err := f.ask(t, commit.Credentials{Token: canary})
			if c.want == nil {
				c.want = err
				wantPlain(t, err)
			}
			wantError(t, err, c.want, c.wantSay)
		})
	}
}

// wantPlain wants an error that time may mend.
func wantPlain(t *testing.T, err error) {
	t.Helper()
	for _, kind := range []error{
		commit.ErrNotFound, commit.ErrAmbiguous, commit.ErrNotAncestor, commit.ErrShallow, commit.ErrTooLarge, commit.ErrNoRepository,
		commit.ErrUnauthorized, commit.ErrUnsupported,
	} {
		if errors.Is(err, kind) {
			t.Errorf("%v is %v, which no time mends", err, kind)
		}
	}
}

func TestAServerThatIsNotThereIsAPlainError(t *testing.T) {
	f := newFixture(t, github.Options{})
	_, err := f.askAt(t, commit.Location{URL: "http://127.0.0.1:1/dora/shop", Credentials: commit.Credentials{Token: canary}})
	wantSilence(t, err)
	wantPlain(t, err)
}

func TestAnOversizedAnswerIsNotRead(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		spaces := []byte(strings.Repeat(" ", 1<<20))
		for range 40 {
			if _, err := w.Write(spaces); err != nil {
				return true
			}
		}
		return true
	})
	wantError(t, f.ask(t, commit.Credentials{}), commit.ErrTooLarge, "32 MiB")
}

func TestATagLeadsToACommitOrIsNotFound(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.repo.Git("tag", "of-a-tree", f.head+"^{tree}")
	f.repo.Git("tag", "deep-0", f.head)
	for i := range 12 {
		f.repo.Git("tag", "--annotate", "--message", "deeper", "deep-"+strings.Repeat("x", i+1), "deep-"+map[bool]string{true: "0", false: strings.Repeat("x", i)}[i == 0])
	}
	f.repo.Push()
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	if sha, err := r.Tag(t.Context(), "deep-xxx"); sha != f.head || err != nil {
		t.Errorf("three deep: got %s and %v", sha, err)
	}
	_, err := r.Tag(t.Context(), "of-a-tree")
	wantError(t, err, commit.ErrNotFound, "tree")
	_, err = r.Tag(t.Context(), "deep-"+strings.Repeat("x", 12))
	wantError(t, err, commit.ErrTooLarge)
	f.Requests()
	for _, name := range []string{"", ".", "..", "../heads/main", "a/../../heads/main", "/a", "a/", "a..b", "a b", "a?b", "a*", "a\nb", "a\\b", ".a/b"} {
		_, err := r.Tag(t.Context(), name)
		wantError(t, err, commit.ErrNotFound)
	}
	if got := f.Requests(); len(got) != 0 {
		t.Errorf("asked for names that git does not allow: %+v", got)
	}
}

func TestARepositoryThatIsNotThere(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Token(canary, never)
	at := f.Location(commit.Credentials{Token: canary})
	at.URL += "-less"
	r := open(t, f.provider, at)
	_, err := r.Commit(t.Context(), f.head)
	wantError(t, err, commit.ErrNoRepository, "dora/shop-less")
	_, err = r.Tag(t.Context(), "v1")
	wantError(t, err, commit.ErrNoRepository)
	_, err = r.Range(t.Context(), f.base, f.head, commit.RangeOptions{})
	wantError(t, err, commit.ErrNoRepository)
}

func TestWhatIsNoSHAIsNotAskedFor(t *testing.T) {
	f := newFixture(t, github.Options{})
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	for _, sha := range []string{"", "main", "abcdef", "v1.2.3", "../../../user", "HEAD", f.head + "0" + f.head, f.head[:10] + "~1", "0123456/pulls"} {
		_, err := r.Commit(t.Context(), sha)
		wantError(t, err, commit.ErrNotFound)
	}
	for _, sha := range []string{"main", f.head[:12], ""} {
		_, err := r.Range(t.Context(), sha, f.head, commit.RangeOptions{})
		wantError(t, err, commit.ErrNotFound)
	}
	if got := f.Requests(); len(got) != 0 {
		t.Errorf("asked for %+v", got)
	}
	if sha, err := r.Commit(t.Context(), strings.ToUpper(f.head[:9])); sha != f.head || err != nil {
		t.Errorf("in capitals: got %s and %v", sha, err)
	}
}

// paths are those of requests, without the repository's.
func paths(requests []githubtest.Request) []string {
	var all []string
	for _, r := range requests {
		all = append(all, strings.TrimPrefix(r.Path, "/api/v3/repos/dora/shop"))
	}
	return slices.Clip(all)
}
