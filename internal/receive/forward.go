package receive

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"time"
)

// passedOn marks a request that another replica passed on, so that it is not passed on again.
const passedOn = "Dora-Passed-On"

const (
	reachWithin = 2 * time.Second
	passWithin  = takeWithin + 5*time.Second
	keptOpen    = 16
)

// forwarder passes what a process that stands by is sent on to the one that leads, without looking at it.
type forwarder struct {
	leader func(context.Context) (netip.AddrPort, error)
	// certificate is that of the receivers, the same in every replica; nil where they are asked in clear text.
	certificate func() (*tls.Certificate, error)
	proxy       *httputil.ReverseProxy
}

func newForwarder(leader func(context.Context) (netip.AddrPort, error), certificate func() (*tls.Certificate, error)) *forwarder {
	f := &forwarder{leader: leader, certificate: certificate}
	dialer := &net.Dialer{Timeout: reachWithin}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: f.readdress,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{
				MinVersion: tls.VersionTLS12, VerifyConnection: f.verify,
				InsecureSkipVerify: true, //nolint:gosec // verify asks for more: it is the very certificate
			},
			TLSHandshakeTimeout: reachWithin, ResponseHeaderTimeout: passWithin, IdleConnTimeout: idleFor / 2, MaxIdleConnsPerHost: keptOpen,
			DisableCompression: true,
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			said := standingBy(err)
			if seen, ok := w.(*witness); ok {
				seen.said = said
			}
			said.write(w)
		},
		ErrorLog: log.New(io.Discard, "", 0), // what fails is answered, and noted there
	}
	return f
}

// standingBy tells whoever sends to come again.
func standingBy(cause error) *answer {
	said := later(http.StatusServiceUnavailable, StandingBy, 5*time.Second, "this process stands by, and reaches none that leads: send it again")
	said.cause = cause
	return said
}

// errAgain: two replicas that stand by take each other for the one that leads, which passes in seconds.
var errAgain = errors.New("it was passed on already, to this process, which does not lead")

// pass answers a request as the process that leads does, and tells how; the cause is there if that could not be.
func (f *forwarder) pass(w http.ResponseWriter, request *http.Request) *answer {
	to, err := f.leader(request.Context())
	if err == nil && request.Header.Get(passedOn) != "" {
		err = errAgain
	}
	if err != nil {
		said := standingBy(err)
		said.write(w)
		return said
	}
	request = request.WithContext(context.WithValue(request.Context(), destination{}, to))
	request.Body = http.MaxBytesReader(w, request.Body, 2*bodyBytes) // the other says before that what is wrong with it
	seen := &witness{ResponseWriter: w, said: &answer{code: http.StatusOK}}
	f.proxy.ServeHTTP(seen, request)
	return seen.said
}

type destination struct{}

func (f *forwarder) readdress(r *httputil.ProxyRequest) {
	to, _ := r.In.Context().Value(destination{}).(netip.AddrPort)
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "https", to.String(), r.In.Host
	if f.certificate == nil {
		r.Out.URL.Scheme = "http"
	}
	r.Out.Header.Set(passedOn, "1")
}

// errStranger: its certificate is not that of the receivers, as for the seconds in which replicas read a new one.
var errStranger = errors.New("who answers there has another certificate than this process, so it is no replica, or one of the two has not read the new one yet")

// verify asks for the very certificate that this process has, whatever its names, its end and its authority: who has its key is a replica.
func (f *forwarder) verify(there tls.ConnectionState) error {
	own, err := f.certificate()
	if err != nil {
		return fmt.Errorf("cannot read the certificate of receivers: %w", err)
	}
	if len(there.PeerCertificates) == 0 || !bytes.Equal(there.PeerCertificates[0].Raw, own.Certificate[0]) {
		return errStranger
	}
	return nil
}

// witness sees how a request was answered.
type witness struct {
	http.ResponseWriter

	said *answer
}

// WriteHeader implements http.ResponseWriter.
func (w *witness) WriteHeader(code int) {
	if code >= http.StatusOK {
		w.said.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }
