package dispatch

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// metrics count what was done, and read what is outstanding from the ledger when they are scraped: an age that only a
// working worker updates would stand still just when it matters. Sinks are few, so they may be a label.
type metrics struct {
	delivered, retried, parked, passed *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer, outbox ledger.Outbox, opts Options) *metrics {
	factory := promauto.With(registerer)
	counter := func(name, help string) *prometheus.CounterVec {
		return factory.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"sink"})
	}
	if registerer != nil {
		registerer.MustRegister(&outstanding{outbox: outbox, opts: opts})
	}
	return &metrics{
		delivered: counter("dora_sink_delivered_total", "Events that the sink took."),
		retried:   counter("dora_sink_retried_total", "Attempts that failed and were put off."),
		parked:    counter("dora_sink_parked_total", "Events that the sink refused for good and that were set aside."),
		passed:    counter("dora_sink_filtered_total", "Events that the sink's filter left out."),
	}
}

func (m *metrics) counters() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{m.delivered, m.retried, m.parked, m.passed}
}

// show makes the series of a sink exist before their first event, so that dashboards and rates do not miss it.
func (m *metrics) show(sink string) {
	for _, counter := range m.counters() {
		counter.WithLabelValues(sink)
	}
}

func (m *metrics) hide(sink string) {
	for _, counter := range m.counters() {
		counter.DeleteLabelValues(sink)
	}
}

var (
	pendingDesc = prometheus.NewDesc("dora_sink_pending", "Events that the sink is still owed.", []string{"sink"}, nil)
	ageDesc     = prometheus.NewDesc("dora_sink_oldest_pending_seconds",
		"Age of the oldest event that the sink is still owed; 0 if it is owed none.", []string{"sink"}, nil)
	parkedDesc = prometheus.NewDesc("dora_sink_parked",
		"Events that are set aside until they are requeued or pruned.", []string{"sink"}, nil)
)

// outstanding collects what the ledger says about each sink.
type outstanding struct {
	outbox ledger.Outbox
	opts   Options
}

// Describe implements prometheus.Collector.
func (o *outstanding) Describe(descs chan<- *prometheus.Desc) {
	descs <- pendingDesc
	descs <- ageDesc
	descs <- parkedDesc
}

// Collect implements prometheus.Collector. If the ledger cannot be read these series are missing, and the others are not.
func (o *outstanding) Collect(collected chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), o.opts.Timeout)
	defer cancel()
	states, err := o.outbox.Sinks(ctx)
	if err != nil {
		o.opts.Log.Error(err, "Cannot read the sinks' figures")
		return
	}
	for _, s := range states {
		age := 0.0
		if !s.OldestPending.IsZero() {
			age = max(0, o.opts.Clock.Since(s.OldestPending).Seconds())
		}
		collected <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(s.Pending), s.Sink)
		collected <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, age, s.Sink)
		collected <- prometheus.MustNewConstMetric(parkedDesc, prometheus.GaugeValue, float64(s.Parked), s.Sink)
	}
}
