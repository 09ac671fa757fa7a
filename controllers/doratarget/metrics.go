package doratarget

import (
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// Metrics shows the figures of each target to Prometheus. A figure that is not known is absent.
type Metrics struct {
	mu      sync.Mutex
	targets map[types.NamespacedName]*dorav1alpha1.DoraTargetStatus
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics makes the metrics. They are to be registered once.
func NewMetrics() *Metrics {
	return &Metrics{targets: map[types.NamespacedName]*dorav1alpha1.DoraTargetStatus{}}
}

// Set shows the figures of a target. The status must not be modified any more.
func (m *Metrics) Set(target types.NamespacedName, status *dorav1alpha1.DoraTargetStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets[target] = status
}

// Delete removes a target that is gone.
func (m *Metrics) Delete(target types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.targets, target)
}

func desc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("dora_target_"+name, help, append([]string{"namespace", "target"}, more...), nil)
}

var (
	servicesDesc    = desc("services", "Services that the target counts.")
	deploymentsDesc = desc("deployments", "Deployments in the target's window.")
	perWeekDesc     = desc("deployments_per_week", "Deployments per week and service.")
	leadTimeDesc    = desc("lead_time_seconds", "Lead time for changes.", "percentile")
	failuresDesc    = desc("change_failure_ratio", "Change failure rate, from 0 to 1.")
	recoveryDesc    = desc("recovery_seconds", "Failed deployment recovery time.", "percentile")
	reworkDesc      = desc("rework_ratio", "Rework rate, from 0 to 1.")
	openDesc        = desc("open_failures", "Failures that have not ended.")
	rejectedDesc    = desc("lead_times_rejected", "Deployments whose first commit is younger than the deployment, by the clocks.")
	searchedDesc    = desc("commits_pending", "Deployments whose commits are still looked for.")
	gapsDesc        = desc("history_gaps", "Deployments that Argo's history no longer tells of.")
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		servicesDesc, deploymentsDesc, perWeekDesc, leadTimeDesc, failuresDesc, recoveryDesc, reworkDesc, openDesc, gapsDesc,
		rejectedDesc, searchedDesc, alertDesc,
	} {
		to <- d
	}
	for _, d := range teamDescs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	targets := maps.Clone(m.targets)
	m.mu.Unlock()
	for target, status := range targets {
		g := gauges{to: to, target: target}
		g.put(servicesDesc, float64(status.ServiceCount))
		if status.Summary != nil {
			g.figures(status.Summary)
		}
		for i := range status.Teams {
			g.team(&status.Teams[i])
		}
		for i := range status.Alerts {
			g.alert(&status.Alerts[i])
		}
		if status.Commits != nil {
			g.put(searchedDesc, float64(status.Commits.Pending))
		}
	}
}

type gauges struct {
	to     chan<- prometheus.Metric
	target types.NamespacedName
}

func (g gauges) figures(f *dorav1alpha1.Figures) {
	g.put(deploymentsDesc, float64(f.DeploymentFrequency.Samples))
	g.decimal(perWeekDesc, f.DeploymentFrequency.PerWeek)
	g.seconds(leadTimeDesc, f.LeadTime.P50Seconds, "50")
	g.seconds(leadTimeDesc, f.LeadTime.P90Seconds, "90")
	g.decimal(failuresDesc, f.ChangeFailureRate.Ratio)
	g.seconds(recoveryDesc, f.Recovery.P50Seconds, "50")
	g.seconds(recoveryDesc, f.Recovery.P90Seconds, "90")
	g.decimal(reworkDesc, f.Rework.Ratio)
	g.put(rejectedDesc, float64(f.LeadTime.Rejected))
	g.put(openDesc, float64(f.Counts.OpenFailures))
	g.put(gapsDesc, float64(f.Counts.Gaps))
}

func (g gauges) put(d *prometheus.Desc, value float64, more ...string) {
	labels := append([]string{g.target.Namespace, g.target.Name}, more...)
	g.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (g gauges) decimal(d *prometheus.Desc, value dorav1alpha1.Decimal, more ...string) {
	if number, err := value.Parse(); err == nil {
		g.put(d, number, more...)
	}
}

func (g gauges) seconds(d *prometheus.Desc, value *int64, more ...string) {
	if value != nil {
		g.put(d, float64(*value), more...)
	}
}
