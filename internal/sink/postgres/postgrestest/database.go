package postgrestest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// Database is a database of one test, and the role that owns it.
type Database struct {
	Host     string
	Port     int
	Name     string
	User     string
	Password string
}

// password is as hard to hide as passwords get: in an address it is written differently.
var password = sinktest.Secret("p@ss/w%20rd 'ü\"")

// Database makes an empty database, owned by a role of its own that may do nothing else. Both are gone when the test ends.
func (s *Server) Database(tb testing.TB) Database {
	tb.Helper()
	s.mu.Lock()
	s.databases++
	name := fmt.Sprintf("test_%d", s.databases)
	s.mu.Unlock()
	d := Database{Host: Host, Port: s.Port, Name: name, User: s.Role(tb, name, ""), Password: password}
	admin := s.Connect(tb, "postgres")
	Exec(tb, admin, "CREATE DATABASE "+quoted(name)+" OWNER "+quoted(d.User))
	tb.Cleanup(func() { s.undo(tb, "DROP DATABASE IF EXISTS "+quoted(name)+" WITH (FORCE)") })
	return d
}

// Role makes a role that can sign in with the password of all roles of tests, and returns its name. It is a member of the group, if one is
// named: Certificate or Encrypted. The role is gone when the test ends; what it owns has to be so before.
func (s *Server) Role(tb testing.TB, name, group string) string {
	tb.Helper()
	admin := s.Connect(tb, "postgres")
	Exec(tb, admin, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD %s", quoted(name), literal(password)))
	tb.Cleanup(func() { s.undo(tb, "DROP ROLE IF EXISTS "+quoted(name)) })
	if group != "" {
		Exec(tb, admin, fmt.Sprintf("DO $$ BEGIN CREATE ROLE %[1]s; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT %[1]s TO %[2]s",
			quoted(group), quoted(name)))
	}
	return name
}

// undo runs a statement at the end of a test, when nothing more can be cleaned up after.
func (s *Server) undo(tb testing.TB, statement string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Within)
	defer cancel()
	conn, err := s.connect(ctx, "postgres", map[string]string{"default_transaction_read_only": "off"})
	if err != nil {
		tb.Fatalf("cannot connect to PostgreSQL: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	Exec(tb, conn, statement)
}

// Password is that of every role of tests.
func Password() string { return password }

// literal is a text as a statement has it.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
