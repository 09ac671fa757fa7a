package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// Prune implements ledger.Store. What to drop is found by a reader, which holds nobody up.
func (s *Store) Prune(ctx context.Context, r ledger.Retention) (int64, error) {
	events, err := s.pruneEvents(ctx, r.EventsBefore)
	if err != nil {
		return events, err
	}
	if err := s.pruneDecisions(ctx, cmp.Or(r.DecisionsPerSubject, ledger.DefaultDecisions)); err != nil {
		return events, err
	}
	if err := s.pruneObservations(ctx, r.EventsBefore); err != nil {
		return events, err
	}
	return events, s.pruneDeliveries(ctx, cmp.Or(r.DeliveriesPerSink, ledger.DefaultDeliveries))
}

func (s *Store) pruneEvents(ctx context.Context, before time.Time) (pruned int64, err error) {
	if before.IsZero() {
		return 0, nil
	}
	seqs, err := collect(ctx, s.db, scanOne[int64], `SELECT seq FROM events WHERE occurred_at < ?
		AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.seq = events.seq AND parked = 0)`, before.UnixMicro())
	if err != nil {
		return 0, s.failed("cannot find events to prune", err)
	}
	return s.writer.InSteps(ctx, "cannot prune events", slices.Chunk(seqs, rows.PrunedEvents), (*connection).dropEvents)
}

// dropEvents looks again whether anybody is owed them: parked rows may have been requeued since they were found.
func (c *connection) dropEvents(seqs []int64) (int64, error) {
	list, err := json.Marshal(seqs)
	if err != nil {
		return 0, err
	}
	_, err = c.exec(`DELETE FROM outbox WHERE parked = 1 AND seq IN (SELECT value FROM json_each(?)) AND NOT EXISTS
		(SELECT 1 FROM outbox other WHERE other.seq = outbox.seq AND other.parked = 0)`, string(list))
	if err != nil {
		return 0, err
	}
	if err := c.touchEvents(string(list)); err != nil {
		return 0, err
	}
	n, err := c.affected(`DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?)) AND NOT EXISTS
		(SELECT 1 FROM outbox WHERE outbox.seq = events.seq)`, string(list))
	c.grown++
	return n, err
}

func (s *Store) pruneDecisions(ctx context.Context, keep int) error {
	uids, err := collect(ctx, s.db, scanOne[string], `SELECT uid FROM decisions GROUP BY uid HAVING COUNT(*) > ?`, keep)
	if err != nil {
		return s.failed("cannot find decisions to prune", err)
	}
	for chunk := range slices.Chunk(uids, rows.PrunedSubjects) {
		err := s.writer.Do(ctx, "cannot prune decisions", func(tx *connection) error {
			for _, uid := range chunk {
				if _, err := tx.exec(`DELETE FROM decisions WHERE uid = ? AND seq <=
					(SELECT seq FROM decisions WHERE uid = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)`, uid, uid, keep); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func scanOne[T any](found *sql.Rows) (value T, err error) {
	err = found.Scan(&value)
	return value, err
}
