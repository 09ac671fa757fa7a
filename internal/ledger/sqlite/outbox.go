package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
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
	dueQuery = `SELECT o.seq, o.sink, o.attempts, o.next_at, o.last_error, e.payload, c.facts,
		COALESCE(c.content, 0) FROM outbox o CROSS JOIN events e ON e.seq = o.seq LEFT JOIN commits c ON c.seq = o.seq
		WHERE o.seq IN (SELECT value FROM json_each(?)) AND o.sink = ? AND o.parked = 0 ORDER BY o.seq`
)

func (r reader) pick(ctx context.Context, sink string, now time.Time, limit int) ([]int64, error) {
	rows, err := r.db.QueryContext(ctx, pickQuery, sink)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // what matters is in rows.Err
	var p picked
	waiting := map[string]bool{}
	for len(p.fresh) < limit && rows.Next() {
		var row candidate
		var service string
		if err := rows.Scan(&row.seq, &service, &row.next, &row.attempts); err != nil {
			return nil, err
		}
		if held, seen := waiting[service]; !held {
			waiting[service] = p.take(row, !seen, now)
		}
	}
	return p.seqs(limit), rows.Err()
}

// candidate is a row that may be picked.
type candidate struct {
	seq, next int64
	attempts  int
}

// picked are rows that never failed, and those that did and lead their service.
type picked struct {
	fresh  []int64
	failed []candidate
}

// take picks a row of a service that nothing before it holds up, and says whether those behind it have to wait.
func (p *picked) take(row candidate, first bool, now time.Time) (holds bool) {
	switch {
	case row.attempts == 0:
		p.fresh = append(p.fresh, row.seq)
		return false
	case first && (row.next <= now.UnixMicro() || row.next > now.Add(ledger.FarAhead).UnixMicro()):
		p.failed = append(p.failed, row)
	}
	return true
}

// seqs are those that are due, of the failed ones those that have been due longest.
func (p *picked) seqs(limit int) []int64 {
	slices.SortFunc(p.failed, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.next, b.next), cmp.Compare(a.seq, b.seq)) })
	seqs := p.fresh
	for _, row := range p.failed[:min(len(p.failed), limit)] {
		seqs = append(seqs, row.seq)
	}
	return seqs
}

func scanDelivery(rows *sql.Rows) (ledger.Delivery, error) { return readDelivery(rows) }

// readDelivery reads the columns of a delivery, and what follows them.
func readDelivery(rows *sql.Rows, more ...any) (ledger.Delivery, error) {
	var d ledger.Delivery
	var next int64
	var payload, facts sql.RawBytes
	err := rows.Scan(append([]any{&d.Seq, &d.Sink, &d.Attempts, &next, &d.LastError, &payload, &facts, &d.Content}, more...)...)
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

// Delivered implements ledger.Outbox. It takes a handful of statements, however many rows there are.
func (s *Store) Delivered(ctx context.Context, sink string, a ledger.Attempt, sent ...ledger.Delivery) error {
	rows, err := tell(sent)
	if err != nil {
		return err
	}
	return s.writer.do(ctx, "cannot record a delivery", func(tx *connection) error {
		if _, err := tx.log(sink, ledger.FateDelivered, a, rows.contents); err != nil {
			return err
		}
		settled, err := tx.settle(sink, rows)
		if err != nil || settled == 0 {
			return err
		}
		_, err = tx.exec(`UPDATE sinks SET delivered = delivered + ?, last_delivery = ? WHERE name = ?`, settled, a.At.UnixMicro(), sink)
		return err
	})
}

// Pass implements ledger.Outbox.
func (s *Store) Pass(ctx context.Context, sink string, unwanted ...ledger.Delivery) error {
	rows, err := tell(unwanted)
	if err != nil {
		return err
	}
	return s.writer.do(ctx, "cannot drop what a sink does not want", func(tx *connection) error {
		_, err := tx.settle(sink, rows)
		return err
	})
}

// told is what a caller says of rows.
type told struct {
	contents string // a JSON object, by sequence
	count    int64
}

// tell takes the newest content of a row that is told twice.
func tell(rows []ledger.Delivery) (told, error) {
	contents := make(map[int64]int64, len(rows))
	for _, d := range rows {
		if known, twice := contents[d.Seq]; !twice || known < d.Content {
			contents[d.Seq] = d.Content
		}
	}
	list, err := json.Marshal(contents)
	return told{contents: string(list), count: int64(len(contents))}, err
}

// settle removes pending rows and counts them. Those whose events were completed meanwhile stay, as if they had never failed.
func (c *connection) settle(sink string, rows told) (int64, error) {
	settled, err := c.affected(settleQuery, sink, rows.contents)
	if err != nil || settled == rows.count {
		return settled, err
	}
	_, err = c.exec(againQuery, c.now().UnixMicro(), sink, rows.contents)
	return settled, err
}

const (
	// settleQuery removes those rows of which what was told is the newest content.
	settleQuery = `DELETE FROM outbox WHERE sink = ? AND parked = 0 AND seq IN (SELECT CAST(key AS INTEGER) FROM json_each(?)
		WHERE value = COALESCE((SELECT content FROM commits WHERE commits.seq = CAST(key AS INTEGER)), 0))`
	againQuery = `UPDATE outbox SET attempts = 0, next_at = ?, failed_at = NULL, last_error = ''
		WHERE sink = ? AND parked = 0 AND seq IN (SELECT CAST(key AS INTEGER) FROM json_each(?))`
)

// Retry implements ledger.Outbox.
func (s *Store) Retry(ctx context.Context, sink string, seq int64, next time.Time, a ledger.Attempt) error {
	return s.writer.do(ctx, "cannot record a retry", func(tx *connection) error {
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
	return s.writer.do(ctx, "cannot park a delivery", func(tx *connection) error {
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
	return s.inSteps(ctx, "cannot deliver at once", slices.Chunk(seqs, owedRows), func(tx *connection, seqs []int64) (int64, error) {
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
	err := s.writer.do(ctx, "cannot requeue parked deliveries", func(tx *connection) (err error) {
		requeued, err = tx.affected(`UPDATE outbox SET parked = 0, attempts = 0, next_at = ?, failed_at = NULL, last_error = ''
			WHERE sink = ? AND parked = 1`, tx.now().UnixMicro(), sink)
		return err
	})
	return requeued, err
}
