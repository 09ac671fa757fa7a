package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// patience is how long a server is left alone that refuses by a rate limit without saying for how long: GitLab's are per minute.
const patience = time.Minute

func tooLarge(what, bound string) error {
	return fmt.Errorf("%w: %s has more than %s", commit.ErrTooLarge, what, bound)
}

// failed is what an answer means that is no success. Of what was asked for and is not there, absent is to be said, if the project is.
func (r *repository) failed(ctx context.Context, resp *gl.Response, err, absent error) error {
	if resp == nil {
		return fmt.Errorf("cannot ask GitLab: %w", r.credentials.Told(err))
	}
	switch status := resp.StatusCode; {
	case status == http.StatusNotFound:
		return r.missing(ctx, absent)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%w: GitLab at %s says %s: use an access token with the scope read_api that has not expired",
			commit.ErrUnauthorized, r.host, r.said(err))
	case status == http.StatusForbidden:
		return fmt.Errorf("%w: GitLab at %s says %s: the token needs the scope read_api, and the role Reporter in %s",
			commit.ErrUnauthorized, r.host, r.said(err), r.project)
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && egress.RetryAfter(resp.Header) > 0:
		return &commit.RetryError{Err: fmt.Errorf("GitLab at %s asks to be left alone: %s", r.host, r.said(err)), After: wait(resp.Header)}
	case status >= http.StatusMultipleChoices:
		return fmt.Errorf("GitLab at %s answered %d: %s", r.host, status, r.said(err))
	}
	return fmt.Errorf("cannot read the answer of GitLab at %s: %w", r.host, r.credentials.Told(err))
}

func wait(h http.Header) time.Duration {
	if asked := egress.RetryAfter(h); asked > 0 {
		return asked
	}
	return patience
}

// said is the server's message, as its client puts it.
func (r *repository) said(err error) string {
	if answer, ok := errors.AsType[*gl.ErrorResponse](err); ok && answer.Message != "" {
		return r.credentials.Quote(answer.Message)
	}
	return "nothing more"
}

// missing tells what is not there after a 404: the project, or what was asked for in it. The client does not hand on the message that
// would say so. Once anything was found in the project it is not asked for again.
func (r *repository) missing(ctx context.Context, absent error) error {
	if r.exists {
		return absent
	}
	_, resp, err := r.api.Projects.GetProject(r.project, nil, gl.WithContext(ctx))
	switch {
	case err == nil:
		r.exists = true
		return absent
	case resp != nil && resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: GitLab at %s shows no project %s: a private one needs a token", commit.ErrNoRepository, r.host, r.project)
	}
	return r.failed(ctx, resp, err, absent)
}
