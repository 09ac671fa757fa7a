package eventtable

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

// Name is what the table is called.
const Name = "delivery_events"

// Begin starts a transaction that waits for nobody for long. What a role or a database sets otherwise does not matter.
const Begin = `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = '30s'; SET LOCAL lock_timeout = '3s'`

//go:embed migrations/*.sql
var embedded embed.FS

// Versions is the table in which the migrations are noted that a schema has had.
const Versions = "dora_schema_version"

// MigrationLock keeps two from migrating a database at once: "dora" in ASCII.
const MigrationLock = 0x646f7261

// Migrations are the steps that make the schema, as goose reads them. Their names have no schema: whoever runs them sets search_path.
func Migrations() fs.FS {
	steps, err := fs.Sub(embedded, "migrations")
	if err != nil { // only for a name that is no path
		return embedded
	}
	return steps
}

// Newest is the number of the newest migration.
func Newest() int64 {
	var last int64
	names, err := fs.Glob(embedded, "migrations/*.sql")
	if err != nil {
		return 0
	}
	for _, name := range names {
		last = max(last, Number(name))
	}
	return last
}

// Number is that of a migration, by the name of its file.
func Number(file string) int64 {
	digits, _, _ := strings.Cut(file[strings.LastIndex(file, "/")+1:], "_")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Version is the number of the newest migration that a schema has had, by the table in which they are noted; 0 is none.
func Version(ctx context.Context, tx pgx.Tx, schema, noted string) (version int64, err error) {
	noted = Table(schema, noted)
	var there bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", noted).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = tx.QueryRow(ctx, "SELECT coalesce(max(version_id) FILTER (WHERE is_applied), 0) FROM "+noted).Scan(&version)
	return version, err
}

// Layout is how the table was made.
type Layout struct {
	Partitioned  bool // by PostgreSQL's own means
	ByID, ByTime bool // whether there is a key on (id), and on (id, occurred_at)
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

// Look finds out how the table was made; pgx.ErrNoRows if there is none.
func Look(ctx context.Context, tx pgx.Tx, schema string) (l Layout, err error) {
	err = tx.QueryRow(ctx, keys, Table(schema, Name)).Scan(&l.Partitioned, &l.ByID, &l.ByTime)
	return l, err
}

// Steps are migrations, and the table in which those are noted that a schema has had.
type Steps struct {
	Files    fs.FS
	Versions string
}

// Own are the steps of this table.
func Own() Steps { return Steps{Migrations(), Versions} }

// Migrate makes a schema, if it is not there, and runs the migrations that it has not had. Whoever else wants to waits.
func Migrate(ctx context.Context, pool *pgxpool.Pool, schema string, steps Steps) (err error) {
	if err := makeSchema(ctx, pool, schema); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(MigrationLock), lock.WithLockTimeout(1, 60), lock.WithUnlockTimeout(1, 1))
	if err != nil {
		return err
	}
	noted, err := database.NewStore(database.DialectPostgres, Table(schema, steps.Versions))
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider("", db, steps.Files,
		goose.WithStore(store{noted}), goose.WithSessionLocker(session{locker, schema}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("cannot read the embedded migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	return err
}

// makeSchema makes the schema, if it is not there. IF NOT EXISTS would ask for the privilege even then.
func makeSchema(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: Begin}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(MigrationLock)+1); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL", Quote(schema)).Scan(&there); err != nil || there {
			return err
		}
		_, err := tx.Exec(ctx, "CREATE SCHEMA "+Quote(schema))
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

// unlockWithin bounds what is done at the end of a migration.
const unlockWithin = 10 * time.Second

// ErrLocked says that somebody else has held the lock of migrations all the while, as one does whose migration changes a large table.
var ErrLocked = errors.New("somebody else is migrating the database")

// answerWithin bounds the question whether a connection still answers.
const answerWithin = time.Second

// session is the lock of a migration, and the settings of the connection that holds it and runs it.
type session struct {
	lock.SessionLocker

	schema string
}

// SessionLock implements lock.SessionLocker.
func (s session) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if err := s.SessionLocker.SessionLock(ctx, conn); err != nil {
		return waited(ctx, conn, err)
	}
	_, err := conn.ExecContext(ctx, "SET search_path TO "+Quote(s.schema)+", pg_temp; SET lock_timeout = '5s'; SET statement_timeout = '5min'")
	if err != nil {
		err = errors.Join(err, s.SessionUnlock(context.WithoutCancel(ctx), conn))
	}
	return err
}

// waited says why the lock was not had. While the connection answers, it was asked for in vain, however long there was time to.
func waited(ctx context.Context, conn *sql.Conn, err error) error {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	if conn.PingContext(asking) != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLocked, err)
}

// SessionUnlock implements lock.SessionLocker.
func (s session) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, unlockWithin)
	defer cancel()
	_, err := conn.ExecContext(ctx, "RESET search_path; RESET lock_timeout; RESET statement_timeout")
	return errors.Join(err, s.SessionLocker.SessionUnlock(ctx, conn))
}
