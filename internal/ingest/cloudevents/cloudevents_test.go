package cloudevents_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/cloudevents"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const (
	sha   = "8d3f2c1a9b7e6f5d4c3b2a1908f7e6d5c4b3a291"
	image = "registry.example.com/shop/checkout:1.4.2@sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427"
	purl  = "pkg:oci/checkout@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427" +
		"?repository_url=registry.example.com/shop/checkout&tag=1.4.2"
)

var (
	noon       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	structured = http.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}
	batched    = http.Header{"Content-Type": {"application/cloudevents-batch+json"}}
	binary     = http.Header{
		"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"a2"}, "Ce-Source": {"/ci/eu-1"},
		"Ce-Type": {"dev.cdevents.service.upgraded.0.2.0"},
	}
)

func deployment(id string, d ingest.Deployment) ingest.Report {
	d.OccurredAt = noon
	return ingest.Report{Source: "cloudevents", Key: "/ci/eu-1#" + id, Service: "checkout", Environment: "production", Deployment: &d}
}

func incident(id string, i ingest.Incident) ingest.Report {
	i.ID = "/ci/eu-1#incident-123"
	return ingest.Report{Source: "cloudevents", Key: "/ci/eu-1#" + id, Service: "checkout", Environment: "production", Incident: &i}
}

func detected(id string) ingest.Report {
	const title = "Response times are above 10 seconds"
	return incident(id, ingest.Incident{OpenedAt: noon, Title: title, Mentions: []string{title, purl}})
}

func resolved() ingest.Report {
	const title = "Response times are back to normal"
	return incident("a6", ingest.Incident{ResolvedAt: noon.Add(40 * time.Minute), Title: title, Mentions: []string{title}})
}

func suite() *ingesttest.Suite {
	full := deployment("a1", ingest.Deployment{
		Commit: sha, Repository: "https://github.com/acme/checkout", Version: "1.4.2", Images: []string{image}, Success: true,
		FirstCommitAt: noon.Add(-19 * time.Hour),
	})
	full.Team = "payments"
	return &ingesttest.Suite{
		Driver: cloudevents.Driver{},
		Secret: map[string][]byte{"token": []byte(sinktest.Secret("cloudevents"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			r.Header.Set("Authorization", "Bearer "+string(secret["token"]))
		},
		Now: noon.Add(time.Hour),
		Samples: []ingesttest.Sample{
			{File: "deployed.json", Header: structured, Want: []ingest.Report{full}},
			{File: "upgraded_binary.json", Header: binary, Want: []ingest.Report{
				deployment("a2", ingest.Deployment{Commit: sha, Repository: "acme/checkout", Success: true}),
			}},
			{File: "rolledback.json", Header: structured, Want: []ingest.Report{deployment("a3", ingest.Deployment{Success: true, IsRollback: true})}},
			{File: "published_failed.json", Header: structured, Want: []ingest.Report{deployment("a4", ingest.Deployment{})}},
			{File: "detected.json", Header: structured, Want: []ingest.Report{detected("a5")}},
			{File: "merged.json", Header: structured, Want: []ingest.Report{{
				Source: "cloudevents", Key: "/ci/eu-1#a7", Service: "checkout",
				Change: &ingest.Change{Commit: sha, Repository: "acme/checkout", OccurredAt: noon},
			}}},
			{File: "pipelinerun.json", Header: structured},
			{File: "batch.json", Header: batched, Want: []ingest.Report{resolved(), detected("a9")}},
		},
	}
}

func TestCloudEvents(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

// TestWhatIsWrong is named, in a batch with the place of the event. What else is in the batch is read.
func TestWhatIsWrong(t *testing.T) {
	event := func(changes ...string) string {
		text := `{"specversion":"1.0","id":"a","source":"b","type":"dev.cdevents.service.deployed.0.3.0","data":` +
			`{"context":{"timestamp":"2026-03-01T12:00:00Z"},"subject":{"id":"checkout","content":{}},"customData":{}}}`
		return strings.NewReplacer(changes...).Replace(text)
	}
	for body, want := range map[string]string{
		event():                               "",
		event(`"1.0"`, `"0.3"`):               "specversion: must be 1.0",
		event(`"id":"a"`, `"id":""`):          "id: must be a text of 1 to 200 bytes in which every character shows",
		event("2026-03-01T12:00:00Z", ""):     "data.context.timestamp: must be there: it is when it happened",
		event("2026-03-01T12:00:00Z", "noon"): "data.context.timestamp: must be a time such as 2006-01-02T15:04:05Z07:00",
		event("12:00:00Z", "12:05:00Z"):       "",
		event("12:00:00Z", "12:05:01Z"):       "data.context.timestamp: must not lie in the future: is the sender's clock right?",
		event("service.deployed.0.3.0", "incident.detected.0.3.0", "12:00:00Z", "12:05:01Z"): "",
		event("checkout", ""):                                                 "data.subject.id: must be a text of 1 to 200 bytes in which every character shows",
		event(`{"id":"checkout"`, `{"id":7`):                                  "data.subject.id: must be a text",
		event(`Data":{}`, `Data":{"commit_sha":"HEAD"}`):                      "data.customData.commit_sha: must be the id of a commit, 7 to 64 hexadecimal digits",
		event(`Data":{}`, `Data":{"first_commit_ts":"2026-03-01T12:00:01Z"}`): "data.customData.first_commit_ts: must not be after data.context.timestamp",
	} {
		for mode, header := range map[string]http.Header{"%s": structured, "[" + event() + ",%s]": batched} {
			reports, err := (cloudevents.Driver{}).Read(&ingest.Request{Header: header, Body: fmt.Appendf(nil, mode, body), Now: noon})
			switch {
			case want == "":
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
			case mode == "%s":
				NewWithT(t).Expect(err).To(MatchError(want), body)
			default:
				NewWithT(t).Expect(err).To(MatchError("1."+want), body)
				NewWithT(t).Expect(reports).To(HaveLen(1), "the event before it is read")
			}
		}
	}
	reports, err := (cloudevents.Driver{}).Read(&ingest.Request{
		Header: batched, Now: noon, Body: fmt.Appendf(nil, "[%s,7,%s,null,%s]", event(`"id":"a"`, `"id":"1"`), event("checkout", ""), event(`"id":"a"`, `"id":"2"`)),
	})
	NewWithT(t).Expect(err).To(MatchError("1: must be an object"), "the first that is wrong is told")
	NewWithT(t).Expect(reports).To(HaveLen(2))
	NewWithT(t).Expect([]string{reports[0].Key, reports[1].Key}).To(Equal([]string{"b#1", "b#2"}))
	_, err = (cloudevents.Driver{}).Read(&ingest.Request{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(event())})
	NewWithT(t).Expect(err).To(MatchError(HavePrefix("must be a CloudEvent")))
	many := []byte("[" + strings.Repeat(event()+",", 100) + event() + "]")
	_, err = (cloudevents.Driver{}).Read(&ingest.Request{Header: batched, Body: many})
	NewWithT(t).Expect(err).To(MatchError("must be a list of 100 events at most"))
}

// TestOtherTypes count nothing, whatever their data is; that of types that count may be in base64.
func TestOtherTypes(t *testing.T) {
	g := NewWithT(t)
	read := func(kind, rest string) ([]ingest.Report, error) {
		body := fmt.Sprintf(`{"specversion":"1.0","id":"a","source":"b","type":%q%s}`, kind, rest)
		return cloudevents.Driver{}.Read(&ingest.Request{Header: structured, Body: []byte(body), Now: noon})
	}
	for _, rest := range []string{"", `,"data":"hello"`, `,"data":[1]`, `,"data":{"subject":"x"}`, `,"data":null`, `,"data_base64":"aGVsbG8="`} {
		reports, err := read("com.foo", rest)
		g.Expect(err).NotTo(HaveOccurred(), rest)
		g.Expect(reports).To(BeEmpty(), rest)
	}
	const deployed, data = "dev.cdevents.service.deployed.0.3.0", `{"context":{"timestamp":"2026-03-01T12:00:00Z"},"subject":{"id":"checkout"}}`
	encoded := base64.StdEncoding.EncodeToString([]byte(data))
	plain, err := read(deployed, `,"data":`+data)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plain).To(HaveLen(1))
	g.Expect(read(deployed, `,"data_base64":"`+encoded+`"`)).To(Equal(plain))
	for _, rest := range []string{`,"data_base64":"?"`, `,"data":{},"data_base64":"` + encoded + `"`} {
		_, err := read(deployed, rest)
		g.Expect(err).To(MatchError("data_base64: must be in base64, and in the place of data"), rest)
	}
}
