// Package egress guards connections to addresses that somebody wrote into an object: a git server, a registry.
//
// The guard looks at the address that is dialled, after names were resolved, so neither a name that resolves to an inner address, nor a
// redirect, nor an odd spelling of an address gets around it. Loopback, link-local (where clouds keep their metadata), private and
// otherwise special ranges are refused unless the administrator named them. An HTTP proxy from the environment is dialled like anything
// else: its network has to be allowed, and what lies behind it is the proxy's to guard.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// ErrRefused is the error of a connection to an address that the guard refuses.
var ErrRefused = errors.New("the address is not allowed")

// Guard refuses connections to addresses inside. The zero value allows public addresses alone.
type Guard struct {
	// Allowed are the networks that may be reached though they are not public.
	Allowed []netip.Prefix
}

// special are networks that are not public and that netip has no question for. Sources: IANA's special-purpose address registries.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network
	netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT; some clouds' metadata
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's WireServer
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments; Oracle's metadata
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b:1::/48"),   // local NAT64
	netip.MustParsePrefix("100::/64"),         // discard
	netip.MustParsePrefix("100:0:0:1::/64"),   // dummy prefix
	netip.MustParsePrefix("2001::/23"),        // protocol assignments, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),    // documentation
	netip.MustParsePrefix("3fff::/20"),        // documentation
	netip.MustParsePrefix("5f00::/16"),        // segment routing
	netip.MustParsePrefix("fec0::/10"),        // site-local, deprecated
}

// Networks whose addresses carry an IPv4 address, and the byte at which it begins.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible, deprecated
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated (SIIT)
}

// Check fails with ErrRefused if the address may not be reached.
func (g Guard) Check(ip netip.Addr) error {
	ip = ip.WithZone("").Unmap()
	if g.allows(ip) || public(ip) {
		return nil
	}
	return fmt.Errorf("%w: %s is not public", ErrRefused, ip)
}

func (g Guard) allows(ip netip.Addr) bool {
	return slices.ContainsFunc(g.Allowed, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return false
	}
	for _, e := range embedding {
		if e.prefix.Contains(ip) {
			raw := ip.As16()
			return public(netip.AddrFrom4([4]byte(raw[e.at : e.at+4])))
		}
	}
	return true
}

const (
	dialWithin      = 10 * time.Second
	handshakeWithin = 10 * time.Second
	headersWithin   = 60 * time.Second
	maxHeader       = 1 << 20
	maxRedirects    = 5
)

// DialContext connects to a host and port, if every address that is tried may be reached.
func (g Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialWithin, KeepAlive: 30 * time.Second, Control: g.control}
	conn, err := dialer.DialContext(ctx, network, address)
	if errors.Is(err, ErrRefused) { // what an inner name resolves to is not for whoever wrote the name
		return nil, fmt.Errorf("%w: %s is in a network that is not public; the administrator can allow it with --allow-networks", ErrRefused, address)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", err)
	}
	return conn, nil
}

// control is called with the resolved address, just before the connection is made.
func (g Guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrRefused, address)
	}
	return g.Check(to.Addr())
}

// Transport makes an HTTP transport that dials through the guard. CA are certificates in PEM form to trust beside the system's; nil is none.
func (g Guard) Transport(ca []byte) (*http.Transport, error) {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: g.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: handshakeWithin, ResponseHeaderTimeout: headersWithin, ExpectContinueTimeout: time.Second,
		MaxResponseHeaderBytes: maxHeader, MaxIdleConns: 20, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if len(ca) == 0 {
		return t, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate in the CA bundle: it must be in PEM form")
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// Redirects is an http.Client's CheckRedirect: few, and never from https to http.
func Redirects(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w: a redirect from https to %s", ErrRefused, req.URL.Scheme)
	}
	return nil
}
