package cloudevents

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/dora-controller/dora-controller/internal/sink"
)

// attributePrefix is how the names of headers begin that are attributes of an event.
const attributePrefix = "Ce-"

// post makes one attempt to send an event.
func (s *Sink) post(ctx context.Context, e *event.Event) (answer string, err error) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	request, err := s.request(ctx, e)
	if err != nil {
		return "", &sink.PermanentError{Err: fmt.Errorf("cannot encode: %s", sink.Quote(err.Error(), s.secrets...))}
	}
	response, err := s.client.Do(request)
	if err != nil {
		return "", sink.Unsent(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := s.judge(response, giveUp); err != nil {
		return "", err
	}
	return sink.Status(response), nil
}

// request writes an event, in the mode of the sink, into a request that is signed.
func (s *Sink) request(ctx context.Context, e *event.Event) (*http.Request, error) {
	mode := binding.WithForceStructured
	if s.opts.Mode == ModeBinary {
		mode = binding.WithForceBinary
	}
	request, err := cehttp.NewHTTPRequestFromEvent(mode(ctx), s.opts.URL, *e)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	request.ContentLength = int64(len(body))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	request.Body = io.NopCloser(bytes.NewReader(body))
	percentEncode(request.Header)
	s.identify(request)
	s.sign(request, body)
	return request, nil
}

// identify says who asks.
func (s *Sink) identify(request *http.Request) {
	request.Header.Set("User-Agent", strings.TrimSuffix("dora-controller/"+s.opts.Version, "/"))
	switch {
	case s.opts.Token != "":
		request.Header.Set("Authorization", "Bearer "+s.opts.Token)
	case s.opts.Username != "":
		request.SetBasicAuth(s.opts.Username, s.opts.Password)
	}
}

// sign signs the bytes of a body, if there is a key.
func (s *Sink) sign(request *http.Request, body []byte) {
	if len(s.opts.HMACKey) == 0 {
		return
	}
	mac := hmac.New(sha256.New, s.opts.HMACKey)
	_, _ = mac.Write(body) // never fails
	request.Header.Set(s.opts.SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
}

// percentEncode encodes the attributes in the headers of binary mode as section 3.1.3.2 of CloudEvents' HTTP binding demands. The SDK does not.
func percentEncode(header http.Header) {
	for name, values := range header {
		if !strings.HasPrefix(name, attributePrefix) {
			continue
		}
		for i, value := range values {
			values[i] = percentEncoded(value)
		}
	}
}

func percentEncoded(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c == '"' || c == '%' || c > '~' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// listen is how long a receiver has to say why it refuses an event.
const listen = time.Second

// judge is the verdict on an answer, with what the receiver said about it, as far as it came soon; the client bounds how much is read.
// What is said of an event that was taken is not read, since a body may never end. giveUp ends the request.
func (s *Sink) judge(answer *http.Response, giveUp context.CancelFunc) error {
	err := sink.Judge(answer)
	if err == nil {
		return nil
	}
	patience := time.AfterFunc(listen, giveUp)
	defer patience.Stop()
	said, _ := io.ReadAll(answer.Body) // as much as there is
	if text := sink.Quote(string(said), s.secrets...); text != "" {
		return fmt.Errorf("%w, and said: %s", err, text)
	}
	return err
}
