package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// What is read with the event of a row e, of whose facts c is the row.
const (
	newestMark = `(SELECT mark FROM marks WHERE marks.seq = e.seq ORDER BY n DESC LIMIT 1)`
	content    = `COALESCE(c.content, 0) + (SELECT COUNT(*) FROM marks WHERE marks.seq = e.seq)`
)

// keepMark appends a mark to those of its event, if it is there, and owes it to the sinks.
func (c *connection) keepMark(mark dora.Mark, encoded string, sinks []string) error {
	seq, service, newest, err := c.said(mark.EventID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the marks of event %s: %w", mark.EventID, err)
	}
	if rows.Says(newest, mark) {
		return nil
	}
	if _, err := c.exec(`INSERT INTO marks (seq, n, mark) SELECT ?, COALESCE(MAX(n), 0) + 1, ? FROM marks WHERE seq = ?`, seq, encoded, seq); err != nil {
		return fmt.Errorf("cannot write the mark of event %s: %w", mark.EventID, err)
	}
	if err := c.touchEvents(fmt.Sprintf("[%d]", seq)); err != nil {
		return err
	}
	for _, sink := range sinks {
		if err := c.owe(sink, seq, service); err != nil {
			return err
		}
	}
	return nil
}

// said is the newest mark of an event, nil if it has none; sql.ErrNoRows if there is no event of that id.
func (c *connection) said(id string) (seq int64, service string, newest *dora.Mark, err error) {
	statement, err := c.prepare(saidQuery) //nolint:sqlclosecheck // it is kept for the next time; close closes it
	if err != nil {
		return 0, "", nil, err
	}
	var text []byte
	if err := statement.QueryRowContext(context.Background(), id).Scan(&seq, &service, &text); err != nil || text == nil {
		return seq, service, nil, err
	}
	mark, err := rows.DecodeMark(seq, text)
	return seq, service, &mark, err
}

const saidQuery = `SELECT e.seq, e.service, ` + newestMark + ` FROM events e WHERE id = ?`

// Marks implements ledger.Reader. CROSS JOIN: the marks lead, of which there are few.
func (r reader) Marks(ctx context.Context, q ledger.MarkQuery) ([]ledger.Marked, error) {
	var where conditions
	where.in("e.id", q.EventIDs)
	where.in("e.uid", q.UIDs)
	if q.Source != "" {
		where.add("json_extract(m.mark, '$.source') = ?", q.Source)
	}
	if q.Standing {
		where.add("m.n = (SELECT MAX(n) FROM marks WHERE marks.seq = m.seq) AND json_extract(m.mark, '$.verdict') <> ?", string(dora.Withdrawn))
	}
	marks, err := collect(ctx, r.db, scanMark, `SELECT m.seq, e.id, e.uid, m.mark FROM marks m CROSS JOIN events e ON e.seq = m.seq`+
		where.String()+` ORDER BY m.seq, m.n`, where.args...)
	if err != nil {
		return nil, r.failed("cannot read marks", err)
	}
	return marks, nil
}

func scanMark(found *sql.Rows) (m ledger.Marked, err error) {
	var id string
	var text sql.RawBytes
	if err := found.Scan(&m.Seq, &id, &m.UID, &text); err != nil {
		return ledger.Marked{}, err
	}
	m.Mark, err = rows.DecodeMark(m.Seq, text)
	m.Mark.EventID = id
	return m, err
}
