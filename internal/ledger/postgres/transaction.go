package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// numbers are the counters in the ledger's row. The transaction that has the row locked gives them out, and writes them back.
type numbers struct {
	writes, revision, event, decision, delivery int64
}

// transaction is one of the writer's. What was begun is finished: its context is not that of the writes.
type transaction struct {
	ctx    context.Context //nolint:containedctx // it lives as long as the transaction
	conn   *pgx.Conn
	writer *writer

	at     numbers
	before numbers
	// batch are statements that have not been sent yet; sent tells whether the unit has sent any.
	batch *pgx.Batch
	sent  bool
	units int // how many were attempted
	// published are the events of the unit for the table that others read.
	published []dora.Event
}

func (t *transaction) now() time.Time { return t.writer.now() }

// begin locks the ledger's row, so that nobody else writes anything of it, and looks whether it is still ours.
func (t *transaction) begin() error {
	var token int64
	batch := &pgx.Batch{}
	batch.Queue(`BEGIN`)
	batch.Queue(`SELECT token, writes, revision, last_event, last_decision, last_delivery FROM ledgers WHERE id = $1 FOR UPDATE`, t.writer.ledger).
		QueryRow(func(row pgx.Row) error {
			return row.Scan(&token, &t.at.writes, &t.at.revision, &t.at.event, &t.at.decision, &t.at.delivery)
		})
	if err := t.conn.SendBatch(t.ctx, batch).Close(); err != nil {
		return err
	}
	t.before = t.at
	return t.writer.claimed(token)
}

// queue has a statement sent with the next one. Its first parameter is the ledger. check, unless nil, gets the number of rows.
func (t *transaction) queue(query string, check func(rows int64) error, args ...any) {
	q := t.pending().Queue(query, t.args(args)...)
	if check != nil {
		q.Exec(func(tag pgconn.CommandTag) error { return check(tag.RowsAffected()) })
	}
}

func (t *transaction) pending() *pgx.Batch {
	if t.batch == nil {
		t.batch = &pgx.Batch{}
	}
	return t.batch
}

// args are those of a statement, as the database can hold them: no text has the character NUL, and all are UTF-8.
func (t *transaction) args(args []any) []any {
	all := make([]any, 0, len(args)+1)
	all = append(all, t.writer.ledger)
	for _, arg := range args {
		all = append(all, storable(arg))
	}
	return all
}

func storable(arg any) any {
	switch v := arg.(type) {
	case string:
		return strings.ReplaceAll(strings.ToValidUTF8(v, "\uFFFD"), "\x00", "")
	case []string:
		clean := make([]string, len(v))
		for i, text := range v {
			clean[i], _ = storable(text).(string)
		}
		return clean
	}
	return arg
}

// send sends what was queued, in one go.
func (t *transaction) send() error {
	batch := t.batch
	t.batch = nil
	if batch == nil {
		return nil
	}
	t.sent = true
	return t.conn.SendBatch(t.ctx, batch).Close()
}

// exec runs a statement, after those that were queued, and says how many rows it changed.
func (t *transaction) exec(query string, args ...any) (affected int64, err error) {
	t.queue(query, func(rows int64) error { affected = rows; return nil }, args...)
	return affected, t.send()
}

// row reads one row, after what was queued.
func (t *transaction) row(query string, args []any, into ...any) error {
	if err := t.send(); err != nil {
		return err
	}
	return t.conn.QueryRow(t.ctx, query, t.args(args)...).Scan(into...)
}

// attempt runs one unit inside a savepoint and takes back what a failed one did. The savepoint of one that succeeded stays until the commit, since
// to release it would be a round trip. So each has a name of its own: nothing is taken back to that of the unit before if one was never set.
func (t *transaction) attempt(run func(*transaction) error) error {
	at := t.at
	t.units++
	savepoint := "unit_" + strconv.Itoa(t.units)
	t.batch, t.sent = &pgx.Batch{}, false
	t.batch.Queue("SAVEPOINT " + savepoint)
	err := run(t)
	if err == nil {
		err = t.send()
	}
	if err == nil {
		return nil
	}
	t.at, t.batch = at, nil
	if t.conn.IsClosed() || !t.sent {
		return err
	}
	if _, undo := t.conn.Exec(t.ctx, "ROLLBACK TO "+savepoint); undo != nil {
		return errors.Join(undo, err)
	}
	return err
}

// answered tells whether an error leaves the transaction as it was before the unit: the server refused it, or we did.
func (t *transaction) answered(err error) bool {
	if t.conn.IsClosed() {
		return false
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return !lost(refused)
	}
	return t.conn.PgConn().TxStatus() == 'T'
}

// commit writes the numbers back and commits.
func (t *transaction) commit() error {
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE ledgers SET writes = writes + 1, revision = $2, last_event = $3, last_decision = $4, last_delivery = $5,
		since = CASE WHEN $2::bigint = 0 THEN NULL ELSE coalesce(since, $6) END WHERE id = $1`,
		t.writer.ledger, t.at.revision, t.at.event, t.at.decision, t.at.delivery, t.now().UnixMicro())
	batch.Queue(`COMMIT`)
	if err := t.conn.SendBatch(t.ctx, batch).Close(); err != nil {
		return fmt.Errorf("cannot commit: %w", err)
	}
	return nil
}

func (t *transaction) rollback() error {
	_, err := t.conn.Exec(t.ctx, `ROLLBACK`)
	return err
}
