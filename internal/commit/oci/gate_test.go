package oci

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/iotest"

	"github.com/dora-controller/dora-controller/internal/egress"
)

func TestOnlyARegistryOnThisMachineMayDoWithoutEncryption(t *testing.T) {
	here := egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}
	for _, c := range []struct {
		guard      egress.Guard
		image, url string
		want       bool
	}{
		{egress.Guard{}, "registry.example.com/app", "https://registry.example.com/v2/", true},
		{egress.Guard{}, "registry.example.com/app", "https://storage.example.com/blob", true},
		{egress.Guard{}, "registry.example.com/app", "http://registry.example.com/v2/", false},
		{egress.Guard{}, "localhost:5000/app", "http://localhost:5000/v2/", false},
		{here, "localhost:5000/app", "http://localhost:5000/v2/", true},
		{here, "127.0.0.1:5000/app", "http://127.0.0.1:5000/v2/", true},
		{here, "[::1]:5000/app", "http://[::1]:5000/v2/", true},
		{here, "127.0.0.1:5000/app", "http://localhost:5001/token", true},
		{here, "127.0.0.1:5000/app", "http://storage.example.com/blob", false},
		{here, "127.0.0.1:5000/app", "http://10.0.0.1/blob", false},
		{here, "10.0.0.1:5000/app", "http://10.0.0.1:5000/v2/", false},
		{here, "10.0.0.1:5000/app", "http://127.0.0.1:5000/v2/", false},
		{here, "registry.localhost:5000/app", "http://registry.localhost:5000/v2/", false},
		{here, "localhost.example.com/app", "http://localhost.example.com/v2/", false},
		{here, "localhost:5000/app", "ftp://localhost:5000/v2/", false},
	} {
		at, err := parseReference(c.image)
		if err != nil {
			t.Fatal(err)
		}
		err = newGate(nil, c.guard, at).check(httptest.NewRequest(http.MethodGet, c.url, http.NoBody))
		if (err == nil) != c.want || err != nil && !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s for %s: %v, want %v", c.url, c.image, err, c.want)
		}
	}
}

func TestABodyThatBreaksOffIsTheContextsFaultIfThatHasEnded(t *testing.T) {
	broken := errors.New("canary")
	ctx, cancel := context.WithCancel(t.Context())
	s := &session{at: reference{domain: "registry.example.com", text: "registry.example.com/app:v1"}}
	if _, err := s.body(ctx, iotest.ErrReader(broken), 10); err == nil || errors.Is(err, broken) || errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
	cancel()
	if _, err := s.body(ctx, iotest.ErrReader(broken), 10); !errors.Is(err, context.Canceled) {
		t.Errorf("with its context: %v", err)
	}
}
