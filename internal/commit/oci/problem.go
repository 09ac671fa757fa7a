package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// problem is an error in words of this package. It wraps no error of a library, since their texts repeat what servers said.
type problem struct {
	text string
	kind error // what errors.Is finds; may be nil
}

func (p *problem) Error() string { return p.text }

func (p *problem) Unwrap() error { return p.kind }

// explain is the error of a request that got no answer, or of logging in.
func (s *session) explain(ctx context.Context, err error) error {
	var (
		retry *commit.RetryError
		known *problem
		other *transport.Error
	)
	switch {
	case ctx.Err() != nil:
		return &problem{s.at.text + ": stopped before the registry had answered", ctx.Err()}
	case errors.As(err, &retry):
		return retry
	case errors.As(err, &known):
		return known
	case errors.As(err, &other) && denied(other):
		return s.unauthorized()
	case errors.As(err, &other):
		return &problem{fmt.Sprintf("%s answered %d to the log-in", s.at.domain, other.StatusCode), nil}
	}
	return &problem{s.at.domain + ": the log-in failed, since the answers are not as the distribution specification has them", nil}
}

// refused is the error of an answer that is not the document that was asked for.
func (s *session) refused(status int, err error) error {
	answer := &transport.Error{StatusCode: status}
	errors.As(err, &answer) // it is another error if the explanation has no end
	switch {
	case missing(answer):
		return &problem{s.at.domain + " does not have all of " + s.at.text, commit.ErrNotFound}
	case denied(answer):
		return s.unauthorized()
	}
	return &problem{fmt.Sprintf("%s answered %d %s for %s", s.at.domain, status, http.StatusText(status), s.at.text), nil}
}

func (s *session) unauthorized() error {
	if s.anonymous {
		return &problem{s.at.domain + " wants credentials for " + s.at.text + ", or does not have it: no pull secret matches", commit.ErrUnauthorized}
	}
	return &problem{s.at.domain + " refused the pull secret for " + s.at.text, commit.ErrUnauthorized}
}

func missing(answer *transport.Error) bool {
	return has(answer, transport.ManifestUnknownErrorCode, transport.NameUnknownErrorCode) ||
		answer.StatusCode == http.StatusNotFound && !denied(answer)
}

func denied(answer *transport.Error) bool {
	return has(answer, transport.UnauthorizedErrorCode, transport.DeniedErrorCode) ||
		answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden
}

func has(answer *transport.Error, codes ...transport.ErrorCode) bool {
	return slices.ContainsFunc(answer.Errors, func(d transport.Diagnostic) bool { return slices.Contains(codes, d.Code) })
}
