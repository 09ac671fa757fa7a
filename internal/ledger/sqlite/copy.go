package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
)

// Copy writes a whole ledger as it is at one moment into a file, which must be new or empty, also while another process writes the ledger. What it
// leaves is one file without a log beside it.
func Copy(ctx context.Context, from, to string) error {
	from, err := locate(from)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(from, "ro"))
	if err != nil {
		return fmt.Errorf("cannot open ledger %s: %w", from, err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	if err := readable(ctx, db, from); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("cannot copy the ledger: %w", err)
	}
	return syncFile(to)
}

// syncFile has a file written to its disk.
func syncFile(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0) //nolint:gosec // the operator's own choice
	if err != nil {
		return fmt.Errorf("cannot copy the ledger: %w", err)
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return fmt.Errorf("cannot copy the ledger: %w", err)
	}
	return f.Close()
}
