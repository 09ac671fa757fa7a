package integration_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// listening lets a process take what is reported, in clear text over the loopback interface.
func listening(o *app.Options) { o.ReceiversAddress, o.ReceiversPlain = freeAddress(), true }

// reporter sends to a process as somebody else does.
type reporter struct {
	url    string
	client *http.Client
	prove  func(request *http.Request, body string)
}

// reporter is one who speaks TLS, and trusts the process's own certificate, if it has one.
func (p *process) reporter(path string, prove func(*http.Request, string)) reporter {
	GinkgoHelper()
	if p.options.ReceiversPlain {
		return reporter{"http://" + p.options.ReceiversAddress + path, http.DefaultClient, prove}
	}
	certificate, err := os.ReadFile(filepath.Join(p.options.ReceiversCertificate, "tls.crt"))
	Expect(err).NotTo(HaveOccurred())
	trusted := x509.NewCertPool()
	Expect(trusted.AppendCertsFromPEM(certificate)).To(BeTrue())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
	DeferCleanup(transport.CloseIdleConnections)
	return reporter{"https://" + p.options.ReceiversAddress + path, &http.Client{Transport: transport}, prove}
}

func bearing(token string) func(*http.Request, string) {
	return func(request *http.Request, _ string) { request.Header.Set("Authorization", "Bearer "+token) }
}

func (r reporter) send(body string) (code int, said map[string]any) {
	GinkgoHelper()
	request, err := http.NewRequest(http.MethodPost, r.url, strings.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/json")
	r.prove(request, body)
	answer, err := r.client.Do(request)
	if err != nil {
		return 0, nil // nobody listens yet
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(json.Unmarshal(text, &said)).To(Succeed(), string(text))
	Expect(sinktest.Leaks(string(text))).To(BeFalse())
	return answer.StatusCode, said
}

// expect sends until the answer is this one, and returns the id that it says.
func (r reporter) expect(code int, body string) string {
	GinkgoHelper()
	var said map[string]any
	Eventually(func() (got int) {
		got, said = r.send(body)
		return got
	}).WithTimeout(patience).WithPolling(50*time.Millisecond).Should(Equal(code), "%v", said)
	id, _ := said["id"].(string)
	return id
}

// newReceiver makes a receiver, and its Secret.
func newReceiver(ctx context.Context, namespace, name, spec string, secret map[string]string) *dorav1alpha1.DoraReceiver {
	GinkgoHelper()
	newSecret(ctx, namespace, name, secret)
	receiver := &dorav1alpha1.DoraReceiver{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	Expect(yaml.UnmarshalStrict([]byte(spec), &receiver.Spec)).To(Succeed())
	receiver.Spec.SecretRef.Name = name
	Expect(api.Create(ctx, receiver)).To(Succeed())
	return receiver
}

func expectReceiver(ctx context.Context, receiver *dorav1alpha1.DoraReceiver, pass func(g Gomega, status *dorav1alpha1.DoraReceiverStatus)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(receiver), receiver)).To(Succeed())
		pass(g, &receiver.Status)
	}).WithTimeout(patience).Should(Succeed())
}

var _ = Describe("What is reported over HTTP", func() {
	It("is in the ledger once it is accepted, once, and what is refused is not", func(ctx SpecContext) {
		namespace, token := newNamespace(ctx, api), sinktest.Secret("ci")
		receiver := newReceiver(ctx, namespace, "ci", `{type: Events, services: {Checkout API: checkout}}`, map[string]string{"token": token})
		p := start(cluster, watching(namespace), listening)
		ci := p.reporter("/events/deploy", bearing(token))
		at := p.clock.Now().UTC().Format(time.RFC3339)
		body := `{"service":"Checkout API","team":"payments","commit_sha":"8d3f2c1","occurred_at":"` + at + `","success":true,"run":42}`
		id := ci.expect(http.StatusAccepted, body)
		Expect(ci.expect(http.StatusAccepted, body)).To(Equal(id))
		Expect(ci.expect(http.StatusBadRequest, strings.Replace(body, "true", `"yes"`, 1))).To(BeEmpty())
		p.reporter("/events/deploy", bearing("forged")).expect(http.StatusUnauthorized, body)

		events := p.events(NewWithT(GinkgoT()))
		Expect(events).To(HaveLen(1))
		event := events[0]
		Expect([]string{event.ID, event.Service, event.Team, event.Environment, event.Version.Commit, string(event.Outcome)}).To(
			Equal([]string{id, "checkout", "payments", "production", "8d3f2c1", string(dora.Succeeded)}))
		Expect(event.Reported).To(MatchJSON(`{"run":42}`))
		expectReceiver(ctx, receiver, func(g Gomega, status *dorav1alpha1.DoraReceiverStatus) {
			g.Expect([]any{status.Accepted, status.Refused, status.LastRefusal, status.Path}).To(Equal([]any{int64(2), int64(1), "BadRequest", "/events/deploy"}))
			g.Expect(meta.IsStatusConditionTrue(status.Conditions, dorav1alpha1.ConditionReady)).To(BeTrue())
		})

		By("going on after a restart")
		p = p.restart(cluster)
		Expect(ci.expect(http.StatusAccepted, body)).To(Equal(id))
		Expect(p.events(NewWithT(GinkgoT()))).To(HaveLen(1))
		expectReceiver(ctx, receiver, func(g Gomega, status *dorav1alpha1.DoraReceiverStatus) {
			g.Expect([]int64{status.Accepted, status.Refused}).To(Equal([]int64{3, 1}))
		})
	})

	It("is verified by the Secret as it is, and by the one that comes next", func(ctx SpecContext) {
		namespace, before, after := newNamespace(ctx, api), sinktest.Secret("before"), sinktest.Secret("after")
		receiver := newReceiver(ctx, namespace, "ci", `{type: GitHub}`, map[string]string{"signingSecret": before})
		p := start(cluster, watching(namespace), listening)
		hook := func(secret string) reporter {
			return p.reporter("/hooks/"+namespace+"/ci", func(request *http.Request, body string) {
				mac := hmac.New(sha256.New, []byte(secret))
				mac.Write([]byte(body))
				request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
				request.Header.Set("X-Github-Event", "push")
			})
		}
		push, err := os.ReadFile("../../internal/ingest/github/testdata/push.json")
		Expect(err).NotTo(HaveOccurred())
		id := hook(before).expect(http.StatusAccepted, string(push))
		hook(after).expect(http.StatusUnauthorized, string(push))

		write := func(values map[string][]byte, limit int32) { // who changes the spec has the Secret read at once
			secret := &corev1.Secret{}
			Expect(api.Get(ctx, client.ObjectKeyFromObject(receiver), secret)).To(Succeed())
			secret.Data = values
			Expect(api.Update(ctx, secret)).To(Succeed())
			Expect(api.Get(ctx, client.ObjectKeyFromObject(receiver), receiver)).To(Succeed())
			receiver.Spec.RateLimit = limit
			Expect(api.Update(ctx, receiver)).To(Succeed())
		}
		write(map[string][]byte{"signingSecret": []byte(before), "signingSecret.next": []byte(after)}, 601)
		Expect(hook(after).expect(http.StatusAccepted, string(push))).To(Equal(id))
		Expect(hook(before).expect(http.StatusAccepted, string(push))).To(Equal(id))
		write(map[string][]byte{"signingSecret": []byte(after)}, 602)
		hook(before).expect(http.StatusUnauthorized, string(push))
		Expect(hook(after).expect(http.StatusAccepted, string(push))).To(Equal(id))
		Expect(api.Delete(ctx, receiver)).To(Succeed())
		hook(after).expect(http.StatusUnauthorized, string(push))

		events := p.events(NewWithT(GinkgoT()))
		Expect(events).To(HaveLen(1))
		Expect(events[0].Type).To(Equal(dora.TypeChange))
		Expect(events[0].Version.Commit).To(Equal("8d3f2c1a9b7e6f5d4c3b2a1908f7e6d5c4b3a291"))
	})

	It("says why it is not taken, in the status", func(ctx SpecContext) {
		namespace, token := newNamespace(ctx, api), sinktest.Secret("shared")
		off := newReceiver(ctx, namespace, "off", `{type: Events}`, map[string]string{"token": token})
		quiet := start(cluster, watching(namespace))
		reasoned := func(r *dorav1alpha1.DoraReceiver, reason string) {
			GinkgoHelper()
			expectReceiver(ctx, r, func(g Gomega, status *dorav1alpha1.DoraReceiverStatus) {
				ready := meta.FindStatusCondition(status.Conditions, dorav1alpha1.ConditionReady)
				g.Expect(ready).NotTo(BeNil())
				g.Expect(ready.Reason).To(Equal(reason), ready.Message)
				g.Expect(sinktest.Leaks(ready.Message)).To(BeFalse())
			})
		}
		reasoned(off, dorav1alpha1.ReasonReceiversOff)
		quiet.end()
		start(cluster, watching(namespace), listening)
		reasoned(off, dorav1alpha1.ReasonReceiving)
		reasoned(newReceiver(ctx, namespace, "short", `{type: CloudEvents}`, map[string]string{"token": "too-short"}), dorav1alpha1.ReasonSecretMissing)
		reasoned(newReceiver(ctx, namespace, "keyless", `{type: GitLab}`, map[string]string{"secret": "x"}), dorav1alpha1.ReasonSecretMissing)
		reasoned(newReceiver(ctx, namespace, "twin", `{type: CloudEvents}`, map[string]string{"token": token}), dorav1alpha1.ReasonTokenTaken)
		reasoned(newReceiver(ctx, namespace, "odd", `{type: Generic, generic: {id: "body.", opened: "true"}}`, map[string]string{"token": token}), dorav1alpha1.ReasonInvalidSpec)
		reasoned(newReceiver(ctx, namespace, "quiet", `{type: Gitea, suspend: true}`, map[string]string{"signingSecret": token}), dorav1alpha1.ReasonSuspended)
	})

	It("is passed on by the process that stands by to the one that leads", func(ctx SpecContext) {
		namespace, token := newNamespace(ctx, api), sinktest.Secret("ci")
		newReceiver(ctx, namespace, "ci", `{type: Events}`, map[string]string{"token": token})
		database := postgrestest.Start(GinkgoTB()).Database(GinkgoTB())
		GinkgoTB().Setenv("PGPASSWORD", database.Password)
		replica := func(o *app.Options) {
			o.LeaderElect, o.LeaderElectionNamespace, o.ReceiversIP, o.Ledger, o.StdoutSink = true, namespace, "127.0.0.1", address(database), false
		}
		first := start(cluster, watching(namespace), listening, replica)
		first.awaitBeginning()
		second := startAt(cluster, first.clock, watching(namespace), listening, replica)
		second.awaitReady()
		body := func(key string) string {
			return `{"service":"checkout","success":true,"idempotency_key":"` + key + `"}`
		}
		standing := second.reporter("/events/deploy", bearing(token))
		id := standing.expect(http.StatusAccepted, body("1"))
		Expect(first.reporter("/events/deploy", bearing(token)).expect(http.StatusAccepted, body("1"))).To(Equal(id))
		Expect(first.events(NewWithT(GinkgoT()))).To(HaveLen(1))

		first.end()
		Expect(standing.expect(http.StatusAccepted, body("1"))).To(Equal(id), "by itself, now that it leads")
		standing.expect(http.StatusAccepted, body("2"))
		Expect(second.events(NewWithT(GinkgoT()))).To(HaveLen(2))
	})

	It("is taken by the process that leads, and nobody is told otherwise by the one that stands by", func(ctx SpecContext) {
		namespace, token := newNamespace(ctx, api), sinktest.Secret("ci")
		newReceiver(ctx, namespace, "ci", `{type: Events}`, map[string]string{"token": token})
		elected := func(o *app.Options) { o.LeaderElect, o.LeaderElectionNamespace = true, namespace }
		first := start(cluster, watching(namespace), elected, listening)
		body := `{"service":"checkout","success":true,"idempotency_key":"1"}`
		id := first.reporter("/events/deploy", bearing(token)).expect(http.StatusAccepted, body)
		second := startAt(cluster, first.clock, watching(namespace), elected, listening, func(o *app.Options) { o.Ledger = first.options.Ledger })
		Eventually(func() error { return second.probe("healthz") }).WithTimeout(patience).Should(Succeed())
		waiting := second.reporter("/events/deploy", bearing(token))
		waiting.expect(http.StatusServiceUnavailable, body)
		first.end()
		Expect(waiting.expect(http.StatusAccepted, body)).To(Equal(id))
		Expect(second.events(NewWithT(GinkgoT()))).To(HaveLen(1))
	})
})
