package gitea

import (
	"fmt"
	"net/http"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// patience is how long a server is left alone that refuses by a rate limit without saying for how long.
const patience = time.Minute

func tooLarge(what, bound string) error {
	return fmt.Errorf("%w: %s has more than %s", commit.ErrTooLarge, what, bound)
}

// failed is what an answer means that is no success. Of what was asked for and is not there, absent is to be said, if the repository is.
func (r *repository) failed(resp *sdk.Response, err, absent error) error {
	if resp == nil {
		return fmt.Errorf("cannot ask the server: %w", r.credentials.Told(err))
	}
	switch status := resp.StatusCode; {
	case status == http.StatusNotFound:
		return r.missing(absent)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s says %s: use an access token with the scope read:repository", commit.ErrUnauthorized, r.host, r.said(err))
	case status == http.StatusForbidden:
		return fmt.Errorf("%w: %s says %s: the token needs the scope read:repository, and its owner the right to read %s/%s",
			commit.ErrUnauthorized, r.host, r.said(err), r.owner, r.name)
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && egress.RetryAfter(resp.Header) > 0:
		return &commit.RetryError{Err: fmt.Errorf("%s asks to be left alone: %s", r.host, r.said(err)), After: wait(resp.Header)}
	case status >= http.StatusMultipleChoices:
		return fmt.Errorf("%s answered %d: %s", r.host, status, r.said(err))
	}
	return fmt.Errorf("cannot read the answer of %s: %w", r.host, r.credentials.Told(err))
}

func wait(h http.Header) time.Duration {
	if asked := egress.RetryAfter(h); asked > 0 {
		return asked
	}
	return patience
}

// said is the server's message, or as much of its answer as its client repeats.
func (r *repository) said(err error) string {
	if said := r.credentials.Quote(err.Error()); said != "" {
		return said
	}
	return "nothing more"
}

// missing tells what is not there after a 404: the repository, or what was asked for in it. Once anything was found in the repository it
// is not asked for again.
func (r *repository) missing(absent error) error {
	if r.exists {
		return absent
	}
	_, resp, err := r.api.GetRepo(r.owner, r.name)
	switch {
	case err == nil:
		r.exists = true
		return absent
	case resp != nil && resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %s shows no repository %s/%s: a private one needs a token", commit.ErrNoRepository, r.host, r.owner, r.name)
	}
	return r.failed(resp, err, absent)
}
