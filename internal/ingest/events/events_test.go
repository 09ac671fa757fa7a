package events_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/events"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const sha = "8d3f2c1a9b7e6f5d4c3b2a1908f7e6d5c4b3a291"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func suite(samples ...ingesttest.Sample) *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: events.Driver{},
		Secret: map[string][]byte{"token": []byte(sinktest.Secret("events"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			r.Header.Set("Authorization", "Bearer "+string(secret["token"]))
		},
		Now:     noon.Add(time.Hour),
		Samples: samples,
	}
}

// deployments: the key of the first is what says
//
//	printf '["checkout","production","%s","","","2026-03-01T12:00:00Z"]' 8d3f2c1a9b7e6f5d4c3b2a1908f7e6d5c4b3a291 | sha256sum
func deployments() *ingesttest.Suite {
	return suite(
		ingesttest.Sample{File: "deploy.json", Want: []ingest.Report{{
			Source: "api", Key: "deploy:sha256:2f9de4204134ea3a1499e2697ac06fbda6ca3eabb2894c2726b2b668a22c7f8f", Service: "checkout", Environment: "production", Team: "payments",
			Deployment: &ingest.Deployment{Commit: sha, OccurredAt: noon, FirstCommitAt: noon.Add(-19 * time.Hour), Success: true},
			Rest:       []byte(`{"labels":{"region":"eu"},"pipeline":"https://ci.example.com/runs/42"}`),
		}}},
		ingesttest.Sample{File: "rollback.json", Want: []ingest.Report{{
			Source: "api", Key: "deploy:run-43", Given: true, Service: "checkout",
			Deployment: &ingest.Deployment{
				Repository: "acme/checkout", Version: "1.4.1", Images: []string{"registry.example.com/shop/checkout:1.4.1"},
				StartedAt: noon.Add(50 * time.Minute), OccurredAt: noon.Add(55 * time.Minute), Success: true, IsRollback: true,
			},
		}}},
		ingesttest.Sample{File: "failed.json", Want: []ingest.Report{{
			Source: "api", Key: "deploy:run-44", Given: true, Service: "checkout", Deployment: &ingest.Deployment{OccurredAt: noon.Add(45 * time.Minute)},
		}}},
	)
}

func TestDeployments(t *testing.T) { deployments().Run(t) }

func FuzzRead(f *testing.F) { deployments().Fuzz(f) }

func TestAChange(t *testing.T) {
	g := NewWithT(t)
	body := []byte(`{"service":"checkout","commit_sha":"` + strings.ToUpper(sha) + `","repository":"https://github.com/acme/checkout",
		"first_commit_ts":"2026-02-28T17:00:00Z","occurred_at":"2026-03-01T11:59:30Z","idempotency_key":"run-42","author":"ann"}`)
	got, err := events.Driver{}.Read(&ingest.Request{Path: "/events/change", Body: body, Now: noon})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(Equal([]ingest.Report{{
		Source: "api", Key: "change:run-42", Given: true, Service: "checkout", Rest: []byte(`{"author":"ann"}`),
		Change: &ingest.Change{
			Commit: sha, Repository: "https://github.com/acme/checkout", OccurredAt: noon.Add(-30 * time.Second), FirstCommitAt: noon.Add(-19 * time.Hour),
		},
	}}))
}

// TestTheSame: facts are the same however they are written, and another fact is another report; a key that is given decides.
func TestTheSame(t *testing.T) {
	g := NewWithT(t)
	key := func(body string, header ...string) string {
		r := &ingest.Request{Path: "/events/deploy", Header: http.Header{}, Body: []byte(body), Now: noon}
		if len(header) > 0 {
			r.Header.Set("Idempotency-Key", header[0])
		}
		got, err := events.Driver{}.Read(r)
		g.Expect(err).NotTo(HaveOccurred(), body)
		g.Expect(got).To(HaveLen(1))
		return got[0].Key
	}
	first := key(`{"service":"a","commit_sha":"1234567","occurred_at":"2026-03-01T12:00:00Z","success":true}`)
	g.Expect(key(`{"success":true,"occurred_at":"2026-03-01T13:00:00.000+01:00","commit_sha":"1234567","service":"a","more":1}`)).To(Equal(first))
	g.Expect(key(`{"service":"a","commit_sha":"1234567","occurred_at":"2026-03-01T12:00:00Z","success":false}`)).To(Equal(first), "of one attempt there is one end")
	for _, other := range []string{
		`{"service":"b","commit_sha":"1234567","occurred_at":"2026-03-01T12:00:00Z","success":true}`,
		`{"service":"a","commit_sha":"1234568","occurred_at":"2026-03-01T12:00:00Z","success":true}`,
		`{"service":"a","commit_sha":"1234567","occurred_at":"2026-03-01T12:00:01Z","success":true}`,
		`{"service":"a","commit_sha":"1234567","environment":"staging","occurred_at":"2026-03-01T12:00:00Z","success":true}`,
		`{"service":"a","commit_sha":"1234567","images":["x"],"occurred_at":"2026-03-01T12:00:00Z","success":true}`,
	} {
		g.Expect(key(other)).NotTo(Equal(first), other)
	}
	g.Expect(key(`{"service":"a","occurred_at":"2026-03-01T12:00:00Z","success":true,"idempotency_key":"body"}`, "header")).To(Equal("deploy:header"))
	g.Expect(key(`{"service":"a","success":true}`, "header")).To(Equal("deploy:header"), "with a key, no time is now")
}

// TestWhatIsWrong is named, with what to write there.
func TestWhatIsWrong(t *testing.T) {
	deploy := func(changes ...string) string {
		text := `{"service":"a","occurred_at":"2026-03-01T12:00:00Z","success":true,"x":0}`
		return strings.NewReplacer(changes...).Replace(text)
	}
	for body, want := range map[string]string{
		deploy():                      "",
		deploy(`,"success":true`, ""): "success: must be there: true or false",
		deploy("true", `"yes"`):       "success: must be true or false",
		deploy(`"occurred_at":"2026-03-01T12:00:00Z",`, ""):                         "occurred_at: must be there: a time such as 2006-01-02T15:04:05Z; or give an Idempotency-Key, and it is now",
		deploy("2026-03-01T12:00:00Z", "2026-03-01"):                                "occurred_at: must be a time such as 2006-01-02T15:04:05Z07:00",
		deploy("12:00:00Z", "12:05:01Z"):                                            "occurred_at: must not lie in the future: is the sender's clock right?",
		deploy("12:00:00Z", "12:05:00Z"):                                            "",
		deploy(`"x":0`, `"commit_sha":"HEAD"`):                                      "commit_sha: must be the id of a commit, 7 to 64 hexadecimal digits",
		deploy(`"x":0`, `"started_at":"2026-03-01T12:00:01Z"`):                      "started_at: must not be after occurred_at",
		deploy(`"x":0`, `"first_commit_ts":"2026-03-01T12:00:01Z"`):                 "first_commit_ts: must not be after occurred_at",
		deploy(`"service":"a"`, `"service":"check\u200bout"`):                       "service: must be a text of 1 to 200 bytes in which every character shows",
		deploy(`"x":0`, `"environment":"a\u0000"`):                                  "environment: must be a text of 1 to 200 bytes in which every character shows",
		deploy(`"x":0`, `"images":[`+strings.Repeat(`"a",`, 20)+`"a"]`):             "images: must be 20 at most",
		deploy(`"x":0`, `"images":["`+strings.Repeat("a", 1001)+`"]`):               "images: must be references of images, such as registry.example.com/shop/checkout:v1.42.0",
		deploy(`"x":0`, `"images":[""]`):                                            "images: must be references of images, such as registry.example.com/shop/checkout:v1.42.0",
		deploy(`"x":0`, `"images":["\u0000"]`):                                      "images: must be references of images, such as registry.example.com/shop/checkout:v1.42.0",
		deploy(`"x":0`, `"images":["\u001b[31m"]`):                                  "images: must be references of images, such as registry.example.com/shop/checkout:v1.42.0",
		deploy(`"x":0`, `"images":["a\u200bb"]`):                                    "images: must be references of images, such as registry.example.com/shop/checkout:v1.42.0",
		deploy(`"x":0`, `"x":"`+strings.Repeat("a", 16<<10)+`"`):                    "fields of other names are kept, but at most 16 KiB of them",
		deploy(`"x":0`, `"x":1e999999999`):                                          "x: is kept as it came, and must have no number that a double does not hold, nor one of more than 400 digits: send it as a text",
		deploy(`"x":0`, `"x":"\ud800"`):                                             "x: is kept as it came, and must have no text with the character U+0000 or U+FFFD, or with half of a character",
		deploy(`"x":0`, `"x":`+strings.Repeat("[", 8000)+strings.Repeat("]", 8000)): "x: is kept as it came, and must not be deeper than 100 levels",
		deploy(`"x":0`, `"idempotency_key":"a\n"`):                                  "idempotency_key: must be a text of 1 to 200 bytes in which every character shows",
	} {
		_, err := events.Driver{}.Read(&ingest.Request{Path: "/events/deploy", Body: []byte(body), Now: noon})
		if want == "" {
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), body)
			continue
		}
		NewWithT(t).Expect(err).To(MatchError(want), body)
	}
	_, err := events.Driver{}.Read(&ingest.Request{Path: "/events/change", Body: []byte(deploy()), Now: noon})
	NewWithT(t).Expect(err).To(MatchError("commit_sha: must be there: the id of the commit, 7 to 64 hexadecimal digits"))
}
