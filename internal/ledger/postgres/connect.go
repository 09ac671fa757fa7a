package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

const (
	connectWithin = 10 * time.Second
	// Readers stream while they work on what they read, and each holds a connection meanwhile.
	readers = 8
	// answerWithin bounds a query that reads, whatever else its context allows; it counts from when a connection is asked for.
	answerWithin = 5 * time.Minute
	// writeWithin bounds all that one transaction does. With the patience of a writer, and what waits behind another group, it is to be less than
	// what a step of those who wait may take (progress.Spare).
	writeWithin = 30 * time.Second
	// answerSoon bounds each step of opening but a migration, which may have large tables to change: the server itself bounds each of its
	// statements by five minutes. Several hosts of a URL may be tried meanwhile, each for as long as a connection may take.
	answerSoon    = time.Minute
	migrateWithin = time.Hour
)

// IsURL tells whether what names a ledger is a URL of a database, and no path. Case is of no matter in a scheme.
func IsURL(location string) bool {
	scheme, _, found := strings.Cut(location, "://")
	return found && (strings.EqualFold(scheme, "postgres") || strings.EqualFold(scheme, "postgresql"))
}

// CheckURL says what is wrong with the URL of a ledger, without repeating it.
func CheckURL(location string) error {
	_, _, err := parse(location)
	return err
}

var (
	errURL = errors.New("the ledger's URL cannot be read: write it as postgres://user@host:5432/database?sslmode=verify-full")
	// errPassword: what stands on a command line is for all to see.
	errPassword = errors.New("the ledger's URL holds a password, which anybody can read who sees the process or the Deployment: " +
		"leave it out, and set PGPASSWORD, or PGPASSFILE to a file in libpq's form")
	errSchema = errors.New("search_path of the ledger's URL names one schema, of lower-case letters, digits and '_', such as dora")
)

// plainName is what a schema may be called.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// parse reads a URL as libpq does, with what it leaves out from the environment. Nothing of it gets into an error.
func parse(location string) (config *pgxpool.Config, schema string, err error) {
	address, err := url.Parse(location)
	if err != nil || !IsURL(location) {
		return nil, "", errURL
	}
	if _, has := address.User.Password(); has || address.Query().Has("password") || address.Query().Has("sslpassword") {
		return nil, "", errPassword
	}
	_, rest, _ := strings.Cut(location, "://")
	if config, err = pgxpool.ParseConfig("postgres://" + rest); err != nil {
		return nil, "", unread(err)
	}
	schema = "public"
	if named, ok := config.ConnConfig.RuntimeParams["search_path"]; ok {
		schema = named
	}
	if !plainName.MatchString(schema) {
		return nil, "", errSchema
	}
	settle(config, schema)
	return config, schema, nil
}

// unread says why a URL is refused: a file that it or the environment names may be missing. Of all else pgx quotes the URL.
func unread(err error) error {
	if missing, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("a file that the ledger's URL names, or the environment, cannot be read: %w", missing)
	}
	return errURL
}

// settle sets what a connection of the ledger needs, whatever a role or a database has otherwise.
func settle(config *pgxpool.Config, schema string) {
	c := config.ConnConfig
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectWithin {
		c.ConnectTimeout = connectWithin
	}
	maps.Copy(c.RuntimeParams, map[string]string{
		"search_path": schema + ", pg_temp", "application_name": "dora-controller", "client_encoding": "UTF8", "TimeZone": "UTC",
		"statement_timeout": milliseconds(answerWithin), "lock_timeout": "10000", "idle_in_transaction_session_timeout": "30000",
		"default_transaction_isolation": "read committed", "standard_conforming_strings": "on",
	})
	c.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	if c.ValidateConnect == nil && len(c.Fallbacks) > 0 {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // of several hosts, the one that takes writes
	}
	config.MaxConns, config.MinConns = readers, 0
	config.MaxConnLifetime, config.MaxConnLifetimeJitter, config.MaxConnIdleTime = time.Hour, 5*time.Minute, 10*time.Minute
	config.PingTimeout = 5 * time.Second
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Admits connects once, and fails where the ledger's role could not work there: a wrong password, no such role, rule or database, a right that it
// lacks, or no connection that is as safe as the URL wants it. A server that cannot be reached, or takes no more connections, says nothing of that.
func Admits(ctx context.Context, location string) error {
	config, schema, err := parse(location)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return refusal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := permitted(ctx, conn, schema, false); errors.Is(err, ErrRights) {
		return fmt.Errorf("the ledger cannot be opened: %w", err)
	}
	return nil
}

// refusal is what somebody has to mend of a connection that was not had; nil if there is nothing.
func refusal(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		if !slices.Contains([]string{"28000", "28P01", "3D000", "42501"}, refused.Code) {
			return nil
		}
		return fmt.Errorf("the ledger cannot be opened: %w", &serverError{refused})
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the ledger cannot be opened: its server's certificate is not trusted, mend sslrootcert or sslmode: %w", certificate)
	}
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return fmt.Errorf("the ledger cannot be opened: its server refuses the encrypted connection: %w", alert)
	}
	if strings.Contains(err.Error(), "server refused TLS connection") { // pgx has no type for it
		return errors.New("the ledger cannot be opened: its server does not encrypt connections, as sslmode wants it: mend the server, or sslmode")
	}
	return nil
}

// pools are one connection that writes, which no reader can take away, and some that read.
type pools struct{ writing, reading *pgxpool.Pool }

func connect(ctx context.Context, config *pgxpool.Config) (*pools, error) {
	reading, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("cannot set up connections: %w", err)
	}
	config = config.Copy()
	config.MaxConns = 2 // a migration holds a lock with one of them
	writing, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		reading.Close()
		return nil, fmt.Errorf("cannot set up connections: %w", err)
	}
	return &pools{writing: writing, reading: reading}, nil
}

func (p *pools) close() {
	p.writing.Close()
	p.reading.Close()
}

func inTransaction(ctx context.Context, pool *pgxpool.Pool, run func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, pool, run)
}

// lost tells whether a transaction that ended so was not refused for what it says, and may be run again: the server went away or took
// no more connections, it picked this one as the victim of a deadlock, or somebody held a lock for too long.
func lost(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err != nil && !errors.Is(err, ledger.ErrFenced)
	}
	switch {
	case strings.HasPrefix(refused.Code, "08"), strings.HasPrefix(refused.Code, "40"), strings.HasPrefix(refused.Code, "57P"):
		return true
	case refused.Code == "53300", refused.Code == "55P03", refused.Code == "57014", refused.Code == "25006", refused.Code == "25P03":
		return true // too many connections, no lock in time, no answer in time, a standby, idle for too long
	}
	return false
}

// explained leaves out what pgx writes into some errors: users and addresses, and details that quote rows.
func explained(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		if !lost(refused) {
			return &serverError{refused}
		}
		return fmt.Errorf("%w: %w", ledger.ErrUnreachable, &serverError{refused})
	}
	if unconnected, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("%w: %w", ledger.ErrUnreachable, unconnected.Unwrap())
	}
	return err
}

// serverError is what a server said, without its details.
type serverError struct{ refused *pgconn.PgError }

func (e *serverError) Error() string {
	return fmt.Sprintf("the database says: %s (SQLSTATE %s)", e.refused.Message, e.refused.Code)
}

func (e *serverError) Unwrap() error { return e.refused }
