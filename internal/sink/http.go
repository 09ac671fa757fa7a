package sink

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

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
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		err = fmt.Errorf("%w, a redirect, which is not followed: name the address where it is", err)
	}
	reason, permanent := verdict(answer.StatusCode)
	if permanent {
		return &PermanentError{Because(reason, err)}
	}
	return &RetryableError{Err: Because(reason, err), After: egress.RetryAfter(answer.Header)}
}

// Status is the status of an answer, with its text.
func Status(answer *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode)))
}

func verdict(status int) (reason Reason, permanent bool) {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusGone,
		http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusNotImplemented:
		return Refused, true
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return CredentialsRefused, false
	case http.StatusNotFound:
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

// Unsent is the error of a request that got no answer, with its reason, and without the address that net/http writes into it: path,
// query and user are all places where tokens live.
func Unsent(err error) error {
	if errors.Is(err, context.Canceled) {
		return Redact(err)
	}
	reason := Unreachable
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, egress.ErrRefused):
		reason = AddressRefused
	case errors.As(err, &certificate):
		reason = CertificateRefused
	case errors.Is(err, ErrTooLarge):
		reason = Failing
	}
	return &RetryableError{Err: Because(reason, Redact(err))}
}

// Redact takes the address out of an error of net/http, which holds the whole URL with its path, query and user, all
// places where tokens live. The host stays, since without it nobody can find the mistake.
func Redact(err error) error {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return err
	}
	host := "the destination"
	if address, parseErr := url.Parse(failed.URL); parseErr == nil && address.Host != "" {
		host = address.Host
	}
	return fmt.Errorf("cannot reach %s: %w", host, failed.Err)
}

// maxSaid bounds what is kept of what a server says, in characters.
const maxSaid = 300

// Quote makes what a server said fit to be shown: one line, shortened, printable, and without any of the secrets, in whatever of the usual
// forms they come back.
func Quote(said string, secrets ...string) string {
	said = Hide(said, secrets...)
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(said, " "))
	clean = strings.Join(strings.Fields(clean), " ")
	if runes := []rune(clean); len(runes) > maxSaid {
		return string(runes[:maxSaid]) + "…"
	}
	return clean
}

// shortest is the length of a secret that is worth hiding: to hide a shorter one would hide most of the text, and tell where it is.
const shortest = 4

// Hide takes secrets out of a text, also those in base64 or as a part of an address.
func Hide(text string, secrets ...string) string {
	for _, secret := range secrets {
		if len(secret) < shortest {
			continue
		}
		raw := []byte(secret)
		for _, form := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(strconv.Quote(secret), `"`),
			base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
			base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), hex.EncodeToString(raw),
		} {
			text = strings.ReplaceAll(text, form, "***")
		}
	}
	return text
}
