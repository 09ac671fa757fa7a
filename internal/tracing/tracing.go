// Package tracing tells by OpenTelemetry how a deployment went through the controller. internal/app chooses where that is told to.
//
// # Guarantees
//
//   - Who is not asked for traces pays nothing: a nil Tracer makes no span, reads no clock and allocates nothing.
//   - A trace belongs to an event and has its id: event 5b0c1d1e-8d5a-… is trace 5b0c1d1e8d5a…. So what is done about it later, by another
//     process too, joins the same trace without anything being remembered. What leads to no event has a trace of its own.
//   - What changed nothing leaves no span: Argo CD rewrites the status of every Application every few minutes.
//   - Attributes have the keys below, and their values are ids, names and words of fixed sets, cut to a length. There is no URL, no message, and
//     nothing that a server said: what fails is told by a reason.
//   - Nothing is passed on to others: no request carries the id of a trace.
//
// # One deployment
//
//	reconcile Application ─┬─ decide
//	                       ├─ write ledger
//	                       ├─ find commits ─┬─ open repository, read commit, read tag, read range, read labels
//	                       │                └─ write ledger
//	                       └─ deliver, for each attempt with each sink
package tracing

import (
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// The keys of attributes. docs/traces.md says what each means.
const (
	Event       = "dora.event.id"
	EventType   = "dora.event.type"
	Outcome     = "dora.outcome"
	Service     = "dora.service"
	Environment = "dora.environment"
	Kind        = "dora.subject.kind"
	Namespace   = "dora.subject.namespace"
	Name        = "dora.subject.name"
	Decisions   = "dora.decisions"
	Sink        = "dora.sink"
	Fate        = "dora.delivery"
	Attempt     = "dora.attempt"
	Reason      = "dora.reason"
	Provider    = "dora.provider"
	Host        = "server.address"
	Commits     = "dora.commits"
)

const (
	longest = 256 // bytes of a value
	most    = 16  // values of a list
)

// Attribute is something that a span says.
type Attribute = attribute.KeyValue

// Text is an attribute.
func Text(key, value string) Attribute { return attribute.String(key, cut(value)) }

// Number is an attribute.
func Number(key string, value int) Attribute { return attribute.Int(key, value) }

// Words is an attribute of several values, the first few.
func Words(key string, values []string) Attribute {
	list := make([]string, 0, min(len(values), most))
	for _, value := range values[:min(len(values), most)] {
		list = append(list, cut(value))
	}
	return attribute.StringSlice(key, list)
}

func cut(value string) string {
	value = strings.ToValidUTF8(value, "")
	if len(value) <= longest {
		return value
	}
	return strings.ToValidUTF8(value[:longest], "")
}

// Span is work that is done.
type Span struct {
	Name       string
	Began      time.Time
	Ended      time.Time
	Failed     string // the reason, of a fixed set; empty if it went well
	Attributes []Attribute
	Parts      []Span
}

// scope says whose spans they are. It is no key.
var scope = reflect.TypeFor[Tracer]().PkgPath()

// Tracer makes spans. A nil one makes none.
type Tracer struct{ tracer trace.Tracer }

// New makes a tracer. Its provider's ids have to be those of IDs.
func New(provider trace.TracerProvider) *Tracer {
	return &Tracer{provider.Tracer(scope)}
}

// Now is when something begins or ends; zero for a tracer that makes no spans.
func (t *Tracer) Now() time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Now()
}

// Lead tells what led to an event: the beginning of its trace. Without an event it is a trace of its own.
func (t *Tracer) Lead(event string, s *Span) {
	if t == nil {
		return
	}
	t.tell(context.WithValue(context.Background(), eventKey{}, event), s)
}

// Follow tells what was done because of an event.
func (t *Tracer) Follow(event string, s *Span) {
	if t == nil {
		return
	}
	t.tell(below(context.Background(), event), s)
}

func (t *Tracer) tell(ctx context.Context, s *Span) {
	ctx, span := t.tracer.Start(ctx, s.Name, trace.WithTimestamp(s.Began), trace.WithAttributes(s.Attributes...))
	for i := range s.Parts {
		t.tell(ctx, &s.Parts[i])
	}
	fail(span, s.Failed)
	span.End(trace.WithTimestamp(s.Ended))
}

// Start begins to tell what is done because of an event. What is returned ends it, with the reason if it failed.
func (t *Tracer) Start(ctx context.Context, event, name string, attributes ...Attribute) (within context.Context, end func(failed string)) {
	if t == nil {
		return ctx, func(string) {}
	}
	ctx, span := t.tracer.Start(below(ctx, event), name, trace.WithAttributes(attributes...)) //nolint:spancheck // the caller ends it
	return ctx, ending(span)                                                                  //nolint:spancheck // likewise
}

// Part begins a part of what a context tells of, if it does.
func Part(ctx context.Context, name string, attributes ...Attribute) (within context.Context, end func(failed string)) {
	whole := trace.SpanFromContext(ctx)
	if !whole.IsRecording() {
		return ctx, func(string) {}
	}
	tracer := whole.TracerProvider().Tracer(scope)
	ctx, span := tracer.Start(ctx, name, trace.WithAttributes(attributes...)) //nolint:spancheck // the caller ends it
	return ctx, ending(span)                                                  //nolint:spancheck // likewise
}

// Note adds to what a context tells of, if it does.
func Note(ctx context.Context, attributes ...Attribute) {
	trace.SpanFromContext(ctx).SetAttributes(attributes...)
}

func ending(span trace.Span) func(failed string) {
	return func(failed string) {
		fail(span, failed)
		span.End()
	}
}

func fail(span trace.Span, reason string) {
	if reason != "" {
		span.SetStatus(codes.Error, cut(reason))
	}
}

// below is a context whose spans follow from the first one of an event's trace.
func below(ctx context.Context, event string) context.Context {
	traceID, spanID, ok := idsOf(event)
	if !ok {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
}

// idsOf are those of an event's trace and of its first span. The second half of a UUID is never zero.
func idsOf(event string) (trace.TraceID, trace.SpanID, bool) {
	id, err := uuid.Parse(event)
	if err != nil {
		return trace.TraceID{}, trace.SpanID{}, false
	}
	return trace.TraceID(id), trace.SpanID(id[8:]), true
}

type eventKey struct{}
