package receive_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dora-controller/dora-controller/internal/receive"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// standby is a server that is not open, and passes on what it is sent to wherever it is told.
func standby(t *testing.T, certificates string, leader func(context.Context) (netip.AddrPort, error)) (address string, log *lines, server *receive.Server) {
	t.Helper()
	log = &lines{}
	server = receive.NewServer(receive.Options{
		Address: "127.0.0.1:0", Certificates: certificates, Log: funcr.New(log.add, funcr.Options{}), Now: func() time.Time { return noon }, Leader: leader,
	})
	return run(t, server), log, server
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(_, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, args)
}

func (l *lines) said() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[len(l.all)-1]
}

func (k *kept) services() (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.reports {
		all = append(all, r.Service)
	}
	return all
}

func at(address string) func(context.Context) (netip.AddrPort, error) {
	return func(context.Context) (netip.AddrPort, error) { return netip.ParseAddrPort(address) }
}

// post sends a body of JSON, and tells how it was answered.
func post(t *testing.T, client *http.Client, url string, body io.Reader, headers ...string) told {
	t.Helper()
	g := NewWithT(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	g.Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := client.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	text, err := io.ReadAll(answer.Body)
	g.Expect(errors.Join(err, answer.Body.Close())).To(Succeed())
	return told{answer.StatusCode, answer.Header.Get("Retry-After"), string(text)}
}

// told is an answer.
type told struct {
	code        int
	after, text string
}

// TestAStandbyPassesOn: whoever is sent to a replica that stands by gets the answer of the one that leads, whatever that is.
func TestAStandbyPassesOn(t *testing.T) {
	for name, folder := range map[string]string{"over TLS": t.TempDir(), "in clear text": ""} {
		t.Run(name, func(t *testing.T) {
			g, client, scheme := NewWithT(t), &http.Client{}, "http://"
			if folder != "" {
				client.Transport, scheme = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certify(t, folder, 1)}}, "https://"
			}
			leader, s, address := listen(t, folder)
			own, log, server := standby(t, folder, at(address))
			url := scheme + own
			proof := []string{"Authorization", "Bearer " + s.tokens["pager"]}

			answer := post(t, client, url+"/hooks/payments/pager", strings.NewReader(`"checkout"`), proof...)
			g.Expect(answer.code).To(Equal(http.StatusAccepted))
			g.Expect(answer.text).To(Equal(`{"id":"0"}` + "\n"))
			g.Expect(s.ledger.services()).To(Equal([]string{"checkout"}))
			g.Eventually(log.last).Should(ContainSubstring(`"Passed on to the process that leads" "code"=202`))
			g.Expect(testutil.CollectAndCompare(server.MetricsStandingBy(), strings.NewReader(`
				# HELP dora_receiver_passed_on_total Requests that came while the process stood by, by how the one that leads answered; 503 where none was reached.
				# TYPE dora_receiver_passed_on_total counter
				dora_receiver_passed_on_total{code="202"} 1
			`))).To(Succeed())

			forged := []string{"Authorization", "Bearer " + sinktest.Secret("forged")}
			g.Expect(post(t, client, url+"/hooks/payments/pager", strings.NewReader(`"checkout"`), forged...).code).To(Equal(http.StatusUnauthorized))
			g.Expect(post(t, client, url+"/nowhere", strings.NewReader(`"checkout"`), proof...).code).To(Equal(http.StatusNotFound))
			large := strings.NewReader(`"` + strings.Repeat("x", 3<<20) + `"`)
			g.Expect(post(t, client, url+"/hooks/payments/pager", large, proof...).code).To(Equal(http.StatusRequestEntityTooLarge))

			leader.Close()
			answer = post(t, client, url+"/hooks/payments/pager", strings.NewReader(`"checkout"`), proof...)
			g.Expect(answer.code).To(Equal(http.StatusServiceUnavailable), "it leads no more")
			g.Expect(answer.after).To(Equal("5"))
			g.Expect(s.ledger.services()).To(Equal([]string{"checkout"}))
		})
	}
}

// TestAStandbyWithoutALeader tells to come again.
func TestAStandbyWithoutALeader(t *testing.T) {
	closed, _, gone := listen(t, "")
	closed.Close()
	var self atomic.Pointer[string]
	for name, test := range map[string]struct {
		leader func(context.Context) (netip.AddrPort, error)
		why    string
	}{
		"nobody holds the lease": {func(context.Context) (netip.AddrPort, error) { return netip.AddrPort{}, errors.New("nobody") }, `"error"="nobody"`},
		"nobody listens there":   {at("127.0.0.1:1"), "connection refused"},
		"that one stands by too": {at(gone), ""},
		"it is itself":           {func(context.Context) (netip.AddrPort, error) { return netip.ParseAddrPort(*self.Load()) }, "does not lead"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			address, log, _ := standby(t, "", test.leader)
			self.Store(&address)
			answer := post(t, http.DefaultClient, "http://"+address+"/events/deploy", strings.NewReader(`{}`))
			g.Expect(answer.code).To(Equal(http.StatusServiceUnavailable))
			g.Expect(answer.after).To(Equal("5"))
			g.Expect(answer.text).To(ContainSubstring("send it again"))
			g.Expect(answer.text).NotTo(ContainSubstring("127.0.0.1"), "why is for the log")
			g.Eventually(func() bool {
				return slices.ContainsFunc(log.said(), func(l string) bool { return strings.Contains(l, test.why) })
			}).Should(BeTrue())
		})
	}
}

// TestAStrangerInTheLeadersPlace gets no token: who has another certificate is no replica.
func TestAStrangerInTheLeadersPlace(t *testing.T) {
	g, own, other := NewWithT(t), t.TempDir(), t.TempDir()
	trusted := certify(t, own, 1)
	certify(t, other, 1)
	_, s, address := listen(t, other)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	self, log, _ := standby(t, own, at(address))
	answer := post(t, client, "https://"+self+"/hooks/payments/pager", strings.NewReader(`"checkout"`), "Authorization", "Bearer "+s.tokens["pager"])
	g.Expect(answer.code).To(Equal(http.StatusServiceUnavailable))
	g.Eventually(log.last).Should(And(ContainSubstring("Cannot pass on"), ContainSubstring("another certificate")))
	g.Expect(s.ledger.services()).To(BeEmpty())
}
