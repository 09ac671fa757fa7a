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

// session is the connection that writes, with the transaction that is open on it. Only the writer's goroutine uses it.
// Its statements run without a context: what was begun is finished, and no interrupt can hit a neighbour in the group.
type session struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	now        func() time.Time

	// sinks are known to have a row. Forgotten with every rollback, which may have taken a row back.
	sinks map[string]bool
	// grown counts the changes of the open transaction by which the revision grows.
	grown int64
}

func newSession(ctx context.Context, db *sql.DB, now func() time.Time) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot open the writing connection: %w", err)
	}
	return &session{conn: conn, statements: map[string]*sql.Stmt{}, now: now, sinks: map[string]bool{}}, nil
}

// exec runs a statement, prepared at its first use. The texts are constants, so their number is bounded.
func (s *session) exec(query string, args ...any) (sql.Result, error) {
	statement, err := s.prepare(query)
	if err != nil {
		return nil, err
	}
	return statement.ExecContext(context.Background(), args...)
}

// affected runs a statement and says how many rows it changed.
func (s *session) affected(query string, args ...any) (int64, error) {
	result, err := s.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *session) prepare(query string) (*sql.Stmt, error) {
	if statement, ok := s.statements[query]; ok {
		return statement, nil
	}
	statement, err := s.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare a statement: %w", err)
	}
	s.statements[query] = statement
	return statement, nil
}

func (s *session) begin() error {
	s.grown = 0
	if _, err := s.exec(`BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("cannot begin: %w", err)
	}
	return nil
}

// attempt runs one unit inside a savepoint and takes back what a failed one did. It returns errLost if that is no longer
// possible.
func (s *session) attempt(run func(*session) error) error {
	if _, err := s.exec(`SAVEPOINT unit`); err != nil {
		return errors.Join(errLost, err)
	}
	grown := s.grown
	err := run(s)
	if err != nil {
		s.grown = grown
		clear(s.sinks)
		if _, undo := s.exec(`ROLLBACK TO unit`); undo != nil {
			return errors.Join(errLost, err)
		}
	}
	if _, release := s.exec(`RELEASE unit`); release != nil {
		return errors.Join(errLost, err, release)
	}
	return err
}

// commit writes the revision once for all changes of the transaction and syncs them.
func (s *session) commit() error {
	if s.grown > 0 {
		_, err := s.exec(`UPDATE ledger SET revision = revision + ?, since = COALESCE(since, ?)`, s.grown, s.now().UnixMicro())
		if err != nil {
			return fmt.Errorf("cannot grow the revision: %w", err)
		}
	}
	if _, err := s.exec(`COMMIT`); err != nil {
		return fmt.Errorf("cannot commit: %w", err)
	}
	return nil
}

// rollback ends a transaction that cannot be committed. SQLite may have ended it itself, and then says so: no error here.
func (s *session) rollback() {
	clear(s.sinks)
	_, _ = s.exec(`ROLLBACK`)
}

func (s *session) close() error {
	var errs []error
	for _, statement := range s.statements {
		errs = append(errs, statement.Close())
	}
	if err := errors.Join(append(errs, s.conn.Close())...); err != nil {
		return fmt.Errorf("cannot close the writing connection: %w", err)
	}
	return nil
}
