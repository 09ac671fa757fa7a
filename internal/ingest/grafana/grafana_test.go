package grafana_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/grafana"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

var (
	began = time.Date(2026, 3, 1, 10, 15, 30, 500_000_000, time.UTC)
	now   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func alert(state string, resolved time.Time) []ingest.Report {
	const id = "5ef77f1f8a3ecf8d@2026-03-01T10:15:30.5Z"
	return []ingest.Report{{
		Source: "grafana", Key: id + "/" + state, Service: "checkout", Environment: "production",
		Incident: &ingest.Incident{
			ID: id, OpenedAt: began, ResolvedAt: resolved, Severity: "critical", Title: "checkout fails",
			Link:     "https://grafana.example.com/alerting/grafana/abc/view?orgId=1",
			Mentions: []string{"5 % of requests fail since sha-8d3f2c1", "checkout fails", "HighErrorRate", "production", "checkout", "critical", "1.4.2"},
		},
	}}
}

func group(digest, service, severity string, resolved time.Time, more ...string) []ingest.Report {
	const id = "I6HNZGUFG4K11"
	return []ingest.Report{{Source: "grafana", Key: id + "/" + digest, Service: service, Incident: &ingest.Incident{
		ID: id, OpenedAt: time.Date(2026, 3, 1, 10, 15, 30, 250_000_000, time.UTC), ResolvedAt: resolved, Severity: severity, Title: "Checkout is down",
		Link: "https://example.grafana.net/a/grafana-oncall-app/alert-groups/I6HNZGUFG4K11", Mentions: append([]string{"Checkout is down"}, more...),
	}}}
}

// payload are the texts of the first alert.
var payload = []string{"since 1.4.2", "0001-01-01T00:00:00Z", "CheckoutDown", "checkout", "critical", "2026-03-01T10:15:00Z", "firing"}

func sign(key []byte, message ...[]byte) string {
	mac := hmac.New(sha256.New, key)
	for _, part := range message {
		mac.Write(part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

const (
	signature = "X-Grafana-Alerting-Signature"
	timestamp = "X-Grafana-Alerting-Signature-Timestamp"
)

// suite has keys with the first 32 digits of `sha256sum testdata/FILE`.
func suite() *ingesttest.Suite {
	return &ingesttest.Suite{
		Driver: grafana.New(),
		Secret: map[string][]byte{"signingSecret": []byte(sinktest.Secret("grafana"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			at := strconv.FormatInt(r.Now.Unix(), 10)
			r.Header.Set(timestamp, at)
			r.Header.Set(signature, sign(secret["signingSecret"], []byte(at+":"), r.Body))
		},
		SignsBody: true,
		Now:       now,
		Samples: []ingesttest.Sample{
			{File: "alert_firing.json", Want: alert("firing", time.Time{})},
			{File: "alert_resolved.json", Want: alert("resolved", began.Add(30*time.Minute))},
			{File: "group_created.json", Want: group("b35e14c9586e72a13b8c1f336537d226", "checkout", "critical", time.Time{}, payload...)},
			{File: "group_resolved.json", Want: group("56fd45ddd7b866949e25cbcea4484449", "checkout", "critical", time.Date(2026, 3, 1, 11, 0, 0, 500_000_000, time.UTC), payload...)},
			{File: "group_escalated.json", Want: group("14b8ffd326b9116dc45dbbcf8d0f03aa", "Shop - Alertmanager", "", time.Time{})},
			{File: "group_acknowledged.json"},
		},
	}
}

func TestGrafana(t *testing.T) { suite().Run(t) }

func FuzzRead(f *testing.F) { suite().Fuzz(f) }

// TestSenders: a signature without a time, as a contact point makes it by default, or credentials.
func TestSenders(t *testing.T) {
	key, token := []byte(sinktest.Secret("key")), sinktest.Secret("token")
	body := []byte(`{"alerts":[]}`)
	both := map[string][]byte{"signingSecret": key, "token": []byte(token)}
	at := func(moment time.Time) map[string]string {
		seconds := strconv.FormatInt(moment.Unix(), 10)
		return map[string]string{timestamp: seconds, signature: sign(key, []byte(seconds+":"), body)}
	}
	for name, c := range map[string]struct {
		header map[string]string
		secret map[string][]byte
		want   error
	}{
		"a signature of the body":           {map[string]string{signature: sign(key, body)}, both, nil},
		"a token":                           {map[string]string{"Authorization": "Bearer " + token}, both, nil},
		"a signature with a time":           {at(now), both, nil},
		"a signature of long ago":           {at(now.Add(-301 * time.Second)), both, ingest.ErrNotSender},
		"a signature of a time to come":     {at(now.Add(301 * time.Second)), both, ingest.ErrNotSender},
		"one of the body, and another time": {map[string]string{signature: sign(key, body), timestamp: "1772366400"}, both, ingest.ErrNotSender},
		"one whose time was taken away":     {map[string]string{signature: at(now)[signature]}, both, ingest.ErrNotSender},
		"a token where only signatures are": {map[string]string{"Authorization": "Bearer " + token}, map[string][]byte{"signingSecret": key}, ingest.ErrNotSender},
		"a signature where only tokens are": {map[string]string{signature: sign(key, body)}, map[string][]byte{"token": []byte(token)}, ingest.ErrNotSender},
		"no Secret":                         {map[string]string{signature: sign(nil, body)}, nil, ingest.ErrNoSecret},
	} {
		r := &ingest.Request{Header: http.Header{}, Body: body, Now: now}
		for key, value := range c.header {
			r.Header.Set(key, value)
		}
		if err := grafana.New().Verify(r, c.secret); c.want == nil {
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), name)
		} else {
			NewWithT(t).Expect(err).To(MatchError(c.want), name)
		}
	}
}

// TestAlertGroups: what has no time of its own was when it came in; what common labels there are is enough.
func TestAlertGroups(t *testing.T) {
	g := NewWithT(t)
	reports, err := grafana.New().Read(&ingest.Request{
		Body: []byte(`{"event":{"type":"unresolve"},"alert_group":{"id":"a","created_at":"2026-03-01T10:15:30Z"},"alert_payload":{"commonLabels":{"app":"cart"}}}`), Now: now,
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(reports[0].Service).To(Equal("cart"))
	g.Expect(reports[0].Incident.OpenedAt).To(Equal(now))
	g.Expect(reports[0].Incident.Reopened).To(BeTrue())
	for body, want := range map[string]string{
		`{}`: "must have alerts, as a contact point sends them, or alert_group, as OnCall and IRM do with all data",
		`{"event":{"type":"resolve"},"alert_group":{}}`:                                   "alert_group.id: must be a text of 1 to 200 bytes in which every character shows",
		`{"event":{"type":"resolve"},"alert_group":{"id":"a","resolved_at":"yesterday"}}`: "alert_group.resolved_at: must be a time such as 2006-01-02T15:04:05Z07:00",
	} {
		_, err := grafana.New().Read(&ingest.Request{Body: []byte(body), Now: now})
		g.Expect(err).To(MatchError(want), body)
	}
}
