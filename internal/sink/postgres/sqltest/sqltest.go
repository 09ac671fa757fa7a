// Package sqltest holds the SQL of the PostgreSQL sink against package fourkeys: on the same events both must find the same figures, in a real
// PostgreSQL. It also has what other tests need that run queries on events: a schema with the tables and views, filled as the sink fills it.
//
// The rows are written by a mapping of its own, which a test compares with that of the sink, so that a mistake in one of the two shows.
package sqltest

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// Schema is where the tables and views are, and nowhere else: whoever needs another search_path to find them is found out.
const Schema = "dora"

// Database is a database of one test, with tables and views.
type Database struct {
	*pgx.Conn
	Name string

	migrations fs.FS
}

// Open makes a database, runs scripts in the schema, and then the migrations.
func Open(tb testing.TB, migrations fs.FS, scripts ...string) *Database {
	tb.Helper()
	server := postgrestest.Start(tb)
	name := server.Database(tb).Name
	d := &Database{Conn: server.Connect(tb, name), Name: name, migrations: migrations}
	postgrestest.Exec(tb, d.Conn, "CREATE SCHEMA "+Schema)
	postgrestest.Exec(tb, d.Conn, "SET search_path = "+Schema)
	for _, script := range scripts {
		postgrestest.Exec(tb, d.Conn, script)
	}
	d.Migrate(tb, func(ctx context.Context, p *goose.Provider) error { _, err := p.Up(ctx); return err })
	return d
}

// Migrate runs migrations, with the search_path that the sink gives them.
func (d *Database) Migrate(tb testing.TB, run func(context.Context, *goose.Provider) error) {
	tb.Helper()
	config := d.Config().Copy()
	config.RuntimeParams["search_path"] = Schema
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	if err := migrate(tb.Context(), db, d.migrations, run); err != nil {
		tb.Fatalf("cannot migrate: %v", err)
	}
}

func migrate(ctx context.Context, db *sql.DB, migrations fs.FS, run func(context.Context, *goose.Provider) error) error {
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations)
	if err != nil {
		return err
	}
	return run(ctx, provider)
}

// columns are those of delivery_events that an event fills, in the order of row.
var columns = []string{
	"id", "event_type", "service", "team", "environment", "commit_sha", "first_commit_ts", "occurred_at", "success", "is_rollback", "incident_id",
	"source", "payload", "cluster", "type", "outcome", "change", "subject_kind", "subject_namespace", "subject_name", "subject_uid", "attempt",
	"started_at", "observed_at", "tag", "previous_tag", "running_tag", "unplanned", "exposed", "commit_count", "first_commit", "base_commit",
	"repository", "lead_time_seconds", "lead_time_unknown", "caused_by", "recovery_seconds", "basis", "reason", "message",
	"mark", "mark_reason", "marked_by",
}

// Columns are the columns of delivery_events that an event fills.
func Columns() []string { return columns }

// Insert writes events, each of which is new.
func (d *Database) Insert(tb testing.TB, events []dora.Event) {
	tb.Helper()
	rows := make([][]any, 0, len(events))
	for i := range events {
		rows = append(rows, row(tb, &events[i]))
	}
	if _, err := d.CopyFrom(tb.Context(), pgx.Identifier{Schema, "delivery_events"}, columns, pgx.CopyFromRows(rows)); err != nil {
		tb.Fatalf("cannot insert events: %v", err)
	}
}

func row(tb testing.TB, e *dora.Event) []any {
	tb.Helper()
	payload, err := json.Marshal(e)
	if err != nil {
		tb.Fatal(err)
	}
	types := map[dora.Type]string{dora.TypeDeploy: "deploy", dora.TypeDegraded: "incident_open", dora.TypeRecovered: "incident_resolved", dora.TypeChange: "change"}
	kind, success, back, mark := types[e.Type], e.Success, e.IsRollback, dora.Mark{}
	if e.Mark != nil {
		mark = *e.Mark
	}
	switch deploy := e.Type == dora.TypeDeploy; {
	case mark.Verdict == dora.Ignore, mark.Verdict == dora.NotAFailure && !deploy:
		kind, success, back = "ignored", nil, nil
	case mark.Verdict == dora.NotAFailure:
		success, back = new(true), new(false)
	case mark.Verdict == dora.Failure && deploy:
		success = new(false)
	}
	version, previous, running := known(e.Version), known(e.Previous.Version), known(e.Running)
	return []any{
		e.ID, kind, e.Service, e.Team, e.Environment, text(version.Commit), e.FirstCommitAt, e.OccurredAt, success, back,
		text(e.FailureID), cmp.Or(e.Source, "argocd"), payload, e.Cluster, string(e.Type), text(e.Outcome), text(e.Change), text(e.Subject.Kind),
		text(e.Subject.Namespace), text(e.Subject.Name), text(e.Subject.UID), text(e.Attempt), moment(e.StartedAt), moment(e.ObservedAt),
		text(version.Tag), text(previous.Tag), text(running.Tag), e.Unplanned, e.Exposed, e.CommitCount, text(e.FirstCommit), text(e.BaseCommit),
		text(e.Repository), e.LeadTimeSeconds, text(e.LeadTimeUnknown), text(e.CausedBy), e.RecoverySeconds, text(e.Basis), text(e.Reason), text(e.Message),
		text(mark.Verdict), text(mark.Reason), text(mark.By),
	}
}

func known(v *dora.Version) dora.Version {
	if v == nil {
		return dora.Version{}
	}
	return *v
}

// text is NULL for what is not known.
func text[T ~string](value T) *string {
	if value == "" {
		return nil
	}
	return new(string(value))
}

func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// Figure writes the row of a service in dora_metrics that says no more than that a target followed it then.
func (d *Database) Figure(tb testing.TB, target string, service fourkeys.Service, team string, at time.Time) {
	tb.Helper()
	postgrestest.Exec(tb, d.Conn, `
		INSERT INTO `+Schema+`.dora_metrics (cluster, target, scope, environment, team, service, day, is_primary, window_from, window_to, services,
			deployments, lead_time_samples, lead_time_rejected, failed_attempts, attempts, recovery_samples, unplanned,
			succeeded, failed, aborted, unexposed, returned, unknown, incidents, open_failures)
		VALUES ('eu', $6, $1, $2, $3, $4, ($5 AT TIME ZONE 'UTC')::date, true, $5 - interval '30 days', $5, 1,
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)`,
		string(sink.ScopeService), service.Environment, team, service.Name, at, target)
}

// Clear empties the tables.
func (d *Database) Clear(tb testing.TB) {
	tb.Helper()
	postgrestest.Exec(tb, d.Conn, "DELETE FROM "+Schema+".delivery_events")
	postgrestest.Exec(tb, d.Conn, "DELETE FROM "+Schema+".dora_metrics")
}

// ReadEvents reads events from a file, one JSON object a line.
func ReadEvents(tb testing.TB, path string) []dora.Event {
	tb.Helper()
	file, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var events []dora.Event
	for decoder := json.NewDecoder(file); ; {
		var e dora.Event
		switch err := decoder.Decode(&e); {
		case errors.Is(err, io.EOF):
			return events
		case err != nil:
			tb.Fatalf("%s: %v", path, err)
		}
		events = append(events, e)
	}
}
