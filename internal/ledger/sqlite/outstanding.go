package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Outstanding implements ledger.Reader.
func (r reader) Outstanding(ctx context.Context, q ledger.OutstandingQuery) ([]ledger.Outstanding, error) {
	var where conditions
	where.equal("o.sink", q.Sink)
	where.equal("o.service", q.Service)
	if q.EventID != "" {
		where.add("o.seq = (SELECT seq FROM events WHERE id = ?)", q.EventID)
	}
	if q.Parked != nil {
		where.add("o.parked = ?", *q.Parked)
	}
	// CROSS JOIN: the rows lead, so that the walk ends at the limit.
	rows, err := collect(ctx, r.db, scanOutstanding, `SELECT o.seq, o.sink, o.attempts, o.next_at, o.last_error, e.payload, c.facts,
		`+newestMark+`, `+content+`, o.recorded_at, o.parked FROM outbox o CROSS JOIN events e ON e.seq = o.seq LEFT JOIN commits c ON c.seq = o.seq`+
		where.String()+` ORDER BY o.seq, o.sink LIMIT ?`, append(where.args, limit(q.Limit))...)
	if err != nil {
		return nil, r.failed("cannot read what sinks are owed", err)
	}
	return rows, nil
}

func scanOutstanding(rows *sql.Rows) (ledger.Outstanding, error) {
	var o ledger.Outstanding
	var recorded int64
	delivery, err := readDelivery(rows, &recorded, &o.Parked)
	o.Delivery, o.Since = delivery, time.UnixMicro(recorded).UTC()
	return o, err
}
