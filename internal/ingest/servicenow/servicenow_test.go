package servicenow_test

import (
	"encoding/base64"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/ingest/servicenow"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const id = "1c741bd70b2322007518478d83673af3"

var began = time.Date(2026, 3, 1, 10, 15, 30, 0, time.UTC)

func report(digest, service string, i ingest.Incident, more ...string) []ingest.Report {
	i.ID, i.Severity, i.Title = id, "1 - Critical", "Checkout is down"
	i.Link = "https://example.service-now.com/nav_to.do?uri=incident.do?sys_id=" + id
	i.Mentions = append([]string{"Checkout is down", "since 1.4.2"}, more...)
	return []ingest.Report{{Source: "servicenow", Key: id + "/" + digest, Service: service, Incident: &i}}
}

func at(day, hour, minute int) time.Time {
	return time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC)
}

// suite has keys with the first 32 digits of `sha256sum testdata/FILE`.
func suite() *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: servicenow.New(),
		Secret: map[string][]byte{"username": []byte("servicenow"), "password": []byte(sinktest.Secret("servicenow"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(string(secret["username"])+":"+string(secret["password"]))))
		},
		Now: at(9, 0, 0),
		Samples: []ingesttest.Sample{
			{File: "in_progress.json", Want: report("a94aaf3e741fbe9c82c00c7c55e50405", "checkout", ingest.Incident{OpenedAt: began})},
			{File: "resolved.json", Want: report("94760c6cd25e00ce25c5306f5aad23a4", "checkout", ingest.Incident{OpenedAt: began, ResolvedAt: at(1, 11, 0)}, "rolled back 8d3f2c1")},
			{File: "closed.json", Want: report("537faf3cde27decfb1eb0343995f0095", "checkout", ingest.Incident{OpenedAt: began, ResolvedAt: at(1, 11, 0)})},
			{File: "reopened.json", Want: report("bc4a8a07068453f3beedea5a5272da91", "checkout-eu-1", ingest.Incident{OpenedAt: at(1, 12, 0), Reopened: true})},
			{File: "canceled.json", Want: report("670b7d515af9969e6fdcb01470e87327", "checkout", ingest.Incident{ResolvedAt: at(1, 10, 20)})},
		},
	}
}

func TestServiceNow(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

func TestMissing(t *testing.T) {
	for body, want := range map[string]string{
		`{"number":"INC1"}`:        "sys_id: must be a text of 1 to 200 bytes in which every character shows",
		`{"sys_id":"a"}`:           "state: must be there: the number of the incident's state, as a text",
		`{"sys_id":"a","state":6}`: "state: must be a text",
		`{"sys_id":"a","state":"6","resolved_at":"03/01/2026"}`: "resolved_at: must be a time such as 2006-01-02 15:04:05",
	} {
		_, err := servicenow.New().Read(&ingest.Request{Body: []byte(body)})
		NewWithT(t).Expect(err).To(MatchError(want), body)
	}
}
