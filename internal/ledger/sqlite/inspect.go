package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// mend is what to do about a damaged ledger. What it held can mostly be had again: the current state of each subject is
// read anew, and only events that Argo no longer tells are lost.
const mend = "restore it from a backup together with its -wal file, or move both away to begin a new ledger"

// inspect judges a file through a connection that cannot write, so that whatever it finds is left as it is. A writing
// connection would already have moved the log into the file.
func inspect(ctx context.Context, path string) (err error) {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 { //nolint:gosec // the operator's own setting
		return err // an empty file is a new ledger
	}
	db, err := openReading(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := whole(ctx, db, path); err != nil {
		return err
	}
	version, err := version(ctx, db, path)
	if err == nil && version > schemaVersion {
		return newer(path, version)
	}
	return err
}

// readable judges a file that another process may be writing; the check of the whole file is left to that process.
func readable(ctx context.Context, db *sql.DB, path string) error {
	version, err := version(ctx, db, path)
	switch {
	case err != nil:
		return err
	case version > schemaVersion:
		return newer(path, version)
	case version < schemaVersion:
		return fmt.Errorf("ledger %s has schema %d, but this release reads %d: start its controller once to migrate it",
			path, version, schemaVersion)
	}
	return nil
}

func newer(path string, version int64) error {
	return fmt.Errorf("%w: %s has schema %d, but this release knows up to %d; run the release that wrote it, or a later one",
		ledger.ErrNewerSchema, path, version, schemaVersion)
}

// whole reads every page. It costs about as long as reading the file.
func whole(ctx context.Context, db *sql.DB, path string) error {
	rows, err := db.QueryContext(ctx, `PRAGMA quick_check(3)`)
	if err != nil {
		return damaged(path, err)
	}
	defer func() { _ = rows.Close() }() // what matters is in rows.Err
	var findings []string
	for rows.Next() {
		var finding string
		if err := rows.Scan(&finding); err != nil {
			return damaged(path, err)
		}
		findings = append(findings, finding)
	}
	if err := rows.Err(); err != nil {
		return damaged(path, err)
	}
	if said := strings.Join(findings, "; "); said != "ok" {
		return fmt.Errorf("%w: %s: %s; %s", ledger.ErrCorrupt, path, said, mend)
	}
	return nil
}

// damaged tells damage from other errors, such as a missing permission.
func damaged(path string, err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code()&0xff == lib.SQLITE_NOTADB || e.Code()&0xff == lib.SQLITE_CORRUPT) {
		return fmt.Errorf("%w: %s: %w; %s", ledger.ErrCorrupt, path, err, mend)
	}
	return fmt.Errorf("cannot read ledger %s: %w", path, err)
}

// version is the schema version of a ledger; 0 if a crash came before the first migration.
func version(ctx context.Context, db *sql.DB, path string) (int64, error) {
	var application, others, versioned int64
	err := db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT COUNT(*) FROM sqlite_schema WHERE name NOT IN ('goose_db_version', 'sqlite_sequence')),
		(SELECT COUNT(*) FROM sqlite_schema WHERE name = 'goose_db_version')`).Scan(&application, &others, &versioned)
	switch {
	case err != nil:
		return 0, damaged(path, err)
	case application != applicationID && others > 0:
		return 0, fmt.Errorf("%s is a SQLite file, but no ledger: give the ledger a path of its own", path)
	case versioned == 0:
		return 0, nil
	}
	var version int64
	if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`).Scan(&version); err != nil {
		return 0, damaged(path, err)
	}
	return version, nil
}
