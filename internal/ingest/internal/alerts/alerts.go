// Package alerts reads groups of alerts as Prometheus Alertmanager sends them, and Grafana Alerting after it.
//
// A group is sent again and again while one of its alerts fires, whether or not anything changed. Each alert is an incident of its own: the
// same labels have the same fingerprint, and one that fires a week later is another incident, so an incident is a fingerprint and the time
// at which it began. That an alert fires is one report, that it was resolved another, however often they are told.
package alerts

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Group is what one request is about.
type Group struct {
	Version     string  `json:"version"`
	ExternalURL string  `json:"externalURL"`
	Alerts      []Alert `json:"alerts"`
}

// Alert is one of a group.
type Alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

const resolved = "resolved"

// Reports are those of a group, one for each alert that fires or was resolved. Where it is not told when it was resolved, that is now.
func Reports(source string, g Group, now time.Time) ([]ingest.Report, error) {
	var reports []ingest.Report
	for _, a := range g.Alerts {
		if a.Status != "firing" && a.Status != resolved {
			continue
		}
		report, err := a.report(source, g.ExternalURL, now)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func (a *Alert) report(source, externalURL string, now time.Time) (ingest.Report, error) {
	none := ingest.Report{}
	fingerprint, err := ingest.Name("alerts.fingerprint", a.Fingerprint)
	if err != nil {
		return none, err
	}
	began, err := ingest.When("alerts.startsAt", a.StartsAt)
	if err != nil {
		return none, err
	}
	if began.IsZero() {
		return none, &ingest.BadRequestError{Field: "alerts.startsAt", Mend: "must be there: it is when the alert began to fire"}
	}
	ended, err := ingest.When("alerts.endsAt", a.EndsAt)
	if err != nil {
		return none, err
	}
	i := &ingest.Incident{
		ID: fingerprint + "@" + began.Format(time.RFC3339Nano), OpenedAt: began,
		Severity: a.Labels["severity"],
		Title:    cmp.Or(a.Annotations["summary"], a.Annotations["title"], a.Labels["alertname"]),
		Link:     cmp.Or(a.GeneratorURL, externalURL),
		Mentions: append(values(a.Annotations), values(a.Labels)...),
	}
	if a.Status == resolved {
		i.ResolvedAt = cmp.Or(ended, now.UTC())
	}
	return ingest.Bounded(ingest.Report{
		Source: source, Key: i.ID + "/" + a.Status, Service: Service(a.Labels), Environment: Environment(a.Labels), Incident: i,
	}), nil
}

// Service is the name of what an alert is about, by the labels that are commonly used for it.
func Service(labels map[string]string) string {
	return cmp.Or(labels["service"], labels["app_kubernetes_io_name"], labels["app"])
}

// Environment is where it runs.
func Environment(labels map[string]string) string {
	return cmp.Or(labels["environment"], labels["env"])
}

// values are those of a map, in the order of its keys.
func values(texts map[string]string) []string {
	all := make([]string, 0, len(texts))
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		all = append(all, texts[key])
	}
	return all
}
