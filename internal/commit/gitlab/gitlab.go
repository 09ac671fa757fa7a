// Package gitlab asks a GitLab server about commits, over its REST API.
//
// # Guarantees
//
//   - A token goes to the server of the repository's URL and to no other, whatever redirects say, and into no error.
//   - Every connection goes through the guard of package egress. What is read of an answer, and how many are asked for, is bounded:
//     what is larger fails with commit.ErrTooLarge.
//   - A request is made once. GitLab's client would repeat it and would wait for rate limits; here that is left to the caller, who is
//     told by commit.RetryError how long to wait.
//
// # Credentials
//
// Credentials.Token is sent as a bearer token, else Credentials.Password as PRIVATE-TOKEN; GitLab takes personal, project and group access
// tokens either way. They need the scope read_api, and the role Reporter unless the project is public. Tokens of CI jobs and deploy
// tokens cannot read this API. Without credentials public projects can be read, within a lower rate limit.
//
// # What is asked
//
// Commit: repository/commits/:sha, which takes names of branches and tags too, and prefers them. So an answer counts only if it begins
// with the digits that were asked for; otherwise they are asked for once more in the form of git describe (c-0-g1234567), which means a
// commit alone. GitLab does not tell digits that several commits begin with from those of none: both are ErrNotFound.
//
// Range: repository/merge_base tells whether base is an ancestor of head, then repository/commits?ref_name=base..head lists the range, a
// hundred at a time. repository/compare would list it in one answer, in an order that is not documented, but makes the server compute all
// the differences too, with a time limit of its own (compare_timeout) and no bound in sight.
//
// RangeOptions.Path: GitLab lists the commits that change the folder by git log --follow, unless its administrator set the feature flag
// remove_file_commit_history_following. Thus, unlike git log by itself, it does not leave out the commits of a merged branch whose changes
// to the folder were undone, or were made on the other branch just as well; and it follows a single file to its former name.
//
// RangeOptions.Squash: for each commit of the range, the merged merge requests whose squash_commit_sha or merge_commit_sha it is, and the
// commits of those. GitLab keeps them when the branch is deleted.
package gitlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

const (
	userAgent = "dora-controller"
	// maxAnswer is how many bytes are read of one answer.
	maxAnswer = 32 << 20
)

// Options say how GitLab servers are reached.
type Options struct {
	Guard egress.Guard
	// OnLimit, if it is set, is told what each answer says about the rate limit. It may be called by many goroutines at once.
	OnLimit func(host string, remaining, limit int, reset time.Time)
}

// Provider opens projects of GitLab servers.
type Provider struct{ options Options }

// New makes a provider.
func New(o Options) *Provider { return &Provider{options: o} }

// Open prepares a project for questions, without asking the server anything. The API is that of the URL's host, by https unless the URL
// says http. A GitLab that is installed below a path of its host cannot be told from a group, and is not supported.
func (p *Provider) Open(_ context.Context, at commit.Location) (commit.Repository, error) {
	server, err := serverOf(at.URL)
	if err != nil {
		return nil, err
	}
	transport, err := p.options.Guard.Transport(at.Credentials.CA)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: p.wrap(transport, server, at.Credentials), CheckRedirect: egress.Redirects}
	api, err := gl.NewAuthSourceClient(gl.Unauthenticated{},
		gl.WithBaseURL(server.String()), gl.WithHTTPClient(client), gl.WithUserAgent(userAgent), gl.WithoutRetries(),
		gl.WithCustomLimiter(unlimited{}), gl.WithURLWarningLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for GitLab at %s: %w", server.Host, err)
	}
	return &repository{
		api: api, host: server.Host, project: commit.PathOf(at.URL), credentials: at.Credentials, close: transport.CloseIdleConnections,
	}, nil
}

func serverOf(repository string) (*url.URL, error) {
	u, err := url.Parse(repository)
	if err != nil {
		return nil, errors.New("the repository's address cannot be read")
	}
	server := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}
	switch u.Scheme {
	case "https", "http":
	case "ssh":
		server.Scheme, server.Host = "https", strings.TrimSuffix(u.Host, ":"+u.Port())
	default:
		return nil, fmt.Errorf("%w: GitLab's API needs an address that begins with https:// or ssh://", commit.ErrMisconfigured)
	}
	if !strings.Contains(strings.Trim(u.Path, "/"), "/") {
		return nil, fmt.Errorf("%w: a project of GitLab is in a group or belongs to a user: write group/project", commit.ErrMisconfigured)
	}
	return server, nil
}

// wrap puts around a transport what is true of every request and answer.
func (p *Provider) wrap(next http.RoundTripper, server *url.URL, c commit.Credentials) http.RoundTripper {
	next = egress.Limit(next, maxAnswer, tooLarge("an answer of GitLab's", "32 MiB"))
	switch {
	case c.Token != "":
		next = egress.Secret(next, server, gl.OAuthTokenHeaderName, "Bearer "+c.Token)
	case c.Password != "":
		next = egress.Secret(next, server, gl.AccessTokenHeaderName, c.Password)
	}
	return egress.Watch(next, server.Host, p.options.OnLimit)
}

// unlimited keeps GitLab's client from waiting before it asks.
type unlimited struct{}

// Wait implements gl.RateLimiter.
func (unlimited) Wait(context.Context) error { return nil }
