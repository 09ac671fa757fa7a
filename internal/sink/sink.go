// Package sink is the contract of the places that events are sent to.
//
// A sink sends; it does not wait, retry or remember. One attempt is one call of Send, and its error says what is to
// become of the events:
//
//	nil              all of them arrived
//	*PermanentError  the destination will never take them: they are set aside with the reason
//	*PartialError    some arrived, the others each have an error of their own
//	*RetryableError  later, and not before its After
//	any other        later
//
// Delivery is at least once and in order per service: a sink may get an event again, and recognises it by its id, which
// never changes; what is in it may have grown, when its commits were found. What a sink says in its answers and errors ends up in
// statuses, logs and the log of deliveries, so no secret may be in them. Because tells what stands in the way, for the status.
//
// A driver gets its settings and credentials when it is made, and never anew: when a Secret has changed, another sink of the same name
// takes its place.
//
// The package knows no ledger; package dispatch joins the two.
package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Sink is one destination of events.
type Sink interface {
	// Name tells the destination from all others, for as long as it is owed events: namespace/name of its DoraSink.
	Name() string
	// Batch is the most events that Send takes at once.
	Batch() int
	// Send makes one attempt to send events, in their order, and returns soon after the context has ended. It is called
	// by one goroutine at a time. Without events it does nothing. The answer is what the destination said, in a few words, if it took
	// them: 201 Created, or 20 rows.
	Send(ctx context.Context, events []dora.Event) (answer string, err error)
}

// Measured is a sink that takes figures too. Those that fail are sent again later, or newer ones in their place.
type Measured interface {
	Sink
	// SendFigures makes one attempt to send figures, Batch of them at most. It is called by the goroutine that calls Send.
	SendFigures(ctx context.Context, figures []Figures) (answer string, err error)
}

// Checked is a sink that can tell whether events would arrive, without sending one.
type Checked interface {
	Sink
	// Check fails as Send would, if its destination cannot be reached, or does not have what it needs. It may be called while Send is.
	Check(ctx context.Context) error
}

// PermanentError is an error that no retry will mend, such as a payload that the destination refuses.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *PermanentError) Unwrap() error { return e.Err }

// RetryableError is an error that time may mend.
type RetryableError struct {
	Err error
	// After is how long the destination asked to be left alone. Zero if it did not.
	After time.Duration
}

func (e *RetryableError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *RetryableError) Unwrap() error { return e.Err }

// PartialError is the error of a batch of which some events arrived. Failed holds the error of each that did not, by its id;
// those errors are PermanentError, RetryableError or any other, but not PartialError.
type PartialError struct{ Failed map[string]error }

// Error names the events that failed, by their ids, up to a few.
func (e *PartialError) Error() string {
	const named = 3
	var reasons []string
	for id, err := range e.Failed {
		reasons = append(reasons, fmt.Sprintf("%s: %v", id, err))
	}
	slices.Sort(reasons)
	if len(reasons) > named {
		reasons = append(reasons[:named], fmt.Sprintf("and %d more", len(reasons)-named))
	}
	return fmt.Sprintf("%d events failed: %s", len(e.Failed), strings.Join(reasons, "; "))
}

// Unwrap returns the reasons, in no order.
func (e *PartialError) Unwrap() []error {
	all := make([]error, 0, len(e.Failed))
	for _, err := range e.Failed {
		all = append(all, err)
	}
	return all
}

// IsPermanent tells whether no retry will mend an error.
func IsPermanent(err error) bool {
	_, permanent := errors.AsType[*PermanentError](err)
	return permanent
}

// RetryAfter is how long the destination asked to be left alone; zero if it did not.
func RetryAfter(err error) time.Duration {
	if retryable, ok := errors.AsType[*RetryableError](err); ok {
		return retryable.After
	}
	return 0
}
