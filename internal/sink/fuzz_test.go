package sink_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// Whatever an answer is, only what blames the event is for good, a wait is no longer than an hour, and the verdict repeats nothing of it.
func FuzzJudge(f *testing.F) {
	f.Add(200, "", "")
	f.Add(429, "60", "application/json")
	f.Add(308, "-1", "https://elsewhere.example.com")
	f.Add(422, "Sun, 01 Mar 2026 12:00:40 GMT", "")
	f.Add(999, "9223372036854775807", "\x00")
	f.Fuzz(func(t *testing.T, status int, after, other string) {
		header := http.Header{"Retry-After": {after}, "Location": {sinktest.Secret(other)}, "Www-Authenticate": {sinktest.Secret(other)}}
		err := sink.Judge(&http.Response{StatusCode: status, Status: sinktest.Secret(other), Header: header})
		if (err == nil) != (status >= 200 && status < 300) {
			t.Fatalf("%d is %v", status, err)
		}
		if err == nil {
			return
		}
		if sink.IsPermanent(err) != slices.Contains([]int{400, 413, 422}, status) {
			t.Errorf("%d is %v, for good: %v", status, err, sink.IsPermanent(err))
		}
		if wait := sink.RetryAfter(err); wait < 0 || wait > time.Hour {
			t.Errorf("a wait of %v", wait)
		}
		if sink.ReasonOf(err) == "" || sinktest.Leaks(err.Error()) || len(err.Error()) > 300 {
			t.Errorf("%d is %s: %v", status, sink.ReasonOf(err), err)
		}
	})
}

// failures are the kinds of errors that a request without an answer may have, with what a server said in them.
var failures = []func(said string) error{
	errors.New,
	func(said string) error { return &net.DNSError{Err: said, Name: said, Server: said} },
	func(said string) error { return tls.RecordHeaderError{Msg: said} },
	func(said string) error { return fmt.Errorf("%s: %w", said, context.DeadlineExceeded) },
	func(said string) error { return fmt.Errorf("%s: %w", said, context.Canceled) },
	func(said string) error { return &net.OpError{Op: said, Net: "tcp", Err: syscall.ECONNRESET} },
	func(said string) error { return &tls.CertificateVerificationError{Err: errors.New(said)} },
	func(said string) error { return fmt.Errorf("%s: %w", said, io.ErrUnexpectedEOF) },
	func(said string) error { return fmt.Errorf("%s: %w", said, egress.Guard{}.Check(netip.IPv6Loopback())) },
	func(said string) error { return fmt.Errorf("%s: %w", said, sink.ErrTooLarge) },
	func(said string) error { return errors.Join(errors.New(said), http.ErrSchemeMismatch) },
}

// Whatever went wrong on the way, the error says what kind of thing it was, in a bounded line, and nothing of what the other side or the address said.
func FuzzUnsent(f *testing.F) {
	f.Add(uint8(0), "malformed HTTP response", "events.example.com")
	f.Add(uint8(8), "10.0.0.1 is not public", "example.com:8443")
	f.Add(uint8(6), "x509", "[::1]")
	f.Fuzz(func(t *testing.T, kind uint8, said, host string) {
		if (&url.URL{Host: host}).Hostname() != host || strings.ContainsFunc(host, func(r rune) bool { return !unicode.IsPrint(r) }) || len(host) > 253 {
			return // the host is the administrator's own
		}
		secret := sinktest.Secret("piece")
		address := (&url.URL{Scheme: "https", User: url.UserPassword("me", secret), Host: host, Path: "/" + secret, RawQuery: "key=" + secret}).String()
		cause := failures[int(kind)%len(failures)](secret + said)
		err := sink.Unsent(&url.Error{Op: "Post", URL: address, Err: cause})
		if sinktest.Leaks(err.Error()) || len(err.Error()) > 600 || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%T: %q", cause, err)
		}
		for wrapped := err; wrapped != nil; wrapped = errors.Unwrap(wrapped) {
			if sinktest.Leaks(wrapped.Error()) {
				t.Errorf("%T: within it is %q", cause, wrapped)
			}
		}
		if _, retryable := errors.AsType[*sink.RetryableError](err); retryable == errors.Is(cause, context.Canceled) || sink.IsPermanent(err) {
			t.Errorf("%T: %v, retryable: %v", cause, err, retryable)
		}
	})
}
