// Package cloudevents sends events to a receiver of CloudEvents over HTTP: a webhook, a broker, or another controller.
//
// # Guarantees
//
//   - One request carries one event, and events go in their order. The first that has to wait ends the batch: what stands behind it is not
//     sent, and says so. One that is refused for good holds nobody up.
//   - An event always has the same source and id, also when it is sent again with more in it. The attribute dorarevision tells such forms of
//     one event apart: it is the same for the same content, and another one for any other.
//   - With a key, the body of each request is signed, byte for byte. In structured mode that is all of the event; in binary mode its data,
//     since attributes are headers there.
//   - Nothing is sent that is no valid CloudEvent, or in the formats of CDEvents no valid CDEvent.
//   - No redirect is followed, and no error tells a credential or more of the address than its host: a path is often the secret of a webhook.
//
// # Formats
//
// FormatDora has the project's own event as its data, as docs/events.md describes it. FormatCDEvents has what the vocabulary of CDEvents can
// say of it, with the event beside it as custom data; what that has no words for (a failed deployment, figures) is not sent and counts as
// taken. FormatCDEvents04 is the same in the version of the vocabulary before, for receivers that know no newer one.
package cloudevents

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// What an event says.
const (
	FormatDora       = "dora"         // the project's own event
	FormatCDEvents   = "cdevents"     // an event of CDEvents 0.5
	FormatCDEvents04 = "cdevents-0.4" // an event of CDEvents 0.4
)

// How an event is written.
const (
	ModeStructured = "structured" // all of it in a JSON body
	ModeBinary     = "binary"     // its attributes as headers, its data as the body
)

// DefaultSignatureHeader is the header of the signature if no other is named.
const DefaultSignatureHeader = "X-Dora-Signature-256"

const (
	batch     = 20
	maxAnswer = 4 << 10 // what is quoted of one
)

// Options are the settings of a sink, and its credentials.
type Options struct {
	// Name tells the sink from others.
	Name string
	// Cluster is where the events are from; it is in their source.
	Cluster string
	// URL is where events are posted to.
	URL string
	// Format is FormatDora if empty, Mode is ModeStructured.
	Format, Mode string
	// Token is sent as a bearer token; or Username and Password with basic authentication; or nothing is.
	Token, Username, Password string
	// HMACKey signs each body, if it is not empty. SignatureHeader is DefaultSignatureHeader if empty.
	HMACKey         []byte
	SignatureHeader string
	// CA are certificates to trust beside the system's, in PEM form; nil is none.
	CA []byte
	// Version is that of the controller, for the User-Agent.
	Version string
	// Guard is what connections go through.
	Guard egress.Guard
}

// Sink sends events to one receiver.
type Sink struct {
	opts    Options
	client  *http.Client
	source  string
	secrets []string
	encode  func(source string, e dora.Event, data json.RawMessage) (*event.Event, error)
}

var (
	_ sink.Measured = (*Sink)(nil)
	_ sink.Checked  = (*Sink)(nil)
)

// New makes a sink. It connects to nobody.
func New(o Options) (*Sink, error) {
	o.Format = cmp.Or(o.Format, FormatDora)
	o.Mode = cmp.Or(o.Mode, ModeStructured)
	o.SignatureHeader = cmp.Or(o.SignatureHeader, DefaultSignatureHeader)
	address, err := o.check()
	if err != nil {
		return nil, err
	}
	client, err := sink.NewClient(o.Guard, o.CA, maxAnswer)
	if err != nil {
		return nil, err
	}
	s := &Sink{opts: o, client: client, source: "/dora-controller/" + url.PathEscape(o.Cluster), secrets: o.secrets(address), encode: asDora}
	if words, other := vocabularies[o.Format]; other {
		s.encode = words.asCDEvent
	}
	return s, nil
}

// Name implements sink.Sink.
func (s *Sink) Name() string { return s.opts.Name }

// Batch implements sink.Sink. It is the number of requests that have to be answered within the time of one attempt.
func (s *Sink) Batch() int { return batch }

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, events []dora.Event) (answer string, err error) {
	answer, failed := s.each(ctx, len(events), func(i int) (*event.Event, error) {
		data, err := json.Marshal(events[i])
		if err != nil {
			return nil, err
		}
		return s.encode(s.source, events[i], data)
	})
	byID := map[string]error{}
	for i, err := range failed {
		if err != nil {
			byID[events[i].ID] = err
		}
	}
	switch {
	case len(byID) == 0:
		return answer, nil
	case len(events) == 1:
		return "", failed[0]
	}
	return "", &sink.PartialError{Failed: byID}
}

// SendFigures implements sink.Measured. It fails with the first error that it meets.
func (s *Sink) SendFigures(ctx context.Context, figures []sink.Figures) (answer string, err error) {
	answer, failed := s.each(ctx, len(figures), func(i int) (*event.Event, error) {
		if s.opts.Format != FormatDora {
			return nil, nil
		}
		return ofFigures(s.source, figures[i])
	})
	return answer, cmp.Or(failed...)
}

// each makes an attempt at each of n events, until one has to wait. It returns what the receiver said last, and the error of each.
func (s *Sink) each(ctx context.Context, n int, encode func(i int) (*event.Event, error)) (answer string, failed []error) {
	failed = make([]error, n)
	for i := range failed {
		var said string
		said, failed[i] = s.attempt(ctx, func() (*event.Event, error) { return encode(i) })
		answer = cmp.Or(said, answer)
		if failed[i] == nil || sink.IsPermanent(failed[i]) {
			continue
		}
		for behind := i + 1; behind < n; behind++ { // it asks for no delay of its own, and keeps the reason
			failed[behind] = &sink.RetryableError{Err: fmt.Errorf("it was not sent, since one before it was not taken: %w", failed[i])}
		}
		break
	}
	if answer == "" && n > 0 {
		answer = "nothing to send: CDEvents has no event for it"
	}
	return answer, failed
}

// attempt sends one event. What has no form in the format is nil, and not sent.
func (s *Sink) attempt(ctx context.Context, encode func() (*event.Event, error)) (answer string, err error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("cannot send: %w", err)
	}
	e, err := encode()
	if err == nil && e != nil {
		err = valid(e)
	}
	if err != nil {
		return "", &sink.PermanentError{Err: fmt.Errorf("cannot encode: %w", err)}
	}
	if e == nil {
		return "", nil
	}
	return s.post(ctx, e)
}

// Check implements sink.Checked. A receiver cannot be asked whether it takes events without sending it one, so this asks with OPTIONS, which
// changes nothing, whether it is there, is who it says it is, and lets these credentials in. Most receivers know no OPTIONS, and answer 404, 405
// or an error of their own: they are there. The handshake of CloudEvents' webhooks is not made: few receivers want it.
func (s *Sink) Check(ctx context.Context) error {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	request, err := http.NewRequestWithContext(ctx, http.MethodOptions, s.opts.URL, http.NoBody)
	if err != nil {
		return errAddress
	}
	s.identify(request)
	answer, err := s.client.Do(request)
	if err != nil {
		return sink.Unsent(err)
	}
	defer func() { _ = answer.Body.Close() }()
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return s.judge(answer, giveUp)
	}
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		return s.judge(answer, giveUp)
	}
	return nil
}
