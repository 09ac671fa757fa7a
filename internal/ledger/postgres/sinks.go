package postgres

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// Sinks implements ledger.Outbox. It reads no backlog: pending and parked rows are counted as they change.
func (r reader) Sinks(ctx context.Context) ([]ledger.SinkState, error) {
	states, err := collect(ctx, r, scanSink, `SELECT s.name, s.delivered, s.settled, s.last_delivery, s.gone_at, s.pending, s.parked,
		(SELECT o.seq FROM ledger_outbox o WHERE o.ledger = $1 AND o.sink = s.name AND o.parked = 0 ORDER BY o.seq LIMIT 1),
		(SELECT min(o.recorded_at) FROM ledger_outbox o WHERE o.ledger = $1 AND o.sink = s.name AND o.parked = 0),
		(SELECT o.last_error FROM ledger_outbox o WHERE o.ledger = $1 AND o.sink = s.name AND o.failed_at IS NOT NULL
			ORDER BY o.failed_at DESC, o.seq DESC LIMIT 1)
		FROM ledger_sinks s WHERE s.ledger = $1 ORDER BY s.name COLLATE "C"`)
	if err != nil {
		return nil, r.failed("cannot read the sinks' figures", err)
	}
	return states, nil
}

func scanSink(row pgx.CollectableRow) (ledger.SinkState, error) {
	var s ledger.SinkState
	var last, gone, first, oldest *int64
	var lastError *string
	err := row.Scan(&s.Sink, &s.Delivered, &s.Cursor, &last, &gone, &s.Pending, &s.Parked, &first, &oldest, &lastError)
	if first != nil {
		s.Cursor = *first - 1
	}
	if lastError != nil {
		s.LastError = *lastError
	}
	s.LastDelivery, s.GoneAt, s.OldestPending = fromMicros(last), fromMicros(gone), fromMicros(oldest)
	return s, err
}

// Requeue implements ledger.Upkeep.
func (s *Store) Requeue(ctx context.Context, sink string) (requeued int64, err error) {
	err = s.do(ctx, "cannot requeue parked deliveries", func(tx *transaction) (err error) {
		requeued, err = tx.exec(`UPDATE ledger_outbox SET parked = 0, attempts = 0, next_at = $2, failed_at = NULL, last_error = ''
			WHERE ledger = $1 AND sink = $3 AND parked = 1`, tx.now().UnixMicro(), sink)
		return err
	})
	return requeued, err
}

// Owe implements ledger.Upkeep. Which events are selected is found by a reader, which holds nobody up.
func (s *Store) Owe(ctx context.Context, sink string, q ledger.EventQuery, now time.Time) (int64, error) {
	query, args := selection(`SELECT seq FROM ledger_events`, q)
	seqs, err := collect(ctx, s.reader, pgx.RowTo[int64], query, args...)
	if err != nil {
		return 0, s.failed("cannot find what sink "+sink+" is to get", err)
	}
	slices.Sort(seqs) // the first ones may go out before the last are owed
	return s.writer.InSteps(ctx, "cannot write what sink "+sink+" is owed", slices.Chunk(seqs, rows.OwedRows),
		func(tx *transaction, seqs []int64) (int64, error) { return tx.oweAgain(sink, seqs, now) })
}

// oweAgain passes over events that were pruned since they were found.
func (t *transaction) oweAgain(sink string, seqs []int64, now time.Time) (int64, error) {
	t.keepSink(sink)
	return t.exec(`INSERT INTO ledger_outbox AS old (ledger, seq, sink, service, recorded_at, next_at)
		SELECT ledger, seq, $2, service, $3, $3 FROM ledger_events WHERE ledger = $1 AND seq = ANY ($4)
		ON CONFLICT (ledger, seq, sink) DO UPDATE SET parked = 0, attempts = 0, next_at = excluded.next_at, failed_at = NULL, last_error = ''
		WHERE old.parked = 1`, sink, now.UnixMicro(), seqs)
}

// Gone implements ledger.Upkeep.
func (s *Store) Gone(ctx context.Context, sink string, at time.Time) error {
	query := `UPDATE ledger_sinks SET gone_at = coalesce(gone_at, $2) WHERE ledger = $1 AND name = $3`
	if at.IsZero() {
		query = `UPDATE ledger_sinks SET gone_at = $2 WHERE ledger = $1 AND name = $3`
	}
	return s.do(ctx, "cannot write whether sink "+sink+" is gone", func(tx *transaction) error {
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
		err := s.do(ctx, "cannot forget a sink", func(tx *transaction) (err error) {
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
func (t *transaction) forget(sink string, until int64) (dropped int64, done bool, err error) {
	dropped, err = t.exec(`DELETE FROM ledger_outbox WHERE ledger = $1 AND sink = $2 AND seq IN
		(SELECT seq FROM ledger_outbox WHERE ledger = $1 AND sink = $2 AND recorded_at < $3 LIMIT $4)`, sink, until, rows.OwedRows)
	if err != nil || dropped == rows.OwedRows {
		return dropped, false, err
	}
	var left int64
	err = t.row(`SELECT coalesce(sum(pending + parked), 0)::bigint FROM ledger_sinks WHERE ledger = $1 AND name = $2`, []any{sink}, &left)
	if err != nil || left > 0 {
		return dropped, true, err
	}
	records, err := t.exec(`DELETE FROM ledger_deliveries WHERE ledger = $1 AND seq IN
		(SELECT seq FROM ledger_deliveries WHERE ledger = $1 AND sink = $2 LIMIT $3)`, sink, rows.OwedRows)
	if err != nil || records == rows.OwedRows {
		return dropped, false, err
	}
	_, err = t.exec(`DELETE FROM ledger_sinks WHERE ledger = $1 AND name = $2`, sink)
	return dropped, true, err
}
