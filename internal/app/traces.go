package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/dora-controller/dora-controller/internal/tracing"
)

// Traces is where spans go, as OpenTelemetry's environment variables say.
type Traces struct {
	Tracer   *tracing.Tracer // nil if nobody asked for traces
	provider *sdktrace.TracerProvider
}

// NewTraces reads OTEL_… variables (docs/traces.md has those that count). Without an endpoint there are no traces. Spans are queued and sent by a
// goroutine of its own; a queue that is full drops them. Errors are logged once a minute at most, and never in the words of the collector.
func NewTraces(ctx context.Context, version, cluster string, log logr.Logger) (*Traces, error) {
	exporter, err := newExporter(ctx)
	if err != nil || exporter == nil {
		return &Traces{}, err
	}
	otel.SetLogger(logr.Discard()) // it would tell its settings, headers among them
	otel.SetErrorHandler(&undelivered{log: log.WithName("traces"), now: time.Now})
	own, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "dora-controller"), attribute.String("service.version", version), attribute.String("k8s.cluster.name", cluster),
	), resource.WithFromEnv())
	if err != nil {
		return nil, errors.New("OTEL_RESOURCE_ATTRIBUTES cannot be read: write key=value, separated by commas")
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(own), sdktrace.WithIDGenerator(tracing.IDs{}),
		sdktrace.WithSampler(sdktrace.AlwaysSample())) // the ids of events are not random enough for a sampler that goes by them
	return &Traces{Tracer: tracing.New(provider), provider: provider}, nil
}

// Close sends what is queued, until the context ends.
func (t *Traces) Close(ctx context.Context) {
	if t.provider != nil {
		otel.Handle(t.provider.Shutdown(ctx))
	}
}

// newExporter is nil where no traces are asked for.
func newExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	endpoint := setting("ENDPOINT")
	switch kind := os.Getenv("OTEL_TRACES_EXPORTER"); {
	case os.Getenv("OTEL_SDK_DISABLED") == "true", kind == "none", kind == "" && endpoint == "":
		return nil, nil //nolint:nilnil // as the comment says
	case kind != "" && kind != "otlp":
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER=%q is not known here: write otlp, or none", kind)
	}
	var exporter sdktrace.SpanExporter
	var err error
	switch protocol := cmp.Or(setting("PROTOCOL"), "http/protobuf"); protocol {
	case "http/protobuf":
		exporter, err = otlptracehttp.New(ctx)
	case "grpc":
		exporter, err = otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL=%q is not known here: write http/protobuf or grpc", protocol)
	}
	if err != nil { // its words may repeat the endpoint, credentials included
		return nil, errors.New("the collector of OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: look at OTEL_EXPORTER_OTLP_… once more")
	}
	return exporter, nil
}

// setting is that of traces, else that of everything.
func setting(name string) string {
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_"+name), os.Getenv("OTEL_EXPORTER_OTLP_"+name))
}

// undelivered logs that spans do not arrive.
type undelivered struct {
	log  logr.Logger
	now  func() time.Time
	next atomic.Int64 // when to say so again, in seconds since 1970
}

// Handle implements otel.ErrorHandler.
func (u *undelivered) Handle(err error) {
	now, next := u.now().Unix(), u.next.Load()
	if err == nil || now < next || !u.next.CompareAndSwap(next, now+60) {
		return
	}
	u.log.Info("Traces do not arrive", "reason", whyUndelivered(err))
}

// whyUndelivered tells in a word. What the error says may hold the endpoint, or what the collector makes of a credential.
func whyUndelivered(err error) string {
	if timeout := net.Error(nil); errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return "NoAnswer"
	}
	if refused := (*net.OpError)(nil); errors.As(err, &refused) {
		return "Unreachable"
	}
	return "Refused"
}
