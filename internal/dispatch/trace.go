package dispatch

import (
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/tracing"
)

// trace tells what became of each event in an attempt.
func (w *worker) trace(made attempt, verdicts []verdict) {
	if w.opts.Tracer == nil {
		return
	}
	for _, v := range verdicts {
		if v.fate == left {
			continue
		}
		span := tracing.Span{
			Name: "deliver", Began: made.at, Ended: made.at.Add(made.took),
			Attributes: []tracing.Attribute{
				tracing.Text(tracing.Event, v.row.Event.ID), tracing.Text(tracing.Service, v.row.Event.Service), tracing.Text(tracing.Sink, w.name),
				tracing.Text(tracing.Fate, v.fate.String()), tracing.Number(tracing.Attempt, v.row.Attempts+1),
			},
		}
		if v.err != nil {
			span.Failed = string(sink.ReasonOf(v.err))
		}
		w.opts.Tracer.Follow(v.row.Event.ID, &span)
	}
}

// String is what the log of deliveries calls it.
func (f fate) String() string {
	return [...]string{left: "left", delivered: "delivered", retried: "retried", parked: "parked"}[f]
}
