package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

// schemaVersion is the number of the newest embedded migration.
const schemaVersion = 7

// applicationID marks a SQLite file as a ledger: "dora" in ASCII. The first migration writes it.
const applicationID = 0x646f7261

// migrate brings the schema up to schemaVersion, each step in a transaction of its own.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	steps, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return fmt.Errorf("cannot read the embedded migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, steps)
	if err != nil {
		return fmt.Errorf("cannot read the embedded migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("cannot migrate ledger %s: %w", path, err)
	}
	return nil
}
