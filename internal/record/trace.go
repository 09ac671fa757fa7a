package record

import (
	"errors"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/tracing"
)

// TellTo lets a tracer know of each observation that changed something. It is called before the first one.
func (r *Recorder) TellTo(tracer *tracing.Tracer) { r.tracer = tracer }

// trace tells how an observation became events, in the trace of each; in one of its own if it became none, or if the ledger did not take them.
func (r *Recorder) trace(l *look, result *deploy.Result, err error) {
	if r.tracer == nil {
		return
	}
	whole := l.span(result, r.tracer)
	whole.Failed, whole.Parts[1].Failed = notKept(err), notKept(err)
	if err != nil || len(result.Events) == 0 {
		r.tracer.Lead("", whole)
		return
	}
	about := whole.Attributes
	for i := range result.Events {
		e := &result.Events[i]
		whole.Attributes = slices.Concat(about, []tracing.Attribute{
			tracing.Text(tracing.Event, e.ID), tracing.Text(tracing.EventType, string(e.Type)), tracing.Text(tracing.Outcome, string(e.Outcome)),
		})
		r.tracer.Lead(e.ID, whole)
	}
}

// times are when parts of a look began and ended.
type times struct{ began, deciding, decided time.Time }

// decide notes that it was decided, just now.
func (t *times) decide(began time.Time) {
	if t != nil {
		t.deciding, t.decided = began, time.Now()
	}
}

func (l *look) span(result *deploy.Result, tracer *tracing.Tracer) *tracing.Span {
	reasons := make([]string, 0, len(result.Decisions))
	for _, d := range result.Decisions {
		if d.EventID == "" { // else the event tells
			reasons = append(reasons, string(d.Reason))
		}
	}
	of, ended := l.obs.Subject, tracer.Now()
	return &tracing.Span{
		Name: "reconcile " + string(of.Kind), Began: l.times.began, Ended: ended,
		Attributes: []tracing.Attribute{
			tracing.Text(tracing.Kind, string(of.Kind)), tracing.Text(tracing.Namespace, of.Namespace), tracing.Text(tracing.Name, of.Name),
			tracing.Text(tracing.Service, result.State.Service), tracing.Text(tracing.Environment, result.State.Environment),
		},
		Parts: []tracing.Span{
			{Name: "decide", Began: l.times.deciding, Ended: l.times.decided, Attributes: []tracing.Attribute{tracing.Words(tracing.Decisions, reasons)}},
			{Name: "write ledger", Began: l.times.decided, Ended: ended},
		},
	}
}

// notKept is the reason of a span whose decision the ledger did not take.
func notKept(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ledger.ErrConflict):
		return "Conflict" // decided again
	}
	return "LedgerFailed"
}
