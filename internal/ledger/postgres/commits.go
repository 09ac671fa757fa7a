package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// keepFacts writes facts beside their event, if it is there, and owes it to the sinks if it reads differently now.
func (t *transaction) keepFacts(facts dora.CommitFacts, encoded string, sinks []string) error {
	seq, before, err := t.completed(facts.EventID)
	if noRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read event %s: %w", facts.EventID, err)
	}
	after, changed, err := rows.Complete(before, facts)
	if err != nil {
		return err
	}
	t.endSearch(seq, after.LeadTimeUnknown, facts.Message, encoded, changed)
	t.touchEvents(seq)
	if !changed {
		return t.send()
	}
	t.owe(sinks, seq, after.Service)
	if err := t.publish(after); err != nil {
		return err
	}
	return t.send()
}

// completed is a deployment as it is read now; pgx.ErrNoRows if there is none of that id.
func (t *transaction) completed(id string) (seq int64, event dora.Event, err error) {
	var payload, facts, mark []byte
	err = t.row(`SELECT e.seq, payload, facts, `+newestMark+` FROM ledger_events e LEFT JOIN ledger_commits USING (ledger, seq)
		WHERE ledger = $1 AND id = $2 AND type = 'deploy'`, []any{id}, &seq, &payload, &facts, &mark)
	if err != nil {
		return 0, dora.Event{}, err
	}
	event, err = rows.Decode(seq, payload, facts, mark)
	return seq, event, err
}

func (t *transaction) endSearch(seq int64, reason, message, facts string, changed bool) {
	state := rows.Unknown
	if reason == "" {
		state, message = rows.Resolved, ""
	}
	grown := 0
	if changed {
		grown = 1
	}
	t.queue(`INSERT INTO ledger_commits AS old (ledger, seq, state, recorded_at, reason, message, facts, content)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (ledger, seq) DO UPDATE SET state = excluded.state, next_at = NULL, attempts = 0, reason = excluded.reason,
		message = excluded.message, facts = excluded.facts, content = old.content + excluded.content`, nil,
		seq, state, t.now().UnixMicro(), reason, message, facts, grown)
}

// Unresolved implements ledger.Commits.
func (r reader) Unresolved(ctx context.Context, now time.Time, limit int) ([]ledger.Resolution, error) {
	due, err := collect(ctx, r, scanResolution, `SELECT seq, c.attempts, c.reason, c.message, c.next_at, c.recorded_at, e.payload, c.facts,
		`+newestMark+`
		FROM ledger_commits c JOIN ledger_events e USING (ledger, seq)
		WHERE ledger = $1 AND c.state = 'pending' AND c.next_at <= $2 ORDER BY seq LIMIT $3`, now.UnixMicro(), max(limit, 0))
	if err != nil {
		return nil, r.failed("cannot read which commits are to be found", err)
	}
	return due, nil
}

func scanResolution(row pgx.CollectableRow) (d ledger.Resolution, err error) {
	var next, recorded int64
	var payload, facts, mark []byte
	if err := row.Scan(&d.Seq, &d.Attempts, &d.Reason, &d.Message, &next, &recorded, &payload, &facts, &mark); err != nil {
		return ledger.Resolution{}, err
	}
	d.NextAt, d.RecordedAt = time.UnixMicro(next).UTC(), time.UnixMicro(recorded).UTC()
	d.Event, err = rows.Decode(d.Seq, payload, facts, mark)
	return d, err
}

// NextUnresolved implements ledger.Commits.
func (r reader) NextUnresolved(ctx context.Context) (time.Time, error) {
	next, err := one[*int64](ctx, r, `SELECT min(next_at) FROM ledger_commits WHERE ledger = $1 AND state = 'pending'`)
	if err != nil {
		return time.Time{}, r.failed("cannot find when the next commits are to be found", err)
	}
	return fromMicros(next), nil
}

// PutOff implements ledger.Commits.
func (s *Store) PutOff(ctx context.Context, eventID string, next time.Time, reason, message string) error {
	return s.do(ctx, "cannot put the search for commits off", func(tx *transaction) error {
		n, err := tx.exec(`UPDATE ledger_commits SET attempts = attempts + 1, next_at = $2, reason = $3, message = $4
			WHERE ledger = $1 AND state = 'pending' AND seq = (SELECT seq FROM ledger_events WHERE ledger = $1 AND id = $5)`,
			next.UnixMicro(), reason, message, eventID)
		if err == nil && n == 0 {
			return fmt.Errorf("%w: the commits of event %s are not looked for", ledger.ErrNotFound, eventID)
		}
		return err
	})
}

// How many searches one transaction reopens. Changes that wait meanwhile are committed between two of them.
const reopenedSearches = 500

// Reopen implements ledger.Commits. What to reopen is found by a reader, which holds nobody up.
func (s *Store) Reopen(ctx context.Context, q ledger.ReopenQuery, now time.Time) (reopened int64, err error) {
	query, args := reopenQuery(q)
	seqs, err := collect(ctx, s.reader, pgx.RowTo[int64], query, args...)
	if err != nil {
		return 0, s.failed("cannot find which commits are to be looked for again", err)
	}
	return s.writer.InSteps(ctx, "cannot look for commits again", slices.Chunk(seqs, reopenedSearches),
		func(tx *transaction, seqs []int64) (int64, error) { return tx.reopen(seqs, now) })
}

// reopenQuery selects by event first, then by what became of the search. The text it looks for in a payload cannot stand inside a string
// of JSON, where quotes are escaped.
func reopenQuery(q ledger.ReopenQuery) (query string, args []any) {
	where := deployments(q.UIDs, q.Cluster, q.Since)
	before := len(where.texts)
	where.add("state = ?", rows.Unknown)
	if len(q.Reasons) > 0 {
		where.in("reason", q.Reasons)
	}
	again := strings.Join(where.texts[before:], " AND ")
	if q.Missing {
		again += ` OR state IS NULL AND strpos(payload, '"change":"image"') > 0`
	}
	where.texts = append(where.texts[:before], "("+again+")")
	return `SELECT seq FROM ledger_events LEFT JOIN ledger_commits USING (ledger, seq)` + where.String(), where.args
}

// deployments are conditions on events.
func deployments(uids []string, cluster string, since time.Time) *conditions {
	where := ours()
	where.in("uid", uids)
	where.equal("type", string(dora.TypeDeploy))
	where.equal("cluster", cluster)
	where.since("occurred_at", since)
	return where
}

// reopen looks again at what was found: facts may have come since, or the event may be gone.
func (t *transaction) reopen(seqs []int64, now time.Time) (int64, error) {
	t.touchEvents(seqs...)
	t.at.revision++
	return t.exec(`INSERT INTO ledger_commits AS old (ledger, seq, state, recorded_at, next_at)
		SELECT ledger, seq, 'pending', $2, $2 FROM ledger_events WHERE ledger = $1 AND seq = ANY ($3)
		ON CONFLICT (ledger, seq) DO UPDATE SET state = excluded.state, recorded_at = excluded.recorded_at, next_at = excluded.next_at,
		reason = '', message = '' WHERE old.state = 'unknown'`, now.UnixMicro(), seqs)
}

// Hurry implements ledger.Commits.
func (s *Store) Hurry(ctx context.Context, q ledger.ResolutionQuery, now time.Time) (hurried int64, err error) {
	where := deployments(q.UIDs, q.Cluster, q.Since)
	where.add("true OR ? = 0", now.UnixMicro()) // gives the time a number
	at := fmt.Sprintf("$%d", len(where.args)+1)
	where.texts = where.texts[:len(where.texts)-1]
	err = s.do(ctx, "cannot look for commits at once", func(tx *transaction) (err error) {
		hurried, err = tx.exec(`UPDATE ledger_commits SET attempts = 0, next_at = `+at+`, recorded_at = `+at+`, reason = '', message = ''
			WHERE ledger = $1 AND state = 'pending' AND attempts > 0 AND seq IN (SELECT seq FROM ledger_events`+where.String()+`)`, where.args...)
		return err
	})
	return hurried, err
}

// Resolutions implements ledger.Commits.
func (r reader) Resolutions(ctx context.Context, q ledger.ResolutionQuery) (ledger.Resolutions, error) {
	where := deployments(q.UIDs, q.Cluster, q.Since)
	if q.Queued {
		where.equal("state", "pending")
	}
	// The message is that of the newest.
	groups, err := collect(ctx, r, scanGroup, `SELECT state, attempts > 0, reason, count(*), (array_agg(message ORDER BY seq DESC))[1]
		FROM ledger_events JOIN ledger_commits USING (ledger, seq)`+where.String()+` GROUP BY 1, 2, 3 ORDER BY 1, 2, reason COLLATE "C"`, where.args...)
	if err != nil {
		return ledger.Resolutions{}, r.failed("cannot count the commits that were found", err)
	}
	return rows.Sum(groups), nil
}

func scanGroup(row pgx.CollectableRow) (g rows.Group, err error) {
	err = row.Scan(&g.State, &g.Failed, &g.Reason, &g.Count, &g.Message)
	return g, err
}
