package sink_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

var here = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// failed is an error as net/http returns it.
func failed(err error) error {
	return &url.Error{Op: "Post", URL: "https://user:" + sinktest.Secret("password") + "@shop.example.com:8443/" + sinktest.Secret("path") + "?key=" +
		sinktest.Secret("key"), Err: err}
}

func TestWhyThereIsNoAnswer(t *testing.T) {
	said := sinktest.Secret("said") + " by 192.0.2.7"
	dial := func(err error) error {
		return fmt.Errorf("cannot connect: %w", &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8443}, Err: err})
	}
	certificate := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	named := &x509.Certificate{DNSNames: []string{said}}
	for name, c := range map[string]struct {
		err    error
		want   string
		reason sink.Reason
	}{
		"no such name":      {dial(&net.DNSError{Err: said, Name: said, IsNotFound: true}), "the name does not resolve", sink.Unreachable},
		"refused":           {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "the connection was refused", sink.Unreachable},
		"reset":             {dial(os.NewSyscallError("read", syscall.ECONNRESET)), "the connection was reset", sink.Unreachable},
		"no route":          {dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "no route leads there", sink.Unreachable},
		"no answer to dial": {dial(os.ErrDeadlineExceeded), "no answer in time", sink.Unreachable},
		"no answer":         {context.DeadlineExceeded, "no answer in time", sink.Unreachable},
		"ended":             {io.EOF, "the connection was closed before an answer", sink.Unreachable},
		"ended in between":  {errors.New("http: server closed idle connection"), "the connection was closed before an answer", sink.Unreachable},
		"no HTTP":           {errors.New("malformed HTTP response " + said), "what answered there does not speak HTTP, or broke off", sink.Unreachable},
		"no TLS":            {tls.RecordHeaderError{Msg: said}, "what answered there does not speak TLS: look whether the address begins with http://", sink.Unreachable},
		"no HTTPS":          {http.ErrSchemeMismatch, "what answered there does not speak TLS: look whether the address begins with http://", sink.Unreachable},
		"too large":         {fmt.Errorf("%s: %w", said, sink.ErrTooLarge), "the answer is too large", sink.Failing},
		"unknown authority": {certificate(x509.UnknownAuthorityError{Cert: named}), "its certificate is of an authority that is not known", sink.CertificateRefused},
		"another name":      {certificate(x509.HostnameError{Certificate: named, Host: said}), "its certificate is for another name", sink.CertificateRefused},
		"expired": {
			certificate(x509.CertificateInvalidError{Cert: named, Reason: x509.Expired, Detail: said}),
			"its certificate has expired, or is not valid yet",
			sink.CertificateRefused,
		},
		"no good": {certificate(x509.CertificateInvalidError{Cert: named, Reason: x509.NotAuthorizedToSign, Detail: said}), "its certificate is not valid", sink.CertificateRefused},
		"guarded": {
			&net.OpError{Op: "proxyconnect", Err: fmt.Errorf("%w: proxy.example.com:3128 is not public", egress.ErrRefused)},
			"the address is not allowed: proxy.example.com:3128 is not public",
			sink.AddressRefused,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := sink.Unsent(fmt.Errorf("send: %w", failed(c.err)))
			g.Expect(err).To(MatchError("cannot reach shop.example.com:8443: " + c.want))
			g.Expect(sink.ReasonOf(err)).To(Equal(c.reason))
			g.Expect(sink.IsPermanent(err)).To(BeFalse())
			sinktest.KeepsSecrets(t, err, sinktest.Canary, "192.0.2.7")
		})
	}
}

func TestWhatAnErrorIsKnownBy(t *testing.T) {
	g := NewWithT(t)
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, sink.ErrTooLarge, egress.ErrRefused, syscall.ECONNREFUSED, syscall.ECONNRESET} {
		g.Expect(sink.Unsent(failed(known))).To(MatchError(known))
		g.Expect(sink.Unsent(known)).To(MatchError(HavePrefix("cannot reach the destination: ")))
	}
}

// answering is the address of a server that reads a request, and answers with these bytes.
func answering(t *testing.T, bytes string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 64<<10))
			_, _ = io.WriteString(conn, bytes)
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

// The answers are those whose bytes net/http quotes in its errors.
func TestAServerThatRepeatsARequestAsNoHTTP(t *testing.T) {
	secret := "Bearer " + sinktest.Secret("token")
	for name, bytes := range map[string]string{
		"as its first line":        secret + "\r\n\r\n",
		"as a status":              "HTTP/1.1 " + secret + "\r\n\r\n",
		"as a header":              "HTTP/1.1 400 Bad\r\n" + secret + "\r\n\r\n",
		"as a length":              "HTTP/1.1 400 Bad\r\nContent-Length: " + secret + "\r\n\r\n",
		"as an encoding":           "HTTP/1.1 400 Bad\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
		"as where it is elsewhere": "HTTP/1.1 307 Elsewhere\r\nLocation: ://" + secret + "\r\n\r\n",
		"as a version":             strings.ReplaceAll(secret, " ", "/") + " 200 OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			address := answering(t, bytes)
			answer, err := ask(t, here, address)
			if err == nil { // a redirect whose address nobody looks at
				NewWithT(t).Expect(answer.Body.Close()).To(Succeed())
				err = sink.Judge(answer)
			} else {
				err = sink.Unsent(err)
				NewWithT(t).Expect(err).To(MatchError("cannot reach " + strings.TrimPrefix(address, "http://") +
					": what answered there does not speak HTTP, or broke off"))
			}
			sinktest.KeepsSecrets(t, err, sinktest.Canary)
		})
	}
}

func TestAServerThatSaysNothing(t *testing.T) {
	_, err := ask(t, here, answering(t, "")) //nolint:bodyclose // nobody answers
	NewWithT(t).Expect(sink.Unsent(err)).To(MatchError(HaveSuffix(": the connection was closed before an answer")))
	_, err = ask(t, here, strings.Replace(answering(t, "HTTP/1.1 400 Bad\r\n\r\n"), "http:", "https:", 1)) //nolint:bodyclose // no TLS
	NewWithT(t).Expect(sink.Unsent(err)).To(MatchError(ContainSubstring("does not speak TLS")))
}

func TestACertificateOfNobody(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	_, err := ask(t, here, server.URL) //nolint:bodyclose // refused
	NewWithT(t).Expect(sink.Unsent(err)).To(MatchError(HaveSuffix(": its certificate is of an authority that is not known")))
}
