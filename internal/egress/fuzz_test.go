package egress_test

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/egress"
)

// Whatever headers say, a server is left alone for no longer than an hour, and for as long as a plain number of seconds says.
func FuzzRetryAfter(f *testing.F) {
	f.Add("60", "", "", "", "Sun, 01 Mar 2026 12:00:00 GMT")
	f.Add("Sun, 01 Mar 2026 12:00:40 GMT", "5000", "0", "1772366440", "Sun, 01 Mar 2026 12:00:00 GMT")
	f.Add("2026-03-01T12:00:40Z", "1000", "-1", "40", "yesterday")
	f.Add("-1", "9223372036854775807", "99999999999999999999", "9223372036854775807", "")
	f.Fuzz(func(t *testing.T, after, limit, remaining, reset, date string) {
		h := http.Header{
			"Retry-After": {after}, "Ratelimit-Limit": {limit}, "X-Ratelimit-Limit": {limit}, "X-Ratelimit-Remaining": {remaining},
			"X-Ratelimit-Reset": {reset}, "Date": {date},
		}
		wait := egress.RetryAfter(h)
		if wait < 0 || wait > time.Hour {
			t.Errorf("a wait of %v", wait)
		}
		if n, err := strconv.ParseUint(after, 10, 16); err == nil && wait != min(time.Duration(n)*time.Second, time.Hour) {
			t.Errorf("%s seconds are %v", after, wait)
		}
		rate, ok := egress.ReadRate(h)
		_, noLimit := strconv.Atoi(limit)
		_, noRemaining := strconv.Atoi(remaining)
		if ok != (noLimit == nil && noRemaining == nil) {
			t.Errorf("%q of %q are read as %+v", remaining, limit, rate)
		}
		if !rate.Reset.IsZero() && rate.Reset.Location() != time.UTC {
			t.Errorf("a reset at %v", rate.Reset)
		}
	})
}

// An address is refused or allowed however it is written, and what lies inside is refused unless its network was allowed.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::a00:1", "2002:7f00:1::", "fe80::1%eth0",
		"::ffff:192.168.0.1", "::ffff:0:127.0.0.1", "100.64.0.1", "fd00::1", "ff02::1", "0.0.0.0", "255.255.255.255",
	} {
		f.Add(seed, uint8(8))
	}
	f.Fuzz(func(t *testing.T, text string, bits uint8) {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return
		}
		refused := egress.Guard{}.Check(ip)
		if refused != nil && !errors.Is(refused, egress.ErrRefused) {
			t.Errorf("%s: %v", ip, refused)
		}
		plain := ip.WithZone("").Unmap()
		inside := plain.IsLoopback() || plain.IsPrivate() || plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified()
		if inside && refused == nil {
			t.Errorf("%s lies inside, and is allowed", ip)
		}
		for _, other := range spellings(plain) {
			if err := (egress.Guard{}).Check(other); (err == nil) != (refused == nil) {
				t.Errorf("%s: %v, and %s: %v", ip, refused, other, err)
			}
		}
		network, err := plain.Prefix(int(bits) % (plain.BitLen() + 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := (egress.Guard{Allowed: []netip.Prefix{network}}).Check(ip); err != nil {
			t.Errorf("%s is allowed, and %s refused: %v", network, ip, err)
		}
	})
}

// spellings are other addresses by which an IPv4 address can be reached.
func spellings(ip netip.Addr) []netip.Addr {
	if !ip.Is4() {
		return nil
	}
	b := ip.As4()
	nat64 := [16]byte{0, 0x64, 0xff, 0x9b, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}
	sixToFour := [16]byte{0x20, 0x02, b[0], b[1], b[2], b[3]}
	translated := [16]byte{8: 0xff, 9: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}
	return []netip.Addr{
		netip.AddrFrom16(ip.As16()), netip.AddrFrom16(ip.As16()).WithZone("eth0"), netip.AddrFrom16(nat64), netip.AddrFrom16(sixToFour),
		netip.AddrFrom16(translated),
	}
}
