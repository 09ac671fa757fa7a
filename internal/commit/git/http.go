package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-git/go-git/v6/plumbing/transport"
	githttp "github.com/go-git/go-git/v6/plumbing/transport/http"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

const (
	// maxRefBytes bounds the list of branches and tags. 32 MiB hold some 400,000.
	maxRefBytes = 32 << 20
	// maxErrorBytes bounds what is read of an answer that is an error.
	maxErrorBytes = 64 << 10
	// aroundPack is what may come with a pack.
	aroundPack = 1 << 20
)

// overHTTP asks a server for its branches and tags. Where it knows no such repository, the name with ".git" is tried too: some servers
// want it, and the address does not have it.
func (p *Provider) overHTTP(ctx context.Context, u *url.URL, c commit.Credentials) (remote, error) {
	s, err := p.tryHTTP(ctx, u, c)
	if !errors.Is(err, commit.ErrNoRepository) {
		return s, err
	}
	longer := *u
	longer.Path += ".git"
	s, again := p.tryHTTP(ctx, &longer, c)
	if errors.Is(again, commit.ErrNoRepository) {
		return nil, err
	}
	return s, again
}

func (p *Provider) tryHTTP(ctx context.Context, u *url.URL, c commit.Credentials) (remote, error) {
	base, err := p.o.Guard.Transport(c.CA)
	if err != nil {
		return nil, err
	}
	w := &wire{next: base, to: *u, credentials: c, pack: p.o.MaxRepositoryBytes + aroundPack}
	client := &http.Client{Transport: w, CheckRedirect: egress.Redirects}
	connected, err := githttp.NewTransport(githttp.Options{Client: client}).Handshake(ctx,
		&transport.Request{URL: u, Command: transport.UploadPackService})
	if err != nil {
		base.CloseIdleConnections()
		return nil, w.explain(ctx, err)
	}
	return &session{Session: connected, explain: w.explain, quote: c.Quote, end: base.CloseIdleConnections}, nil
}

// wire is the HTTP transport below go-git's. It adds the credentials, bounds the answers, and remembers how the server answered. Since it
// adds the credentials to single requests, after looking at where each of them goes, no redirect carries them along.
type wire struct {
	next        http.RoundTripper
	to          url.URL
	credentials commit.Credentials
	pack        int64

	status int
	after  string // the header Retry-After
	host   string // that answered last
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == w.to.Scheme && req.URL.Host == w.to.Host {
		req = req.Clone(req.Context())
		w.authorize(req)
	}
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	w.status, w.after, w.host = resp.StatusCode, resp.Header.Get("Retry-After"), req.URL.Host
	most, over := w.pack, tooLarge(w.pack-aroundPack)
	switch {
	case resp.StatusCode >= http.StatusMultipleChoices:
		most, over = maxErrorBytes, io.EOF
	case req.Method == http.MethodGet:
		most, over = maxRefBytes, fmt.Errorf("%w: the list of branches and tags is longer than %d bytes", commit.ErrTooLarge, maxRefBytes)
		if resp.Header.Get("Content-Type") != "application/x-git-upload-pack-advertisement" {
			_ = resp.Body.Close()
			return nil, refuse(commit.ErrNoRepository, "%s does not answer as a git server: look at the address, and whether it needs credentials", w.host)
		}
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: most, over: over}
	if req.Method == http.MethodGet && resp.StatusCode < http.StatusMultipleChoices {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{advertisedBy(resp.Body), resp.Body}
	}
	return resp, nil
}

func (w *wire) authorize(req *http.Request) {
	switch c := w.credentials; {
	case c.Token != "":
		req.Header.Set("Authorization", "Bearer "+c.Token)
	case c.Username != "":
		req.SetBasicAuth(c.Username, c.Password)
	case c.Password != "":
		req.SetBasicAuth("git", c.Password) // with a token most servers take any name
	}
}

// bounded ends with an error after so many bytes.
type bounded struct {
	io.ReadCloser
	left int64
	over error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.over
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// explain says what an answer means. Go-git's own errors are not repeated where they hold what the server wrote.
func (w *wire) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w.status < http.StatusBadRequest {
		return explain(w.to.Host, w.credentials, err)
	}
	moved := ""
	if w.host != w.to.Host {
		moved = fmt.Sprintf(" (it is %s that answered, after a redirect, and credentials are not sent there: use its address)", w.credentials.Quote(w.host))
	}
	switch w.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return refuse(commit.ErrUnauthorized, "%s refused the credentials, or wants some, with status %d: look at the Secret%s", w.to.Host, w.status, moved)
	case http.StatusNotFound, http.StatusGone:
		return refuse(commit.ErrNoRepository, "%s has no such repository, or does not show it to these credentials%s", w.to.Host, moved)
	}
	failed := fmt.Errorf("%s answered with status %d%s", w.to.Host, w.status, moved)
	if seconds, bad := strconv.ParseUint(w.after, 10, 20); bad == nil {
		return &commit.RetryError{Err: failed, After: time.Duration(seconds) * time.Second}
	}
	return failed
}

// explain says why a host could not be asked. Addresses are left out: a redirect's may hold anything. The error's own words may be the
// server's, whoever made it, so they are quoted.
func explain(host string, c commit.Credentials, err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	for _, known := range []error{commit.ErrNoRepository, commit.ErrTooLarge, commit.ErrMisconfigured, errBadPack} {
		if errors.Is(err, known) {
			return refuse(err, "%s: %s", host, c.Quote(err.Error()))
		}
	}
	return refuse(err, "%s cannot be asked: %s", host, c.Quote(err.Error()))
}
