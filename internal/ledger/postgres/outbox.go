package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// Due implements ledger.Outbox. It walks the pending rows in order, then loads what it picked. The walk ends once there are enough rows that
// never failed, so a long backlog costs no more than a short one as long as its services are not held up.
func (r reader) Due(ctx context.Context, sink string, now time.Time, limit int) ([]ledger.Delivery, error) {
	seqs, err := r.pick(ctx, sink, now, limit)
	if err != nil {
		return nil, r.failed("cannot find what sink "+sink+" is owed", err)
	}
	if len(seqs) == 0 {
		return nil, nil
	}
	due, err := collect(ctx, r, scanDelivery, `SELECT `+deliveryColumns+` FROM `+outbox+
		` WHERE ledger = $1 AND seq = ANY ($2) AND o.sink = $3 AND o.parked = 0 ORDER BY seq`, seqs, sink)
	if err != nil {
		return nil, r.failed("cannot read what sink "+sink+" is owed", err)
	}
	return due, nil
}

const (
	deliveryColumns = `seq, o.sink, o.attempts, o.next_at, o.last_error, e.payload, c.facts, ` + newestMark + `, ` + content
	outbox          = `ledger_outbox o JOIN ledger_events e USING (ledger, seq) LEFT JOIN ledger_commits c USING (ledger, seq)`
	// pickPage is how many pending rows are looked at in one query: a walk that ends early reads no more than it has to.
	pickPage = 1000
)

// pick walks the pending rows page by page. What is settled between two pages was owed when the first was read.
func (r reader) pick(ctx context.Context, sink string, now time.Time, limit int) ([]int64, error) {
	var p rows.Picked
	after := int64(0)
	for {
		page, err := collect(ctx, r, scanCandidate, `SELECT seq, service, next_at, attempts FROM ledger_outbox
			WHERE ledger = $1 AND sink = $2 AND parked = 0 AND seq > $3 ORDER BY seq LIMIT $4`, sink, after, pickPage)
		if err != nil {
			return nil, err
		}
		for _, row := range page {
			if len(p.Fresh) >= limit {
				return p.Seqs(limit), nil
			}
			p.Show(row.Candidate, row.service, now)
			after = row.Seq
		}
		if len(page) < pickPage {
			return p.Seqs(limit), nil
		}
	}
}

type candidate struct {
	rows.Candidate

	service string
}

func scanCandidate(row pgx.CollectableRow) (c candidate, err error) {
	err = row.Scan(&c.Seq, &c.service, &c.Next, &c.Attempts)
	return c, err
}

func scanDelivery(row pgx.CollectableRow) (ledger.Delivery, error) { return readDelivery(row) }

// readDelivery reads the columns of a delivery, and what follows them.
func readDelivery(row pgx.CollectableRow, more ...any) (ledger.Delivery, error) {
	var d ledger.Delivery
	var next int64
	var payload, facts, mark []byte
	err := row.Scan(append([]any{&d.Seq, &d.Sink, &d.Attempts, &next, &d.LastError, &payload, &facts, &mark, &d.Content}, more...)...)
	if err != nil {
		return ledger.Delivery{}, err
	}
	d.NextAt = time.UnixMicro(next).UTC()
	d.Event, err = rows.Decode(d.Seq, payload, facts, mark)
	return d, err
}

// NextDue implements ledger.Outbox. The first pending row of each service decides, as the others wait for it.
func (r reader) NextDue(ctx context.Context, sink string) (time.Time, error) {
	next, err := one[*int64](ctx, r, `SELECT min(next_at) FROM (SELECT DISTINCT ON (service) next_at FROM ledger_outbox
		WHERE ledger = $1 AND sink = $2 AND parked = 0 ORDER BY service, seq) first`, sink)
	if err != nil {
		return time.Time{}, r.failed("cannot find when sink "+sink+" is due", err)
	}
	return fromMicros(next), nil
}

// Outstanding implements ledger.Reader.
func (r reader) Outstanding(ctx context.Context, q ledger.OutstandingQuery) ([]ledger.Outstanding, error) {
	where := ours()
	where.equal("o.sink", q.Sink)
	where.equal("o.service", q.Service)
	if q.EventID != "" {
		where.add("e.id = ?", q.EventID)
	}
	if q.Parked != nil {
		where.add("o.parked = ?", map[bool]int{true: 1}[*q.Parked])
	}
	query := `SELECT ` + deliveryColumns + `, o.recorded_at, o.parked = 1 FROM ` + outbox + where.String() + ` ORDER BY seq, o.sink COLLATE "C"` +
		where.limit(q.Limit)
	owed, err := collect(ctx, r, scanOutstanding, query, where.args...)
	if err != nil {
		return nil, r.failed("cannot read what sinks are owed", err)
	}
	return owed, nil
}

func scanOutstanding(row pgx.CollectableRow) (o ledger.Outstanding, err error) {
	var recorded int64
	o.Delivery, err = readDelivery(row, &recorded, &o.Parked)
	o.Since = time.UnixMicro(recorded).UTC()
	return o, err
}

// Delivered implements ledger.Outbox. It takes a handful of statements, however many rows there are.
func (s *Store) Delivered(ctx context.Context, sink string, a ledger.Attempt, sent ...ledger.Delivery) error {
	said := tell(sent)
	return s.do(ctx, "cannot record a delivery", func(tx *transaction) error {
		if _, err := tx.log(sink, ledger.FateDelivered, a, said); err != nil {
			return err
		}
		settled, err := tx.settle(sink, said)
		if err != nil || settled == 0 {
			return err
		}
		_, err = tx.exec(`UPDATE ledger_sinks SET delivered = delivered + $2::bigint, last_delivery = $3 WHERE ledger = $1 AND name = $4`,
			settled, a.At.UnixMicro(), sink)
		return err
	})
}

// Pass implements ledger.Outbox.
func (s *Store) Pass(ctx context.Context, sink string, unwanted ...ledger.Delivery) error {
	said := tell(unwanted)
	return s.do(ctx, "cannot drop what a sink does not want", func(tx *transaction) error {
		_, err := tx.settle(sink, said)
		return err
	})
}

// told is what a caller says of rows: their contents, in the order of their sequences. A content of nil is the one that the row has.
type told struct {
	seqs     []int64
	contents []*int64
}

func tell(deliveries []ledger.Delivery) (t told) {
	contents := rows.Contents(deliveries)
	t.seqs = slices.Sorted(maps.Keys(contents))
	for _, seq := range t.seqs {
		t.contents = append(t.contents, new(contents[seq]))
	}
	return t
}

// log keeps what a destination answered, for each of these rows that is pending, and says how many those are.
func (t *transaction) log(sink string, fate ledger.Fate, a ledger.Attempt, said told) (int64, error) {
	n, err := t.exec(`INSERT INTO ledger_deliveries
		(ledger, seq, sink, event_seq, event_id, service, type, outcome, fate, content, at, took, answer)
		SELECT $1, $2::bigint + row_number() OVER (ORDER BY o.seq), o.sink, e.seq, e.id, e.service, e.type, e.outcome, $3,
			coalesce(told.content, `+content+`), $4, $5, $6
		FROM unnest($7::bigint[], $8::bigint[]) told (seq, content)
		JOIN ledger_outbox o ON o.ledger = $1 AND o.seq = told.seq AND o.sink = $9 AND o.parked = 0
		JOIN ledger_events e ON e.ledger = $1 AND e.seq = o.seq LEFT JOIN ledger_commits c ON c.ledger = $1 AND c.seq = o.seq`,
		t.at.delivery, string(fate), a.At.UnixMicro(), a.Took.Microseconds(), a.Answer, said.seqs, said.contents, sink)
	t.at.delivery += n
	return n, err
}

// settle removes those pending rows of which what was told is the newest content, and counts them. Those whose events were completed
// meanwhile stay, as if they had never failed.
func (t *transaction) settle(sink string, said told) (int64, error) {
	settled, err := t.exec(`DELETE FROM ledger_outbox o USING unnest($3::bigint[], $4::bigint[]) told (seq, content)
		WHERE o.ledger = $1 AND o.sink = $2 AND o.parked = 0 AND o.seq = told.seq
		AND told.content = coalesce((SELECT content FROM ledger_commits c WHERE c.ledger = $1 AND c.seq = o.seq), 0)
			+ (SELECT count(*) FROM ledger_marks m WHERE m.ledger = $1 AND m.seq = o.seq)`, sink, said.seqs, said.contents)
	if err != nil || settled == int64(len(said.seqs)) {
		return settled, err
	}
	_, err = t.exec(`UPDATE ledger_outbox SET attempts = 0, next_at = $2, failed_at = NULL, last_error = ''
		WHERE ledger = $1 AND sink = $3 AND parked = 0 AND seq = ANY ($4)`, t.now().UnixMicro(), sink, said.seqs)
	return settled, err
}

// logFailure keeps what was answered about one row, which must be pending.
func (t *transaction) logFailure(sink string, fate ledger.Fate, a ledger.Attempt, seq int64) error {
	n, err := t.log(sink, fate, a, told{seqs: []int64{seq}, contents: []*int64{nil}})
	if err == nil && n == 0 {
		return fmt.Errorf("%w: sink %s is not owed event %d", ledger.ErrNotFound, sink, seq)
	}
	return err
}

// Retry implements ledger.Outbox.
func (s *Store) Retry(ctx context.Context, sink string, seq int64, next time.Time, a ledger.Attempt) error {
	return s.do(ctx, "cannot record a retry", func(tx *transaction) error {
		if err := tx.logFailure(sink, ledger.FateRetried, a, seq); err != nil {
			return err
		}
		_, err := tx.exec(`UPDATE ledger_outbox SET attempts = attempts + 1, next_at = $2, failed_at = $3, last_error = $4
			WHERE ledger = $1 AND seq = $5 AND sink = $6`, next.UnixMicro(), tx.now().UnixMicro(), a.Answer, seq, sink)
		return err
	})
}

// Park implements ledger.Outbox.
func (s *Store) Park(ctx context.Context, sink string, seq int64, a ledger.Attempt) error {
	return s.do(ctx, "cannot park a delivery", func(tx *transaction) error {
		if err := tx.logFailure(sink, ledger.FateParked, a, seq); err != nil {
			return err
		}
		_, err := tx.exec(`UPDATE ledger_outbox SET parked = 1, attempts = attempts + 1, failed_at = $2, last_error = $3
			WHERE ledger = $1 AND seq = $4 AND sink = $5`, tx.now().UnixMicro(), a.Answer, seq, sink)
		return err
	})
}

// Hasten implements ledger.Outbox. Which rows failed is found by a reader, which holds nobody up; each is looked at again, since it may
// have been settled meanwhile.
func (s *Store) Hasten(ctx context.Context, sink string, now time.Time) (int64, error) {
	seqs, err := collect(ctx, s.reader, pgx.RowTo[int64],
		`SELECT seq FROM ledger_outbox WHERE ledger = $1 AND sink = $2 AND failed_at IS NOT NULL AND parked = 0`, sink)
	if err != nil {
		return 0, s.failed("cannot find what sink "+sink+" failed to take", err)
	}
	return s.writer.InSteps(ctx, "cannot deliver at once", slices.Chunk(seqs, rows.OwedRows), func(tx *transaction, seqs []int64) (int64, error) {
		return tx.exec(`UPDATE ledger_outbox SET attempts = 0, next_at = $2, failed_at = NULL, last_error = ''
			WHERE ledger = $1 AND sink = $3 AND parked = 0 AND attempts > 0 AND seq = ANY ($4)`, now.UnixMicro(), sink, seqs)
	})
}

// Deliveries implements ledger.Reader.
func (r reader) Deliveries(ctx context.Context, q ledger.DeliveryQuery) ([]ledger.DeliveryRecord, error) {
	fates := make([]string, 0, len(q.Fates))
	for _, fate := range q.Fates {
		fates = append(fates, string(fate))
	}
	where := ours()
	where.equal("event_id", q.EventID)
	where.equal("sink", q.Sink)
	where.equal("service", q.Service)
	if q.Fates != nil {
		where.in("fate", fates)
	}
	where.since("at", q.Since)
	query := `SELECT seq, sink, event_seq, event_id, service, type, outcome, fate, content, at, took, answer FROM ledger_deliveries` +
		where.String() + ` ORDER BY seq DESC` + where.limit(q.Limit)
	records, err := collect(ctx, r, scanRecord, query, where.args...)
	if err != nil {
		return nil, r.failed("cannot read the log of deliveries", err)
	}
	return records, nil
}

func scanRecord(row pgx.CollectableRow) (r ledger.DeliveryRecord, err error) {
	var outcome *string
	var at, took int64
	err = row.Scan(&r.Seq, &r.Sink, &r.EventSeq, &r.EventID, &r.Service, (*string)(&r.Type), &outcome, (*string)(&r.Fate), &r.Content, &at, &took, &r.Answer)
	if outcome != nil {
		r.Outcome = dora.Outcome(*outcome)
	}
	r.At, r.Took = time.UnixMicro(at).UTC(), time.Duration(took)*time.Microsecond
	return r, err
}
