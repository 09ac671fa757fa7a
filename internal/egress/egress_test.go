package egress_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/egress"
)

func TestOnlyPublicAddressesAreReached(t *testing.T) {
	for address, public := range map[string]bool{
		"140.82.121.4": true, "2606:50c0:8000::153": true, "64:ff9b::8c52:7904": true, "2002:8c52:7904::1": true, "::ffff:140.82.121.4": true,
		"::ffff:0:140.82.121.4": true,

		"127.0.0.1": false, "127.8.9.1": false, "::1": false, "::ffff:127.0.0.1": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false,
		"::ffff:0:127.0.0.1": false, "::ffff:0:169.254.169.254": false, "2002:7f00:1::": false, "0.0.0.0": false, "::": false,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "fe80::1": false, "fe80::1%eth0": false,
		"fd00:ec2::254": false, "100.100.100.200": false, "168.63.129.16": false, "192.0.0.192": false,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "2002:a00:1::": false, "fc00::1": false,
		"224.0.0.1": false, "ff02::1": false, "255.255.255.255": false, "240.0.0.1": false, "2001:db8::1": false, "fec0::1": false,
	} {
		err := egress.Guard{}.Check(netip.MustParseAddr(address))
		if (err == nil) != public {
			t.Errorf("%s: %v, public is %v", address, err, public)
		}
		if err != nil && !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s: %v is not ErrRefused", address, err)
		}
	}
}

func TestAnAdministratorAllowsNetworks(t *testing.T) {
	guard := egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	for address, allowed := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "127.0.0.1": false} {
		if err := guard.Check(netip.MustParseAddr(address)); (err == nil) != allowed {
			t.Errorf("%s: %v, allowed is %v", address, err, allowed)
		}
	}
}

// A name, a redirect and an odd spelling all end in an address that is dialled.
func TestTheGuardLooksAtWhatIsDialled(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("an inner server was reached") }))
	defer inner.Close()
	_, port, err := net.SplitHostPort(inner.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	transport, err := egress.Guard{}.Transport(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport.Proxy = nil
	client := &http.Client{Transport: transport, CheckRedirect: egress.Redirects}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0"} {
		answer, err := client.Get("http://" + net.JoinHostPort(unbracket(host), port))
		if err == nil {
			_ = answer.Body.Close()
			t.Errorf("%s was reached", host)
		}
		if host == "localhost" && (strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "::1")) {
			t.Errorf("the error tells what the name resolves to: %v", err)
		}
	}
}

func TestARedirectIsDialledThroughTheGuardToo(t *testing.T) {
	inner, reached := net.ListenConfig{}, false
	listener, err := inner.Listen(t.Context(), "tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	hidden := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })}
	go func() { _ = hidden.Serve(listener) }()
	defer func() { _ = hidden.Close() }()
	outer := httptest.NewServer(http.RedirectHandler("http://"+listener.Addr().String(), http.StatusFound))
	defer outer.Close()

	transport, err := egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}.Transport(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport.Proxy = nil
	answer, err := (&http.Client{Transport: transport, CheckRedirect: egress.Redirects}).Get(outer.URL)
	if err == nil {
		_ = answer.Body.Close()
	}
	if !errors.Is(err, egress.ErrRefused) || reached {
		t.Errorf("the redirect led to %v, reached is %v", err, reached)
	}
}

func TestARedirectNeverGivesUpEncryption(t *testing.T) {
	from, to := httptest.NewRequest(http.MethodGet, "https://a.example/x", http.NoBody), httptest.NewRequest(http.MethodGet, "http://a.example/x", http.NoBody)
	if err := egress.Redirects(to, []*http.Request{from}); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("https to http: %v", err)
	}
	if err := egress.Redirects(from, []*http.Request{from}); err != nil {
		t.Errorf("https to https: %v", err)
	}
}

func unbracket(host string) string {
	if len(host) > 1 && host[0] == '[' {
		return host[1 : len(host)-1]
	}
	return host
}
