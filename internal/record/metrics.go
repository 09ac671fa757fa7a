package record

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Metrics is told what was recorded, after the ledger has it.
type Metrics interface {
	// Committed is told of each commit, with its error if it failed.
	Committed(took time.Duration, err error)
	// Recorded is told of each result that was kept.
	Recorded(result *deploy.Result)
}

// NopMetrics counts nothing.
type NopMetrics struct{}

// Committed implements Metrics.
func (NopMetrics) Committed(time.Duration, error) {}

// Recorded implements Metrics.
func (NopMetrics) Recorded(*deploy.Result) {}

// Prometheus counts for Prometheus. Its labels are bounded: services beyond the first so many share one label.
type Prometheus struct {
	commits     prometheus.Histogram
	failures    *prometheus.CounterVec
	decisions   *prometheus.CounterVec
	events      *prometheus.CounterVec
	deployments *prometheus.CounterVec
	leadTimes   *prometheus.HistogramVec
	commitless  *prometheus.CounterVec
	labels      *bounded
}

var (
	_ Metrics              = (*Prometheus)(nil)
	_ prometheus.Collector = (*Prometheus)(nil)
)

// MaxServices is how many services have metrics of their own. Those that come later are counted together, as Overflow.
const MaxServices = 1000

// Overflow is the service of all deployments of services beyond MaxServices.
const Overflow = "_other"

const (
	minute = 60.0
	hour   = 60 * minute
	day    = 24 * hour
)

// NewPrometheus makes the metrics. They are to be registered once.
func NewPrometheus() *Prometheus {
	return &Prometheus{
		labels: newBounded(MaxServices),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "dora_ledger_commit_seconds", Help: "Time to make a change of the ledger durable.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dora_ledger_commit_errors_total", Help: "Changes that the ledger did not take, by reason: conflict, closed or other.",
		}, []string{"reason"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dora_decisions_total", Help: "Decisions about what was observed, by their reason.",
		}, []string{"reason"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dora_events_total", Help: "Events recorded, by type, and of deployments by outcome.",
		}, []string{"type", "outcome"}),
		deployments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dora_deployments_total", Help: "Deployments recorded, by outcome.",
		}, []string{"service", "team", "environment", "outcome"}),
		leadTimes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dora_deployment_lead_time_seconds",
			Help:    "Time from the first commit of a deployment until it was healthy in production.",
			Buckets: []float64{15 * minute, hour, 4 * hour, 12 * hour, day, 2 * day, 7 * day, 14 * day, 30 * day, 90 * day},
		}, []string{"service", "team", "environment", "outcome"}),
		commitless: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dora_deployments_without_lead_time_total",
			Help: "Deployments whose commits were looked for and that have no lead time, by the reason; NegativeLeadTime: it was rejected.",
		}, []string{"service", "team", "environment", "reason"}),
	}
}

// Committed implements Metrics.
func (p *Prometheus) Committed(took time.Duration, err error) {
	switch {
	case err == nil:
		p.commits.Observe(took.Seconds())
	case errors.Is(err, ledger.ErrConflict):
		p.failures.WithLabelValues("conflict").Inc()
	case errors.Is(err, ledger.ErrClosed):
		p.failures.WithLabelValues("closed").Inc()
	default:
		p.failures.WithLabelValues("other").Inc()
	}
}

// Recorded implements Metrics.
func (p *Prometheus) Recorded(result *deploy.Result) {
	for _, d := range result.Decisions {
		p.decisions.WithLabelValues(string(d.Reason)).Inc()
	}
	for i := range result.Events {
		p.event(&result.Events[i])
	}
}

func (p *Prometheus) event(e *dora.Event) {
	p.events.WithLabelValues(string(e.Type), string(e.Outcome)).Inc()
	if e.Type != dora.TypeDeploy {
		return
	}
	service, team, environment := p.labels.of(e)
	p.deployments.WithLabelValues(service, team, environment, string(e.Outcome)).Inc()
}

// Enriched counts a deployment whose commits were found, or will not be.
func (p *Prometheus) Enriched(e *dora.Event) {
	service, team, environment := p.labels.of(e)
	if e.LeadTimeUnknown != "" {
		p.commitless.WithLabelValues(service, team, environment, e.LeadTimeUnknown).Inc()
	}
	if e.LeadTimeSeconds != nil {
		p.leadTimes.WithLabelValues(service, team, environment, string(e.Outcome)).Observe(*e.LeadTimeSeconds)
	}
}

func (p *Prometheus) all() []prometheus.Collector {
	return []prometheus.Collector{p.commits, p.failures, p.decisions, p.events, p.deployments, p.leadTimes, p.commitless}
}

// Describe implements prometheus.Collector.
func (p *Prometheus) Describe(to chan<- *prometheus.Desc) {
	for _, c := range p.all() {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (p *Prometheus) Collect(to chan<- prometheus.Metric) {
	for _, c := range p.all() {
		c.Collect(to)
	}
}
