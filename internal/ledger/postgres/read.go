package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// readAttempts is how often a query is tried that the server did not begin to answer.
const readAttempts = 4

// reader answers from connections of its own. Each query sees one snapshot of what is committed.
type reader struct {
	pool   *pgxpool.Pool
	ledger int32
	closed *atomic.Bool
}

// failed says what could not be done; after Close, that this is why.
func (r reader) failed(doing string, err error) error {
	if r.closed.Load() {
		err = ledger.ErrClosed
	}
	return fmt.Errorf("%s: %w", doing, explained(err))
}

// query begins to read. A server that went away, as one that restarts, is asked again a few times.
func (r reader) query(ctx context.Context, query string, args ...any) (found pgx.Rows, err error) {
	args = append([]any{r.ledger}, args...)
	for i := range args {
		args[i] = storable(args[i])
	}
	for failures := 1; ; failures++ {
		found, err = r.begin(ctx, query, args)
		if !lost(err) || failures == readAttempts || ctx.Err() != nil || r.closed.Load() {
			return found, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(between.Delay(failures, rand.Float64())): //nolint:gosec // no secret
		}
	}
}

// begin runs a query up to its first row, since errors show no earlier.
func (r reader) begin(ctx context.Context, query string, args []any) (pgx.Rows, error) {
	found, err := r.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	first := found.Next()
	if err := found.Err(); err != nil && !first {
		found.Close()
		return nil, err
	}
	return &begun{Rows: found, first: first, fresh: true}, nil
}

// begun are rows of which the first has been fetched.
type begun struct {
	pgx.Rows

	first, fresh bool
}

// Next implements pgx.Rows.
func (b *begun) Next() bool {
	if b.fresh {
		b.fresh = false
		return b.first
	}
	return b.Rows.Next()
}

// collect reads all rows of a query. Its first parameter is the ledger.
func collect[T any](ctx context.Context, r reader, scan pgx.RowToFunc[T], query string, args ...any) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	found, err := r.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
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

// one reads a single value, of a query that has no more than one row; the zero value if it has none.
func one[T any](ctx context.Context, r reader, query string, args ...any) (value T, err error) {
	all, err := collect(ctx, r, pgx.RowTo[T], query, args...)
	if len(all) > 0 {
		value = all[0]
	}
	return value, err
}

// ReadState implements ledger.Writer.
func (r reader) ReadState(ctx context.Context, key string) (ledger.State, error) {
	found, err := collect(ctx, r, func(row pgx.CollectableRow) (s ledger.State, err error) {
		err = row.Scan(&s.Version, &s.Data)
		return s, err
	}, `SELECT version, data FROM ledger_states WHERE ledger = $1 AND key = $2`, key)
	state := ledger.State{}
	if len(found) > 0 {
		state = found[0]
	}
	if err != nil {
		return ledger.State{}, r.failed("cannot read state "+key, err)
	}
	state.Key = key
	return state, nil
}

// Revision implements ledger.Reader.
func (r reader) Revision(ctx context.Context) (int64, error) {
	revision, err := one[int64](ctx, r, `SELECT revision FROM ledgers WHERE id = $1`)
	if err != nil {
		return 0, r.failed("cannot read the revision", err)
	}
	return revision, nil
}

// Histories implements ledger.Reader.
func (r reader) Histories(ctx context.Context, after int64) ([]ledger.History, error) {
	changed, err := collect(ctx, r, pgx.RowToStructByPos[ledger.History],
		`SELECT uid, service, environment, changed FROM ledger_histories WHERE ledger = $1 AND changed > $2`, after)
	if err != nil {
		return nil, r.failed("cannot read whose events changed", err)
	}
	return changed, nil
}

// Since implements ledger.Reader.
func (r reader) Since(ctx context.Context) (time.Time, error) {
	since, err := one[*int64](ctx, r, `SELECT since FROM ledgers WHERE id = $1`)
	if err != nil {
		return time.Time{}, r.failed("cannot read when the ledger began", err)
	}
	return fromMicros(since), nil
}

// ahead is how many events are fetched before the first is handed on. What is no longer than that holds no connection while somebody works
// on it, so that readers within readers, of which there may be many, do not wait for each other.
const ahead = 1000

// Events implements ledger.Reader. The query is one cursor, so what is committed while it is read is not in it.
func (r reader) Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		query, args := selection(`SELECT seq, payload, facts, state, `+newestMark+` FROM ledger_events e LEFT JOIN ledger_commits USING (ledger, seq)`, q)
		found, err := r.query(ctx, query, args...)
		if err != nil {
			yield(ledger.Row{}, r.failed("cannot read events", err))
			return
		}
		defer found.Close()
		for more := true; more; {
			var some []ledger.Row
			some, more, err = fetch(found)
			for _, row := range some {
				if !yield(row, nil) {
					return
				}
			}
			if err != nil {
				yield(ledger.Row{}, r.failed("cannot read events", err))
				return
			}
		}
	}
}

// fetch reads the next events, and tells whether there may be more. Rows that have come to their end have given their connection back.
func fetch(found pgx.Rows) (some []ledger.Row, more bool, err error) {
	for len(some) < ahead {
		if !found.Next() {
			return some, false, found.Err()
		}
		row, err := scanEvent(found)
		if err != nil {
			return some, false, err
		}
		some = append(some, row)
	}
	return some, true, nil
}

func scanEvent(found pgx.Rows) (row ledger.Row, err error) {
	var payload, facts, mark []byte
	var search *string
	if err := found.Scan(&row.Seq, &payload, &facts, &search, &mark); err != nil {
		return ledger.Row{}, fmt.Errorf("cannot read an event: %w", err)
	}
	if search != nil {
		row.Search = ledger.Search(*search)
	}
	row.Event, err = rows.Decode(row.Seq, payload, facts, mark)
	return row, err
}

// selection is of events.
func selection(from string, q ledger.EventQuery) (query string, args []any) {
	var types []string
	for _, t := range q.Types {
		types = append(types, string(t))
	}
	if q.Types != nil && types == nil {
		types = []string{}
	}
	where := ours()
	where.in("id", q.IDs)
	where.in("uid", q.UIDs)
	where.in("type", types)
	if len(types) > 0 && !slices.Contains(q.Types, dora.TypeDeploy) {
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
	return from + where.String() + order + where.limit(q.Limit), where.args
}

// conditions are joined by AND. Their texts are constants of this package, in which a question mark stands for the value.
type conditions struct {
	texts []string
	args  []any
}

// ours begins with the ledger, which is the first parameter of every query and no argument here.
func ours() *conditions { return &conditions{texts: []string{"ledger = $1"}} }

func (c *conditions) add(text string, arg any) {
	c.args = append(c.args, arg)
	c.texts = append(c.texts, strings.Replace(text, "?", "$"+strconv.Itoa(len(c.args)+1), 1))
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

func (c *conditions) in(column string, values []string) {
	if values != nil {
		c.add(column+" = ANY (?)", values)
	}
}

// limit is a LIMIT, unless n is none.
func (c *conditions) limit(n int) string {
	if n <= 0 {
		return ""
	}
	c.args = append(c.args, n)
	return " LIMIT $" + strconv.Itoa(len(c.args)+1)
}

func (c *conditions) String() string { return " WHERE " + strings.Join(c.texts, " AND ") }

// Subjects implements ledger.Reader.
func (r reader) Subjects(ctx context.Context, q ledger.SubjectQuery) ([]ledger.Subject, error) {
	where := ours()
	where.equal("cluster", q.Cluster)
	where.equal("namespace", q.Namespace)
	where.equal("kind", string(q.Kind))
	where.equal("uid", q.UID)
	subjects, err := collect(ctx, r, scanSubject, `SELECT cluster, uid, kind, namespace, name, labels, service, team, environment, followed_since,
		deleted_at, gaps FROM ledger_subjects`+where.String()+
		` ORDER BY cluster COLLATE "C", namespace COLLATE "C", name COLLATE "C", uid COLLATE "C"`, where.args...)
	if err != nil {
		return nil, r.failed("cannot read subjects", err)
	}
	return subjects, nil
}

func scanSubject(row pgx.CollectableRow) (ledger.Subject, error) {
	var s ledger.Subject
	var labels *string
	var followed, deleted *int64
	err := row.Scan(&s.Cluster, &s.UID, (*string)(&s.Kind), &s.Namespace, &s.Name, &labels, &s.Service, &s.Team, &s.Environment, &followed, &deleted, &s.Gaps)
	if err == nil && labels != nil {
		err = json.Unmarshal([]byte(*labels), &s.Labels)
	}
	s.FollowedSince, s.DeletedAt = fromMicros(followed), fromMicros(deleted)
	return s, err
}

// Decisions implements ledger.Reader.
func (r reader) Decisions(ctx context.Context, uid string, most int) ([]ledger.Decision, error) {
	where := ours()
	where.add("uid = ?", uid)
	query := `SELECT seq, cluster, uid, service, at, attempt, reason, message, event_id FROM ledger_decisions` + where.String() +
		` ORDER BY seq DESC` + where.limit(most)
	decisions, err := collect(ctx, r, scanDecision, query, where.args...)
	if err != nil {
		return nil, r.failed("cannot read decisions", err)
	}
	return decisions, nil
}

func scanDecision(row pgx.CollectableRow) (d ledger.Decision, err error) {
	var at int64
	err = row.Scan(&d.Seq, &d.Cluster, &d.UID, &d.Service, &at, &d.Attempt, &d.Reason, &d.Message, &d.EventID)
	d.At = time.UnixMicro(at).UTC()
	return d, err
}

func fromMicros(n *int64) time.Time {
	if n == nil {
		return time.Time{}
	}
	return time.UnixMicro(*n).UTC()
}

// CacheGet implements ledger.Cache.
func (r reader) CacheGet(ctx context.Context, key string) ([]byte, bool, error) {
	found, err := collect(ctx, r, pgx.RowTo[[]byte], `SELECT value FROM ledger_cache WHERE ledger = $1 AND key = $2`, key)
	if err != nil {
		return nil, false, r.failed("cannot read the cache", err)
	}
	if len(found) == 0 {
		return nil, false, nil
	}
	return found[0], true, nil
}

// CachePut implements ledger.Cache. Only the oldest entries are ever dropped, so the numbers of those that are left have no gaps.
func (s *Store) CachePut(ctx context.Context, key string, value []byte) error {
	return s.do(ctx, "cannot write the cache", func(tx *transaction) error {
		tx.queue(`INSERT INTO ledger_cache (ledger, seq, key, value)
			SELECT $1, coalesce((SELECT max(seq) FROM ledger_cache WHERE ledger = $1), 0) + 1, $2, $3
			ON CONFLICT (ledger, key) DO UPDATE SET value = excluded.value`, nil, key, rows.Blob(value))
		_, err := tx.exec(`DELETE FROM ledger_cache WHERE ledger = $1 AND seq <= (SELECT max(seq) FROM ledger_cache WHERE ledger = $1) - $2::bigint`, s.cached)
		return err
	})
}

// noRows tells whether there was none.
func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
