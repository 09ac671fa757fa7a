// Package github asks GitHub's REST API about commits: github.com, GitHub Enterprise Cloud and GitHub Enterprise Server.
//
// # Guarantees
//
//   - A range is what `git log --no-merges base..head` shows. It is read page by page to its end, or not answered: where GitHub
//     tells fewer commits than it counts, that is an error.
//   - Requests, and the credentials with them, go to the API's host and nowhere else. A renamed repository is followed, since
//     GitHub answers for it with a redirect within that host; a redirect to another host is refused. Every connection goes through
//     the guard of package egress.
//   - What a server sends is bounded in bytes, pages and look-ups, and no text of its own gets into an error beyond a short
//     message, from which the credentials of the request were taken out.
//   - A used-up rate limit is a commit.RetryError. Until it ends, no further request with the same credentials is made.
//   - What was asked before is asked again with its ETag. GitHub answers "not modified" without counting it, if there are
//     credentials. Answers are never shared between credentials.
//
// Nothing is retried here, beyond what net/http does when a kept connection turns out to be closed.
//
// # The way of one request
//
//	repository ─▶ conditional ─▶ gate ─▶ credentials ─▶ wire ─▶ egress
//	              ETags          limits   token or App   one host, bounded answers
package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	gh "github.com/google/go-github/v92/github"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

const (
	userAgent    = "dora-controller"
	maxAnswers   = 16 << 20 // bytes of answers that are kept for their ETags
	maxAccounts  = 256
	perPage      = 100 // the most that GitHub gives
	maxPages     = 500
	maxSquashed  = 300
	maxPullPages = 3 // GitHub lists 250 commits of a pull request at most
)

// Options of a provider.
type Options struct {
	// Guard is what connections have to pass.
	Guard egress.Guard
	// OnLimit is told the state of the rate limit after each answer that tells it. Host is the API's, such as api.github.com. It
	// is called by many goroutines; nil is nobody.
	OnLimit func(host string, remaining, limit int, reset time.Time)
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Provider opens repositories on GitHub.
type Provider struct {
	opts    Options
	answers *lru[answer]

	mu       sync.Mutex
	accounts *lru[*account]
}

// New makes a provider. It keeps connections, rate limits and ETags for each server and credentials.
func New(o Options) *Provider {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnLimit == nil {
		o.OnLimit = func(string, int, int, time.Time) {}
	}
	return &Provider{opts: o, answers: newLRU[answer](maxAnswers, nil), accounts: newLRU(maxAccounts, (*account).close)}
}

// Open prepares a repository for questions. It asks the server only where a GitHub App's installation is to be found.
func (p *Provider) Open(ctx context.Context, at commit.Location) (commit.Repository, error) {
	where, err := locate(at.URL)
	if err != nil {
		return nil, err
	}
	c := at.Credentials
	if c.AppID != 0 && c.InstallationID == 0 {
		if c.InstallationID, err = p.installation(ctx, where, c); err != nil {
			return nil, err
		}
	}
	a, err := p.account(where, c, accountAuth(where, c))
	if err != nil {
		return nil, err
	}
	return &repository{place: where, account: a}, nil
}

// place is a repository on a server.
type place struct {
	api         *url.URL // with a trailing slash
	owner, name string
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)

// locate reads an address that commit.NormalizeURL returned. Ssh addresses lead to the same API, which is on https alone.
func locate(normalized string) (place, error) {
	owner, name, _ := strings.Cut(commit.PathOf(normalized), "/")
	u, err := url.Parse(normalized)
	if err != nil || !isName(owner) || !isName(name) {
		return place{}, fmt.Errorf("%w: no address of a GitHub repository: write it as https://host/owner/name", commit.ErrMisconfigured)
	}
	api := &url.URL{Scheme: "https", Host: u.Host}
	switch u.Scheme {
	case "http":
		api.Scheme = "http"
	case "ssh":
		api.Host = strings.TrimSuffix(strings.TrimSuffix(u.Host, u.Port()), ":")
		if api.Host == "ssh.github.com" { // github.com's ssh server on port 443; of others a name with ssh. is another host's
			api.Host = "github.com"
		}
	}
	api.Host, api.Path = endpoint(api.Host)
	return place{api: api, owner: owner, name: name}, nil
}

func isName(s string) bool { return plainName.MatchString(s) && s != "." && s != ".." }

// endpoint is where the API of a host is: GitHub's own, that of a tenant with data residency, or that of an Enterprise Server.
func endpoint(host string) (apiHost, path string) {
	if host == "www.github.com" {
		host = "github.com"
	}
	switch {
	case host == "github.com" || strings.HasSuffix(host, ".ghe.com"):
		return "api." + host, "/"
	default:
		return host, "/api/v3/"
	}
}

// account is one server with one set of credentials.
type account struct {
	client    *gh.Client
	transport *http.Transport
	anonymous bool
}

func (a *account) close() { a.transport.CloseIdleConnections() }

// authorizer puts credentials before a transport.
type authorizer func(next http.RoundTripper) (http.RoundTripper, error)

// account finds the account of these credentials, or makes it.
func (p *Provider) account(at place, c commit.Credentials, auth authorizer) (*account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := at.api.String() + " " + c.Fingerprint()
	if a, ok := p.accounts.get(key); ok {
		return a, nil
	}
	a, err := p.dial(at, key, c, auth)
	if err != nil {
		return nil, err
	}
	p.accounts.put(key, a, 1)
	return a, nil
}

func (p *Provider) dial(at place, key string, c commit.Credentials, auth authorizer) (*account, error) {
	transport, err := p.opts.Guard.Transport(c.CA)
	if err != nil {
		return nil, err
	}
	authorized, err := auth(&wire{next: egress.Limit(transport, maxAnswer, errLongAnswer), scheme: at.api.Scheme, host: at.api.Host})
	if err != nil {
		return nil, err
	}
	anonymous := c.AppID == 0 && c.APIToken() == ""
	limited := &gate{next: authorized, host: at.api.Host, now: p.opts.Now, report: p.opts.OnLimit, anonymous: anonymous}
	base := at.api.String()
	client, err := gh.NewClient(
		gh.WithHTTPClient(&http.Client{Transport: &conditional{next: limited, answers: p.answers, key: key}, CheckRedirect: egress.Redirects}),
		gh.WithURLs(&base, &base),
		gh.WithUserAgent(userAgent),
		gh.WithDisableRateLimitCheck(), // gate does that, also for answers that tell no time, and with a clock of its own
	)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client of GitHub: %w", err)
	}
	return &account{client: client, transport: transport, anonymous: anonymous}, nil
}
