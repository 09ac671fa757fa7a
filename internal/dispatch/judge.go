package dispatch

import (
	"errors"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// fate is what becomes of an outbox row after an attempt.
type fate int

const (
	left      fate = iota // untouched: it waits for a row before it, and will be sent again with it
	delivered             // it arrived
	retried               // later
	parked                // set aside: no retry will mend it
)

// verdict is the fate of one row, with the error that led to it.
type verdict struct {
	row  ledger.Delivery
	fate fate
	err  error
}

var errElsewhere = errors.New("the sink told of failed events, but of none that it was sent")

// divide tells rows that never failed from the one that failed and has been due longest; nil if there is none. Those go alone, so that one
// event that the destination chokes on does not take others down with it for ever.
func divide(due []ledger.Delivery) (fresh, suspect []ledger.Delivery) {
	for i, row := range due {
		switch {
		case row.Attempts == 0:
			fresh = append(fresh, row)
		case len(suspect) == 0 || row.NextAt.Before(suspect[0].NextAt):
			suspect = due[i : i+1]
		}
	}
	return fresh, suspect
}

// judge decides the fate of each row of a batch by the answer to it. If it cannot tell the rows apart, apart is true:
// then each must be sent by itself.
func judge(batch []ledger.Delivery, answer error) (verdicts []verdict, apart bool) {
	var partial *sink.PartialError
	switch {
	case answer == nil:
		return all(batch, delivered, nil), false
	case errors.As(answer, &partial) && names(partial, batch):
		return each(batch, func(row ledger.Delivery) error { return partial.Failed[row.Event.ID] }), false
	case partial != nil:
		return each(batch, func(ledger.Delivery) error { return errElsewhere }), false
	case !sink.IsPermanent(answer):
		return held(batch, answer), false
	case len(batch) == 1:
		return all(batch, parked, answer), false
	}
	return nil, true
}

func all(batch []ledger.Delivery, f fate, err error) []verdict {
	verdicts := make([]verdict, len(batch))
	for i, row := range batch {
		verdicts[i] = verdict{row, f, err}
	}
	return verdicts
}

// held puts off the first row of a batch that failed as a whole, and leaves the others, which are hardly to blame.
func held(batch []ledger.Delivery, err error) []verdict {
	verdicts := all(batch, left, nil)
	verdicts[0] = verdict{batch[0], retried, err}
	return verdicts
}

// each judges rows by errors of their own. After a row that is retried its service waits, whatever arrived of it.
func each(batch []ledger.Delivery, failed func(ledger.Delivery) error) []verdict {
	verdicts := make([]verdict, len(batch))
	waiting := map[string]bool{}
	for i, row := range batch {
		err := failed(row)
		verdicts[i] = verdict{row, judgeOne(err), err}
		if service := row.Event.Service; waiting[service] {
			verdicts[i] = verdict{row: row, fate: left}
		} else {
			waiting[service] = verdicts[i].fate == retried
		}
	}
	return verdicts
}

func judgeOne(err error) fate {
	switch {
	case err == nil:
		return delivered
	case sink.IsPermanent(err):
		return parked
	}
	return retried
}

// names tells whether a partial failure speaks of this batch at all. One that does not would pass for success.
func names(partial *sink.PartialError, batch []ledger.Delivery) bool {
	for _, row := range batch {
		if partial.Failed[row.Event.ID] != nil {
			return true
		}
	}
	return false
}
