package receive

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
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
	f.proxy = &httputil.ReverseProxy{
		Rewrite: f.readdress,
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: reachWithin}).DialContext, DialTLSContext: f.dial,
			ResponseHeaderTimeout: passWithin, IdleConnTimeout: idleFor, MaxIdleConnsPerHost: keptOpen, DisableCompression: true,
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { standingBy().write(w) },
		ErrorLog:     log.New(io.Discard, "", 0), // what fails is answered, and noted there
	}
	return f
}

// standingBy tells whoever sends to come again.
func standingBy() *answer {
	return later(http.StatusServiceUnavailable, StandingBy, 5*time.Second, "this process stands by, and reaches none that leads: send it again")
}

// pass answers a request as the process that leads does. It tells the code.
func (f *forwarder) pass(w http.ResponseWriter, request *http.Request) int {
	to, err := f.leader(request.Context())
	if err != nil || request.Header.Get(passedOn) != "" {
		standingBy().write(w)
		return http.StatusServiceUnavailable
	}
	request = request.WithContext(context.WithValue(request.Context(), destination{}, to))
	request.Body = http.MaxBytesReader(w, request.Body, 2*bodyBytes) // the other says before that what is wrong with it
	seen := &witness{ResponseWriter: w}
	f.proxy.ServeHTTP(seen, request)
	return cmp.Or(seen.code, http.StatusOK)
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

// dial reaches a replica that has the very certificate that this one has, whatever its address.
func (f *forwarder) dial(ctx context.Context, network, address string) (net.Conn, error) {
	own, err := f.certificate()
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		return nil, err
	}
	names := leaf.DNSNames
	for _, address := range leaf.IPAddresses {
		names = append(names, address.String())
	}
	if len(names) == 0 {
		return nil, errors.New("the certificate of receivers is for no name")
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(leaf)
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: reachWithin},
		Config:    &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted, ServerName: strings.Replace(names[0], "*", "replica", 1)},
	}
	return dialer.DialContext(ctx, network, address)
}

// witness sees the code of an answer.
type witness struct {
	http.ResponseWriter

	code int
}

// WriteHeader implements http.ResponseWriter.
func (w *witness) WriteHeader(code int) {
	if code >= http.StatusOK {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }
