package pagerduty_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/ingest/pagerduty"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const (
	link  = "https://example.pagerduty.com/incidents/PINC001"
	title = "Checkout answers 500 since 1.4.2"
)

func at(hour, minute, second, millisecond int) time.Time {
	return time.Date(2026, 3, 1, hour, minute, second, millisecond*1_000_000, time.UTC)
}

func incident(key string, i ingest.Incident) []ingest.Report {
	i.ID, i.Link, i.Title = "PINC001", link, title
	i.OpenedAt, i.Mentions = at(10, 15, 29, 0), []string{title, "3b1f0a"}
	return []ingest.Report{{Source: "pagerduty", Key: key, Service: "checkout", Incident: &i}}
}

func part(key, title string, mentions ...string) []ingest.Report {
	return []ingest.Report{{Source: "pagerduty", Key: key, Incident: &ingest.Incident{ID: "PINC001", Link: link, Title: title, Note: true, Mentions: mentions}}}
}

func reopened() []ingest.Report {
	reports := incident("01EXMPLREOPENED00000000001", ingest.Incident{Severity: "P1", Reopened: true})
	reports[0].Incident.OpenedAt = at(11, 30, 0, 0)
	return reports
}

func suite() *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: pagerduty.New(),
		Secret: map[string][]byte{"signingSecret": []byte(sinktest.Secret("pagerduty"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			mac := hmac.New(sha256.New, secret["signingSecret"])
			mac.Write(r.Body)
			r.Header.Set("X-Pagerduty-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
		},
		SignsBody: true,
		Now:       at(12, 0, 0, 0),
		Samples: []ingesttest.Sample{
			{File: "triggered.json", Want: incident("01EXMPLTRIGGERED0000000001", ingest.Incident{Severity: "P1"})},
			{File: "resolved.json", Want: incident("01EXMPLRESOLVED00000000001", ingest.Incident{Severity: "P1", ResolvedAt: at(11, 0, 0, 500)})},
			{File: "reopened.json", Want: reopened()},
			{File: "priority_updated.json", Want: incident("01EXMPLPRIORITY00000000001", ingest.Incident{Severity: "low"})},
			{File: "annotated.json", Want: part("01EXMPLANNOTATED0000000001", title, "caused by 8d3f2c1a9b7e6f5d4c3b2a1908f7e6d5c4b3a291")},
			{File: "status_update_published.json", Want: part("01EXMPLSTATUS0000000000001", title, "rolling back to 1.4.1")},
			{File: "custom_field_values.json", Want: part("01EXMPLFIELDS0000000000001", "", "8d3f2c1", "1.4.1", "1.4.2")},
			{File: "acknowledged.json"},
			{File: "service_updated.json"},
			{File: "another_form.json"},
		},
	}
}

func TestPagerDuty(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

// TestRotation: of several signatures, one has to be right. The expected one is what says
//
//	printf '{"event":{}}' | openssl dgst -sha256 -hmac s3cr3t
func TestRotation(t *testing.T) {
	const right = "v1=5bf1cfff3b05c3c75b18d19eb4f408575fd6aead6cd41f8f8cb78849320c3d37"
	for header, want := range map[string]error{
		right:            nil,
		"v1=00," + right: nil,
		right + ",v1=" + "f03de6f61df6e454f3620c4d6aca17ad072d3f8bbb2760eac3b2ad391b5e8073": nil,
		"v1=00, " + right: nil,
		"v2=" + right[3:]: ingest.ErrNotSender,
		right[3:]:         ingest.ErrNotSender,
		right + right:     ingest.ErrNotSender,
		"v1=,v1":          ingest.ErrNotSender,
	} {
		r := &ingest.Request{Header: http.Header{}, Body: []byte(`{"event":{}}`)}
		r.Header.Set("X-Pagerduty-Signature", header)
		err := pagerduty.New().Verify(r, map[string][]byte{"signingSecret": []byte("s3cr3t")})
		if want == nil {
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), header)
			continue
		}
		NewWithT(t).Expect(err).To(MatchError(want), header)
	}
}

// TestWhatIsMissing is named.
func TestWhatIsMissing(t *testing.T) {
	for body, want := range map[string]string{
		`{"event":{"event_type":"incident.triggered"}}`:                                                     "event.id: must be a text of 1 to 200 bytes in which every character shows",
		`{"event":{"id":"a","event_type":"incident.triggered"}}`:                                            "event.data.id: must be a text of 1 to 200 bytes in which every character shows",
		`{"event":{"id":"a","event_type":"incident.resolved","data":{"id":"b"}}}`:                           "event.occurred_at: must be there: it is when the incident changed",
		`{"event":{"id":"a","event_type":"incident.resolved","occurred_at":"12:00","data":{"id":"b"}}}`:     "event.occurred_at: must be a time such as 2006-01-02T15:04:05Z07:00",
		`{"event":{"id":"a","event_type":"incident.triggered","data":{"id":"b","created_at":"yesterday"}}}`: "event.data.created_at: must be a time such as 2006-01-02T15:04:05Z07:00",
		`{"event":{"id":"a","event_type":"incident.annotated","data":{"content":"x"}}}`:                     "event.data.incident: must name the incident",
		`{"event":{"id":"a","event_type":"incident.annotated","data":{"incident":{}}}}`:                     "event.data.incident.id: must be a text of 1 to 200 bytes in which every character shows",
	} {
		_, err := pagerduty.New().Read(&ingest.Request{Body: []byte(body)})
		NewWithT(t).Expect(err).To(MatchError(want), body)
	}
}
