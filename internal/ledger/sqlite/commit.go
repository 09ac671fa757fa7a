package sqlite

import (
	"context"
	"fmt"

	"github.com/dora-controller/dora-controller/internal/dora"
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
	return s.writer.Do(ctx, "cannot commit a change", func(tx *connection) error { return tx.keep(rec) })
}

// keep writes a change. The states come first, since a conflict there makes the rest void.
func (c *connection) keep(rec rows.Record) error {
	for _, state := range rec.States {
		if err := c.keepState(state); err != nil {
			return err
		}
	}
	if rec.Subject != nil {
		if err := c.keepSubject(*rec.Subject, rec.Labels); err != nil {
			return err
		}
	}
	for i, event := range rec.Events {
		if err := c.keepEvent(event, rec.Payloads[i], rec.Change); err != nil {
			return err
		}
	}
	for i, facts := range rec.Facts {
		if err := c.keepFacts(facts, rec.Encoded[i], rec.Sinks); err != nil {
			return err
		}
	}
	for i, mark := range rec.Marks {
		if err := c.keepMark(mark, rec.Said[i], rec.Sinks); err != nil {
			return err
		}
	}
	for _, decision := range rec.Decisions {
		if err := c.keepDecision(decision); err != nil {
			return err
		}
	}
	if rec.Observation != nil {
		if err := c.keepObservation(*rec.Observation, rec.Led); err != nil {
			return err
		}
	}
	c.grown++
	return nil
}

func (c *connection) keepState(state ledger.State) error {
	query, args := `UPDATE states SET version = version + 1, data = ? WHERE key = ? AND version = ?`,
		[]any{rows.Blob(state.Data), state.Key, state.Version}
	if state.Version == 0 {
		query, args = `INSERT INTO states (data, key, version) VALUES (?, ?, 1) ON CONFLICT (key) DO NOTHING`, args[:2]
	}
	n, err := c.affected(query, args...)
	switch {
	case err != nil:
		return fmt.Errorf("cannot write state %s: %w", state.Key, err)
	case n == 0:
		return fmt.Errorf("%w: state %s has no longer version %d", ledger.ErrConflict, state.Key, state.Version)
	}
	return nil
}

func (c *connection) keepSubject(subject ledger.Subject, labels any) error {
	_, err := c.exec(`INSERT OR REPLACE INTO subjects
		(cluster, uid, kind, namespace, name, labels, service, team, environment, followed_since, deleted_at, gaps)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		subject.Cluster, subject.UID, string(subject.Kind), subject.Namespace, subject.Name, labels,
		subject.Service, subject.Team, subject.Environment, rows.Micros(subject.FollowedSince), rows.Micros(subject.DeletedAt), subject.Gaps)
	if err != nil {
		return fmt.Errorf("cannot write subject %s: %w", subject.Name, err)
	}
	return nil
}

// keepEvent writes an event, what sinks are owed of it and its place in the queue, unless the ledger has its id.
func (c *connection) keepEvent(event dora.Event, payload string, change ledger.Change) error {
	result, err := c.exec(`INSERT INTO events
		(id, cluster, uid, service, environment, type, outcome, occurred_at, payload)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		event.ID, event.Cluster, event.Subject.UID, event.Service, event.Environment,
		string(event.Type), rows.Optional(string(event.Outcome)), event.OccurredAt.UnixMicro(), payload)
	if err != nil {
		return fmt.Errorf("cannot write event %s: %w", event.ID, err)
	}
	if fresh, err := result.RowsAffected(); err != nil || fresh == 0 {
		return err
	}
	seq, err := result.LastInsertId()
	if err != nil {
		return fmt.Errorf("cannot number event %s: %w", event.ID, err)
	}
	if err := c.touch(`INSERT INTO histories (uid, service, environment, changed) VALUES (?, ?, ?, (SELECT revision FROM ledger) + ?)`,
		event.Subject.UID, event.Service, event.Environment); err != nil {
		return err
	}
	for _, sink := range change.Sinks {
		if err := c.owe(sink, seq, event.Service); err != nil {
			return err
		}
	}
	if change.Resolve && event.Type == dora.TypeDeploy && event.Change == dora.ChangeImage {
		return c.queue(seq)
	}
	return nil
}

// touch notes that histories changed, by a statement that inserts them and whose last parameter is how far this unit lets the revision grow.
// The unit has to grow it.
func (c *connection) touch(insert string, args ...any) error {
	_, err := c.exec(insert+` ON CONFLICT (uid, service, environment) DO UPDATE SET changed = excluded.changed`, append(args, c.grown+1)...)
	if err != nil {
		return fmt.Errorf("cannot note whose events changed: %w", err)
	}
	return nil
}

// touchEvents notes that what is read of some events changed. The list is JSON.
func (c *connection) touchEvents(seqs string) error {
	return c.touch(`INSERT INTO histories (uid, service, environment, changed)
		SELECT DISTINCT uid, service, environment, (SELECT revision FROM ledger) + ?2 FROM events WHERE seq IN (SELECT value FROM json_each(?1))`, seqs)
}

func (c *connection) owe(sink string, seq int64, service string) error {
	if err := c.keepSink(sink); err != nil {
		return err
	}
	now := c.now().UnixMicro()
	_, err := c.exec(`INSERT INTO outbox (seq, sink, service, recorded_at, next_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (seq, sink) DO NOTHING`, seq, sink, service, now, now)
	if err != nil {
		return fmt.Errorf("cannot write what sink %s is owed: %w", sink, err)
	}
	return nil
}

// keepSink makes a sink with its first row.
func (c *connection) keepSink(sink string) error {
	if c.sinks[sink] {
		return nil
	}
	if _, err := c.exec(`INSERT INTO sinks (name) VALUES (?) ON CONFLICT (name) DO NOTHING`, sink); err != nil {
		return fmt.Errorf("cannot write sink %s: %w", sink, err)
	}
	c.sinks[sink] = true
	return nil
}

func (c *connection) keepDecision(d ledger.Decision) error {
	_, err := c.exec(`INSERT INTO decisions (cluster, uid, service, at, attempt, reason, message, event_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, d.Cluster, d.UID, d.Service, d.At.UnixMicro(), d.Attempt, d.Reason, d.Message, d.EventID)
	if err != nil {
		return fmt.Errorf("cannot write decision %s: %w", d.Reason, err)
	}
	return nil
}
