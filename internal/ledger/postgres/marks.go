package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// What is read with the event of a row e, of whose facts c is the row. The first parameter is the ledger.
const (
	newestMark = `(SELECT m.mark FROM ledger_marks m WHERE m.ledger = $1 AND m.seq = e.seq ORDER BY m.n DESC LIMIT 1)`
	content    = `coalesce(c.content, 0) + (SELECT count(*) FROM ledger_marks m WHERE m.ledger = $1 AND m.seq = e.seq)`
)

// keepMark appends a mark to those of its event, if it is there, owes it to the sinks and writes it into the table that others read.
func (t *transaction) keepMark(mark dora.Mark, encoded string, sinks []string) error {
	seq, event, newest, err := t.said(mark.EventID)
	if noRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the marks of event %s: %w", mark.EventID, err)
	}
	if rows.Says(newest, mark) {
		return nil
	}
	t.queue(`INSERT INTO ledger_marks (ledger, seq, n, mark)
		SELECT $1, $2, coalesce(max(n), 0) + 1, $3 FROM ledger_marks WHERE ledger = $1 AND seq = $2`, nil, seq, encoded)
	t.touchEvents(seq)
	t.owe(sinks, seq, event.Service)
	event.Say(mark)
	if err := t.publish(event); err != nil {
		return err
	}
	return t.send()
}

// said is an event as it is read now, and its newest mark, nil if it has none; pgx.ErrNoRows if there is no event of that id.
func (t *transaction) said(id string) (seq int64, event dora.Event, newest *dora.Mark, err error) {
	var payload, facts, text []byte
	err = t.row(`SELECT e.seq, e.payload, c.facts, `+newestMark+` FROM ledger_events e LEFT JOIN ledger_commits c USING (ledger, seq)
		WHERE ledger = $1 AND e.id = $2`, []any{id}, &seq, &payload, &facts, &text)
	if err != nil {
		return 0, dora.Event{}, nil, err
	}
	if event, err = rows.Decode(seq, payload, facts, text); err != nil || text == nil {
		return seq, event, nil, err
	}
	mark, err := rows.DecodeMark(seq, text)
	return seq, event, &mark, err
}

// Marks implements ledger.Reader.
func (r reader) Marks(ctx context.Context, q ledger.MarkQuery) ([]ledger.Marked, error) {
	where := ours()
	where.in("e.id", q.EventIDs)
	where.in("e.uid", q.UIDs)
	if q.Source != "" {
		where.add("m.mark::json ->> 'source' = ?", q.Source)
	}
	if q.Standing {
		where.add(`m.n = (SELECT max(n) FROM ledger_marks newest WHERE newest.ledger = $1 AND newest.seq = m.seq)
			AND m.mark::json ->> 'verdict' <> ?`, string(dora.Withdrawn))
	}
	marks, err := collect(ctx, r, scanMark, `SELECT m.seq, e.id, e.uid, m.mark FROM ledger_marks m JOIN ledger_events e USING (ledger, seq)`+
		where.String()+` ORDER BY m.seq, m.n`, where.args...)
	if err != nil {
		return nil, r.failed("cannot read marks", err)
	}
	return marks, nil
}

func scanMark(row pgx.CollectableRow) (m ledger.Marked, err error) {
	var id string
	var text []byte
	if err := row.Scan(&m.Seq, &id, &m.UID, &text); err != nil {
		return ledger.Marked{}, err
	}
	m.Mark, err = rows.DecodeMark(m.Seq, text)
	m.Mark.EventID = id
	return m, err
}
