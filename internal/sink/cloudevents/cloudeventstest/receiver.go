// Package cloudeventstest has a receiver of CloudEvents that verifies what real ones do: who sends, that the body is what was signed, how it
// is written, and that it is an event. Of what it refuses nothing is kept.
package cloudeventstest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/dora-controller/dora-controller/internal/egress"
)

// Here lets connections to the receiver through, which is on this machine.
var Here = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// Settings are what a receiver demands. Nothing is demanded by an empty one.
type Settings struct {
	Token, Username, Password string
	// HMACKey is the key of the signature in SignatureHeader.
	HMACKey         []byte
	SignatureHeader string
	// TLS makes it speak HTTPS, with a certificate of its own.
	TLS bool
}

// Received is a request that was taken.
type Received struct {
	Event  event.Event
	Header http.Header
	Body   []byte
}

// Receiver takes events. Its methods may be called from many goroutines.
type Receiver struct {
	// URL is where events are posted to.
	URL string
	// CA is its certificate in PEM form, if it speaks HTTPS.
	CA []byte

	settings Settings
	ended    chan struct{}

	mu       sync.Mutex
	received []Received
	asked    []string
	behave   func(w http.ResponseWriter, r *http.Request) (answered bool)
}

// New starts a receiver, which ends with the test.
func New(tb testing.TB, settings Settings) *Receiver {
	tb.Helper()
	r := &Receiver{settings: settings, ended: make(chan struct{})}
	start := httptest.NewServer
	if settings.TLS {
		start = httptest.NewTLSServer
	}
	server := start(r)
	server.Config.ErrorLog = nil
	r.URL = server.URL + "/hooks/dora"
	if settings.TLS {
		r.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	}
	tb.Cleanup(func() {
		close(r.ended)
		server.Close()
	})
	return r
}

// Behave puts a step before all else: it tells whether it answered. Nil takes it away.
func (r *Receiver) Behave(step func(w http.ResponseWriter, req *http.Request) (answered bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behave = step
}

// Answer makes it give that answer to everything, with headers as pairs of name and value.
func (r *Receiver) Answer(status int, body string, headers ...string) {
	r.Behave(func(w http.ResponseWriter, _ *http.Request) bool {
		for pair := range slices.Chunk(headers, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	})
}

// Reset makes it end each connection without an answer.
func (r *Receiver) Reset() {
	r.Behave(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
}

// Hang makes it give no answer, until the client has gone or the test ends. It calls asked with each request that waits.
func (r *Receiver) Hang(asked func()) {
	r.Behave(func(_ http.ResponseWriter, req *http.Request) bool {
		_, _ = io.Copy(io.Discard, req.Body) // a server sees that the client has gone once it has read all
		asked()
		select {
		case <-req.Context().Done():
		case <-r.ended:
		}
		return true
	})
}

// Received are the requests that were taken, in their order.
func (r *Receiver) Received() []Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.received)
}

// IDs are the ids of the events that were taken, in their order.
func (r *Receiver) IDs() []string {
	ids := []string{}
	for _, one := range r.Received() {
		ids = append(ids, one.Event.ID())
	}
	return ids
}

// Asked are the methods of all requests, taken or not.
func (r *Receiver) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.asked = append(r.asked, req.Method)
	behave := r.behave
	r.mu.Unlock()
	if behave != nil && behave(w, req) {
		return
	}
	status, why := r.take(req)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, why)
}

// take verifies a request as a receiver does that trusts nobody, and keeps it.
func (r *Receiver) take(req *http.Request) (status int, why string) {
	body, err := io.ReadAll(req.Body)
	switch {
	case err != nil:
		return http.StatusBadRequest, err.Error()
	case !r.knows(req):
		return http.StatusUnauthorized, "unknown sender"
	case req.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "POST only"
	case req.URL.Path != "/hooks/dora":
		return http.StatusNotFound, "no hook here"
	case !r.signed(req.Header, body):
		return http.StatusForbidden, "the signature does not match"
	case !written(req.Header):
		return http.StatusUnsupportedMediaType, "neither a structured nor a binary event"
	}
	e, err := Parse(req.Header, body)
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received = append(r.received, Received{Event: *e, Header: req.Header, Body: body})
	return http.StatusAccepted, ""
}

func (r *Receiver) knows(req *http.Request) bool {
	if r.settings.Token != "" {
		return same(req.Header.Get("Authorization"), "Bearer "+r.settings.Token)
	}
	if r.settings.Username != "" {
		username, password, _ := req.BasicAuth()
		return same(username, r.settings.Username) && same(password, r.settings.Password)
	}
	return true
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (r *Receiver) signed(header http.Header, body []byte) bool {
	if len(r.settings.HMACKey) == 0 {
		return true
	}
	said, prefixed := strings.CutPrefix(header.Get(r.settings.SignatureHeader), "sha256=")
	got, err := hex.DecodeString(said)
	mac := hmac.New(sha256.New, r.settings.HMACKey)
	_, _ = mac.Write(body)
	return prefixed && err == nil && hmac.Equal(got, mac.Sum(nil))
}

// written tells whether an event is written in one of the two modes, and not in a mixture.
func written(header http.Header) bool {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	binary := header.Get("Ce-Specversion") != ""
	return err == nil && (!binary && kind == "application/cloudevents+json" || binary && kind == "application/json")
}

// Parse reads an event with the SDK, which leaves it to others to decode headers, and fails if it is none.
func Parse(header http.Header, body []byte) (*event.Event, error) {
	header = header.Clone()
	for name, values := range header {
		for i, value := range values {
			decoded, err := url.PathUnescape(value)
			if strings.HasPrefix(name, "Ce-") && err == nil {
				values[i] = decoded
			}
		}
	}
	e, err := cehttp.NewEventFromHTTPRequest(&http.Request{Header: header, Body: io.NopCloser(bytes.NewReader(body))})
	if err != nil {
		return nil, err
	}
	if len(e.Data()) == 0 {
		return nil, errors.New("the event has no data")
	}
	return e, e.Validate()
}
