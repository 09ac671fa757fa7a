package incidentio_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/incidentio"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const id = "01FDAG4SAP0000000000000001"

var began = time.Date(2026, 3, 1, 10, 15, 30, 250_000_000, time.UTC)

func report(digest string, i ingest.Incident, more ...string) []ingest.Report {
	i.ID, i.Severity, i.Title, i.Link = id, "Major", "Checkout is down", "https://app.incident.io/example/incidents/123"
	i.Mentions = append(append([]string{"Checkout is down", "since 1.4.2"}, more...), "checkout", "cart", "8d3f2c1", "eu")
	return []ingest.Report{{Source: "incidentio", Key: id + "/" + digest, Service: "checkout", Incident: &i}}
}

func at(hour, minute int) time.Time { return time.Date(2026, 3, 1, hour, minute, 0, 0, time.UTC) }

func sign(r *ingest.Request, key []byte) {
	r.Header.Set("Webhook-Id", "msg_1")
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(r.Now.Unix(), 10))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("msg_1." + r.Header.Get("Webhook-Timestamp") + "." + string(r.Body)))
	r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// suite has keys with the first 32 digits of `sha256sum testdata/FILE`.
func suite() *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: incidentio.New(),
		Secret: map[string][]byte{"signingSecret": []byte("whsec_" + base64.StdEncoding.EncodeToString([]byte(sinktest.Secret("incidentio"))))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret["signingSecret"]), "whsec_"))
			sign(r, key)
		},
		SignsBody: true,
		Now:       at(12, 0),
		Samples: []ingesttest.Sample{
			{File: "created.json", Want: report("64deb64b178c7ed023769b1cbe2230b9", ingest.Incident{OpenedAt: began})},
			{File: "closed.json", Want: report("b9b06f34ebbff0386a16f25b0d422c50", ingest.Incident{OpenedAt: began, ResolvedAt: at(11, 0)}, "rolled back to 1.4.1")},
			{File: "updated_after.json", Want: report("948844fd09a81410cf4da35253ba9a08", ingest.Incident{OpenedAt: began, ResolvedAt: at(10, 50)})},
			{File: "reopened.json", Want: report("74eb91e76c2c724c1272a1f9fc6a4967", ingest.Incident{OpenedAt: at(11, 30), Reopened: true})},
			{File: "declined.json", Want: report("2cf0f71501fe2ca7bfcc71e2d96d21fb", ingest.Incident{ResolvedAt: at(10, 30)})},
			{File: "triage.json"},
			{File: "test.json"},
			{File: "private.json"},
		},
	}
}

func TestIncidentIO(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

// TestSignature: the vector is of Standard Webhooks' libraries, of which incident.io's documentation shows the same signature.
func TestSignature(t *testing.T) {
	const right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	signed := time.Unix(1614265330, 0)
	for name, c := range map[string]struct {
		signature, secret string
		now               time.Time
		want              error
	}{
		"at once":                  {right, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed, nil},
		"without the prefix":       {right, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed, nil},
		"one of several":           {"v1a,AAAA v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= " + right, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed, nil},
		"five minutes later":       {right, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed.Add(5 * time.Minute), nil},
		"too late":                 {right, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed.Add(5*time.Minute + time.Second), ingest.ErrNotSender},
		"too early":                {right, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed.Add(-5*time.Minute - time.Second), ingest.ErrNotSender},
		"of another version":       {"v2" + right[2:], "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed, ingest.ErrNotSender},
		"with a secret in hex":     {right, "whsec_zz!", signed, ingest.ErrNoSecret},
		"with a prefix and no key": {right, "whsec_", signed, ingest.ErrNoSecret},
	} {
		r := &ingest.Request{Header: http.Header{}, Body: []byte(`{"test": 2432232314}`), Now: c.now}
		r.Header.Set("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
		r.Header.Set("Webhook-Timestamp", "1614265330")
		r.Header.Set("Webhook-Signature", c.signature)
		err := incidentio.New().Verify(r, map[string][]byte{"signingSecret": []byte(c.secret)})
		if c.want == nil {
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), name)
			continue
		}
		NewWithT(t).Expect(err).To(MatchError(c.want), name)
	}
}

func TestMissing(t *testing.T) {
	const created, changed = `{"event_type":"public_incident.incident_created_v2"`, `{"event_type":"public_incident.incident_status_updated_v2"`
	for body, want := range map[string]string{
		`{}`:               "event_type: must be there, and a text",
		`{"event_type":7}`: "event_type: must be there, and a text",
		created + `}`:      "data: send a body of JSON: it is empty",
		created + `,"public_incident.incident_created_v2":{}}`:                              "data.id: must be a text of 1 to 200 bytes in which every character shows",
		created + `,"public_incident.incident_created_v2":{"id":7}}`:                        "data.id: must be a text",
		created + `,"public_incident.incident_created_v2":{"id":"a","created_at":"now"}}`:   "data.created_at: must be a time such as 2006-01-02T15:04:05Z07:00",
		changed + `,"public_incident.incident_status_updated_v2":{"incident":{"name":[]}}}`: "data.incident.name: must be a text",
	} {
		_, err := incidentio.New().Read(&ingest.Request{Body: []byte(body)})
		NewWithT(t).Expect(err).To(MatchError(want), body)
	}
}
