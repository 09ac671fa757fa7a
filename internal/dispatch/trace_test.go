package dispatch

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/tracing"
)

// What failed is told by its reason alone: what the destination said may hold anything.
func TestATraceTellsWhatBecameOfEachEvent(t *testing.T) {
	told := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(told), sdktrace.WithIDGenerator(tracing.IDs{}))
	w := &worker{name: "shop/hooks", opts: Options{Tracer: tracing.New(provider)}}
	row := func(id string, attempts int) ledger.Delivery {
		return ledger.Delivery{Event: dora.Event{ID: id, Service: "cart"}, Attempts: attempts}
	}
	const first, second, third, fourth = "5b0c1d1e-8d5a-5b7e-9c39-000000000001", "5b0c1d1e-8d5a-5b7e-9c39-000000000002",
		"5b0c1d1e-8d5a-5b7e-9c39-000000000003", "5b0c1d1e-8d5a-5b7e-9c39-000000000004"
	at := time.Unix(1_000_000, 0)
	w.trace(attempt{at: at, took: time.Second}, []verdict{
		{row(first, 0), delivered, nil},
		{row(second, 2), retried, sink.Because(sink.RateLimited, errors.New("https://user:pass@example.com: slow down"))},
		{row(third, 0), parked, &sink.PermanentError{Err: errors.New("no")}},
		{row(fourth, 0), left, nil},
	})
	var got []string
	for _, s := range told.Ended() {
		line := []string{s.Name(), s.SpanContext().TraceID().String(), s.Status().Description}
		for _, a := range s.Attributes() {
			line = append(line, a.Value.String())
		}
		got = append(got, strings.Join(line, " "))
		if !s.StartTime().Equal(at) || s.EndTime().Sub(at) != time.Second {
			t.Errorf("it took from %v to %v", s.StartTime(), s.EndTime())
		}
	}
	want := []string{
		"deliver 5b0c1d1e8d5a5b7e9c39000000000001  " + first + " cart shop/hooks delivered 1",
		"deliver 5b0c1d1e8d5a5b7e9c39000000000002 RateLimited " + second + " cart shop/hooks retried 3",
		"deliver 5b0c1d1e8d5a5b7e9c39000000000003 Refused " + third + " cart shop/hooks parked 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%q, want\n%q", got, want)
	}
}
