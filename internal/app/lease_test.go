package app

import (
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/validation"
)

// What a holder says of itself has to be a label, and read back as it was.
func TestAnAddressAsALabel(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"10.1.2.3:8443", "[fd00::1]:8443", "[2001:db8:1:2:3:4:5:6]:65535", "[::ffff:10.1.2.3]:1"} {
		g := NewWithT(t)
		at := netip.MustParseAddrPort(text)
		g.Expect(validation.IsValidLabelValue(asLabel(at))).To(BeEmpty())
		g.Expect(fromLabel(asLabel(at))).To(Equal(at))
	}
	for _, text := range []string{"", "_", "10.1.2.3", "somewhere_8443", "10.1.2.3_", "10.1.2.3_99999", "10.1.2.3_8443_1"} {
		_, err := fromLabel(text)
		NewWithT(t).Expect(err).To(HaveOccurred(), text)
	}
}

// Where a process is reached is told by those alone who can be asked there.
func TestWhoTellsWhereItIs(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := Options{LeaderElect: true, ReceiversAddress: ":8443", ReceiversIP: "10.1.2.3"}
	g.Expect(o.leaseLabels()).To(Equal(map[string]string{"dora-controller.io/receivers": "10.1.2.3_8443"}))
	for name, change := range map[string]func(*Options){
		"alone": func(o *Options) { o.LeaderElect = false }, "not listening": func(o *Options) { o.ReceiversAddress = "0" },
		"without an address": func(o *Options) { o.ReceiversIP = "" },
	} {
		other := o
		change(&other)
		g.Expect(other.leaseLabels()).To(BeNil(), name)
	}
	o.ReceiversIP, o.ReceiversPlain = strings.Repeat("x", 3), true
	g.Expect(o.validateReceivers()).To(MatchError(ContainSubstring(`--receivers-ip="xxx"`)))
}
