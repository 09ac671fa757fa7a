// Package tracingtest is a collector of traces for tests: it takes what OTLP's exporters send over HTTP, as the protocol's own types read it.
package tracingtest

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// largest bounds what is read of a request.
const largest = 16 << 20

// Collector keeps what it gets.
type Collector struct {
	*httptest.Server

	mu       sync.Mutex
	spans    []*trace.Span
	text     strings.Builder
	resource map[string]string
	headers  []http.Header
}

// New starts a collector until the test ends.
func New(tb testing.TB) *Collector {
	tb.Helper()
	c := &Collector{}
	c.Server = httptest.NewServer(c)
	tb.Cleanup(c.Close)
	return c
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, err := read(r)
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	c.text.WriteString(prototext.Format(request))
	for _, of := range request.GetResourceSpans() {
		c.resource = attributes(of.GetResource().GetAttributes())
		for _, scope := range of.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

func read(r *http.Request) (*collector.ExportTraceServiceRequest, error) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = unpacked
	}
	data, err := io.ReadAll(io.LimitReader(body, largest))
	if err != nil {
		return nil, err
	}
	request := &collector.ExportTraceServiceRequest{}
	return request, proto.Unmarshal(data, request)
}

func attributes(list []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range list {
		all[a.GetKey()] = plain(a.GetValue())
	}
	return all
}

func plain(value *common.AnyValue) string {
	if list := value.GetArrayValue(); list != nil {
		var all []string
		for _, v := range list.GetValues() {
			all = append(all, plain(v))
		}
		return strings.Join(all, " ")
	}
	if number, ok := value.GetValue().(*common.AnyValue_IntValue); ok {
		return strconv.FormatInt(number.IntValue, 10)
	}
	return value.GetStringValue()
}

// Span is one that arrived.
type Span struct {
	Name, Failed string
	Attributes   map[string]string
	Began, Ended uint64 // in nanoseconds since 1970
	Parts        []Span
}

// Trace is the tree of a trace, by its id. Spans whose parent has not come are roots; those of one parent are in the order of their names.
func (c *Collector) Trace(id string) []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var spans []*trace.Span
	known := map[string]bool{}
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) == id {
			spans = append(spans, s)
			known[string(s.GetSpanId())] = true
		}
	}
	return tree(spans, func(s *trace.Span) bool { return !known[string(s.GetParentSpanId())] })
}

func tree(spans []*trace.Span, here func(*trace.Span) bool) []Span {
	var all []Span
	for _, s := range spans {
		if here(s) {
			below := func(child *trace.Span) bool { return bytes.Equal(child.GetParentSpanId(), s.GetSpanId()) }
			all = append(all, Span{
				s.GetName(), s.GetStatus().GetMessage(), attributes(s.GetAttributes()), s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano(), tree(spans, below),
			})
		}
	}
	slices.SortStableFunc(all, func(a, b Span) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Names of spans and of their parts, such as "a(b c)".
func Names(spans []Span) string {
	var all []string
	for i := range spans {
		name := spans[i].Name
		if parts := Names(spans[i].Parts); parts != "" {
			name += "(" + parts + ")"
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// Text is everything that arrived, in words.
func (c *Collector) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// Spans counts what arrived.
func (c *Collector) Spans() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans)
}

// Resource is who sent it, and Headers are those of the requests.
func (c *Collector) Resource() (who map[string]string, headers []http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resource, c.headers
}
