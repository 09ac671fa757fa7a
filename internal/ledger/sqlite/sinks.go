package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// Sinks implements ledger.Outbox. It reads no backlog: pending and parked rows are counted as they change.
func (r reader) Sinks(ctx context.Context) ([]ledger.SinkState, error) {
	states, err := collect(ctx, r.db, scanSink, sinksQuery)
	if err != nil {
		return nil, r.failed("cannot read the sinks' figures", err)
	}
	return states, nil
}

const sinksQuery = `SELECT name, delivered, settled, last_delivery, gone_at, pending, parked,
	(SELECT seq FROM outbox WHERE sink = name AND outbox.parked = 0 ORDER BY seq LIMIT 1),
	(SELECT MIN(recorded_at) FROM outbox WHERE sink = name AND outbox.parked = 0),
	(SELECT last_error FROM outbox WHERE sink = name AND failed_at IS NOT NULL ORDER BY failed_at DESC, seq DESC LIMIT 1)
	FROM sinks ORDER BY name`

func scanSink(found *sql.Rows) (ledger.SinkState, error) {
	var s ledger.SinkState
	var last, gone, first, oldest sql.NullInt64
	var lastError sql.NullString
	err := found.Scan(&s.Sink, &s.Delivered, &s.Cursor, &last, &gone, &s.Pending, &s.Parked, &first, &oldest, &lastError)
	if first.Valid {
		s.Cursor = first.Int64 - 1
	}
	s.LastDelivery, s.GoneAt, s.OldestPending, s.LastError = fromMicros(last), fromMicros(gone), fromMicros(oldest), lastError.String
	return s, err
}

// Owe implements ledger.Upkeep. Which events are selected is found by a reader, which holds nobody up.
func (s *Store) Owe(ctx context.Context, sink string, q ledger.EventQuery, now time.Time) (int64, error) {
	query, args := selection(`SELECT seq FROM events`, q)
	seqs, err := collect(ctx, s.db, scanOne[int64], query, args...)
	if err != nil {
		return 0, s.failed("cannot find what sink "+sink+" is to get", err)
	}
	slices.Sort(seqs) // the first ones may go out before the last are owed
	return s.writer.InSteps(ctx, "cannot write what sink "+sink+" is owed", slices.Chunk(seqs, rows.OwedRows),
		func(tx *connection, seqs []int64) (int64, error) { return tx.oweAgain(sink, seqs, now) })
}

// oweAgain passes over events that were pruned since they were found.
func (c *connection) oweAgain(sink string, seqs []int64, now time.Time) (int64, error) {
	list, err := json.Marshal(seqs)
	if err != nil {
		return 0, err
	}
	if err := c.keepSink(sink); err != nil {
		return 0, err
	}
	return c.affected(oweQuery, sink, now.UnixMicro(), now.UnixMicro(), string(list))
}

const oweQuery = `INSERT INTO outbox (seq, sink, service, recorded_at, next_at)
	SELECT seq, ?, service, ?, ? FROM events WHERE seq IN (SELECT value FROM json_each(?))
	ON CONFLICT (seq, sink) DO UPDATE SET parked = 0, attempts = 0, next_at = excluded.next_at, failed_at = NULL, last_error = ''
	WHERE outbox.parked = 1`

// Gone implements ledger.Upkeep.
func (s *Store) Gone(ctx context.Context, sink string, at time.Time) error {
	query := `UPDATE sinks SET gone_at = COALESCE(gone_at, ?) WHERE name = ?`
	if at.IsZero() {
		query = `UPDATE sinks SET gone_at = ? WHERE name = ?`
	}
	return s.writer.Do(ctx, "cannot write whether sink "+sink+" is gone", func(tx *connection) error {
		_, err := tx.exec(query, rows.Micros(at), sink)
		return err
	})
}

// Forget implements ledger.Upkeep.
func (s *Store) Forget(ctx context.Context, sink string, before time.Time) (dropped int64, err error) {
	until := int64(math.MaxInt64)
	if !before.IsZero() {
		until = before.UnixMicro()
	}
	for done := false; !done; {
		var n int64
		err := s.writer.Do(ctx, "cannot forget a sink", func(tx *connection) (err error) {
			n, done, err = tx.forget(sink, until)
			return err
		})
		if err != nil {
			return dropped, err
		}
		dropped += n
	}
	return dropped, nil
}

// forget drops some of what a sink has, and with the last of it the sink itself. A row that came meanwhile keeps it.
func (c *connection) forget(sink string, until int64) (dropped int64, done bool, err error) {
	dropped, err = c.affected(forgetRows, sink, sink, until, rows.OwedRows)
	if err != nil || dropped == rows.OwedRows {
		return dropped, false, err
	}
	left, err := c.owes(sink)
	if err != nil || left > 0 {
		return dropped, true, err
	}
	records, err := c.affected(forgetRecords, sink, rows.OwedRows)
	if err != nil || records == rows.OwedRows {
		return dropped, false, err
	}
	delete(c.sinks, sink)
	_, err = c.exec(`DELETE FROM sinks WHERE name = ?`, sink)
	return dropped, true, err
}

// owes counts the rows of a sink.
func (c *connection) owes(sink string) (owed int64, err error) {
	statement, err := c.prepare(leftQuery) //nolint:sqlclosecheck // it is kept for the next time; close closes it
	if err == nil {
		err = statement.QueryRowContext(context.Background(), sink).Scan(&owed)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return owed, err
}

const (
	forgetRows    = `DELETE FROM outbox WHERE sink = ? AND seq IN (SELECT seq FROM outbox WHERE sink = ? AND recorded_at < ? LIMIT ?)`
	leftQuery     = `SELECT pending + parked FROM sinks WHERE name = ?`
	forgetRecords = `DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE sink = ? LIMIT ?)`
)
