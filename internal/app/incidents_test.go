package app

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/receive"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// sent is one sample of a product's documentation, and how that product proves itself.
type sent struct {
	file   string
	secret map[string]string
	prove  func(r *http.Request, body []byte, secret map[string]string)
	// id and service are what it tells.
	id, service string
}

func signsIn(header, before string) func(*http.Request, []byte, map[string]string) {
	return func(r *http.Request, body []byte, secret map[string]string) {
		r.Header.Set(header, before+hex.EncodeToString(hash(secret["signingSecret"], string(body))))
	}
}

func hash(key, message string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

func bears(r *http.Request, _ []byte, secret map[string]string) {
	r.Header.Set("Authorization", "Bearer "+secret["token"])
}

func logsIn(r *http.Request, _ []byte, secret map[string]string) {
	r.SetBasicAuth(secret["username"], secret["password"])
}

func asksWith(r *http.Request, _ []byte, secret map[string]string) {
	r.URL.RawQuery = "token=" + secret["token"]
}

// svix signs with the key in clear, of which the Secret has the base64, at the time of the server.
func svix(r *http.Request, body []byte, secret map[string]string) {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret["signingSecret"], "whsec_"))
	r.Header.Set("Webhook-Id", "msg_1")
	r.Header.Set("Webhook-Timestamp", "1772366400") // date -u -d 2026-03-01T12:00:00Z +%s
	r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(hash(string(key), "msg_1.1772366400."+string(body))))
}

var products = map[dorav1alpha1.ReceiverType]sent{
	dorav1alpha1.ReceiverPagerDuty:    {"pagerduty/testdata/triggered.json", signing("pagerduty"), signsIn("X-PagerDuty-Signature", "v1="), "PINC001", "checkout"},
	dorav1alpha1.ReceiverOpsgenie:     {"opsgenie/testdata/create.json", bearing("opsgenie"), bears, "052652ac-0000-4000-8000-000000000001", "checkout"},
	dorav1alpha1.ReceiverAlertmanager: {"alertmanager/testdata/a_week_later.json", bearing("alertmanager"), bears, "5ef77f1f8a3ecf8d@2026-03-08T09:00:00Z", "checkout"},
	dorav1alpha1.ReceiverGrafana:      {"grafana/testdata/alert_firing.json", signing("grafana"), signsIn("X-Grafana-Alerting-Signature", ""), "5ef77f1f8a3ecf8d@2026-03-01T10:15:30.5Z", "checkout"},
	dorav1alpha1.ReceiverFireHydrant:  {"firehydrant/testdata/impacts.json", signing("firehydrant"), signsIn("fh-signature", ""), "04d9fd1a-0000-4000-8000-000000000001", "checkout"},
	dorav1alpha1.ReceiverIncidentIO: {
		"incidentio/testdata/created.json",
		map[string]string{"signingSecret": "whsec_" + base64.StdEncoding.EncodeToString([]byte(sinktest.Secret("incidentio")))},
		svix,
		"01FDAG4SAP0000000000000001", "checkout",
	},
	dorav1alpha1.ReceiverServiceNow: {
		"servicenow/testdata/in_progress.json",
		map[string]string{"username": "servicenow", "password": sinktest.Secret("servicenow")},
		logsIn,
		"1c741bd70b2322007518478d83673af3", "checkout",
	},
	dorav1alpha1.ReceiverStatuspage: {"statuspage/testdata/created.json", bearing("statuspage"), asksWith, "z3lct0r596n4", "checkout"},
	dorav1alpha1.ReceiverGeneric:    {"generic/testdata/opened.json", bearing("generic"), bears, "4711", "checkout"},
}

func signing(name string) map[string]string {
	return map[string]string{"signingSecret": sinktest.Secret(name)}
}

func bearing(name string) map[string]string { return map[string]string{"token": sinktest.Secret(name)} }

// taken is a ledger that remembers.
type taken struct {
	mu      sync.Mutex
	reports map[receive.Sender][]ingest.Report
}

func (k *taken) Take(_ context.Context, from receive.Sender, reports []ingest.Report) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reports[from] = append(k.reports[from], reports...)
	return make([]string, len(reports)), nil
}

// cut is the first half of a message, and swell one of more than 2 MiB; both are signed by who knows the secret.
func cut(body []byte) []byte { return body[:len(body)/2] }

func swell(body []byte) []byte { return append(bytes.Repeat([]byte(" "), 2<<20), body...) }

// TestProductsOfIncidents: one documented sample of each product, as that product sends it, over the network to the server that the
// controller runs. Twice, so that the ledger can see that it is the same, once by somebody who does not know the secret, once cut short, and once
// too large.
func TestProductsOfIncidents(t *testing.T) {
	g := NewWithT(t)
	ledger := &taken{reports: map[receive.Sender][]ingest.Report{}}
	desk := receive.NewDesk(func(receive.Sender) {})
	server := receive.NewServer(receive.Options{
		Address: "127.0.0.1:0", Log: logr.Discard(), Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
	})
	server.Open(desk, ledger)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Start(ctx) }()
	address := "http://" + (<-server.Bound()).String()

	for kind, sample := range products {
		name := strings.ToLower(string(kind))
		g.Expect(desk.Put(receiver(t, kind, name, sample.secret), receive.Tally{})).To(Succeed(), name)
		path := address + "/hooks/shop/" + name
		g.Expect(post(t, path, &sample, sample.secret)).To(Equal(http.StatusAccepted), name)
		g.Expect(post(t, path, &sample, sample.secret)).To(Equal(http.StatusAccepted), name)
		other := map[string]string{"token": "x", "signingSecret": "x", "username": "x", "password": "x"}
		g.Expect(post(t, path, &sample, other)).To(Equal(http.StatusUnauthorized), name)
		g.Expect(post(t, path, &sample, sample.secret, cut)).To(Equal(http.StatusBadRequest), name)
		g.Expect(post(t, path, &sample, sample.secret, swell)).To(Equal(http.StatusRequestEntityTooLarge), name)

		got := ledger.reports[receive.Sender{Namespace: "shop", Name: name}]
		g.Expect(got).To(HaveLen(2), name)
		g.Expect(got[0]).To(Equal(got[1]), name)
		g.Expect([]string{got[0].Source, got[0].Incident.ID, got[0].Service}).To(Equal([]string{name, sample.id, sample.service}))
		g.Expect(got[0].Incident.OpenedAt.IsZero()).To(BeFalse(), name)
	}
	stop()
	g.Expect(<-ended).To(Succeed())
}

func receiver(t *testing.T, kind dorav1alpha1.ReceiverType, name string, secret map[string]string) *receive.Receiver {
	t.Helper()
	object := &dorav1alpha1.DoraReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       dorav1alpha1.DoraReceiverSpec{Type: kind, Environment: "production", RateLimit: 600},
	}
	if kind == dorav1alpha1.ReceiverGeneric {
		object.Spec.Generic = &dorav1alpha1.GenericReceiver{ID: "body.incident.id", Opened: "body.incident.started_at", Service: "body.component"}
	}
	values := map[string][]byte{}
	for key, value := range secret {
		values[key] = []byte(value)
	}
	made, err := makeReceiver(object, values)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func post(t *testing.T, address string, sample *sent, secret map[string]string, changes ...func([]byte) []byte) int {
	t.Helper()
	body, err := os.ReadFile("../ingest/" + sample.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		body = change(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	sample.prove(r, body, secret)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// TestExpressionsAreCheckedAtOnce: a mistake is said where the receiver is set up, and not to its sender.
func TestExpressionsAreCheckedAtOnce(t *testing.T) {
	object := &dorav1alpha1.DoraReceiver{Spec: dorav1alpha1.DoraReceiverSpec{
		Type: dorav1alpha1.ReceiverGeneric, Generic: &dorav1alpha1.GenericReceiver{ID: "body.id", Opened: "bdy.at"},
	}}
	_, err := makeReceiver(object, map[string][]byte{"token": []byte(sinktest.Secret("generic"))})
	NewWithT(t).Expect(err).To(MatchError(HavePrefix("spec.generic.opened: at line 1, column 1: undeclared reference to 'bdy'")))
}
