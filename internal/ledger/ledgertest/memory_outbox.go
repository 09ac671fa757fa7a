package ledgertest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Due implements ledger.Outbox.
func (m *Memory) Due(ctx context.Context, sink string, now time.Time, limit int) ([]ledger.Delivery, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var fresh, failed []*owed
	waiting := map[string]bool{}
	for _, row := range m.pending(sink) {
		held, seen := waiting[row.service]
		if held {
			continue
		}
		waiting[row.service] = row.Attempts > 0
		come := !row.NextAt.After(micro(now)) || row.NextAt.After(micro(now.Add(ledger.FarAhead)))
		switch {
		case row.Attempts == 0 && len(fresh) < limit:
			fresh = append(fresh, row)
		case row.Attempts > 0 && !seen && come && len(fresh) < limit:
			failed = append(failed, row)
		}
	}
	slices.SortStableFunc(failed, func(a, b *owed) int { return a.NextAt.Compare(b.NextAt) })
	rows := slices.Concat(fresh, failed[:min(limit, len(failed))])
	slices.SortFunc(rows, func(a, b *owed) int { return cmp.Compare(a.Seq, b.Seq) })
	return m.deliveries(rows), nil
}

func (m *Memory) deliveries(rows []*owed) []ledger.Delivery {
	var due []ledger.Delivery
	for _, row := range rows {
		delivery := row.Delivery
		delivery.Event, delivery.Content = m.read(m.event(row.Seq)), m.content(row.Seq)
		due = append(due, delivery)
	}
	return due
}

// pending are the rows that a sink is owed, by sequence.
func (m *Memory) pending(sink string) []*owed {
	return slices.DeleteFunc(slices.Clone(m.outbox), func(o *owed) bool { return o.Sink != sink || o.parked })
}

// NextDue implements ledger.Outbox.
func (m *Memory) NextDue(ctx context.Context, sink string) (time.Time, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer leave()
	var next time.Time
	seen := map[string]bool{}
	for _, row := range m.pending(sink) {
		if !seen[row.service] && (next.IsZero() || row.NextAt.Before(next)) {
			next = row.NextAt
		}
		seen[row.service] = true
	}
	return next, nil
}

// Delivered implements ledger.Outbox.
func (m *Memory) Delivered(ctx context.Context, sink string, a ledger.Attempt, sent ...ledger.Delivery) error {
	return m.settle(ctx, sink, sent, func(row *owed, content int64, current bool) {
		m.record(row, ledger.FateDelivered, content, a)
		if current {
			m.sinks[sink].Delivered++
			m.sinks[sink].LastDelivery = micro(a.At)
		}
	})
}

// Pass implements ledger.Outbox.
func (m *Memory) Pass(ctx context.Context, sink string, rows ...ledger.Delivery) error {
	return m.settle(ctx, sink, rows, func(*owed, int64, bool) {})
}

// settle removes the pending ones of these rows, unless their events have other content by now.
func (m *Memory) settle(ctx context.Context, sink string, rows []ledger.Delivery, also func(row *owed, content int64, current bool)) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, row := range m.pending(sink) {
		content, told := newest(rows, row.Seq)
		if !told {
			continue
		}
		current := content == m.content(row.Seq)
		also(row, content, current)
		if !current {
			row.again(m.now())
			continue
		}
		m.outbox = slices.DeleteFunc(m.outbox, func(o *owed) bool { return o == row })
		m.sinks[sink].Cursor = max(m.sinks[sink].Cursor, row.Seq)
	}
	return nil
}

// newest is the newest content that is told of a row, if any is.
func newest(rows []ledger.Delivery, seq int64) (content int64, told bool) {
	for _, d := range rows {
		if d.Seq == seq && (!told || d.Content > content) {
			content, told = d.Content, true
		}
	}
	return content, told
}

// Retry implements ledger.Outbox.
func (m *Memory) Retry(ctx context.Context, sink string, seq int64, next time.Time, a ledger.Attempt) error {
	return m.fail(ctx, sink, seq, ledger.FateRetried, a, func(row *owed) { row.NextAt = micro(next) })
}

// Park implements ledger.Outbox.
func (m *Memory) Park(ctx context.Context, sink string, seq int64, a ledger.Attempt) error {
	return m.fail(ctx, sink, seq, ledger.FateParked, a, func(row *owed) {
		row.parked = true
		m.sinks[sink].Cursor = max(m.sinks[sink].Cursor, seq)
	})
}

func (m *Memory) fail(ctx context.Context, sink string, seq int64, fate ledger.Fate, a ledger.Attempt, then func(*owed)) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, row := range m.pending(sink) {
		if row.Seq != seq {
			continue
		}
		m.record(row, fate, m.content(seq), a)
		row.Attempts++
		row.LastError, row.failed = a.Answer, m.now()
		then(row)
		return nil
	}
	return ledger.ErrNotFound
}

// Hasten implements ledger.Outbox.
func (m *Memory) Hasten(ctx context.Context, sink string, now time.Time) (int64, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var hastened int64
	for _, row := range m.pending(sink) {
		if row.Attempts > 0 {
			row.again(micro(now))
			hastened++
		}
	}
	return hastened, nil
}

// Requeue implements ledger.Upkeep.
func (m *Memory) Requeue(ctx context.Context, sink string) (int64, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var requeued int64
	for _, row := range m.outbox {
		if row.Sink == sink && row.parked {
			row.again(m.now())
			requeued++
		}
	}
	return requeued, nil
}

// again makes a row pending as if it had never failed.
func (o *owed) again(now time.Time) {
	o.parked, o.Attempts, o.NextAt, o.LastError, o.failed = false, 0, now, "", time.Time{}
}

// Sinks implements ledger.Outbox.
func (m *Memory) Sinks(ctx context.Context) ([]ledger.SinkState, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var states []ledger.SinkState
	for _, name := range slices.Sorted(maps.Keys(m.sinks)) {
		states = append(states, m.figures(*m.sinks[name]))
	}
	return states, nil
}

// figures adds to the running figures of a sink what its rows say.
func (m *Memory) figures(s ledger.SinkState) ledger.SinkState {
	rows := slices.DeleteFunc(slices.Clone(m.outbox), func(o *owed) bool { return o.Sink != s.Sink })
	for _, row := range slices.Backward(rows) {
		if row.parked {
			s.Parked++
			continue
		}
		s.Pending++
		s.Cursor = row.Seq - 1
		if s.OldestPending.IsZero() || row.recorded.Before(s.OldestPending) {
			s.OldestPending = row.recorded
		}
	}
	slices.SortFunc(rows, func(a, b *owed) int { return cmp.Or(a.failed.Compare(b.failed), cmp.Compare(a.Seq, b.Seq)) })
	if len(rows) > 0 {
		s.LastError = rows[len(rows)-1].LastError
	}
	return s
}

// Prune implements ledger.Store.
func (m *Memory) Prune(ctx context.Context, r ledger.Retention) (int64, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	pruned := m.pruneEvents(micro(r.EventsBefore))
	m.pruneObservations(micro(r.EventsBefore))
	kept := map[string]int{}
	slices.Reverse(m.decisions)
	m.decisions = slices.DeleteFunc(m.decisions, func(d ledger.Decision) bool {
		kept[d.UID]++
		return kept[d.UID] > cmp.Or(r.DecisionsPerSubject, ledger.DefaultDecisions)
	})
	slices.Reverse(m.decisions)
	m.pruneLog(cmp.Or(r.DeliveriesPerSink, ledger.DefaultDeliveries))
	return pruned, nil
}

func (m *Memory) pruneEvents(before time.Time) int64 {
	pending := map[int64]bool{}
	for _, row := range m.outbox {
		pending[row.Seq] = pending[row.Seq] || !row.parked
	}
	gone := map[int64]bool{}
	m.events = slices.DeleteFunc(m.events, func(r ledger.Row) bool {
		gone[r.Seq] = micro(r.Event.OccurredAt).Before(before) && !pending[r.Seq]
		if gone[r.Seq] {
			m.touch(r.Event)
		}
		return gone[r.Seq]
	})
	maps.DeleteFunc(m.commits, func(seq int64, _ *search) bool { return gone[seq] })
	for seq, dropped := range gone {
		if dropped {
			delete(m.marks, seq)
		}
	}
	m.outbox = slices.DeleteFunc(m.outbox, func(o *owed) bool { return gone[o.Seq] })
	var pruned int64
	for _, is := range gone {
		if is {
			pruned++
		}
	}
	if pruned > 0 {
		m.revision++
	}
	return pruned
}
