package record

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// bounded lets the first so many services have labels of their own, in the order in which they come.
type bounded struct {
	mu   sync.Mutex
	max  int
	seen map[labelled]bool
}

type labelled struct{ service, team, environment string }

func newBounded(limit int) *bounded { return &bounded{max: limit, seen: map[labelled]bool{}} }

func (b *bounded) of(e *dora.Event) (service, team, environment string) {
	l := labelled{e.Service, e.Team, e.Environment}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.seen[l] {
		if len(b.seen) >= b.max {
			return Overflow, "", ""
		}
		b.seen[l] = true
	}
	return l.service, l.team, l.environment
}

var (
	followedDesc = prometheus.NewDesc("dora_followed_subjects", "Objects whose deployments are followed, by kind.", []string{"kind"}, nil)
	failuresDesc = prometheus.NewDesc("dora_open_failures", "Failures of production that have not ended.", nil, nil)
	gapsDesc     = prometheus.NewDesc("dora_history_gaps", "Deployments that Argo's history no longer tells of.", nil, nil)
)

// Gauges shows what the recorder knows of the subjects that are followed now.
func (r *Recorder) Gauges() prometheus.Collector { return gauges{r} }

type gauges struct{ r *Recorder }

// Describe implements prometheus.Collector.
func (gauges) Describe(to chan<- *prometheus.Desc) {
	to <- followedDesc
	to <- failuresDesc
	to <- gapsDesc
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(to chan<- prometheus.Metric) {
	t := &g.r.totals
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, kind := range []dora.Kind{dora.KindApplication, dora.KindRollout} {
		to <- prometheus.MustNewConstMetric(followedDesc, prometheus.GaugeValue, float64(t.followed[kind]), string(kind))
	}
	to <- prometheus.MustNewConstMetric(failuresDesc, prometheus.GaugeValue, float64(t.open))
	to <- prometheus.MustNewConstMetric(gapsDesc, prometheus.GaugeValue, float64(t.gaps))
}
