package app

import (
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
)

// TestAVolumeIsMeasuredWhenAsked and has no series where it cannot be: none is not 0.
func TestAVolumeIsMeasuredWhenAsked(t *testing.T) {
	g := NewWithT(t)
	gather := func(ledger string) map[string]float64 {
		registry, found := prometheus.NewRegistry(), map[string]float64{}
		registry.MustRegister(NewVolume(ledger))
		families, err := registry.Gather()
		g.Expect(err).NotTo(HaveOccurred())
		for _, f := range families {
			found[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
		}
		return found
	}
	of := gather(filepath.Join(t.TempDir(), "ledger.db"))
	g.Expect(of).To(HaveLen(2))
	g.Expect(of["dora_ledger_volume_free_bytes"]).To(And(BeNumerically(">", 0), BeNumerically("<", of["dora_ledger_volume_size_bytes"])))
	g.Expect(gather(filepath.Join(t.TempDir(), "none", "ledger.db"))).To(BeEmpty())
}
