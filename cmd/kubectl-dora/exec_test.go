package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// frame is one of the server's, as RFC 6455, 5.2 writes it.
func frame(opcode byte, final bool, payload []byte) []byte {
	head := []byte{opcode}
	if final {
		head[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	return append(head, payload...)
}

func said(channel byte, text string) []byte {
	return frame(frameBinary, true, append([]byte{channel}, text...))
}

func ended(t *testing.T, code string) []byte {
	t.Helper()
	status := metav1.Status{Status: metav1.StatusSuccess}
	if code != "" {
		status = metav1.Status{Status: metav1.StatusFailure, Reason: "NonZeroExitCode", Message: "command terminated with exit code " + code, Details: &metav1.StatusDetails{
			Causes: []metav1.StatusCause{{Type: "ExitCode", Message: code}},
		}}
	}
	text, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	return said(channelStatus, string(text))
}

// accept answers the handshake, and hands over the connection.
func accept(w http.ResponseWriter, r *http.Request) (net.Conn, *bufio.ReadWriter) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n")
	_ = buffered.Flush()
	return connection, buffered
}

// anAPIServer is one that answers exec by these bytes.
func anAPIServer(t *testing.T, answer func(http.ResponseWriter, *http.Request)) *cluster {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &cluster{config: &rest.Config{Host: server.URL, BearerToken: sinktest.Secret("exec"), TLSClientConfig: rest.TLSClientConfig{CAData: authority}, Timeout: time.Second}}
}

func saying(frames ...[]byte) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		connection, buffered := accept(w, r)
		defer connection.Close()
		_, _ = buffered.Write(bytes.Join(frames, nil))
		_ = buffered.Flush()
	}
}

var inPod = podCommand{namespace: "dora-system", pod: "dora-controller-0", container: "manager", words: []string{"dora-controller", "events", "-o", "json"}}

func TestExecAsksForTheCommandAsKubectlDoes(t *testing.T) {
	g := NewWithT(t)
	var asked *http.Request
	cl := anAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		saying(said(channelOut, "hello\n"), said(channelErr, "careful\n"), ended(t, ""))(w, r)
	})
	var out, errOut bytes.Buffer
	g.Expect(cl.exec(t.Context(), inPod, &out, &errOut)).To(Succeed())
	g.Expect(out.String()).To(Equal("hello\n"))
	g.Expect(errOut.String()).To(Equal("careful\n"))
	g.Expect(asked.URL.Path).To(Equal("/api/v1/namespaces/dora-system/pods/dora-controller-0/exec"))
	g.Expect(asked.URL.Query()).To(And(
		HaveKeyWithValue("command", []string{"dora-controller", "events", "-o", "json"}), HaveKeyWithValue("container", []string{"manager"}),
		HaveKeyWithValue("stdout", []string{"true"}), HaveKeyWithValue("stderr", []string{"true"}), Not(HaveKey("stdin")), Not(HaveKey("tty"))))
	g.Expect(asked.Header.Get("Authorization")).To(HavePrefix("Bearer "))
	g.Expect(asked.Header.Get("Sec-WebSocket-Protocol")).To(Equal("v5.channel.k8s.io, v4.channel.k8s.io"))
}

func TestMessagesInPartsAndLongOnesAreRead(t *testing.T) {
	g := NewWithT(t)
	long := strings.Repeat("x", 70_000)
	cl := anAPIServer(t, saying(
		frame(frameBinary, false, append([]byte{channelOut}, "he"...)), frame(frameContinued, true, []byte("llo ")), said(channelOut, ""), said(channelOut, strings.Repeat("y", 300)),
		said(channelOut, long), frame(frameBinary, true, nil), ended(t, ""),
	))
	var out bytes.Buffer
	g.Expect(cl.exec(t.Context(), inPod, &out, io.Discard)).To(Succeed())
	g.Expect(out.String()).To(Equal("hello " + strings.Repeat("y", 300) + long))
}

func TestPingsAreAnswered(t *testing.T) {
	g := NewWithT(t)
	ponged := make(chan []byte, 1)
	cl := anAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
		connection, buffered := accept(w, r)
		defer connection.Close()
		_, _ = buffered.Write(frame(framePing, true, []byte("are you there")))
		_ = buffered.Flush()
		pong := make([]byte, 6+len("are you there"))
		_, _ = io.ReadFull(buffered, pong)
		ponged <- pong
		_, _ = buffered.Write(ended(t, ""))
		_ = buffered.Flush()
	})
	g.Expect(cl.exec(t.Context(), inPod, io.Discard, io.Discard)).To(Succeed())
	g.Expect(<-ponged).To(Equal(append([]byte{0x8a, 0x80 | 13, 0, 0, 0, 0}, "are you there"...)))
}

func TestHowCommandsEnd(t *testing.T) {
	g := NewWithT(t)
	err := anAPIServer(t, saying(ended(t, "2"))).exec(t.Context(), inPod, io.Discard, io.Discard)
	code, ok := errors.AsType[*exitCodeError](err)
	g.Expect(ok).To(BeTrue())
	g.Expect(code.code).To(Equal(2))
}

func TestServersThatDoNotAnswerAsTheyShould(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   string
	}{
		"it breaks off":              {saying(said(channelOut, "x")), "the connection to the pod broke off"},
		"in the middle of a frame":   {saying([]byte{0x82, 100, 1}), "the connection to the pod broke off"},
		"it closes without a status": {saying(frame(frameClose, true, nil)), "did not say how the command ended"},
		"it masks":                   {saying([]byte{0x82, 0x81, 0, 0, 0, 0, 1}), "masks its frames"},
		"a frame without end":        {saying([]byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "which is more than"},
		"a ping without end":         {saying(frame(framePing, true, make([]byte, 126))), "longer than RFC 6455 allows"},
		"a status without end":       {saying(said(channelStatus, strings.Repeat("x", maxStatus+1))), "more of how the command ended"},
		"a status that is none":      {saying(said(channelStatus, "{")), "cannot understand how the command ended"},
		"another failure":            {saying(said(channelStatus, `{"status":"Failure","message":"no such file dora-controller"}`)), "no such file dora-controller"},
		"it is forbidden": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind":"Status","message":"pods \"dora-controller-0\" is forbidden"}`)
		}, "create and get pods/exec"},
		"an endless refusal": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("<html>", 1000)); err != nil {
					return
				}
			}
		}, "502 Bad Gateway"},
		"no WebSocket": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Accept", "wrong")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}, "does not speak WebSocket"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := anAPIServer(t, test.answer).exec(t.Context(), inPod, io.Discard, io.Discard)
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
			g.Expect(sinktest.Leaks(err.Error())).To(BeFalse())
			g.Expect(len(err.Error())).To(BeNumerically("<", 1000))
		})
	}
}

func TestExecEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	cl := anAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
		connection, buffered := accept(w, r)
		_, _ = buffered.Write(said(channelOut, "first\n"))
		_ = buffered.Flush()
		_, _ = io.Copy(io.Discard, connection) // until the client goes
		connection.Close()
	})
	ctx, stop := context.WithCancel(t.Context())
	g.Expect(cl.exec(ctx, inPod, writer(func([]byte) { stop() }), io.Discard)).To(MatchError(context.Canceled))
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// aController answers as dora-controller does in its pod: with lines, an error on stderr and an exit code.
func aController(t *testing.T, asked *[]string, lines, complaint, code string) *podHistory {
	t.Helper()
	cl := anAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
		*asked = r.URL.Query()["command"]
		saying(said(channelOut, lines), said(channelErr, complaint), ended(t, code))(w, r)
	})
	return &podHistory{ledger: ledgerFlags(usualLedger, "eu-1"), run: func(ctx context.Context, words []string, out, errOut io.Writer) error {
		command := inPod
		command.words = words
		return cl.exec(ctx, command, out, errOut)
	}}
}

func TestEventsAreReadInThePod(t *testing.T) {
	g := NewWithT(t)
	var lines bytes.Buffer
	want := monthOf(t)
	for i := range want {
		g.Expect(json.NewEncoder(&lines).Encode(&want[i])).To(Succeed())
	}
	var asked []string
	h := aController(t, &asked, lines.String(), "", "")
	got, err := collect(t.Context(), h, eventQuery{
		service: "checkout", types: []dora.Type{dora.TypeDeploy, dora.TypeDegraded}, since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), limit: 7, ids: []string{"a", "b"},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(Equal(want))
	g.Expect(asked).To(Equal([]string{
		"dora-controller", "events", "-o", "json", "--ledger=/var/lib/dora-controller/ledger.db", "--service=checkout", "--type=deploy,degraded", "--id=a,b",
		"--since=2026-11-01T00:00:00Z", "--limit=7",
	}))
}

func TestWhatTheControllerComplainsOfIsTheError(t *testing.T) {
	g := NewWithT(t)
	var asked []string
	_, err := collect(t.Context(), aController(t, &asked, "", "error: cannot open the ledger: no such file\n", "1"), eventQuery{})
	g.Expect(err).To(MatchError("the controller's pod answers: cannot open the ledger: no such file (exit code 1)"))
	_, err = collect(t.Context(), aController(t, &asked, "no json\n", "", ""), eventQuery{})
	g.Expect(err).To(MatchError(ContainSubstring("cannot understand what the controller prints")))
	_, err = collect(t.Context(), aController(t, &asked, strings.Repeat("x", maxLine+1), "", ""), eventQuery{})
	g.Expect(err).To(HaveOccurred())
}

func TestDecisionsOfAControllerThatTellsNone(t *testing.T) {
	g := NewWithT(t)
	var asked []string
	_, err := aController(t, &asked, "", `error: "decisions" is no command of dora-controller`+"\n", "2").decisions(t.Context(), "checkout")
	g.Expect(err).To(MatchError(errNoDecisions))
	line := `{"seq":1,"cluster":"c","uid":"u","service":"checkout","at":"2026-11-09T09:00:00Z","reason":"DryRun","message":"m","subject":{"kind":"Application","namespace":"argocd","name":"checkout","uid":"u"}}` + "\n"
	made, err := aController(t, &asked, line, "", "").decisions(t.Context(), "checkout")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(made).To(HaveLen(1))
	g.Expect(made[0].Reason).To(Equal("DryRun"))
	g.Expect(made[0].Subject.Name).To(Equal("checkout"))
	g.Expect(asked[1:]).To(Equal([]string{"decisions", "-o", "json", "--ledger=/var/lib/dora-controller/ledger.db", "--of=checkout"}))
}

func FuzzExecFrames(f *testing.F) {
	f.Add(said(channelOut, "x"))
	f.Add(frame(frameContinued, true, []byte{3}))
	f.Fuzz(func(_ *testing.T, stream []byte) {
		s := &execSession{stream: struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(stream), io.Discard}, stdout: io.Discard, stderr: io.Discard}
		_ = s.run()
	})
}

// TestALedgerInADatabaseNeedsItsCluster, since those of others may be there; a file is one cluster's.
func TestALedgerInADatabaseNeedsItsCluster(t *testing.T) {
	g := NewWithT(t)
	g.Expect(ledgerFlags("postgres://dora@db/dora", "eu-1")).To(Equal([]string{"--ledger=postgres://dora@db/dora", "--cluster=eu-1"}))
	g.Expect(ledgerFlags("/var/lib/dora-controller/ledger.db", "eu-1")).To(Equal([]string{"--ledger=/var/lib/dora-controller/ledger.db"}))
}
