package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"github.com/dora-controller/dora-controller/internal/sink"
)

//go:embed migrations/*.sql
var embedded embed.FS

// versions is the table in which the migrations are noted that a schema has had.
const versions = "dora_schema_version"

// migrationLock keeps two from migrating a database at once: "dora" in ASCII.
const migrationLock = 0x646f7261

// Migrations are the steps that make the schema, as goose reads them. Their names have no schema: whoever runs them sets search_path.
func Migrations() fs.FS {
	steps, err := fs.Sub(embedded, "migrations")
	if err != nil { // only for a name that is no path
		return embedded
	}
	return steps
}

// newest is the number of the newest migration.
func newest() int64 {
	var last int64
	names, err := fs.Glob(embedded, "migrations/*.sql")
	if err != nil {
		return 0
	}
	for _, name := range names {
		last = max(last, number(name))
	}
	return last
}

// number is that of a migration, by the name of its file.
func number(file string) int64 {
	digits, _, _ := strings.Cut(file[strings.LastIndex(file, "/")+1:], "_")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// layout is what is known of a schema: the statements that fit its tables.
type layout struct {
	events, figures string
	partitioned     bool // delivery_events is, by PostgreSQL's own means
	newer           bool // the schema had migrations that this release does not know
}

// prepare makes sure that the schema is there, and looks at it, unless that was done.
func (s *Sink) prepare(ctx context.Context) (*layout, error) {
	if known := s.known.Load(); known != nil {
		return known, nil
	}
	select {
	case s.preparing <- struct{}{}:
		defer func() { <-s.preparing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if known := s.known.Load(); known != nil {
		return known, nil
	}
	version, err := s.bringUp(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	found.newer = version > newest()
	s.known.Store(found)
	return found, nil
}

// forget makes the next write look at the schema anew. It tells whether the schema was newer than this release.
func (s *Sink) forget() (newer bool) {
	known := s.known.Swap(nil)
	return known != nil && known.newer
}

// bringUp migrates the schema, if it is for us to do, and returns its version.
func (s *Sink) bringUp(ctx context.Context) (version int64, err error) {
	version, err = s.version(ctx)
	if err != nil || version >= newest() {
		return version, err
	}
	if !s.migrate {
		return version, retry(sink.SchemaTooOld, "schema %s is at version %d, and %d is needed; %s", s.schema, version, newest(), s.mend())
	}
	return newest(), s.up(ctx)
}

// mend says who has to do what about a schema that is too old.
func (s *Sink) mend() string {
	if s.migrate {
		return "the next attempt migrates it, unless " + versions + " says that this was done"
	}
	return "an administrator runs what `dora-controller migrate --print` prints, or the sink's migrations are set to Run"
}

// version is the number of the newest migration that the schema has had; 0 is none.
func (s *Sink) version(ctx context.Context) (version int64, err error) {
	noted := table(s.schema, versions)
	err = s.read(ctx, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", noted).Scan(&there); err != nil || !there {
			return err
		}
		return tx.QueryRow(ctx, "SELECT coalesce(max(version_id) FILTER (WHERE is_applied), 0) FROM "+noted).Scan(&version)
	})
	return version, err
}

// read runs queries in a transaction, which holds the settings that keep it short.
func (s *Sink) read(ctx context.Context, queries func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: begin}, queries)
}

// keys tells whether a table is partitioned, and which of two keys it has: unique indexes without conditions on exactly those columns.
const keys = `
SELECT c.relkind = 'p', coalesce(bool_or(k.columns = '{id}'), false), coalesce(bool_or(k.columns = '{id,occurred_at}'), false)
FROM pg_class c
LEFT JOIN LATERAL (
	SELECT (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a
		WHERE a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) AS columns
	FROM pg_index i
	WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
) k ON true
WHERE c.oid = to_regclass($1)
GROUP BY c.relkind`

// look finds out how delivery_events was made.
func (s *Sink) look(ctx context.Context) (*layout, error) {
	var partitioned, byID, byTime bool
	err := s.read(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, keys, table(s.schema, "delivery_events")).Scan(&partitioned, &byID, &byTime)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, retry(sink.SchemaTooOld, "schema %s has no table delivery_events, though its migrations were noted; %s", s.schema, s.mend())
	}
	if err != nil {
		return nil, err
	}
	if !byID && !byTime {
		return nil, retry(sink.SchemaTooOld, "delivery_events has no unique index on (id), nor on (id, occurred_at): it has to have one of them")
	}
	return &layout{events: eventStatement(s.schema, !byID), figures: figureStatement(s.schema), partitioned: partitioned}, nil
}

// up runs the migrations that the schema has not had. Whoever else wants to waits.
func (s *Sink) up(ctx context.Context) (err error) {
	if err := s.makeSchema(ctx); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 60), lock.WithUnlockTimeout(1, 1))
	if err != nil {
		return err
	}
	noted, err := database.NewStore(database.DialectPostgres, table(s.schema, versions))
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider("", db, Migrations(),
		goose.WithStore(store{noted}), goose.WithSessionLocker(session{locker, s.schema}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("cannot read the embedded migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	return err
}

// makeSchema makes the schema, if it is not there. IF NOT EXISTS would ask for the privilege even then.
func (s *Sink) makeSchema(ctx context.Context) error {
	return s.read(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)+1); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL", quote(s.schema)).Scan(&there); err != nil || there {
			return err
		}
		_, err := tx.Exec(ctx, "CREATE SCHEMA "+quote(s.schema))
		return err
	})
}

// store notes migrations in a table whose name is quoted, for a schema may be called user.
type store struct{ database.Store }

// TableExists implements database.StoreExtender.
func (s store) TableExists(ctx context.Context, db database.DBTxConn) (there bool, err error) {
	err = db.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", s.Tablename()).Scan(&there)
	return there, err
}

// session is the lock of a migration, and the settings of the connection that holds it and runs it.
type session struct {
	lock.SessionLocker

	schema string
}

// SessionLock implements lock.SessionLocker.
func (s session) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if err := s.SessionLocker.SessionLock(ctx, conn); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, "SET search_path TO "+quote(s.schema)+", pg_temp; SET lock_timeout = '5s'; SET statement_timeout = '5min'")
	if err != nil {
		err = errors.Join(err, s.SessionUnlock(context.WithoutCancel(ctx), conn))
	}
	return err
}

// SessionUnlock implements lock.SessionLocker.
func (s session) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	_, err := conn.ExecContext(ctx, "RESET search_path; RESET lock_timeout; RESET statement_timeout")
	return errors.Join(err, s.SessionLocker.SessionUnlock(ctx, conn))
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func schemaOr(name string) string { return cmp.Or(name, "public") }
