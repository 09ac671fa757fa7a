package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// Due implements ledger.Outbox. It walks the pending rows in order and leaves out every service from its first row on
// that must wait; then it loads what it picked. The walk ends once there are enough rows that never failed, so a long backlog costs no more
// than a short one as long as its services are not held up.
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
	due, err := collect(ctx, r.db, scanDelivery, dueQuery, string(list), sink)
	if err != nil {
		return nil, r.failed("cannot read what sink "+sink+" is owed", err)
	}
	return due, nil
}

const (
	pickQuery = `SELECT seq, service, next_at, attempts FROM outbox WHERE sink = ? AND parked = 0 ORDER BY seq`
	// CROSS JOIN keeps SQLite from walking the events: the picked rows lead.
	dueQuery = `SELECT o.seq, o.sink, o.attempts, o.next_at, o.last_error, e.payload, c.facts, ` + newestMark + `,
		` + content + ` FROM outbox o CROSS JOIN events e ON e.seq = o.seq LEFT JOIN commits c ON c.seq = o.seq
		WHERE o.seq IN (SELECT value FROM json_each(?)) AND o.sink = ? AND o.parked = 0 ORDER BY o.seq`
)

func (r reader) pick(ctx context.Context, sink string, now time.Time, limit int) ([]int64, error) {
	pending, err := r.db.QueryContext(ctx, pickQuery, sink)
	if err != nil {
		return nil, err
	}
	defer func() { _ = pending.Close() }() // what matters is in pending.Err
	var p rows.Picked
	for len(p.Fresh) < limit && pending.Next() {
		var row rows.Candidate
		var service string
		if err := pending.Scan(&row.Seq, &service, &row.Next, &row.Attempts); err != nil {
			return nil, err
		}
		p.Show(row, service, now)
	}
	return p.Seqs(limit), pending.Err()
}

func scanDelivery(found *sql.Rows) (ledger.Delivery, error) { return readDelivery(found) }

// readDelivery reads the columns of a delivery, and what follows them.
func readDelivery(found *sql.Rows, more ...any) (ledger.Delivery, error) {
	var d ledger.Delivery
	var next int64
	var payload, facts, mark sql.RawBytes
	err := found.Scan(append([]any{&d.Seq, &d.Sink, &d.Attempts, &next, &d.LastError, &payload, &facts, &mark, &d.Content}, more...)...)
	if err != nil {
		return ledger.Delivery{}, err
	}
	d.NextAt = time.UnixMicro(next).UTC()
	d.Event, err = rows.Decode(d.Seq, payload, facts, mark)
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

// Delivered implements ledger.Outbox. It takes a handful of statements, however many rows there are.
func (s *Store) Delivered(ctx context.Context, sink string, a ledger.Attempt, sent ...ledger.Delivery) error {
	told, err := tell(sent)
	if err != nil {
		return err
	}
	return s.writer.Do(ctx, "cannot record a delivery", func(tx *connection) error {
		if _, err := tx.log(sink, ledger.FateDelivered, a, told.contents); err != nil {
			return err
		}
		settled, err := tx.settle(sink, told)
		if err != nil || settled == 0 {
			return err
		}
		_, err = tx.exec(`UPDATE sinks SET delivered = delivered + ?, last_delivery = ? WHERE name = ?`, settled, a.At.UnixMicro(), sink)
		return err
	})
}

// Pass implements ledger.Outbox.
func (s *Store) Pass(ctx context.Context, sink string, unwanted ...ledger.Delivery) error {
	told, err := tell(unwanted)
	if err != nil {
		return err
	}
	return s.writer.Do(ctx, "cannot drop what a sink does not want", func(tx *connection) error {
		_, err := tx.settle(sink, told)
		return err
	})
}

// told is what a caller says of rows.
type told struct {
	contents string // a JSON object, by sequence
	count    int64
}

func tell(deliveries []ledger.Delivery) (told, error) {
	contents := rows.Contents(deliveries)
	list, err := json.Marshal(contents)
	return told{contents: string(list), count: int64(len(contents))}, err
}

// settle removes pending rows and counts them. Those whose events were completed meanwhile stay, as if they had never failed.
func (c *connection) settle(sink string, said told) (int64, error) {
	settled, err := c.affected(settleQuery, sink, said.contents)
	if err != nil || settled == said.count {
		return settled, err
	}
	_, err = c.exec(againQuery, c.now().UnixMicro(), sink, said.contents)
	return settled, err
}

const (
	// settleQuery removes those rows of which what was told is the newest content.
	settleQuery = `DELETE FROM outbox WHERE sink = ? AND parked = 0 AND seq IN (SELECT CAST(key AS INTEGER) FROM json_each(?)
		WHERE value = COALESCE((SELECT content FROM commits WHERE commits.seq = CAST(key AS INTEGER)), 0)
		+ (SELECT COUNT(*) FROM marks WHERE marks.seq = CAST(key AS INTEGER)))`
	againQuery = `UPDATE outbox SET attempts = 0, next_at = ?, failed_at = NULL, last_error = ''
		WHERE sink = ? AND parked = 0 AND seq IN (SELECT CAST(key AS INTEGER) FROM json_each(?))`
)

// Retry implements ledger.Outbox.
func (s *Store) Retry(ctx context.Context, sink string, seq int64, next time.Time, a ledger.Attempt) error {
	return s.writer.Do(ctx, "cannot record a retry", func(tx *connection) error {
		if err := tx.logFailure(sink, ledger.FateRetried, a, seq); err != nil {
			return err
		}
		_, err := tx.exec(`UPDATE outbox SET attempts = attempts + 1, next_at = ?, failed_at = ?, last_error = ? WHERE seq = ? AND sink = ?`,
			next.UnixMicro(), tx.now().UnixMicro(), a.Answer, seq, sink)
		return err
	})
}

// Park implements ledger.Outbox.
func (s *Store) Park(ctx context.Context, sink string, seq int64, a ledger.Attempt) error {
	return s.writer.Do(ctx, "cannot park a delivery", func(tx *connection) error {
		if err := tx.logFailure(sink, ledger.FateParked, a, seq); err != nil {
			return err
		}
		_, err := tx.exec(`UPDATE outbox SET parked = 1, attempts = attempts + 1, failed_at = ?, last_error = ? WHERE seq = ? AND sink = ?`,
			tx.now().UnixMicro(), a.Answer, seq, sink)
		return err
	})
}

// Hasten implements ledger.Outbox. Which rows failed is found by a reader, which holds nobody up.
func (s *Store) Hasten(ctx context.Context, sink string, now time.Time) (int64, error) {
	seqs, err := collect(ctx, s.db, scanOne[int64], failedQuery, sink)
	if err != nil {
		return 0, s.failed("cannot find what sink "+sink+" failed to take", err)
	}
	return s.writer.InSteps(ctx, "cannot deliver at once", slices.Chunk(seqs, rows.OwedRows), func(tx *connection, seqs []int64) (int64, error) {
		return tx.hasten(sink, seqs, now)
	})
}

const (
	// The plus keeps SQLite from walking all that is pending: what failed leads.
	failedQuery = `SELECT seq FROM outbox WHERE sink = ? AND failed_at IS NOT NULL AND +parked = 0`
	hastenQuery = `UPDATE outbox SET attempts = 0, next_at = ?, failed_at = NULL, last_error = ''
		WHERE sink = ? AND parked = 0 AND attempts > 0 AND seq IN (SELECT value FROM json_each(?))`
)

// hasten looks again at what was found: it may have been settled since.
func (c *connection) hasten(sink string, seqs []int64, now time.Time) (int64, error) {
	list, err := json.Marshal(seqs)
	if err != nil {
		return 0, err
	}
	return c.affected(hastenQuery, now.UnixMicro(), sink, string(list))
}

// Requeue implements ledger.Upkeep.
func (s *Store) Requeue(ctx context.Context, sink string) (int64, error) {
	var requeued int64
	err := s.writer.Do(ctx, "cannot requeue parked deliveries", func(tx *connection) (err error) {
		requeued, err = tx.affected(`UPDATE outbox SET parked = 0, attempts = 0, next_at = ?, failed_at = NULL, last_error = ''
			WHERE sink = ? AND parked = 1`, tx.now().UnixMicro(), sink)
		return err
	})
	return requeued, err
}
