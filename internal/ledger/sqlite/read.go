package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// reader answers from connections that cannot write. Each query sees one snapshot of what is committed.
type reader struct {
	db     *sql.DB
	closed *atomic.Bool
}

// failed says what could not be done; after Close, that this is why.
func (r reader) failed(doing string, err error) error {
	if r.closed.Load() {
		err = ledger.ErrClosed
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// ReadState implements ledger.Writer.
func (r reader) ReadState(ctx context.Context, key string) (ledger.State, error) {
	state := ledger.State{Key: key}
	err := r.db.QueryRowContext(ctx, `SELECT version, data FROM states WHERE key = ?`, key).Scan(&state.Version, &state.Data)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return ledger.State{}, r.failed("cannot read state "+key, err)
	}
	return state, nil
}

// Revision implements ledger.Reader.
func (r reader) Revision(ctx context.Context) (int64, error) {
	var revision int64
	if err := r.db.QueryRowContext(ctx, `SELECT revision FROM ledger`).Scan(&revision); err != nil {
		return 0, r.failed("cannot read the revision", err)
	}
	return revision, nil
}

// Histories implements ledger.Reader.
func (r reader) Histories(ctx context.Context, after int64) ([]ledger.History, error) {
	changed, err := collect(ctx, r.db, scanHistory, `SELECT uid, service, environment, changed FROM histories WHERE changed > ?`, after)
	if err != nil {
		return nil, r.failed("cannot read whose events changed", err)
	}
	return changed, nil
}

func scanHistory(found *sql.Rows) (h ledger.History, err error) {
	err = found.Scan(&h.UID, &h.Service, &h.Environment, &h.Changed)
	return h, err
}

// Since implements ledger.Reader.
func (r reader) Since(ctx context.Context) (time.Time, error) {
	var since sql.NullInt64
	if err := r.db.QueryRowContext(ctx, `SELECT since FROM ledger`).Scan(&since); err != nil {
		return time.Time{}, r.failed("cannot read when the ledger began", err)
	}
	return fromMicros(since), nil
}

// Events implements ledger.Reader. The query is one cursor, so what is committed while it is read is not in it.
func (r reader) Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		query, args := eventQuery(q)
		found, err := r.db.QueryContext(ctx, query, args...)
		if err != nil {
			yield(ledger.Row{}, r.failed("cannot read events", err))
			return
		}
		defer func() { _ = found.Close() }() // what matters is in found.Err
		for found.Next() {
			row, err := scanEvent(found)
			if !yield(row, err) || err != nil {
				return
			}
		}
		if err := found.Err(); err != nil {
			yield(ledger.Row{}, r.failed("cannot read events", err))
		}
	}
}

func scanEvent(found *sql.Rows) (ledger.Row, error) {
	var row ledger.Row
	var payload, facts, search, mark sql.RawBytes
	err := found.Scan(&row.Seq, &payload, &facts, &search, &mark)
	if err != nil {
		return ledger.Row{}, fmt.Errorf("cannot read an event: %w", err)
	}
	row.Search = ledger.Search(search)
	row.Event, err = rows.Decode(row.Seq, payload, facts, mark)
	return row, err
}

func eventQuery(q ledger.EventQuery) (query string, args []any) {
	return selection("SELECT seq, payload, facts, state, "+newestMark+" FROM events e LEFT JOIN commits USING (seq)", q)
}

// selection is of events. Lists travel as one JSON argument, since the number of SQLite's parameters is limited.
func selection(from string, q ledger.EventQuery) (query string, args []any) {
	var where conditions
	where.in("id", q.IDs)
	where.in("uid", q.UIDs)
	where.in("type", q.Types)
	if len(q.Types) > 0 && !slices.Contains(q.Types, dora.TypeDeploy) {
		where.texts = append(where.texts, "type <> 'deploy'") // which finds the index of failures
	}
	where.equal("cluster", q.Cluster)
	where.equal("service", q.Service)
	where.equal("environment", q.Environment)
	where.since("occurred_at", q.Since)
	if !q.Until.IsZero() {
		where.add("occurred_at < ?", q.Until.UnixMicro())
	}
	if q.AfterSeq != 0 {
		where.add("seq > ?", q.AfterSeq)
	}
	order := " ORDER BY seq"
	if q.Newest {
		order = " ORDER BY occurred_at DESC, seq DESC"
	}
	if q.Limit > 0 {
		return from + where.String() + order + " LIMIT ?", append(where.args, q.Limit)
	}
	return from + where.String() + order, where.args // a limit, though it be none, would have SQLite sort in a tree
}

// limit is a LIMIT: negative is none.
func limit(n int) int {
	if n <= 0 {
		return -1
	}
	return n
}

// conditions are joined by AND. Their texts are constants of this package; values are arguments.
type conditions struct {
	texts []string
	args  []any
}

func (c *conditions) add(text string, arg any) {
	c.texts, c.args = append(c.texts, text), append(c.args, arg)
}

func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column+" = ?", value)
	}
}

func (c *conditions) since(column string, t time.Time) {
	if !t.IsZero() {
		c.add(column+" >= ?", t.UnixMicro())
	}
}

func (c *conditions) in(column string, values any) {
	if list, err := json.Marshal(values); err == nil && string(list) != "null" {
		c.add(column+" IN (SELECT value FROM json_each(?))", string(list))
	}
}

func (c *conditions) String() string {
	if len(c.texts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.texts, " AND ")
}

// Subjects implements ledger.Reader.
func (r reader) Subjects(ctx context.Context, q ledger.SubjectQuery) ([]ledger.Subject, error) {
	var where conditions
	where.equal("cluster", q.Cluster)
	where.equal("namespace", q.Namespace)
	where.equal("kind", string(q.Kind))
	where.equal("uid", q.UID)
	subjects, err := collect(ctx, r.db, scanSubject, `SELECT cluster, uid, kind, namespace, name, labels, service, team,
		environment, followed_since, deleted_at, gaps FROM subjects`+where.String()+` ORDER BY cluster, namespace, name, uid`,
		where.args...)
	if err != nil {
		return nil, r.failed("cannot read subjects", err)
	}
	return subjects, nil
}

func scanSubject(found *sql.Rows) (ledger.Subject, error) {
	var s ledger.Subject
	var labels sql.NullString
	var followed, deleted sql.NullInt64
	err := found.Scan(&s.Cluster, &s.UID, &s.Kind, &s.Namespace, &s.Name, &labels, &s.Service, &s.Team,
		&s.Environment, &followed, &deleted, &s.Gaps)
	if err == nil && labels.Valid {
		err = json.Unmarshal([]byte(labels.String), &s.Labels)
	}
	s.FollowedSince, s.DeletedAt = fromMicros(followed), fromMicros(deleted)
	return s, err
}

// Decisions implements ledger.Reader.
func (r reader) Decisions(ctx context.Context, uid string, most int) ([]ledger.Decision, error) {
	decisions, err := collect(ctx, r.db, scanDecision, `SELECT seq, cluster, uid, service, at, attempt, reason, message, event_id
		FROM decisions WHERE uid = ? ORDER BY seq DESC LIMIT ?`, uid, limit(most))
	if err != nil {
		return nil, r.failed("cannot read decisions", err)
	}
	return decisions, nil
}

func scanDecision(found *sql.Rows) (ledger.Decision, error) {
	var d ledger.Decision
	var at int64
	err := found.Scan(&d.Seq, &d.Cluster, &d.UID, &d.Service, &at, &d.Attempt, &d.Reason, &d.Message, &d.EventID)
	d.At = time.UnixMicro(at).UTC()
	return d, err
}

// collect reads all found of a query.
func collect[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	found, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }() // what matters is in found.Err
	var all []T
	for found.Next() {
		one, err := scan(found)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, found.Err()
}

func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}
