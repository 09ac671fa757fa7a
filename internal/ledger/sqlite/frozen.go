package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Frozen is a ledger that is only read, and that nobody writes meanwhile.
type Frozen struct {
	*ReadOnly

	lock *fileLock
}

// OpenFrozen opens an existing ledger for reading, as OpenReadOnly does, and keeps every process from writing it until it is closed. It
// fails with ledger.ErrInUse while one does. A file that no process of this machine has ever opened, such as a backup, is not locked.
func OpenFrozen(ctx context.Context, path string) (*Frozen, error) {
	path, err := locate(path)
	if err != nil {
		return nil, err
	}
	f := &Frozen{}
	if _, err := os.Stat(path + ".lock"); err == nil {
		if f.lock, err = lockFile(path); err != nil {
			return nil, err
		}
	}
	if f.ReadOnly, err = OpenReadOnly(ctx, path); err != nil {
		return nil, errors.Join(err, f.unlock())
	}
	return f, nil
}

// Close ends the reading, and lets others write.
func (f *Frozen) Close() error { return errors.Join(f.ReadOnly.Close(), f.unlock()) }

func (f *Frozen) unlock() error {
	if f.lock == nil {
		return nil
	}
	return f.lock.release()
}

// Numbers are those that go on where they were.
func (f *Frozen) Numbers(ctx context.Context) (n ledger.Numbers, err error) {
	const last = `COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '`
	err = f.db.QueryRowContext(ctx, `SELECT revision, since, `+last+`events'), 0), `+last+`decisions'), 0), `+last+`deliveries'), 0) FROM ledger`).
		Scan(&n.Revision, &n.Since, &n.Event, &n.Decision, &n.Delivery)
	if err != nil {
		return n, f.failed("cannot read the ledger's numbers", err)
	}
	return n, nil
}

// Rows are those of a table from one on, in the order of its key.
func (f *Frozen) Rows(ctx context.Context, table ledger.Table, from int64) ledger.Rows {
	return func(yield func([]any, error) bool) {
		found, err := f.db.QueryContext(ctx, `SELECT `+strings.Join(table.Columns, ", ")+` FROM `+table.Name+ //nolint:gosec // constants of ledger.Tables
			` ORDER BY `+strings.Join(table.Key, ", ")+` LIMIT -1 OFFSET ?`, from)
		if err != nil {
			yield(nil, f.failed("cannot read "+table.Name, err))
			return
		}
		defer func() { _ = found.Close() }() // what matters is in found.Err
		for found.Next() {
			row, err := scanRow(found, len(table.Columns))
			if !yield(row, err) || err != nil {
				return
			}
		}
		if err := found.Err(); err != nil {
			yield(nil, f.failed("cannot read "+table.Name, err))
		}
	}
}

func scanRow(found *sql.Rows, columns int) ([]any, error) {
	row, into := make([]any, columns), make([]any, columns)
	for i := range row {
		into[i] = &row[i]
	}
	if err := found.Scan(into...); err != nil {
		return nil, fmt.Errorf("cannot read a row: %w", err)
	}
	return row, nil
}
