package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Due implements ledger.Outbox. It walks the pending rows in order and leaves out every service from its first row on
// that must wait; then it loads what it picked. The walk ends at the limit, so a long backlog costs no more than a short
// one as long as its services are not held up.
func (r reader) Due(ctx context.Context, sink string, now time.Time, limit int) ([]ledger.Delivery, error) {
	seqs, err := r.pick(ctx, sink, now, limit)
	if err != nil {
		return nil, r.failed("cannot find what sink "+sink+" is owed", err)
	}
	if len(seqs) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(seqs)
	if err != nil {
		return nil, err
	}
	// CROSS JOIN keeps SQLite from walking the events: the picked rows lead.
	due, err := collect(ctx, r.db, scanDelivery, `SELECT o.seq, o.sink, o.attempts, o.next_at, o.last_error, e.payload, c.facts,
		COALESCE(c.content, 0) FROM outbox o CROSS JOIN events e ON e.seq = o.seq LEFT JOIN commits c ON c.seq = o.seq
		WHERE o.seq IN (SELECT value FROM json_each(?)) AND o.sink = ? AND o.parked = 0 ORDER BY o.seq`, string(list), sink)
	if err != nil {
		return nil, r.failed("cannot read what sink "+sink+" is owed", err)
	}
	return due, nil
}

func (r reader) pick(ctx context.Context, sink string, now time.Time, limit int) ([]int64, error) {
	rows, err := r.db.QueryContext(ctx, `SELECT seq, service, next_at FROM outbox WHERE sink = ? AND parked = 0 ORDER BY seq`, sink)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // what matters is in rows.Err
	var seqs []int64
	waiting := map[string]bool{}
	for len(seqs) < limit && rows.Next() {
		var seq, next int64
		var service string
		if err := rows.Scan(&seq, &service, &next); err != nil {
			return nil, err
		}
		if waiting[service] = waiting[service] || next > now.UnixMicro(); !waiting[service] {
			seqs = append(seqs, seq)
		}
	}
	return seqs, rows.Err()
}

func scanDelivery(rows *sql.Rows) (ledger.Delivery, error) {
	var d ledger.Delivery
	var next int64
	var payload, facts sql.RawBytes
	err := rows.Scan(&d.Seq, &d.Sink, &d.Attempts, &next, &d.LastError, &payload, &facts, &d.Content)
	if err != nil {
		return ledger.Delivery{}, err
	}
	d.NextAt = time.UnixMicro(next).UTC()
	d.Event, err = decode(d.Seq, payload, facts)
	return d, err
}

// NextDue implements ledger.Outbox. The first pending row of each service decides, as the others wait for it.
// SQLite takes a bare column from the row that holds the MIN; other databases need DISTINCT ON.
func (r reader) NextDue(ctx context.Context, sink string) (time.Time, error) {
	var next sql.NullInt64
	err := r.db.QueryRowContext(ctx, `SELECT MIN(next_at) FROM
		(SELECT next_at, MIN(seq) FROM outbox WHERE sink = ? AND parked = 0 GROUP BY service)`, sink).Scan(&next)
	if err != nil {
		return time.Time{}, r.failed("cannot find when sink "+sink+" is due", err)
	}
	return fromMicros(next), nil
}

// Delivered implements ledger.Outbox.
func (s *Store) Delivered(ctx context.Context, sink string, at time.Time, sent ...ledger.Delivery) error {
	return s.writer.do(ctx, "cannot record a delivery", func(tx *connection) error {
		var delivered, newest int64
		for _, d := range sent {
			n, err := tx.delivered(sink, d)
			if err != nil {
				return err
			}
			delivered, newest = delivered+n, max(newest, n*d.Seq)
		}
		if delivered == 0 {
			return nil
		}
		_, err := tx.exec(`UPDATE sinks SET delivered = delivered + ?, settled = MAX(settled, ?), last_delivery = ? WHERE name = ?`,
			delivered, newest, at.UnixMicro(), sink)
		return err
	})
}

// delivered removes the row of what was sent. If the event was completed meanwhile the row stays, as if it had never failed.
func (c *connection) delivered(sink string, sent ledger.Delivery) (settled int64, err error) {
	settled, err = c.affected(`DELETE FROM outbox WHERE seq = ? AND sink = ? AND parked = 0
		AND ? = COALESCE((SELECT content FROM commits WHERE commits.seq = outbox.seq), 0)`, sent.Seq, sink, sent.Content)
	if err != nil || settled > 0 {
		return settled, err
	}
	_, err = c.exec(`UPDATE outbox SET attempts = 0, next_at = ?, failed_at = NULL, last_error = ''
		WHERE seq = ? AND sink = ? AND parked = 0`, c.now().UnixMicro(), sent.Seq, sink)
	return 0, err
}

// Retry implements ledger.Outbox.
func (s *Store) Retry(ctx context.Context, sink string, seq int64, next time.Time, reason string) error {
	return s.writer.do(ctx, "cannot record a retry", func(tx *connection) error {
		n, err := tx.affected(`UPDATE outbox SET attempts = attempts + 1, next_at = ?, failed_at = ?, last_error = ?
			WHERE seq = ? AND sink = ? AND parked = 0`, next.UnixMicro(), tx.now().UnixMicro(), reason, seq, sink)
		return mustExist(n, err, sink, seq)
	})
}

// Park implements ledger.Outbox.
func (s *Store) Park(ctx context.Context, sink string, seq int64, reason string) error {
	return s.writer.do(ctx, "cannot park a delivery", func(tx *connection) error {
		n, err := tx.affected(`UPDATE outbox SET parked = 1, attempts = attempts + 1, failed_at = ?, last_error = ?
			WHERE seq = ? AND sink = ? AND parked = 0`, tx.now().UnixMicro(), reason, seq, sink)
		if err := mustExist(n, err, sink, seq); err != nil {
			return err
		}
		_, err = tx.exec(`UPDATE sinks SET settled = MAX(settled, ?) WHERE name = ?`, seq, sink)
		return err
	})
}

func mustExist(affected int64, err error, sink string, seq int64) error {
	if err == nil && affected == 0 {
		return fmt.Errorf("%w: sink %s is not owed event %d", ledger.ErrNotFound, sink, seq)
	}
	return err
}

// Requeue implements ledger.Store.
func (s *Store) Requeue(ctx context.Context, sink string) (int64, error) {
	var requeued int64
	err := s.writer.do(ctx, "cannot requeue parked deliveries", func(tx *connection) (err error) {
		requeued, err = tx.affected(`UPDATE outbox SET parked = 0, attempts = 0, next_at = ?, failed_at = NULL, last_error = ''
			WHERE sink = ? AND parked = 1`, tx.now().UnixMicro(), sink)
		return err
	})
	return requeued, err
}

// Forget implements ledger.Store.
func (s *Store) Forget(ctx context.Context, sink string) error {
	return s.writer.do(ctx, "cannot forget a sink", func(tx *connection) error {
		delete(tx.sinks, sink)
		if _, err := tx.exec(`DELETE FROM outbox WHERE sink = ?`, sink); err != nil {
			return err
		}
		_, err := tx.exec(`DELETE FROM sinks WHERE name = ?`, sink)
		return err
	})
}

// Sinks implements ledger.Outbox.
func (r reader) Sinks(ctx context.Context) ([]ledger.SinkState, error) {
	states, err := collect(ctx, r.db, scanSink, `SELECT name, delivered, settled, last_delivery,
		(SELECT COUNT(*) FROM outbox WHERE sink = name AND parked = 0),
		(SELECT COUNT(*) FROM outbox WHERE sink = name AND parked = 1),
		(SELECT seq FROM outbox WHERE sink = name AND parked = 0 ORDER BY seq LIMIT 1),
		(SELECT MIN(recorded_at) FROM outbox WHERE sink = name AND parked = 0),
		(SELECT last_error FROM outbox WHERE sink = name AND failed_at IS NOT NULL ORDER BY failed_at DESC, seq DESC LIMIT 1)
		FROM sinks ORDER BY name`)
	if err != nil {
		return nil, r.failed("cannot read the sinks' figures", err)
	}
	return states, nil
}

func scanSink(rows *sql.Rows) (ledger.SinkState, error) {
	var s ledger.SinkState
	var last, first, oldest sql.NullInt64
	var lastError sql.NullString
	err := rows.Scan(&s.Sink, &s.Delivered, &s.Cursor, &last, &s.Pending, &s.Parked, &first, &oldest, &lastError)
	if first.Valid {
		s.Cursor = first.Int64 - 1
	}
	s.LastDelivery, s.OldestPending, s.LastError = fromMicros(last), fromMicros(oldest), lastError.String
	return s, err
}
