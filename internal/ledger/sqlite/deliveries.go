package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// log keeps what a destination answered, for each of these rows that is pending, and says how many those are. The contents are a JSON
// object, by sequence; where one is null, what the event holds now is kept.
func (c *connection) log(sink string, fate ledger.Fate, a ledger.Attempt, contents string) (int64, error) {
	return c.affected(logQuery, string(fate), a.At.UnixMicro(), a.Took.Microseconds(), a.Answer, contents, sink)
}

// CROSS JOIN: the rows that were told lead.
const logQuery = `INSERT INTO deliveries (sink, event_seq, event_id, service, type, outcome, fate, content, at, took, answer)
	SELECT o.sink, e.seq, e.id, e.service, e.type, e.outcome, ?, COALESCE(told.value, ` + content + `), ?, ?, ?
	FROM json_each(?) told CROSS JOIN outbox o ON o.seq = CAST(told.key AS INTEGER) AND o.sink = ? AND o.parked = 0
	CROSS JOIN events e ON e.seq = o.seq LEFT JOIN commits c ON c.seq = o.seq ORDER BY o.seq`

// logFailure keeps what was answered about one row, which must be pending.
func (c *connection) logFailure(sink string, fate ledger.Fate, a ledger.Attempt, seq int64) error {
	n, err := c.log(sink, fate, a, fmt.Sprintf(`{"%d": null}`, seq))
	if err == nil && n == 0 {
		return fmt.Errorf("%w: sink %s is not owed event %d", ledger.ErrNotFound, sink, seq)
	}
	return err
}

// Deliveries implements ledger.Reader.
func (r reader) Deliveries(ctx context.Context, q ledger.DeliveryQuery) ([]ledger.DeliveryRecord, error) {
	query, args := deliveryQuery(q)
	records, err := collect(ctx, r.db, scanRecord, query, args...)
	if err != nil {
		return nil, r.failed("cannot read the log of deliveries", err)
	}
	return records, nil
}

func deliveryQuery(q ledger.DeliveryQuery) (query string, args []any) {
	var where conditions
	where.equal("event_id", q.EventID)
	where.equal("sink", q.Sink)
	where.equal("service", q.Service)
	where.in("fate", q.Fates)
	where.since("at", q.Since)
	return `SELECT seq, sink, event_seq, event_id, service, type, outcome, fate, content, at, took, answer FROM deliveries` +
		where.String() + ` ORDER BY seq DESC LIMIT ?`, append(where.args, limit(q.Limit))
}

func scanRecord(found *sql.Rows) (r ledger.DeliveryRecord, err error) {
	var outcome sql.NullString
	var at, took int64
	err = found.Scan(&r.Seq, &r.Sink, &r.EventSeq, &r.EventID, &r.Service, &r.Type, &outcome, &r.Fate, &r.Content, &at, &took, &r.Answer)
	r.Outcome, r.At, r.Took = dora.Outcome(outcome.String), time.UnixMicro(at).UTC(), time.Duration(took)*time.Microsecond
	return r, err
}

// pruneDeliveries keeps the newest records of each sink.
func (s *Store) pruneDeliveries(ctx context.Context, keep int) error {
	sinks, err := collect(ctx, s.db, scanOne[string], `SELECT name FROM sinks`)
	if err != nil {
		return s.failed("cannot find which deliveries to prune", err)
	}
	for _, sink := range sinks {
		seqs, err := collect(ctx, s.db, scanOne[int64], oldDeliveriesQuery, sink, keep)
		if err != nil {
			return s.failed("cannot find which deliveries to prune", err)
		}
		if _, err := s.writer.InSteps(ctx, "cannot prune deliveries", slices.Chunk(seqs, rows.PrunedDeliveries), (*connection).dropDeliveries); err != nil {
			return err
		}
	}
	return nil
}

const (
	oldDeliveriesQuery  = `SELECT seq FROM deliveries WHERE sink = ? ORDER BY seq DESC LIMIT -1 OFFSET ?`
	dropDeliveriesQuery = `DELETE FROM deliveries WHERE seq IN (SELECT value FROM json_each(?))`
)

func (c *connection) dropDeliveries(seqs []int64) (int64, error) {
	list, err := json.Marshal(seqs)
	if err != nil {
		return 0, err
	}
	return c.affected(dropDeliveriesQuery, string(list))
}
