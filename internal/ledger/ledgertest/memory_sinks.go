package ledgertest

import (
	"context"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// record keeps what was answered about a row.
func (m *Memory) record(row *owed, fate ledger.Fate, content int64, a ledger.Attempt) {
	event := m.event(row.Seq).Event
	m.seq++
	m.log = append(m.log, ledger.DeliveryRecord{
		Seq: m.seq, Sink: row.Sink, EventSeq: row.Seq, EventID: event.ID, Service: event.Service, Type: event.Type, Outcome: event.Outcome,
		Fate: fate, Content: content, At: micro(a.At), Took: a.Took.Truncate(time.Microsecond), Answer: a.Answer,
	})
}

// Deliveries implements ledger.Reader.
func (m *Memory) Deliveries(ctx context.Context, q ledger.DeliveryQuery) ([]ledger.DeliveryRecord, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []ledger.DeliveryRecord
	for _, r := range slices.Backward(m.log) {
		if tells(r, q) && (q.Limit <= 0 || len(found) < q.Limit) {
			found = append(found, r)
		}
	}
	return found, nil
}

func tells(r ledger.DeliveryRecord, q ledger.DeliveryQuery) bool {
	return (q.Sink == "" || q.Sink == r.Sink) && (q.EventID == "" || q.EventID == r.EventID) && (q.Service == "" || q.Service == r.Service) &&
		(q.Fates == nil || slices.Contains(q.Fates, r.Fate)) && (q.Since.IsZero() || !r.At.Before(micro(q.Since)))
}

// pruneLog keeps the newest records of each sink.
func (m *Memory) pruneLog(keep int) {
	kept := map[string]int{}
	slices.Reverse(m.log)
	m.log = slices.DeleteFunc(m.log, func(r ledger.DeliveryRecord) bool {
		kept[r.Sink]++
		return kept[r.Sink] > keep
	})
	slices.Reverse(m.log)
}

// Owe implements ledger.Upkeep.
func (m *Memory) Owe(ctx context.Context, sink string, q ledger.EventQuery, now time.Time) (int64, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var made int64
	for _, row := range m.choose(q) {
		i := slices.IndexFunc(m.outbox, func(o *owed) bool { return o.Seq == row.Seq && o.Sink == sink })
		switch {
		case i < 0:
			m.owe(row.Seq, row.Event.Service, []string{sink}, micro(now))
			made++
		case m.outbox[i].parked:
			m.outbox[i].again(micro(now))
			made++
		}
	}
	return made, nil
}

// Gone implements ledger.Upkeep.
func (m *Memory) Gone(ctx context.Context, sink string, at time.Time) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if s := m.sinks[sink]; s != nil && (s.GoneAt.IsZero() || at.IsZero()) {
		s.GoneAt = micro(at)
	}
	return nil
}

// Forget implements ledger.Upkeep.
func (m *Memory) Forget(ctx context.Context, sink string, until time.Time) (int64, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	before := len(m.outbox)
	m.outbox = slices.DeleteFunc(m.outbox, func(o *owed) bool {
		return o.Sink == sink && (until.IsZero() || o.recorded.Before(micro(until)))
	})
	if slices.ContainsFunc(m.outbox, func(o *owed) bool { return o.Sink == sink }) {
		return int64(before - len(m.outbox)), nil
	}
	delete(m.sinks, sink)
	m.log = slices.DeleteFunc(m.log, func(r ledger.DeliveryRecord) bool { return r.Sink == sink })
	return int64(before - len(m.outbox)), nil
}
