package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// errLost: the whole transaction is gone, as after a full disk, and not only the statement that failed.
var errLost = errors.New("the transaction was lost")

// connection is the one that writes, with the transaction that is open on it. Only the writer's goroutine uses it.
// Its statements run without a context: what was begun is finished, and no interrupt can hit a neighbour in the group.
type connection struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	now        func() time.Time

	// sinks are known to have a row. Forgotten with every rollback, which may have taken a row back.
	sinks map[string]bool
	// grown counts the changes of the open transaction by which the revision grows.
	grown int64
}

func newConnection(ctx context.Context, db *sql.DB, now func() time.Time) (*connection, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot open the writing connection: %w", err)
	}
	return &connection{conn: conn, statements: map[string]*sql.Stmt{}, now: now, sinks: map[string]bool{}}, nil
}

// exec runs a statement, prepared at its first use. The texts are constants, so their number is bounded.
func (c *connection) exec(query string, args ...any) (sql.Result, error) {
	statement, err := c.prepare(query) //nolint:sqlclosecheck // it is kept for the next time; close closes it
	if err != nil {
		return nil, err
	}
	return statement.ExecContext(context.Background(), args...)
}

// affected runs a statement and says how many rows it changed.
func (c *connection) affected(query string, args ...any) (int64, error) {
	result, err := c.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (c *connection) prepare(query string) (*sql.Stmt, error) {
	if statement, ok := c.statements[query]; ok {
		return statement, nil
	}
	statement, err := c.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare a statement: %w", err)
	}
	c.statements[query] = statement
	return statement, nil
}

func (c *connection) begin() error {
	c.grown = 0
	if _, err := c.exec(`BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("cannot begin: %w", err)
	}
	return nil
}

// attempt runs one unit inside a savepoint and takes back what a failed one did. It returns errLost if that is no longer
// possible.
func (c *connection) attempt(run func(*connection) error) error {
	if _, err := c.exec(`SAVEPOINT unit`); err != nil {
		return errors.Join(errLost, err)
	}
	grown := c.grown
	err := run(c)
	if err != nil {
		c.grown = grown
		clear(c.sinks)
		if _, undo := c.exec(`ROLLBACK TO unit`); undo != nil {
			return errors.Join(errLost, err)
		}
	}
	if _, release := c.exec(`RELEASE unit`); release != nil {
		return errors.Join(errLost, err, release)
	}
	return err
}

// commit writes the revision once for all changes of the transaction and syncs them.
func (c *connection) commit() error {
	if c.grown > 0 {
		_, err := c.exec(`UPDATE ledger SET revision = revision + ?, since = COALESCE(since, ?)`, c.grown, c.now().UnixMicro())
		if err != nil {
			return fmt.Errorf("cannot grow the revision: %w", err)
		}
	}
	if _, err := c.exec(`COMMIT`); err != nil {
		return fmt.Errorf("cannot commit: %w", err)
	}
	return nil
}

// rollback ends a transaction that cannot be committed. SQLite may have ended it itself, and then says so: no error here.
func (c *connection) rollback() {
	clear(c.sinks)
	_, _ = c.exec(`ROLLBACK`)
}

func (c *connection) close() error {
	errs := make([]error, 0, len(c.statements)+1)
	for _, statement := range c.statements {
		errs = append(errs, statement.Close())
	}
	if err := errors.Join(append(errs, c.conn.Close())...); err != nil {
		return fmt.Errorf("cannot close the writing connection: %w", err)
	}
	return nil
}
