package firehydrant_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/firehydrant"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const id = "04d9fd1a-0000-4000-8000-000000000001"

var began = time.Date(2026, 3, 1, 10, 15, 30, 0, time.UTC)

func report(digest, service string, resolved time.Time, more ...string) []ingest.Report {
	return []ingest.Report{{Source: "firehydrant", Key: id + "/" + digest, Service: service, Incident: &ingest.Incident{
		ID: id, OpenedAt: began, ResolvedAt: resolved, Severity: "SEV2", Title: "Checkout is down",
		Mentions: append([]string{"Checkout is down", "since 1.4.2", "nobody can pay"}, more...),
	}}}
}

// suite has keys with the first 32 digits of `sha256sum testdata/FILE`.
func suite() *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: firehydrant.New(),
		Secret: map[string][]byte{"signingSecret": []byte(sinktest.Secret("firehydrant"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			mac := hmac.New(sha256.New, secret["signingSecret"])
			mac.Write(r.Body)
			r.Header.Set("Fh-Signature", hex.EncodeToString(mac.Sum(nil)))
		},
		SignsBody: true,
		Now:       began.Add(time.Hour),
		Samples: []ingesttest.Sample{
			{File: "created.json", Want: report("1ae52695d77e1967fc5077b53e7557bd", "", time.Time{}, "checkout")},
			{File: "resolved.json", Want: report("f6984fe45559f898669954e55a40a24d", "", time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC), "checkout")},
			{File: "back_to_work.json", Want: report("f362db1275189fedb1c0cacbef82fa8f", "", time.Time{}, "checkout")},
			{File: "impacts.json", Want: report("90f40cf8e08bd73671c8d284af8a17de", "checkout", time.Time{}, "8d3f2c1", "checkout")},
			{File: "change_event.json"},
			{File: "signal.json"},
		},
	}
}

func TestFireHydrant(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

// TestSignature: the expected one is what says
//
//	printf '{}' | openssl dgst -sha256 -hmac s3cr3t
func TestSignature(t *testing.T) {
	r := &ingest.Request{Header: http.Header{}, Body: []byte(`{}`)}
	r.Header.Set("Fh-Signature", "608b0c406f3dda19702d71a048483b8c331283106d80a208e3cf43dbde505286")
	NewWithT(t).Expect(firehydrant.New().Verify(r, map[string][]byte{"signingSecret": []byte("s3cr3t")})).To(Succeed())
}

func TestTimes(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"a","milestones":[{"type":"started","occurred_at":"2026-03-01T10:15:30Z"}]}`:                                     "2026-03-01T10:15:30Z 0001-01-01T00:00:00Z",
		`{"id":"a","created_at":"2026-03-01 10:15:30 UTC"}`:                                                                     "2026-03-01T10:15:30Z 0001-01-01T00:00:00Z",
		`{"id":"a","current_milestone":"closed","milestones":[{"type":"resolved","occurred_at":"2026-03-01 11:00:00 UTC"}]}`:    "0001-01-01T00:00:00Z 2026-03-01T11:00:00Z",
		`{"id":"a","current_milestone":"mitigated","milestones":[{"type":"resolved","occurred_at":"2026-03-01 11:00:00 UTC"}]}`: "0001-01-01T00:00:00Z 0001-01-01T00:00:00Z",
		`{"id":"a","milestones":[{"type":"started","occurred_at":"10:15"}]}`:                                                    "data.incident.milestones.occurred_at: must be a time such as 2006-01-02 15:04:05 UTC",
		`{"id":"a","milestones":{}}`: "data.incident.milestones: must be a list",
		`{}`:                         "data.incident.id: must be a text of 1 to 200 bytes in which every character shows",
	} {
		reports, err := firehydrant.New().Read(&ingest.Request{Body: []byte(`{"event":{"resource_type":"incident","operation":"UPDATED"},"data":{"incident":` + body + `}}`)})
		if err != nil {
			NewWithT(t).Expect(err).To(MatchError(want), body)
			continue
		}
		i := reports[0].Incident
		NewWithT(t).Expect(i.OpenedAt.Format(time.RFC3339)+" "+i.ResolvedAt.Format(time.RFC3339)).To(Equal(want), body)
	}
}
