package chart_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
)

// delegating are the rights that metrics for those who may need, and nothing else does.
var delegating = []right{
	{verb: "create", group: "authentication.k8s.io", resource: "tokenreviews"},
	{verb: "create", group: "authorization.k8s.io", resource: "subjectaccessreviews"},
}

func TestMetricsAreForThoseWhoMayReadThem(t *testing.T) {
	c := newCluster(t)
	c.namespaces(t, system, "monitoring")
	c.account(t, "monitoring", "prometheus")
	c.account(t, "monitoring", "stranger")
	authority := c.certificate(t, "metrics-tls", release+"."+system+".svc")
	metrics, pprof := freePort(t), freePort(t)
	values := func(more string) string {
		return fmt.Sprintf(`{metrics: {port: %d%s}, probes: {port: %d}, extraArgs: [--pprof-bind-address=localhost:%d]}`, metrics, more, freePort(t), pprof)
	}
	const secured = `, secure: {enabled: true, certSecret: %q, readers: [{namespace: monitoring, name: prometheus}]}`
	url := fmt.Sprintf("127.0.0.1:%d/metrics", metrics)

	t.Run("with a certificate", func(t *testing.T) {
		c.install(t, "install", release, system, chart, values(fmt.Sprintf(secured, "metrics-tls")))
		c.start(t, c.deployment(t, system, release), t.TempDir()).awaitReady(t)
		trusting := scraper(&tls.Config{RootCAs: authority, ServerName: release + "." + system + ".svc"})
		for _, who := range []struct {
			name, token string
			want        int
		}{
			{"nobody", "", http.StatusUnauthorized},
			{"somebody with a made-up token", "made-up", http.StatusInternalServerError}, // so controller-runtime says that it is none
			{"an account without the right", c.token(t, "monitoring", "stranger"), http.StatusForbidden},
			{"an account with the right", c.token(t, "monitoring", "prometheus"), http.StatusOK},
		} {
			code, body := scrape(t, trusting, "https://"+url, who.token)
			if code != who.want || (code == http.StatusOK) != (len(body) > 1000) {
				t.Errorf("%s gets %d and %d bytes, want %d", who.name, code, len(body), who.want)
			}
		}
		if response, err := get(t.Context(), trusting, "http://"+url, c.token(t, "monitoring", "prometheus")); err == nil {
			NewWithT(t).Expect(response.Body.Close()).To(Succeed())
			NewWithT(t).Expect(response.StatusCode).To(Equal(http.StatusBadRequest), "the server speaks TLS")
		}
		asked, refused := c.asks(t, system, release)
		NewWithT(t).Expect(refused).To(BeEmpty())
		NewWithT(t).Expect(asked).To(ContainElements(delegating))
		code, _ := scrape(t, http.DefaultClient, fmt.Sprintf("http://localhost:%d/debug/pprof/heap?debug=1", pprof), "")
		NewWithT(t).Expect(code).To(Equal(http.StatusOK))
	})
	t.Run("with one that it made", func(t *testing.T) {
		c.install(t, "upgrade", release, system, chart, values(fmt.Sprintf(secured, "")))
		c.start(t, c.deployment(t, system, release), t.TempDir()).awaitReady(t)
		blind := scraper(&tls.Config{InsecureSkipVerify: true}) // as the ServiceMonitor asks for
		code, _ := scrape(t, blind, "https://"+url, c.token(t, "monitoring", "prometheus"))
		NewWithT(t).Expect(code).To(Equal(http.StatusOK))
		NewWithT(t).Expect(c.delegates(t)).To(Equal(delegating))
	})
	t.Run("unless nobody asked for that", func(t *testing.T) {
		c.install(t, "upgrade", release, system, chart, fmt.Sprintf(`{metrics: {port: %d}, probes: {port: %d}}`, metrics, freePort(t)))
		c.start(t, c.deployment(t, system, release), t.TempDir()).awaitReady(t)
		code, _ := scrape(t, http.DefaultClient, "http://"+url, "")
		NewWithT(t).Expect(code).To(Equal(http.StatusOK))
		NewWithT(t).Expect(c.delegates(t)).To(BeEmpty())
		code, _ = scrape(t, http.DefaultClient, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/", metrics), "")
		NewWithT(t).Expect(code).To(Equal(http.StatusNotFound))
		_, err := new(net.Dialer).DialContext(t.Context(), "tcp", fmt.Sprintf("localhost:%d", pprof))
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring("connection refused")))
	})
}

// delegates are the rights of the controller to ask about others.
func (c *cluster) delegates(t *testing.T) []right {
	t.Helper()
	return slices.DeleteFunc(c.granted(t, system, release), func(r right) bool { return !slices.Contains(delegating, r) })
}

// certificate makes a Secret with a certificate for a host, and returns who vouches for it.
func (c *cluster) certificate(t *testing.T, secret, host string) *x509.CertPool {
	t.Helper()
	g := NewWithT(t)
	certificate, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.api.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: secret}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": certificate, "tls.key": key},
	})).To(Succeed())
	pool := x509.NewCertPool()
	g.Expect(pool.AppendCertsFromPEM(certificate)).To(BeTrue())
	return pool
}

func (c *cluster) account(t *testing.T, namespace, name string) {
	t.Helper()
	NewWithT(t).Expect(c.api.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})).To(Succeed())
}

// token is one of a service account, as a pod gets it.
func (c *cluster) token(t *testing.T, namespace, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	NewWithT(t).Expect(c.api.SubResource("token").Create(t.Context(), account, request)).To(Succeed())
	return request.Status.Token
}

func scraper(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
}

// scrape is what somebody with a token gets.
func scrape(t *testing.T, with *http.Client, url, token string) (code int, body string) {
	t.Helper()
	var response *http.Response
	NewWithT(t).Eventually(func() (err error) { // it is ready before all its ports are, and makes a certificate meanwhile
		response, err = get(t.Context(), with, url, token) //nolint:bodyclose // below
		return err
	}).WithTimeout(patience).Should(Succeed())
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(text)
}

func get(ctx context.Context, with *http.Client, url, token string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	limited := *with
	limited.Timeout = time.Minute
	return limited.Do(request)
}

// What the component of kustomize adds is what the chart adds.
func TestKustomizeSecuresMetricsAsTheChartDoes(t *testing.T) {
	g := NewWithT(t)
	config, err := filepath.Abs(filepath.Join(root, "config"))
	g.Expect(err).NotTo(HaveOccurred())
	folder := t.TempDir()
	config, err = filepath.Rel(folder, config)
	g.Expect(err).NotTo(HaveOccurred())
	own := fmt.Sprintf("resources: [%s/default]\ncomponents: [%s/metrics_secure]\n", config, config)
	g.Expect(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(own), 0o600)).To(Succeed())
	text, err := output(exec.CommandContext(t.Context(), tool(t, "kustomize"), "build", folder))
	g.Expect(err).NotTo(HaveOccurred())
	want := plainByName(render(t, `{metrics: {secure: {enabled: true}}}`, "--no-hooks"))
	got := plainByName(objects(t, text))
	delete(got, "Namespace/"+system)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the chart (-) and config/metrics_secure (+) differ:\n%s", diff)
	}
}
