package oci

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

const (
	maxRequests = 20
	maxWindow   = 3600
)

// gate is the one way out for all requests of one answer. The library that logs in at the registry makes clients of its own, with
// redirects of its own, so the rules stand here and not in a client.
type gate struct {
	inner http.RoundTripper
	at    reference
	plain bool // the registry is on this machine, whose network is allowed
	left  atomic.Int32
}

func newGate(inner http.RoundTripper, guard egress.Guard, at reference) *gate {
	g := &gate{inner: egress.Limit(inner, maxConfig, commit.ErrTooLarge), at: at}
	g.plain = here(at.domain) && guard.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1})) == nil
	g.left.Store(maxRequests)
	return g
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.check(req); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	answer, err := g.inner.RoundTrip(req)
	if err != nil {
		return nil, g.broken(req, err)
	}
	if wait, limited := rest(answer); limited {
		_ = answer.Body.Close()
		return nil, &commit.RetryError{Err: &problem{g.at.domain + " asks for fewer requests", nil}, After: wait}
	}
	return answer, nil
}

func (g *gate) check(req *http.Request) error {
	if g.left.Add(-1) < 0 {
		return &problem{fmt.Sprintf("%s: stopped after %d requests", g.at.text, maxRequests), nil}
	}
	if via := before(req); len(via) > 0 {
		if err := egress.Redirects(req, via); errors.Is(err, egress.ErrRefused) {
			return &problem{g.at.domain + ": a redirect leads from https to http", egress.ErrRefused}
		} else if err != nil {
			return &problem{g.at.domain + ": too many redirects", nil}
		}
		if req.Method != http.MethodGet {
			return &problem{g.at.domain + ": what is sent to a token server must not be redirected", egress.ErrRefused}
		}
	}
	if req.URL.Scheme == "https" || req.URL.Scheme == "http" && g.plain && here(req.URL.Host) {
		return nil
	}
	return &problem{g.at.domain + ": only https is spoken with registries, except with one on this machine whose network is allowed", egress.ErrRefused}
}

// before are the requests that were redirected to this one, first come first.
func before(req *http.Request) []*http.Request {
	var via []*http.Request
	for r := req; r.Response != nil && r.Response.Request != nil && len(via) < maxRequests; r = r.Response.Request {
		via = append([]*http.Request{r.Response.Request}, via...)
	}
	return via
}

// broken is the error of a request without an answer. Where it went may be what a server said, so only the registry is named.
func (g *gate) broken(req *http.Request, err error) error {
	whom := g.at.domain
	if req.URL.Host != g.at.registry.RegistryStr() {
		whom = "an address that " + whom + " leads to"
	}
	if ended := req.Context().Err(); ended != nil {
		return &problem{"stopped while asking " + whom, ended}
	}
	why, kind := reason(err)
	return &problem{fmt.Sprintf("cannot reach %s: %s", whom, why), kind}
}

// reason says why a connection failed in words of our own: a certificate or a malformed answer holds what a server likes to say.
func reason(err error) (string, error) {
	var (
		dns    *net.DNSError
		bad    *tls.CertificateVerificationError
		record tls.RecordHeaderError
		number syscall.Errno
		failed net.Error
	)
	switch {
	case errors.Is(err, egress.ErrRefused):
		return "it is in a network that is not public; the administrator can allow it with --allow-networks", egress.ErrRefused
	case errors.As(err, &dns):
		return dns.Err, nil
	case errors.As(err, &bad):
		return certificate(bad), nil
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak https", nil
	case errors.As(err, &number):
		return number.Error(), nil
	case errors.As(err, &failed) && failed.Timeout():
		return "no answer in time", os.ErrDeadlineExceeded
	}
	return "the connection broke off, or the answer was no HTTP", nil
}

func certificate(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		foreign x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return "its certificate is signed by nobody that is trusted here"
	case errors.As(err, &foreign):
		return "its certificate is another host's"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired"
	}
	return "its certificate is not valid"
}

// rest tells whether an answer asks to be left alone, and for how long.
func rest(answer *http.Response) (time.Duration, bool) {
	wait := egress.RetryAfter(answer.Header)
	switch {
	case answer.StatusCode == http.StatusServiceUnavailable && wait > 0:
		return wait, true
	case answer.StatusCode != http.StatusTooManyRequests:
		return 0, false
	case wait > 0:
		return wait, true
	}
	// Docker Hub says "100;w=21600": as many pulls in a window of so many seconds. It slides, so an hour of its six is enough.
	_, window, _ := strings.Cut(answer.Header.Get("Ratelimit-Limit"), ";w=")
	seconds, _ := strconv.Atoi(window) // if it is no number, it is none
	return time.Duration(min(max(seconds, 0), maxWindow)) * time.Second, true
}
