// Package gitea asks a Gitea or Forgejo server about commits, over its REST API.
//
// # Guarantees
//
//   - A token goes to the server of the repository's URL and to no other, whatever redirects say, and into no error.
//   - Every connection goes through the guard of package egress. What is read of an answer, and how many are asked for, is bounded:
//     what is larger fails with commit.ErrTooLarge.
//   - A request is made once, and the server is asked for its version only where an answer would be wrong if it were too old.
//
// # Credentials
//
// Credentials.Token, else Credentials.Password, is sent as "Authorization: token ...". It is an access token with the scope
// read:repository. Without credentials public repositories can be read.
//
// # What is asked
//
// Commit: git/commits/:sha, which takes names of branches and tags too, and prefers them. So an answer counts only if it begins with the
// digits that were asked for; otherwise they are asked for once more in the form of git describe (c-0-g1234567), which means a commit
// alone. The server does not tell digits that several commits begin with from those of none: both are ErrNotFound.
//
// Range: commits?sha=base&not=head lists nothing if, and only if, base is an ancestor of head. Then commits?sha=head&not=base is the
// range, fifty at a time, and with path= that of a folder, by the simplification of git log. compare/base...head would list it in one
// answer without a bound, and makes the server compute every commit's differences. A server that is too old to know "not" leaves it out:
// it then lists base itself in the first answer, so it cannot give a wrong one.
//
// RangeOptions.Squash: for each commit of the range commits/:sha/pull, the pull request that was merged as that commit, and its commits.
// Pull requests that were merged by fast-forward or rebase have as many commits on the branch as of their own: for those, too, the first
// counts.
//
// Gitea tells all this since 1.22, and Forgejo since 7.0, which was the first of its own numbering.
package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

const (
	userAgent = "dora-controller"
	// maxAnswer is how many bytes are read of one answer.
	maxAnswer = 32 << 20
)

// Options say how Gitea and Forgejo servers are reached.
type Options struct {
	Guard egress.Guard
	// OnLimit, if it is set, is told what each answer says about a rate limit. Gitea has none itself; what stands before it may. It may be
	// called by many goroutines at once.
	OnLimit func(host string, remaining, limit int, reset time.Time)
}

// Provider opens repositories of Gitea and Forgejo servers.
type Provider struct{ options Options }

// New makes a provider.
func New(o Options) *Provider { return &Provider{options: o} }

// Open prepares a repository for questions, without asking the server anything. The API is that of the URL's host, by https unless the URL
// says http. The last two segments of the URL's path are the owner and the name; a server may be installed below a path before them.
func (p *Provider) Open(_ context.Context, at commit.Location) (commit.Repository, error) {
	server, owner, name, err := locate(at.URL)
	if err != nil {
		return nil, err
	}
	transport, err := p.options.Guard.Transport(at.Credentials.CA)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: p.wrap(transport, server, at.Credentials), CheckRedirect: egress.Redirects}
	api, err := sdk.NewClient(server.String(), sdk.SetHTTPClient(client), sdk.SetUserAgent(userAgent), sdk.SetGiteaVersion(""))
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for %s: %w", server.Host, err)
	}
	return &repository{
		api: api, host: server.Host, owner: owner, name: name, credentials: at.Credentials, close: transport.CloseIdleConnections,
	}, nil
}

func locate(repository string) (server *url.URL, owner, name string, err error) {
	u, err := url.Parse(repository)
	if err != nil {
		return nil, "", "", errors.New("the repository's address cannot be read")
	}
	segments := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(segments) < 2 {
		return nil, "", "", fmt.Errorf("%w: a repository belongs to an owner: write owner/name", commit.ErrMisconfigured)
	}
	last := len(segments) - 2
	server = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.Join(append([]string{""}, segments[:last]...), "/")}
	switch u.Scheme {
	case "https", "http":
	case "ssh":
		server.Scheme, server.Host = "https", strings.TrimSuffix(u.Host, ":"+u.Port())
	default:
		return nil, "", "", fmt.Errorf("%w: the API needs an address that begins with https:// or ssh://", commit.ErrMisconfigured)
	}
	return server, segments[last], segments[last+1], nil
}

// wrap puts around a transport what is true of every request and answer.
func (p *Provider) wrap(next http.RoundTripper, server *url.URL, c commit.Credentials) http.RoundTripper {
	next = egress.Limit(next, maxAnswer, tooLarge("an answer of the server's", "32 MiB"))
	if token := c.APIToken(); token != "" {
		next = egress.Secret(next, server, "Authorization", "token "+token)
	}
	return cheap{egress.Watch(next, server.Host, p.options.OnLimit)}
}

// cheap leaves out of answers what nobody reads.
type cheap struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper. The differences, signatures and files of commits are of no use here; the client has no way to
// do without them for a single commit or a pull request's.
func (c cheap) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	query := req.URL.Query()
	for _, unused := range []string{"stat", "verification", "files"} {
		query.Set(unused, "false")
	}
	req.URL.RawQuery = query.Encode()
	return c.next.RoundTrip(req)
}
