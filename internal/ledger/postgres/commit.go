package postgres

import (
	"context"
	"fmt"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// Commit implements ledger.Writer.
func (s *Store) Commit(ctx context.Context, change ledger.Change) error {
	if rows.Empty(change) {
		return nil
	}
	rec, err := rows.Encode(change)
	if err != nil {
		return err
	}
	if err := s.months.provide(ctx, change.Events); err != nil {
		return s.failed("cannot commit a change", err)
	}
	return s.publishing(ctx, "cannot commit a change", func(tx *transaction) error { return tx.keep(rec) })
}

// publishing runs what writes into the table that others read, and once more if a month was not there: the retention of another cluster, or an
// administrator, may have dropped it since it was seen.
func (s *Store) publishing(ctx context.Context, doing string, run func(*transaction) error) error {
	var events []dora.Event
	noting := func(tx *transaction) error {
		tx.published = nil
		err := run(tx)
		events = tx.published
		return err
	}
	err := s.do(ctx, doing, noting)
	if !s.months.partitioned || !eventtable.LacksPartition(err) {
		return err
	}
	s.months.forget(events)
	if err := s.months.provide(ctx, events); err != nil {
		return s.failed(doing, err)
	}
	return s.do(ctx, doing, noting)
}

// keep writes a change in as few round trips as there are answers to wait for: whether the states conflict and which events are new, and
// what was known of those that facts are about.
func (t *transaction) keep(rec rows.Record) error {
	for _, state := range rec.States {
		t.keepState(state)
	}
	if rec.Subject != nil {
		t.keepSubject(*rec.Subject, rec.Labels)
	}
	fresh := make([]int64, len(rec.Events)) // the sequences of those that are new
	for i, event := range rec.Events {
		t.keepEvent(event, rec.Payloads[i], &fresh[i])
	}
	if err := t.send(); err != nil {
		return err
	}
	if err := t.follow(rec, fresh); err != nil {
		return err
	}
	for i, facts := range rec.Facts {
		if err := t.keepFacts(facts, rec.Encoded[i], rec.Sinks); err != nil {
			return err
		}
	}
	for i, mark := range rec.Marks {
		if err := t.keepMark(mark, rec.Said[i], rec.Sinks); err != nil {
			return err
		}
	}
	for _, decision := range rec.Decisions {
		t.keepDecision(decision)
	}
	if rec.Observation != nil {
		t.keepObservation(*rec.Observation, rec.Led)
	}
	t.at.revision++
	return t.send()
}

func (t *transaction) keepState(state ledger.State) {
	query := `UPDATE ledger_states SET version = version + 1, data = $2 WHERE ledger = $1 AND key = $3 AND version = $4`
	args := []any{rows.Blob(state.Data), state.Key, state.Version}
	if state.Version == 0 {
		query, args = `INSERT INTO ledger_states (ledger, data, key, version) VALUES ($1, $2, $3, 1) ON CONFLICT (ledger, key) DO NOTHING`, args[:2]
	}
	t.queue(query, func(n int64) error {
		if n == 0 {
			return fmt.Errorf("%w: state %s has no longer version %d", ledger.ErrConflict, state.Key, state.Version)
		}
		return nil
	}, args...)
}

func (t *transaction) keepSubject(s ledger.Subject, labels any) {
	t.queue(`INSERT INTO ledger_subjects AS old
		(ledger, cluster, uid, kind, namespace, name, labels, service, team, environment, followed_since, deleted_at, gaps)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (ledger, cluster, uid) DO UPDATE SET
		(kind, namespace, name, labels, service, team, environment, followed_since, deleted_at, gaps) =
		ROW(excluded.kind, excluded.namespace, excluded.name, excluded.labels, excluded.service, excluded.team, excluded.environment,
		excluded.followed_since, excluded.deleted_at, excluded.gaps)`, nil,
		s.Cluster, s.UID, string(s.Kind), s.Namespace, s.Name, labels, s.Service, s.Team, s.Environment,
		rows.Micros(s.FollowedSince), rows.Micros(s.DeletedAt), s.Gaps)
}

// keepEvent writes an event, unless the ledger has its id, and tells its sequence then.
func (t *transaction) keepEvent(event dora.Event, payload string, fresh *int64) {
	t.at.event++
	seq := t.at.event
	t.queue(`INSERT INTO ledger_events (ledger, seq, id, cluster, uid, service, environment, type, outcome, occurred_at, payload)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (ledger, id) DO NOTHING`,
		func(n int64) error {
			*fresh = seq * n
			return nil
		},
		seq, event.ID, event.Cluster, event.Subject.UID, event.Service, event.Environment, string(event.Type),
		rows.Optional(string(event.Outcome)), event.OccurredAt.UnixMicro(), payload)
}

// follow writes what follows from events that are new: what sinks are owed of them, their place in the queue, and the table that others read.
func (t *transaction) follow(rec rows.Record, fresh []int64) error {
	var added []dora.Event
	for i, event := range rec.Events {
		seq := fresh[i]
		if seq == 0 {
			continue
		}
		added = append(added, event)
		t.touch(`VALUES ($1::integer, $3::text, $4::text, $5::text, $2::bigint)`, event.Subject.UID, event.Service, event.Environment)
		t.owe(rec.Sinks, seq, event.Service)
		if rec.Resolve && event.Type == dora.TypeDeploy && event.Change == dora.ChangeImage {
			t.queue(`INSERT INTO ledger_commits (ledger, seq, state, recorded_at, next_at) VALUES ($1, $2, 'pending', $3, $3)`, nil, seq, t.now().UnixMicro())
		}
	}
	return t.publish(added...)
}

// touch notes that histories changed, those that a query gives with the revision that this unit makes, which is its second parameter.
func (t *transaction) touch(query string, args ...any) {
	t.queue(`INSERT INTO ledger_histories (ledger, uid, service, environment, changed) `+query+`
		ON CONFLICT (ledger, uid, service, environment) DO UPDATE SET changed = excluded.changed`, nil, append([]any{t.at.revision + 1}, args...)...)
}

// touchEvents notes that what is read of some events changed.
func (t *transaction) touchEvents(seqs ...int64) {
	t.touch(`SELECT DISTINCT ledger, uid, service, environment, $2::bigint FROM ledger_events WHERE ledger = $1 AND seq = ANY ($3)`, seqs)
}

// publish writes events into the table that others read.
func (t *transaction) publish(events ...dora.Event) error {
	if len(events) == 0 {
		return nil
	}
	text, err := eventtable.Rows(events, t.writer.cluster)
	if err != nil {
		return err
	}
	t.published = append(t.published, events...)
	t.pending().Queue(t.writer.upsert, string(text))
	return nil
}

func (t *transaction) owe(sinks []string, seq int64, service string) {
	for _, sink := range sinks {
		t.keepSink(sink)
		t.queue(`INSERT INTO ledger_outbox (ledger, seq, sink, service, recorded_at, next_at) VALUES ($1, $2, $3, $4, $5, $5)
			ON CONFLICT (ledger, seq, sink) DO NOTHING`, nil, seq, sink, service, t.now().UnixMicro())
	}
}

// keepSink makes a sink with its first row.
func (t *transaction) keepSink(sink string) {
	t.queue(`INSERT INTO ledger_sinks (ledger, name) VALUES ($1, $2) ON CONFLICT (ledger, name) DO NOTHING`, nil, sink)
}

func (t *transaction) keepDecision(d ledger.Decision) {
	t.at.decision++
	t.queue(`INSERT INTO ledger_decisions (ledger, seq, cluster, uid, service, at, attempt, reason, message, event_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, nil,
		t.at.decision, d.Cluster, d.UID, d.Service, d.At.UnixMicro(), d.Attempt, d.Reason, d.Message, d.EventID)
}
