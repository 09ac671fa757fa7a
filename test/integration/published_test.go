package integration_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// overTLS lets a process take what is reported over TLS, with a certificate for this machine.
func overTLS(o *app.Options) {
	GinkgoHelper()
	server := httptest.NewTLSServer(nil)
	server.Close()
	pair, folder := server.TLS.Certificates[0], GinkgoT().TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	Expect(err).NotTo(HaveOccurred())
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		Expect(os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600)).To(Succeed())
	}
	o.ReceiversAddress, o.ReceiversCertificate = freeAddress(), folder
}

// pagerDutySigns proves a request as PagerDuty documents it for version 3 of its webhooks.
func pagerDutySigns(secret string) func(*http.Request, string) {
	return func(request *http.Request, body string) {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		request.Header.Set("X-Pagerduty-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
	}
}

var _ = Describe("Published SQL", func() {
	It("runs unchanged on what CI and PagerDuty report over TLS, and finds what was worked out by hand", func(ctx SpecContext) {
		database := postgrestest.Start(GinkgoTB()).Database(GinkgoTB())
		GinkgoTB().Setenv("PGPASSWORD", database.Password)
		namespace, token, signing := newNamespace(ctx, api), sinktest.Secret("ci"), sinktest.Secret("pager")
		newReceiver(ctx, namespace, "ci", `{type: Events}`, map[string]string{"token": token})
		newReceiver(ctx, namespace, "pager", `{type: PagerDuty}`, map[string]string{"signingSecret": signing})
		p := start(cluster, watching(namespace), overTLS, func(o *app.Options) { o.Ledger, o.StdoutSink = address(database), false })
		p.awaitBeginning()
		ci, pager := p.reporter("/events/deploy", bearing(token)), p.reporter("/hooks/"+namespace+"/pager", pagerDutySigns(signing))

		By("five deployments of two days: two, then one that failed with the return from it, then one more")
		deploy := func(commit, times, result string) {
			GinkgoHelper()
			ci.expect(http.StatusAccepted, `{"service":"checkout","team":"shop","commit_sha":"`+commit+`",`+times+`,`+result+`}`)
		}
		deploy("8d3f2c1", `"first_commit_ts":"2026-03-01T04:00:00Z","occurred_at":"2026-03-01T08:00:00Z"`, `"success":true`)
		deploy("9e4a3d2", `"first_commit_ts":"2026-03-01T02:00:00Z","occurred_at":"2026-03-01T10:00:00Z"`, `"success":true,"is_rollback":false`)
		deploy("af5b4e3", `"first_commit_ts":"2026-03-01T09:00:00Z","occurred_at":"2026-03-02T09:00:00Z"`, `"success":false`)
		deploy("9e4a3d2", `"occurred_at":"2026-03-02T09:30:00Z"`, `"success":true,"is_rollback":true`)
		deploy("b06c5f4", `"first_commit_ts":"2026-03-01T22:00:00Z","occurred_at":"2026-03-02T14:00:00Z"`, `"success":true`)

		By("two incidents: one as it is documented, each message twice, and one whose end comes before its beginning")
		sample := func(name string) string {
			GinkgoHelper()
			text, err := os.ReadFile("../../internal/ingest/pagerduty/testdata/" + name)
			Expect(err).NotTo(HaveOccurred())
			return string(text)
		}
		opened, resolved := sample("triggered.json"), sample("resolved.json")
		for _, body := range []string{opened, opened, resolved, resolved} {
			pager.expect(http.StatusAccepted, body)
		}
		other := strings.NewReplacer("PINC001", "PINC002", "01EXMPL", "02EXMPL", "2026-03-01T10:15:29Z", "2026-03-02T14:10:00Z",
			"2026-03-01T10:15:30.123Z", "2026-03-02T14:10:01Z", "2026-03-01T11:00:00.500Z", "2026-03-02T14:30:00Z")
		pager.expect(http.StatusAccepted, other.Replace(resolved))
		pager.expect(http.StatusAccepted, other.Replace(opened))
		p.reporter("/hooks/"+namespace+"/pager", pagerDutySigns("forged")).expect(http.StatusUnauthorized, strings.ReplaceAll(opened, "PINC001", "PINC003"))

		leadTime := func(fraction string) string {
			return `SELECT percentile_cont(` + fraction + `) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM occurred_at - first_commit_ts)) / 3600
				FROM delivery_events WHERE event_type = 'deploy' AND success AND first_commit_ts IS NOT NULL`
		}
		recovery := func(answer string) string {
			return `SELECT ` + answer + ` FROM delivery_events o JOIN delivery_events r ON r.incident_id = o.incident_id AND r.event_type = 'incident_resolved'
				WHERE o.event_type = 'incident_open'`
		}
		reader := postgrestest.Start(GinkgoTB()).Connect(GinkgoTB(), database.Name)
		for statement, want := range map[string]float64{
			leadTime("0.5"): 8,    // of 4, 8 and 16 h: the failed one of 24 h had no success, and the return brought nothing new
			leadTime("0.9"): 14.4, // 0.9 of the way from the first to the third is 0.8 from the second on: 8 + 0.8 × 8
			// Two on each day: the return to an earlier version is taken for one.
			`SELECT avg(n)::float FROM (SELECT date_trunc('day', occurred_at), count(*) AS n FROM delivery_events
				WHERE event_type = 'deploy' AND success AND environment = 'production' GROUP BY 1) AS days`: 2,
			// The failed one and the return from it, of five.
			`SELECT count(*) FILTER (WHERE success = FALSE OR is_rollback)::float / NULLIF(count(*), 0)
				FROM delivery_events WHERE event_type = 'deploy'`: 0.4,
			recovery("count(*)::float"): 2,
			// From 10:15:29 to 11:00:00.5 are 2671.5 s, and from 14:10 to 14:30 are 1200: halfway between are 1935.75.
			recovery(`percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM r.occurred_at - o.occurred_at))`): 1935.75,
			// What came again or was forged is not there.
			`SELECT count(*)::float FROM delivery_events`: 9,
		} {
			var got float64
			Expect(reader.QueryRow(ctx, statement).Scan(&got)).To(Succeed(), statement)
			Expect(got).To(BeNumerically("~", want, 1e-9), statement)
		}
	})
})
