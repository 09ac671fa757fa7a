package tracing

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// IDs makes the ids of spans, and of traces: of those that Lead begins, the event's. It is an sdk/trace.IDGenerator.
type IDs struct{}

// NewIDs implements sdk/trace.IDGenerator.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if event, ok := ctx.Value(eventKey{}).(string); ok {
		if traceID, spanID, ok := idsOf(event); ok {
			return traceID, spanID
		}
	}
	var id trace.TraceID
	binary.NativeEndian.PutUint64(id[:8], some())
	binary.NativeEndian.PutUint64(id[8:], some())
	return id, IDs{}.NewSpanID(ctx, id)
}

// NewSpanID implements sdk/trace.IDGenerator.
func (IDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var id trace.SpanID
	binary.NativeEndian.PutUint64(id[:], some())
	return id
}

// some number that is not zero: an id of zeros is none.
func some() uint64 { return max(rand.Uint64(), 1) } //nolint:gosec // ids are no secrets
