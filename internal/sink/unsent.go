package sink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/dora-controller/dora-controller/internal/egress"
)

// failure is why there was no answer, in words of our own. It wraps only what holds none of a server's, and no address.
type failure struct {
	text string
	is   error // nil is none
}

func (e *failure) Error() string { return e.text }

// Unwrap returns what the failure is known by.
func (e *failure) Unwrap() error { return e.is }

// Unsent is the error of a request that got no answer, with its reason. It says what kind of error it was, and names the host, but keeps
// nothing of the error itself: net/http quotes in it what the server sent, which may repeat the request with its credentials, and the
// address, whose path, query and user are all places where tokens live.
func Unsent(err error) error {
	reason, why := explain(err)
	told := fmt.Errorf("cannot reach %s: %w", host(err), why)
	if errors.Is(why, context.Canceled) {
		return told
	}
	return &RetryableError{Err: Because(reason, told)}
}

// host is where a request went to.
func host(err error) string {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		if address, parseErr := url.Parse(failed.URL); parseErr == nil && address.Host != "" {
			return address.Host
		}
	}
	return "the destination"
}

func explain(err error) (Reason, error) {
	switch {
	case errors.Is(err, context.Canceled):
		return Unreachable, context.Canceled
	case errors.Is(err, egress.ErrRefused):
		return AddressRefused, guarded(err)
	case errors.Is(err, ErrTooLarge):
		return Failing, ErrTooLarge
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return CertificateRefused, &failure{text: distrust(certificate)}
	}
	return Unreachable, unreached(err)
}

// guarded is the guard's own words, without what net/http put around them.
func guarded(err error) error {
	for ; err != nil; err = errors.Unwrap(err) {
		if errors.Unwrap(err) == egress.ErrRefused { //nolint:errorlint // the one that wraps it, and not one further out
			return err
		}
	}
	return egress.ErrRefused
}

// distrust says what is wrong with a certificate, and nothing of what is written in it: that is the server's.
func distrust(err error) string {
	if _, is := errors.AsType[x509.UnknownAuthorityError](err); is {
		return "its certificate is of an authority that is not known"
	}
	if _, is := errors.AsType[x509.HostnameError](err); is {
		return "its certificate is for another name"
	}
	if invalid, is := errors.AsType[x509.CertificateInvalidError](err); is && invalid.Reason == x509.Expired {
		return "its certificate has expired, or is not valid yet"
	}
	return "its certificate is not valid"
}

func unreached(err error) error {
	_, unresolved := errors.AsType[*net.DNSError](err)
	cause := err
	if failed, ok := errors.AsType[*url.Error](err); ok {
		cause = failed.Err // it says of itself that it is no timeout, where one is wrapped in more than it
	}
	waiting, network := errors.AsType[net.Error](cause)
	switch {
	case unresolved:
		return &failure{text: "the name does not resolve"}
	case errors.Is(err, context.DeadlineExceeded), network && waiting.Timeout():
		return &failure{"no answer in time", context.DeadlineExceeded}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &failure{"the connection was refused", syscall.ECONNREFUSED}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &failure{"the connection was reset", syscall.ECONNRESET}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return &failure{text: "no route leads there"}
	case closed(cause):
		return &failure{"the connection was closed before an answer", io.ErrUnexpectedEOF}
	case plaintext(err):
		return &failure{text: "what answered there does not speak TLS: look whether the address begins with http://"}
	}
	return &failure{text: "what answered there does not speak HTTP, or broke off"}
}

// closed tells whether the connection ended. One that ends while nothing is under way is an error of net/http that has no name.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		err.Error() == "http: server closed idle connection"
}

func plaintext(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return record || errors.Is(err, http.ErrSchemeMismatch)
}
