package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/show"
)

// standings are what is pending or parked, as the flags ask; of one event also where it was delivered.
func (r *deliveryReader) standings(ctx context.Context) ([]show.Standing, error) {
	q := ledger.OutstandingQuery{Sink: r.sink, EventID: r.event, Service: r.service, Limit: r.limit}
	if r.pending != r.parked {
		q.Parked = &r.parked
	}
	rows, err := r.ledger.Outstanding(ctx, q)
	if err != nil {
		return nil, err
	}
	arrived, err := r.arrived(ctx)
	if err != nil {
		return nil, err
	}
	var all []show.Standing
	firsts := firstRows{reader: r, known: map[[2]string]*ledger.Outstanding{}}
	for i := range rows {
		standing, err := r.standing(ctx, &rows[i], firsts)
		if err != nil {
			return nil, err
		}
		standing.DeliveredAt = arrived[standing.Sink].Since
		delete(arrived, standing.Sink)
		all = append(all, standing)
	}
	for _, standing := range arrived {
		if !r.pending && !r.parked {
			all = append(all, standing)
		}
	}
	if r.event != "" {
		slices.SortFunc(all, func(a, b show.Standing) int { return cmp.Compare(a.Sink, b.Sink) })
	}
	return all, nil
}

func (r *deliveryReader) standing(ctx context.Context, row *ledger.Outstanding, firsts firstRows) (show.Standing, error) {
	e := &row.Event
	s := show.Standing{
		Sink: row.Sink, EventSeq: row.Seq, EventID: e.ID, Service: e.Service, Type: e.Type, Outcome: e.Outcome,
		State: show.StateParked, Since: row.Since, Failed: row.Attempts, SinkGoneAt: r.goneAt(row.Sink), Answer: row.LastError,
	}
	if row.Parked {
		return s, nil
	}
	s.State, s.NextAt = show.StatePending, row.NextAt
	first, err := firsts.of(ctx, row.Sink, e.Service)
	if err != nil || first == nil || first.Seq >= row.Seq || !first.NextAt.After(r.now) {
		return s, err
	}
	// Events of a service go out in order: this one is not tried before that one.
	s.WaitsFor = first.Event.ID
	if s.NextAt.Before(first.NextAt) {
		s.NextAt = first.NextAt
	}
	return s, nil
}

// goneAt is since when there is no such DoraSink.
func (r *deliveryReader) goneAt(sink string) time.Time {
	for i := range r.sinks {
		if r.sinks[i].Sink == sink {
			return r.sinks[i].GoneAt
		}
	}
	return time.Time{}
}

// arrived is how the event that is asked for was delivered last, by sink.
func (r *deliveryReader) arrived(ctx context.Context) (map[string]show.Standing, error) {
	if r.event == "" {
		return nil, nil
	}
	records, err := r.ledger.Deliveries(ctx, ledger.DeliveryQuery{Sink: r.sink, EventID: r.event, Service: r.service})
	found, counted := map[string]show.Standing{}, map[string]bool{}
	for i := range records { // newest first
		record := &records[i]
		standing, ok := found[record.Sink]
		switch delivered := record.Fate == ledger.FateDelivered; {
		case delivered && !ok:
			found[record.Sink] = deliveredBy(record)
		case delivered:
			counted[record.Sink] = true // what failed earlier was another delivery
		case ok && !counted[record.Sink]:
			standing.Failed++
			found[record.Sink] = standing
		}
	}
	return found, err
}

func deliveredBy(record *ledger.DeliveryRecord) show.Standing {
	return show.Standing{
		Sink: record.Sink, EventSeq: record.EventSeq, EventID: record.EventID, Service: record.Service, Type: record.Type,
		Outcome: record.Outcome, State: show.StateDelivered, Since: record.At, Answer: record.Answer,
	}
}

// firstRows finds, once each, the first pending row of a service at a sink.
type firstRows struct {
	reader *deliveryReader
	known  map[[2]string]*ledger.Outstanding
}

func (f firstRows) of(ctx context.Context, sink, service string) (*ledger.Outstanding, error) {
	key := [2]string{sink, service}
	first, ok := f.known[key]
	if ok {
		return first, nil
	}
	rows, err := f.reader.ledger.Outstanding(ctx, ledger.OutstandingQuery{Sink: sink, Service: service, Parked: new(false), Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		first = &rows[0]
	}
	f.known[key] = first
	return first, nil
}
