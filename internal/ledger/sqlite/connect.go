package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
)

// dsn names a file with its connection settings. The path is escaped, so that no character of it turns into a setting.
func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// openWriting opens the one connection that writes. The file exists already, with the mode that we gave it.
func openWriting(ctx context.Context, path string, pragmas []string) (*sql.DB, error) {
	pragmas = append([]string{
		"journal_mode(WAL)",
		"synchronous(FULL)", // in WAL mode: sync the log at each commit, not only at checkpoints
		"foreign_keys(1)",
		"journal_size_limit(67108864)", // give back what a long read made the log grow to
	}, pragmas...)
	db, err := sql.Open("sqlite", dsn(path, "rw", pragmas...))
	if err != nil {
		return nil, fmt.Errorf("cannot open ledger %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	if err := usesWAL(ctx, db, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := migrate(ctx, db, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// usesWAL asks, because SQLite keeps the old mode without an error where the file system cannot share memory.
func usesWAL(ctx context.Context, db *sql.DB, path string) error {
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return fmt.Errorf("cannot open ledger %s: %w", path, err)
	}
	if mode != "wal" {
		return fmt.Errorf("cannot use a write-ahead log for ledger %s (SQLite chose %q): put it on a local disk", path, mode)
	}
	return nil
}

// openReading opens the pool that reads. It is not bounded: a reader that streams events may read something else
// meanwhile, and a bound would let such readers wait for each other.
func openReading(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, "ro", "query_only(1)"))
	if err != nil {
		return nil, fmt.Errorf("cannot open ledger %s: %w", path, err)
	}
	db.SetMaxIdleConns(4)
	return db, nil
}
