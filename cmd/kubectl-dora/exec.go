package main

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the handshake of RFC 6455 is made of it, and nothing is kept secret by it
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/dora-controller/dora-controller/internal/sink"
)

// This is the client's side of pods/exec over WebSocket (RFC 6455), as far as a command without input needs it. Each message begins with
// a byte that names its channel; that of errors brings one metav1.Status at the end. See KEP 4006 of Kubernetes.
const (
	channelOut    = 1
	channelErr    = 2
	channelStatus = 3

	frameContinued = 0
	frameText      = 1
	frameBinary    = 2
	frameClose     = 8
	framePing      = 9

	maxFrame  = 4 << 20  // of a server that is one
	maxStatus = 64 << 10 // of what is kept of an answer

	websocketMagic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, 1.3
)

// exitCodeError is a command in a pod that ended with another code than 0.
type exitCodeError struct{ code int }

func (e *exitCodeError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// podCommand is a command to run in a container of a pod.
type podCommand struct {
	namespace, pod, container string
	words                     []string
}

// exec runs a command in a pod, without input, until it ends or the context does.
func (c *cluster) exec(ctx context.Context, cmd podCommand, stdout, stderr io.Writer) error {
	stream, err := c.upgrade(ctx, cmd)
	if err != nil {
		return err
	}
	defer stream.Close() //nolint:errcheck // everything was read, or the error is told
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	session := &execSession{stream: stream, stdout: stdout, stderr: stderr}
	err = session.run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// upgrade asks the API server for the connection.
func (c *cluster) upgrade(ctx context.Context, cmd podCommand) (io.ReadWriteCloser, error) {
	address, _, err := rest.DefaultServerUrlFor(c.config)
	if err != nil {
		return nil, fmt.Errorf("cannot read the address of the cluster: %w", err)
	}
	address = address.JoinPath("api", "v1", "namespaces", cmd.namespace, "pods", cmd.pod, "exec")
	address.RawQuery = url.Values{"container": {cmd.container}, "command": cmd.words, "stdout": {"true"}, "stderr": {"true"}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for pod %s/%s: %w", cmd.namespace, cmd.pod, err)
	}
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	nonce := base64.StdEncoding.EncodeToString(key)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": nonce,
		"Sec-Websocket-Protocol": "v5.channel.k8s.io, v4.channel.k8s.io",
	} {
		request.Header.Set(name, value)
	}
	answer, err := c.roundTrip(request)
	if err != nil {
		return nil, inPlainWords("cannot run a command in pod "+cmd.namespace+"/"+cmd.pod, err)
	}
	return upgraded(answer, nonce, cmd)
}

func (c *cluster) roundTrip(request *http.Request) (*http.Response, error) {
	config := rest.CopyConfig(c.config)
	config.Timeout = 0 // the context bounds it: a followed command has no end
	config.NextProtos = []string{"http/1.1"}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(request)
}

// upgraded is the connection, if the server agreed.
func upgraded(answer *http.Response, nonce string, cmd podCommand) (io.ReadWriteCloser, error) {
	if answer.StatusCode != http.StatusSwitchingProtocols {
		defer answer.Body.Close() //nolint:errcheck // it was only read
		return nil, refusal(answer, cmd)
	}
	stream, ok := answer.Body.(io.ReadWriteCloser)
	sum := sha1.Sum([]byte(nonce + websocketMagic)) //nolint:gosec // see the import
	if !ok || answer.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("cannot run a command in pod %s/%s: the API server, or a proxy before it, does not speak WebSocket; "+
			"copy the ledger and name it with --ledger", cmd.namespace, cmd.pod)
	}
	return stream, nil
}

func refusal(answer *http.Response, cmd podCommand) error {
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxStatus))
	var status metav1.Status
	message := string(said)
	if json.Unmarshal(said, &status) == nil && status.Message != "" {
		message = status.Message
	}
	what := fmt.Sprintf("cannot run a command in pod %s/%s: %s: %s", cmd.namespace, cmd.pod, answer.Status, sink.Quote(message))
	if answer.StatusCode == http.StatusForbidden {
		return fmt.Errorf("%s; it takes the rights to create and get pods/exec there, or a copy of the ledger with --ledger", what)
	}
	return errors.New(what)
}

// execSession reads what a command says, until it ends.
type execSession struct {
	stream         io.ReadWriter
	stdout, stderr io.Writer

	channel byte // of a message that goes on in the next frame
	status  []byte
}

func (s *execSession) run() error {
	for {
		final, opcode, payload, err := s.frame()
		if err != nil {
			if errors.Is(err, io.EOF) && len(s.status) > 0 {
				return s.verdict()
			}
			return fmt.Errorf("the connection to the pod broke off: %w", err)
		}
		done, err := s.take(final, opcode, payload)
		if done || err != nil {
			return err
		}
	}
}

// frame reads one frame. Servers do not mask theirs.
func (s *execSession) frame() (final bool, opcode byte, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(s.stream, head[:2]); err != nil {
		return false, 0, nil, err
	}
	final, opcode = head[0]&0x80 != 0, head[0]&0x0f
	size := uint64(head[1] & 0x7f)
	if head[1]&0x80 != 0 {
		return false, 0, nil, errors.New("the server masks its frames, against RFC 6455")
	}
	if wide := map[uint64]int{126: 2, 127: 8}[size]; wide > 0 {
		if _, err := io.ReadFull(s.stream, head[:wide]); err != nil {
			return false, 0, nil, err
		}
		size = binary.BigEndian.Uint64(append(make([]byte, 8-wide), head[:wide]...))
	}
	if size > maxFrame {
		return false, 0, nil, fmt.Errorf("the server sends a frame of %d bytes, which is more than %d", size, maxFrame)
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(s.stream, payload)
	return final, opcode, payload, err
}

// take heeds one frame, and says whether it was the last.
func (s *execSession) take(final bool, opcode byte, payload []byte) (done bool, err error) {
	switch opcode {
	case framePing:
		return false, s.pong(payload)
	case frameClose:
		return true, s.verdict()
	case frameBinary, frameText:
		if len(payload) == 0 {
			return false, nil
		}
		s.channel, payload = payload[0], payload[1:]
	case frameContinued:
	default:
		return false, nil
	}
	if err := s.deliver(payload); err != nil {
		return false, err
	}
	if s.channel == channelStatus && final {
		return true, s.verdict()
	}
	return false, nil
}

func (s *execSession) deliver(payload []byte) error {
	var err error
	switch s.channel {
	case channelOut:
		_, err = s.stdout.Write(payload)
	case channelErr:
		_, err = s.stderr.Write(payload)
	case channelStatus:
		if s.status = append(s.status, payload...); len(s.status) > maxStatus {
			return errors.New("the server says more of how the command ended than can be kept")
		}
	}
	return err
}

// pong answers a ping; what clients send is masked, with a mask that hides nothing.
func (s *execSession) pong(payload []byte) error {
	if len(payload) > 125 {
		return errors.New("the server sends a ping that is longer than RFC 6455 allows")
	}
	frame := append([]byte{0x8a, 0x80 | byte(len(payload)&0x7f), 0, 0, 0, 0}, payload...)
	if _, err := s.stream.Write(frame); err != nil {
		return fmt.Errorf("cannot answer the server: %w", err)
	}
	return nil
}

// verdict is how the command ended.
func (s *execSession) verdict() error {
	if len(s.status) == 0 {
		return errors.New("the pod did not say how the command ended")
	}
	var status metav1.Status
	if err := json.Unmarshal(s.status, &status); err != nil {
		return fmt.Errorf("cannot understand how the command ended: %w", err)
	}
	if status.Status == metav1.StatusSuccess {
		return nil
	}
	if status.Reason == "NonZeroExitCode" && status.Details != nil {
		for _, cause := range status.Details.Causes {
			if code, err := strconv.Atoi(cause.Message); err == nil && cause.Type == "ExitCode" {
				return &exitCodeError{code}
			}
		}
	}
	return fmt.Errorf("cannot run the command in the pod: %s", strings.TrimSpace(sink.Quote(status.Message)))
}
