package dispatch

import (
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/filter"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// Route says what a sink is sent. The zero value sends everything.
type Route struct {
	// Filter is asked when an event is about to be sent, so that a change of it holds for what is pending too. Nil wants everything.
	Filter *filter.Filter
	// WithoutEvents and WithoutFigures leave out either.
	WithoutEvents, WithoutFigures bool
}

func (r *Route) event(e *dora.Event) (bool, error) {
	if r.WithoutEvents {
		return false, nil
	}
	wanted, err := r.Filter.Event(e)
	if err != nil {
		return false, &sink.PermanentError{Err: err}
	}
	return wanted, nil
}

// figures leaves out those for which the filter fails: the events say so.
func (r *Route) figures(f *sink.Figures) bool {
	wanted, err := r.Filter.Figures(f)
	return wanted && err == nil && !r.WithoutFigures
}
