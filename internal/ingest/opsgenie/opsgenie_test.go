package opsgenie_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/ingest/opsgenie"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const (
	id    = "052652ac-0000-4000-8000-000000000001"
	title = "Checkout is down"
)

// began is 1772360130250 milliseconds since 1970: `date -u -d @1772360130.25`.
var began = time.Date(2026, 3, 1, 10, 15, 30, 250_000_000, time.UTC)

func report(key, service, severity string, resolved time.Time, mentions ...string) []ingest.Report {
	return []ingest.Report{{Source: "opsgenie", Key: id + "/" + key, Service: service, Incident: &ingest.Incident{
		ID: id, OpenedAt: began, ResolvedAt: resolved, Severity: severity, Title: title, Mentions: append([]string{title}, mentions...),
	}}}
}

// suite has keys with the first 32 digits of `sha256sum testdata/FILE`.
func suite() *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: opsgenie.New(),
		Secret: map[string][]byte{"token": []byte(sinktest.Secret("opsgenie"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			r.Header.Set("Authorization", "Bearer "+string(secret["token"]))
		},
		Now: began.Add(time.Hour),
		Samples: []ingesttest.Sample{
			{File: "create.json", Want: report("Create", "checkout", "P1", time.Time{}, "since 8d3f2c1", "1.4.2", "vip", "8d3f2c1", "checkout")},
			// 1772361030500000002 nanoseconds
			{File: "close.json", Want: report("Close", "checkout-eu", "P1", time.Date(2026, 3, 1, 10, 30, 30, 500_000_002, time.UTC), "1.4.2", "vip")},
			{File: "add_note.json", Want: report("AddNote/75738324959816f44973b90163e36940", "checkout-eu", "P1", time.Time{}, "rolling back to 1.4.1")},
			{File: "update_priority.json", Want: report("UpdatePriority/410672c8d0b7ed5a2d88818bb44f50cc", "checkout-eu", "P3", time.Time{}, "1.4.2", "vip")},
			{File: "acknowledge.json"},
		},
	}
}

func TestOpsgenie(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

func TestMissing(t *testing.T) {
	g := NewWithT(t)
	for body, want := range map[string]string{
		`{"action":"Create"}`: "alert.alertId: must be a text of 1 to 200 bytes in which every character shows",
		`{"action":"Create","alert":{"alertId":"a","createdAt":"2026-03-01T10:15:30Z"}}`: "alert.createdAt: must be a number within its bounds",
		`{"action":"Create","alert":{"alertId":"a","createdAt":1772360130}}`:             "alert.createdAt: must be a time from the year 2000 on and before 2200",
		`{"action":"Close","alert":{"alertId":"a","updatedAt":-1}}`:                      "alert.updatedAt: must be a time from the year 2000 on and before 2200",
	} {
		_, err := opsgenie.New().Read(&ingest.Request{Body: []byte(body)})
		g.Expect(err).To(MatchError(want), body)
	}
	reports, err := opsgenie.New().Read(&ingest.Request{Body: []byte(`{"action":"Close","alert":{"alertId":"a"}}`), Now: began})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(reports[0].Incident.ResolvedAt).To(Equal(began), "a close is one, whether or not it says when")
}
