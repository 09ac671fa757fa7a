package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

// Volume tells how much room the file system of a ledger's file has. What cannot be told has no series.
type Volume struct {
	ledger     string
	free, size *prometheus.Desc
}

var _ prometheus.Collector = (*Volume)(nil)

// NewVolume makes the metrics of a ledger's volume. They are to be registered once.
func NewVolume(ledger string) *Volume {
	return &Volume{
		ledger: ledger,
		free:   prometheus.NewDesc("dora_ledger_volume_free_bytes", "Bytes that are free on the file system of the ledger's file.", nil, nil),
		size:   prometheus.NewDesc("dora_ledger_volume_size_bytes", "Bytes that the file system of the ledger's file has.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (v *Volume) Describe(to chan<- *prometheus.Desc) {
	to <- v.free
	to <- v.size
}

// Collect implements prometheus.Collector.
func (v *Volume) Collect(to chan<- prometheus.Metric) {
	room, known, err := sqlite.RoomOf(v.ledger)
	if err != nil || !known {
		return
	}
	to <- prometheus.MustNewConstMetric(v.free, prometheus.GaugeValue, float64(room.Free))
	to <- prometheus.MustNewConstMetric(v.size, prometheus.GaugeValue, float64(room.Size))
}
