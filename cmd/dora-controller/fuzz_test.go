package main

import (
	"net/netip"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// A flag that takes a text writes it so that it can be given again, and means the same.
func FuzzFlags(f *testing.F) {
	for _, text := range []string{
		"90s", "1h30m", "30d", "-1s", "500ms", "2Gi", "1e30", "1e2000000000", "1.5Gi", "0.5", "10.0.0.0/8,fd00::/8", "::ffff:10.0.0.0/104", "10.1.2.3/8", "JSON", "",
		"2026-11-20T20:57:31Z", "info,ledger=debug,dispatch=3", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-12:00", "12h", "106751d",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		duration := new(duration)
		if duration.Set(text) == nil && *duration < 0 {
			t.Errorf("%q is %v", text, duration)
		}
		sameAgain(t, text, duration, newOf(duration))
		size := new(bytesFlag)
		if size.Set(text) == nil && !holds(int64(*size), text) {
			t.Errorf("%q is %d bytes", text, *size)
		}
		sameAgain(t, text, size, newOf(size))
		sameAgain(t, text, new(networks), new(networks))
		sameAgain(t, text, new(logLevels), new(logLevels))
		sameAgain(t, text, &cli.Choice{Options: []string{"json", "table"}}, &cli.Choice{Options: []string{"json", "table"}})
		reaches(t, text)
		moments(t, text)
	})
}

// holds tells whether so many bytes are the least that a quantity fits into.
func holds(size int64, text string) bool {
	wanted, err := resource.ParseQuantity(text)
	less := resource.NewQuantity(size-1, resource.BinarySI)
	return err == nil && size > 0 && less.Cmp(wanted) < 0 && resource.NewQuantity(size, resource.BinarySI).Cmp(wanted) >= 0
}

func newOf[T any](*T) *T { return new(T) }

// setting is what all kinds of flags have.
type setting interface {
	Set(text string) error
	String() string
}

func sameAgain(t *testing.T, text string, first, second setting) {
	t.Helper()
	if first.Set(text) != nil {
		return
	}
	if err := second.Set(first.String()); err != nil || second.String() != first.String() {
		t.Errorf("%q is written as %q, and that as %q, %v", text, first, second, err)
	}
}

// reaches: each address of a network that is allowed can be reached.
func reaches(t *testing.T, text string) {
	t.Helper()
	var allowed networks
	if allowed.Set(text) != nil {
		return
	}
	for _, network := range allowed {
		if err := (egress.Guard{Allowed: []netip.Prefix(allowed)}).Check(network.Addr()); err != nil {
			t.Errorf("%q allows %s, and %v", text, network, err)
		}
	}
}

// moments: a time is that time, whenever now is, and a length of time lies as far before now as behind it.
func moments(t *testing.T, text string) {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var m moment
	if m.Set(text) != nil {
		return
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		if !m.before(now).Equal(at) || !m.after(now).Equal(at) {
			t.Errorf("%q is %v and %v", text, m.before(now), m.after(now))
		}
		return
	}
	if m.before(now).After(now) || now.Sub(m.before(now)) != m.after(now).Sub(now) {
		t.Errorf("%q is %v and %v", text, m.before(now), m.after(now))
	}
}
