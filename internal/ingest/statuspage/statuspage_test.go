package statuspage_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/ingest/statuspage"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const id = "z3lct0r596n4"

func report(key, service string, resolved time.Time, mentions ...string) []ingest.Report {
	return []ingest.Report{{Source: "statuspage", Key: id + "/" + key, Service: service, Incident: &ingest.Incident{
		ID: id, OpenedAt: time.Date(2026, 3, 1, 10, 15, 30, 250_000_000, time.UTC), ResolvedAt: resolved, Severity: "major", Title: "Checkout is down",
		Link: "https://stspg.io/646947c1e", Mentions: append([]string{"Checkout is down"}, mentions...),
	}}}
}

func suite() *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: statuspage.New(),
		Secret: map[string][]byte{"token": []byte(sinktest.Secret("statuspage"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			r.Query.Set("token", string(secret["token"]))
		},
		Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Samples: []ingesttest.Sample{
			{File: "created.json", Want: report("2026-03-01T10:20:00.6Z", "checkout", time.Time{}, "since 1.4.2")},
			{File: "resolved.json", Want: report("2026-03-01T11:00:00.9Z", "cart", time.Date(2026, 3, 1, 11, 0, 0, 800_000_000, time.UTC), "rolled back to 1.4.1", "since 1.4.2")},
			{File: "maintenance.json"},
			{File: "component.json"},
		},
	}
}

func TestStatuspage(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

func TestMissing(t *testing.T) {
	g := NewWithT(t)
	for body, want := range map[string]string{
		`{"incident":{"name":"a"}}`:                         "incident.id: must be a text of 1 to 200 bytes in which every character shows",
		`{"incident":{"id":"a","created_at":"today"}}`:      "incident.created_at: must be a time such as 2006-01-02T15:04:05Z07:00",
		`{"incident":{"id":"a","components":["checkout"]}}`: "incident.components: must be an object",
	} {
		_, err := statuspage.New().Read(&ingest.Request{Body: []byte(body)})
		g.Expect(err).To(MatchError(want), body)
	}
	g.Expect(statuspage.New().Read(&ingest.Request{Body: []byte(`{"incident":{"id":"a","status":"resolved","scheduled_for":"2026-03-02T00:00:00Z"}}`)})).To(
		BeEmpty(), "maintenance whose status is like an incident's")
	// The digest is the first 32 digits of sha256sum.
	const body = `{"incident":{"id":"a","status":"postmortem"}}`
	reports, err := statuspage.New().Read(&ingest.Request{Body: []byte(body)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(reports[0].Key).To(Equal("a/485cffd298bf4825a2d5227a70bc8306"))
}
