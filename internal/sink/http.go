package sink

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/dora-controller/dora-controller/internal/egress"
)

// ErrTooLarge is the error of an answer that is longer than anybody reads.
var ErrTooLarge = errors.New("the answer is too large")

// NewClient makes an HTTP client that dials through the guard, reads at most limit bytes of an answer, and follows no redirect: whoever
// answers with one would get a request, and its signature, that was meant for another. ca are certificates to trust beside the
// system's, in PEM form; nil is none.
func NewClient(guard egress.Guard, ca []byte, limit int64) (*http.Client, error) {
	transport, err := guard.Transport(ca)
	if err != nil {
		return nil, Because(CredentialsMissing, fmt.Errorf("ca.crt: %w", err))
	}
	return &http.Client{
		Transport:     egress.Limit(transport, limit, ErrTooLarge),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// Judge is the verdict on an HTTP answer: nil for 2xx, PermanentError for what the request itself is to blame for, and
// RetryableError for everything else. A refused credential is retryable, since the mend is a new secret and not a new event.
// The text names the status only; what a server writes in its body may repeat a secret.
func Judge(answer *http.Response) error {
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return nil
	}
	err := fmt.Errorf("the destination answered %s", Status(answer))
	reason, permanent := verdict(answer.StatusCode)
	switch {
	case permanent:
		return &PermanentError{Because(reason, err)}
	case reason == Redirected:
		err = fmt.Errorf("%w, a redirect, which is not followed: name the address where it is", err)
	case reason == Refused, answer.StatusCode == http.StatusGone:
		err = fmt.Errorf("%w, as to whatever it is sent there: look at the address", err)
	}
	return &RetryableError{Err: Because(reason, err), After: egress.RetryAfter(answer.Header)}
}

// Status is the status of an answer, with its text.
func Status(answer *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode)))
}

// verdict blames an event for few answers. The others that a wrong address gets, such as 405 of a server of files, would be got by all
// events, and to set all of them aside would lose them.
func verdict(status int) (reason Reason, permanent bool) {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return Refused, true
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusLengthRequired, http.StatusUnsupportedMediaType,
		http.StatusNotImplemented:
		return Refused, false
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return CredentialsRefused, false
	case http.StatusNotFound, http.StatusGone:
		return NotFound, false
	case http.StatusTooManyRequests:
		return RateLimited, false
	case http.StatusInsufficientStorage:
		return Full, false
	}
	if status >= 300 && status < 400 {
		return Redirected, false
	}
	return Failing, false
}
