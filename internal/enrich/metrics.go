package enrich

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// RateLimits shows what servers say about their rate limits. Hosts are few, so they may be a label.
type RateLimits struct{ remaining, limit, reset *prometheus.GaugeVec }

// NewRateLimits makes the metrics and registers them.
func NewRateLimits(registerer prometheus.Registerer) *RateLimits {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return promauto.With(registerer).NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"host"})
	}
	return &RateLimits{
		remaining: gauge("dora_source_rate_limit_remaining", "Requests that a server's API still allows, as its last answer said."),
		limit:     gauge("dora_source_rate_limit", "Requests that a server's API allows in one period."),
		reset:     gauge("dora_source_rate_limit_reset_timestamp_seconds", "When a server's API begins a new period, in seconds since 1970."),
	}
}

// Told takes what an answer of a host says. It may be called by many goroutines at once.
func (l *RateLimits) Told(host string, remaining, limit int, reset time.Time) {
	l.remaining.WithLabelValues(host).Set(float64(remaining))
	l.limit.WithLabelValues(host).Set(float64(limit))
	l.reset.WithLabelValues(host).Set(float64(reset.Unix()))
}
