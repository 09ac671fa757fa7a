package receive_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/receive"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// certify writes a certificate for this machine, by an authority of its own, and returns that authority.
func certify(t *testing.T, folder string, serial int64) *x509.CertPool {
	t.Helper()
	g := NewWithT(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "receivers"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	g.Expect(err).NotTo(HaveOccurred())
	private, err := x509.MarshalPKCS8PrivateKey(key)
	g.Expect(err).NotTo(HaveOccurred())
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, content := range map[string][]byte{"tls.crt": text, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		g.Expect(os.WriteFile(filepath.Join(folder, name), content, 0o600)).To(Succeed())
	}
	pool := x509.NewCertPool()
	g.Expect(pool.AppendCertsFromPEM(text)).To(BeTrue())
	return pool
}

// listen runs a server on a free port of the loopback interface until the test ends, and returns its address.
func listen(t *testing.T, certificates string) (*receive.Server, *stand, string) {
	t.Helper()
	s := newStand(t)
	server := receive.NewServer(receive.Options{Address: "127.0.0.1:0", Certificates: certificates, Log: logr.Discard(), Now: func() time.Time { return noon }})
	server.Open(s.desk, s.ledger)
	return server, s, run(t, server)
}

// run has a server listen until the test ends, and returns its address.
func run(t *testing.T, server *receive.Server) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		NewWithT(t).Expect(<-ended).To(Succeed())
	})
	select {
	case address := <-server.Bound():
		return address.String()
	case err := <-ended:
		t.Fatal(err)
		return ""
	}
}

// TestOverTLS: the certificate is read again when it changes, nothing older than TLS 1.2 is spoken, and no HTTP/2.
func TestOverTLS(t *testing.T) {
	g, folder := NewWithT(t), t.TempDir()
	trusted := certify(t, folder, 1)
	_, s, address := listen(t, folder)
	ask := func(config *tls.Config) (code, protocol int, err error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/hooks/payments/pager", strings.NewReader(`"checkout"`))
		g.Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+s.tokens["pager"])
		answer, err := client.Do(request)
		if err != nil {
			return 0, 0, err
		}
		return answer.StatusCode, answer.ProtoMajor, answer.Body.Close()
	}
	code, protocol, err := ask(&tls.Config{RootCAs: trusted})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]int{code, protocol}).To(Equal([]int{http.StatusAccepted, 1}))
	_, _, err = ask(&tls.Config{RootCAs: trusted, MaxVersion: tls.VersionTLS11})
	g.Expect(err).To(HaveOccurred())
	g.Expect(firstLine(t, address, "POST /hooks/payments/pager HTTP/1.1\r\nHost: a\r\n\r\n")).To(Equal("HTTP/1.0 400 Bad Request"), "in clear text")

	trusted = certify(t, folder, 2)
	g.Eventually(func() error {
		_, _, err := ask(&tls.Config{RootCAs: trusted})
		return err
	}).WithTimeout(20 * time.Second).Should(Succeed())
}

// firstLine is that of the answer to what is sent over a connection of its own.
func firstLine(t *testing.T, address, sent string) string {
	t.Helper()
	g := NewWithT(t)
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(connection.Close()).To(Succeed()) }()
	_, err = io.WriteString(connection, sent)
	g.Expect(err).NotTo(HaveOccurred())
	line, err := bufio.NewReader(connection).ReadString('\n')
	g.Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(line)
}

// TestAFolderWithoutACertificate is an error, and no server in clear text.
func TestAFolderWithoutACertificate(t *testing.T) {
	server := receive.NewServer(receive.Options{Address: "127.0.0.1:0", Certificates: t.TempDir(), Log: logr.Discard(), Now: time.Now})
	NewWithT(t).Expect(server.Start(t.Context())).To(MatchError(ContainSubstring("--receivers-cert-dir")))
}

// TestAnAddressThatIsTaken is named by its flag.
func TestAnAddressThatIsTaken(t *testing.T) {
	_, _, address := listen(t, "")
	server := receive.NewServer(receive.Options{Address: address, Log: logr.Discard(), Now: time.Now})
	NewWithT(t).Expect(server.Start(t.Context())).To(MatchError(ContainSubstring("--receivers-bind-address")))
}

// TestATokenIsKnownBeforeTheBody: who is nobody is told so without sending a body, and the connection ends.
func TestATokenIsKnownBeforeTheBody(t *testing.T) {
	g := NewWithT(t)
	_, _, address := listen(t, "")
	for name, c := range map[string]struct{ path, header, want string }{
		"a token that nobody has":  {"/events/deploy", "Authorization: Bearer " + sinktest.Secret("x") + "\r\nContent-Length: 1000000", "HTTP/1.1 401 Unauthorized"},
		"a body that is too large": {"/hooks/payments/pager", "Content-Length: 3000000", "HTTP/1.1 413 Request Entity Too Large"},
		"headers without an end":   {"/hooks/payments/pager", "X-A: " + strings.Repeat("a", 32<<10), "HTTP/1.1 431 Request Header Fields Too Large"},
	} {
		head := "POST " + c.path + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + c.header + "\r\n\r\n"
		g.Expect(firstLine(t, address, head)).To(Equal(c.want), name)
	}
}

// TestWhoIsSlow: a connection on which nothing comes is ended, and does not keep others out meanwhile. It takes the seconds that it is given.
func TestWhoIsSlow(t *testing.T) {
	g := NewWithT(t)
	_, s, address := listen(t, "")
	slow, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = io.WriteString(slow, "POST /hooks/payments/pager HTTP/1.1\r\nHost: a\r\nX-")
	g.Expect(err).NotTo(HaveOccurred())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/hooks/payments/pager", bytes.NewReader([]byte(`"checkout"`)))
	g.Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+s.tokens["pager"])
	answer, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer.Body.Close()).To(Succeed())
	g.Expect(answer.StatusCode).To(Equal(http.StatusAccepted))
	_, err = io.ReadAll(slow) // it comes back once the server has ended the connection
	g.Expect(err).NotTo(HaveOccurred())
}
