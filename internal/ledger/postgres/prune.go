package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/eventtable"
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
	seqs, err := collect(ctx, s.reader, pgx.RowTo[int64], `SELECT seq FROM ledger_events e WHERE ledger = $1 AND occurred_at < $2
		AND NOT EXISTS (SELECT FROM ledger_outbox o WHERE o.ledger = $1 AND o.seq = e.seq AND o.parked = 0)`, before.UnixMicro())
	if err != nil {
		return 0, s.failed("cannot find events to prune", err)
	}
	pruned, err = s.writer.InSteps(ctx, "cannot prune events", slices.Chunk(seqs, rows.PrunedEvents),
		func(tx *transaction, seqs []int64) (int64, error) { return tx.dropEvents(s.schema, seqs) })
	if err != nil {
		return pruned, err
	}
	if err := s.months.drop(ctx, before); err != nil {
		return pruned, s.failed("cannot drop the partitions of delivery_events that are empty", err)
	}
	return pruned, nil
}

// dropEvents looks again whether anybody is owed them: parked rows may have been requeued since they were found. They go from the table that
// others read too.
func (t *transaction) dropEvents(schema string, seqs []int64) (int64, error) {
	t.queue(`DELETE FROM ledger_outbox o WHERE ledger = $1 AND parked = 1 AND seq = ANY ($2) AND NOT EXISTS
		(SELECT FROM ledger_outbox other WHERE other.ledger = $1 AND other.seq = o.seq AND other.parked = 0)`, nil, seqs)
	t.touchEvents(seqs...)
	t.at.revision++
	return t.exec(`WITH dropped AS (
		DELETE FROM ledger_events e WHERE ledger = $1 AND seq = ANY ($2) AND NOT EXISTS
			(SELECT FROM ledger_outbox o WHERE o.ledger = $1 AND o.seq = e.seq)
		RETURNING id
	), unpublished AS (
		DELETE FROM `+eventtable.Table(schema, eventtable.Name)+` WHERE id IN (SELECT id FROM dropped)
	) SELECT id FROM dropped`, seqs)
}

func (s *Store) pruneDecisions(ctx context.Context, keep int) error {
	uids, err := collect(ctx, s.reader, pgx.RowTo[string],
		`SELECT uid FROM ledger_decisions WHERE ledger = $1 GROUP BY uid HAVING count(*) > $2`, keep)
	if err != nil {
		return s.failed("cannot find decisions to prune", err)
	}
	for chunk := range slices.Chunk(uids, rows.PrunedSubjects) {
		err := s.do(ctx, "cannot prune decisions", func(tx *transaction) error {
			for _, uid := range chunk {
				tx.queue(`DELETE FROM ledger_decisions WHERE ledger = $1 AND uid = $2 AND seq <=
					(SELECT seq FROM ledger_decisions WHERE ledger = $1 AND uid = $2 ORDER BY seq DESC LIMIT 1 OFFSET $3)`, nil, uid, keep)
			}
			return tx.send()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pruneDeliveries keeps the newest records of each sink.
func (s *Store) pruneDeliveries(ctx context.Context, keep int) error {
	seqs, err := collect(ctx, s.reader, pgx.RowTo[int64], `SELECT d.seq FROM ledger_sinks s CROSS JOIN LATERAL
		(SELECT seq FROM ledger_deliveries WHERE ledger = $1 AND sink = s.name ORDER BY seq DESC OFFSET $2) d WHERE s.ledger = $1`, keep)
	if err != nil {
		return s.failed("cannot find which deliveries to prune", err)
	}
	_, err = s.writer.InSteps(ctx, "cannot prune deliveries", slices.Chunk(seqs, rows.PrunedDeliveries),
		func(tx *transaction, seqs []int64) (int64, error) {
			return tx.exec(`DELETE FROM ledger_deliveries WHERE ledger = $1 AND seq = ANY ($2)`, seqs)
		})
	return err
}
