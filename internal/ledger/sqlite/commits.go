package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// queue has the commits of a new event looked for.
func (c *connection) queue(seq int64) error {
	now := c.now().UnixMicro()
	_, err := c.exec(`INSERT INTO commits (seq, state, recorded_at, next_at) VALUES (?, 'pending', ?, ?)`, seq, now, now)
	if err != nil {
		return fmt.Errorf("cannot queue event %d: %w", seq, err)
	}
	return nil
}

// keepFacts writes facts beside their event, if it is there, and owes it to the sinks if it reads differently now.
func (c *connection) keepFacts(facts dora.CommitFacts, encoded string, sinks []string) error {
	seq, before, err := c.completed(facts.EventID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read event %s: %w", facts.EventID, err)
	}
	after, changed, err := rows.Complete(before, facts)
	if err != nil {
		return err
	}
	if err := c.endSearch(seq, after.LeadTimeUnknown, facts.Message, encoded, changed); err != nil {
		return fmt.Errorf("cannot write the facts of event %s: %w", facts.EventID, err)
	}
	if err := c.touchEvents(fmt.Sprintf("[%d]", seq)); err != nil {
		return err
	}
	for _, sink := range sinks {
		if !changed {
			break
		}
		if err := c.owe(sink, seq, after.Service); err != nil {
			return err
		}
	}
	return nil
}

// completed is a deployment as it is read now; sql.ErrNoRows if there is none of that id.
func (c *connection) completed(id string) (seq int64, event dora.Event, err error) {
	statement, err := c.prepare(completedQuery) //nolint:sqlclosecheck // it is kept for the next time; close closes it
	if err != nil {
		return 0, dora.Event{}, err
	}
	var payload, facts, mark []byte
	if err := statement.QueryRowContext(context.Background(), id).Scan(&seq, &payload, &facts, &mark); err != nil {
		return 0, dora.Event{}, err
	}
	event, err = rows.Decode(seq, payload, facts, mark)
	return seq, event, err
}

const completedQuery = `SELECT e.seq, e.payload, c.facts, ` + newestMark + ` FROM events e LEFT JOIN commits c ON c.seq = e.seq
	WHERE e.id = ? AND e.type = 'deploy'`

func (c *connection) endSearch(seq int64, reason, message, facts string, changed bool) error {
	state := rows.Unknown
	if reason == "" {
		state, message = rows.Resolved, ""
	}
	grown := 0
	if changed {
		grown = 1
	}
	_, err := c.exec(`INSERT INTO commits (seq, state, recorded_at, reason, message, facts, content) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (seq) DO UPDATE SET state = excluded.state, next_at = NULL, attempts = 0, reason = excluded.reason,
		message = excluded.message, facts = excluded.facts, content = content + excluded.content`,
		seq, state, c.now().UnixMicro(), reason, message, facts, grown)
	return err
}

// Unresolved implements ledger.Commits.
func (r reader) Unresolved(ctx context.Context, now time.Time, limit int) ([]ledger.Resolution, error) {
	due, err := collect(ctx, r.db, scanResolution, unresolvedQuery, now.UnixMicro(), max(limit, 0))
	if err != nil {
		return nil, r.failed("cannot read which commits are to be found", err)
	}
	return due, nil
}

// CROSS JOIN: the queue leads. The plus keeps SQLite from sorting what is due: the queue's index is in order, and knows next_at.
const unresolvedQuery = `SELECT c.seq, c.attempts, c.reason, c.message, c.next_at, c.recorded_at, e.payload, c.facts,
	` + newestMark + `
	FROM commits c CROSS JOIN events e ON e.seq = c.seq
	WHERE c.state = 'pending' AND +c.next_at <= ? ORDER BY c.seq LIMIT ?`

func scanResolution(found *sql.Rows) (d ledger.Resolution, err error) {
	var next, recorded int64
	var payload, facts, mark sql.RawBytes
	if err := found.Scan(&d.Seq, &d.Attempts, &d.Reason, &d.Message, &next, &recorded, &payload, &facts, &mark); err != nil {
		return ledger.Resolution{}, err
	}
	d.NextAt, d.RecordedAt = time.UnixMicro(next).UTC(), time.UnixMicro(recorded).UTC()
	d.Event, err = rows.Decode(d.Seq, payload, facts, mark)
	return d, err
}

// NextUnresolved implements ledger.Commits.
func (r reader) NextUnresolved(ctx context.Context) (time.Time, error) {
	var next sql.NullInt64
	if err := r.db.QueryRowContext(ctx, nextUnresolvedQuery).Scan(&next); err != nil {
		return time.Time{}, r.failed("cannot find when the next commits are to be found", err)
	}
	return fromMicros(next), nil
}

const nextUnresolvedQuery = `SELECT MIN(next_at) FROM commits WHERE state = 'pending'`

// PutOff implements ledger.Commits.
func (s *Store) PutOff(ctx context.Context, eventID string, next time.Time, reason, message string) error {
	return s.writer.Do(ctx, "cannot put the search for commits off", func(tx *connection) error {
		n, err := tx.affected(putOffQuery, next.UnixMicro(), reason, message, eventID)
		if err == nil && n == 0 {
			return fmt.Errorf("%w: the commits of event %s are not looked for", ledger.ErrNotFound, eventID)
		}
		return err
	})
}

// The plus keeps SQLite from walking the queue: the event leads.
const putOffQuery = `UPDATE commits SET attempts = attempts + 1, next_at = ?, reason = ?, message = ?
	WHERE +state = 'pending' AND seq = (SELECT seq FROM events WHERE id = ?)`

// How many searches one transaction reopens. Changes that wait meanwhile are committed between two of them.
const reopenedSearches = 500

// Reopen implements ledger.Commits. What to reopen is found by a reader, which holds nobody up.
func (s *Store) Reopen(ctx context.Context, q ledger.ReopenQuery, now time.Time) (reopened int64, err error) {
	query, args := reopenQuery(q)
	seqs, err := collect(ctx, s.db, scanOne[int64], query, args...)
	if err != nil {
		return 0, s.failed("cannot find which commits are to be looked for again", err)
	}
	return s.writer.InSteps(ctx, "cannot look for commits again", slices.Chunk(seqs, reopenedSearches), func(tx *connection, seqs []int64) (int64, error) {
		return tx.reopen(seqs, now)
	})
}

// reopenQuery selects by event first, then by what became of the search.
func reopenQuery(q ledger.ReopenQuery) (query string, args []any) {
	where := deployments(q.UIDs, q.Cluster, q.Since)
	var ended conditions
	ended.equal("state", rows.Unknown)
	if len(q.Reasons) > 0 {
		ended.in("reason", q.Reasons)
	}
	again := strings.Join(ended.texts, " AND ")
	if q.Missing {
		again += ` OR state IS NULL AND json_extract(payload, '$.change') = 'image'`
	}
	where.texts, where.args = append(where.texts, "("+again+")"), append(where.args, ended.args...)
	return `SELECT seq FROM events LEFT JOIN commits USING (seq)` + where.String(), where.args
}

// deployments are conditions on events.
func deployments(uids []string, cluster string, since time.Time) (where conditions) {
	where.in("uid", uids)
	where.equal("type", string(dora.TypeDeploy))
	where.equal("cluster", cluster)
	where.since("occurred_at", since)
	return where
}

// reopen looks again at what was found: facts may have come since, or the event may be gone.
func (c *connection) reopen(seqs []int64, now time.Time) (int64, error) {
	list, err := json.Marshal(seqs)
	if err != nil {
		return 0, err
	}
	if err := c.touchEvents(string(list)); err != nil {
		return 0, err
	}
	n, err := c.affected(`INSERT INTO commits (seq, state, recorded_at, next_at)
		SELECT seq, 'pending', ?, ? FROM events WHERE seq IN (SELECT value FROM json_each(?))
		ON CONFLICT (seq) DO UPDATE SET state = excluded.state, recorded_at = excluded.recorded_at, next_at = excluded.next_at,
		reason = '', message = '' WHERE commits.state = 'unknown'`, now.UnixMicro(), now.UnixMicro(), string(list))
	c.grown++
	return n, err
}

// Hurry implements ledger.Commits.
func (s *Store) Hurry(ctx context.Context, q ledger.ResolutionQuery, now time.Time) (hurried int64, err error) {
	query, args := hurryQuery(q, now)
	err = s.writer.Do(ctx, "cannot look for commits at once", func(tx *connection) (err error) {
		hurried, err = tx.affected(query, args...)
		return err
	})
	return hurried, err
}

// hurryQuery is led by the queue, which is short as long as nothing stands in the way.
func hurryQuery(q ledger.ResolutionQuery, now time.Time) (query string, args []any) {
	where := deployments(q.UIDs, q.Cluster, q.Since)
	where.texts = append(where.texts, "commits.seq = events.seq")
	return `UPDATE commits SET attempts = 0, next_at = ?, recorded_at = ?, reason = '', message = '' WHERE state = 'pending' AND attempts > 0
		AND EXISTS (SELECT 1 FROM events` + where.String() + `)`, append([]any{now.UnixMicro(), now.UnixMicro()}, where.args...)
}

// Resolutions implements ledger.Commits.
func (r reader) Resolutions(ctx context.Context, q ledger.ResolutionQuery) (ledger.Resolutions, error) {
	query, args := resolutionsQuery(q)
	groups, err := collect(ctx, r.db, scanGroup, query, args...)
	if err != nil {
		return ledger.Resolutions{}, r.failed("cannot count the commits that were found", err)
	}
	return rows.Sum(groups), nil
}

// resolutionsQuery groups searches that are alike. SQLite takes a bare column, as message is, from the row that holds the MAX; other
// databases need DISTINCT ON.
func resolutionsQuery(q ledger.ResolutionQuery) (query string, args []any) {
	where := deployments(q.UIDs, q.Cluster, q.Since)
	from := `events JOIN commits USING (seq)`
	if q.Queued {
		where.equal("state", "pending")
		from = `commits CROSS JOIN events USING (seq)` // the queue leads: it is short as long as nothing stands in the way
	}
	return `SELECT state, attempts > 0, reason, COUNT(*), MAX(seq), message FROM ` + from + where.String() +
		` GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`, where.args
}

func scanGroup(found *sql.Rows) (g rows.Group, err error) {
	var newest int64
	err = found.Scan(&g.State, &g.Failed, &g.Reason, &g.Count, &newest, &g.Message)
	return g, err
}

// CacheGet implements ledger.Cache.
func (r reader) CacheGet(ctx context.Context, key string) ([]byte, bool, error) {
	var value []byte
	err := r.db.QueryRowContext(ctx, cachedQuery, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, r.failed("cannot read the cache", err)
	}
	return value, true, nil
}

// CachePut implements ledger.Cache. Only the oldest entries are ever dropped, so the numbers of those that are left have no gaps.
func (s *Store) CachePut(ctx context.Context, key string, value []byte) error {
	return s.writer.Do(ctx, "cannot write the cache", func(tx *connection) error {
		if _, err := tx.exec(`INSERT INTO cache (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
			key, rows.Blob(value)); err != nil {
			return err
		}
		_, err := tx.exec(trimQuery, s.cached)
		return err
	})
}

const (
	cachedQuery = `SELECT value FROM cache WHERE key = ?`
	trimQuery   = `DELETE FROM cache WHERE seq <= (SELECT MAX(seq) FROM cache) - ?`
)
