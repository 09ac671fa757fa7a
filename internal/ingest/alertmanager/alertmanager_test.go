package alertmanager_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/alertmanager"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

var (
	began = time.Date(2026, 3, 1, 10, 15, 30, 500_000_000, time.UTC)
	week  = time.Date(2026, 3, 8, 9, 0, 0, 0, time.UTC)
)

func errorRate(key, id string, opened, resolved time.Time) ingest.Report {
	return ingest.Report{
		Source: "alertmanager", Key: key, Service: "checkout", Environment: "production",
		Incident: &ingest.Incident{
			ID: id, OpenedAt: opened, ResolvedAt: resolved, Severity: "critical", Title: "checkout fails",
			Link:     "https://prometheus.example.com/graph?g0.expr=up&g0.tab=1",
			Mentions: []string{"5 % of requests fail since sha-8d3f2c1", "checkout fails", "HighErrorRate", "production", "checkout", "critical", "1.4.2"},
		},
	}
}

// latency has no summary and no link of its own.
func latency() ingest.Report {
	return ingest.Report{
		Source: "alertmanager", Key: "0a1b2c3d4e5f6071@2026-03-01T10:16:00Z/firing", Service: "cart", Environment: "staging",
		Incident: &ingest.Incident{
			ID: "0a1b2c3d4e5f6071@2026-03-01T10:16:00Z", OpenedAt: time.Date(2026, 3, 1, 10, 16, 0, 0, time.UTC), Title: "HighLatency",
			Link: "https://alertmanager.example.com", Mentions: []string{"HighLatency", "cart", "staging"},
		},
	}
}

func suite() *ingesttest.Suite {
	const first, later = "5ef77f1f8a3ecf8d@2026-03-01T10:15:30.5Z", "5ef77f1f8a3ecf8d@2026-03-08T09:00:00Z"
	return &ingesttest.Suite{
		Driver: alertmanager.New(),
		Secret: map[string][]byte{"token": []byte(sinktest.Secret("alertmanager"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			r.Header.Set("Authorization", "Bearer "+string(secret["token"]))
		},
		Now: week,
		Samples: []ingesttest.Sample{
			{File: "firing.json", Want: []ingest.Report{errorRate(first+"/firing", first, began, time.Time{}), latency()}},
			{File: "one_resolved.json", Want: []ingest.Report{errorRate(first+"/resolved", first, began, began.Add(30*time.Minute)), latency()}},
			{File: "a_week_later.json", Want: []ingest.Report{errorRate(later+"/firing", later, week, time.Time{})}},
			{File: "no_alerts.json"},
		},
	}
}

func TestAlertmanager(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

// TestWhatIsMissing is named; an alert in a state that nobody knows is nothing, and one without an end ends now.
func TestWhatIsMissing(t *testing.T) {
	read := func(alert string) ([]ingest.Report, error) {
		return alertmanager.New().Read(&ingest.Request{Body: []byte(`{"version":"4","alerts":[` + alert + `]}`), Now: week})
	}
	for alert, want := range map[string]string{
		`{"status":"firing","startsAt":"2026-03-01T10:15:30Z"}`:                                    "alerts.fingerprint: must be a text of 1 to 200 bytes in which every character shows",
		`{"status":"firing","fingerprint":"a"}`:                                                    "alerts.startsAt: must be there: it is when the alert began to fire",
		`{"status":"firing","fingerprint":"a","startsAt":"2026"}`:                                  "alerts.startsAt: must be a time such as 2006-01-02T15:04:05Z07:00",
		`{"status":"resolved","fingerprint":"a","startsAt":"2026-03-01T10:15:30Z","endsAt":"?"}`:   "alerts.endsAt: must be a time such as 2006-01-02T15:04:05Z07:00",
		`{"status":"resolved","fingerprint":"a","startsAt":"2026-03-01T10:15:30Z","labels":["a"]}`: "alerts.labels: must be an object",
	} {
		_, err := read(alert)
		NewWithT(t).Expect(err).To(MatchError(want), alert)
	}
	g := NewWithT(t)
	g.Expect(read(`{"status":"suppressed"}`)).To(BeEmpty())
	reports, err := read(`{"status":"resolved","fingerprint":"a","startsAt":"2026-03-01T10:15:30Z"}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(reports[0].Incident.ResolvedAt).To(Equal(week))
	_, err = alertmanager.New().Read(&ingest.Request{Body: []byte(`{"version":"1","alerts":[]}`)})
	g.Expect(err).To(MatchError(HavePrefix(`version: must be "4"`)))
}
