package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// reasons say what the codes of PostgreSQL stand for, by the whole code or by its class.
// https://www.postgresql.org/docs/current/errcodes-appendix.html lists them.
var reasons = map[string]sink.Reason{
	"08":    sink.Unreachable,        // connection_exception
	"25006": sink.ReadOnly,           // read_only_sql_transaction
	"28":    sink.CredentialsRefused, // invalid_authorization_specification
	"3D000": sink.SchemaTooOld,       // invalid_catalog_name: no such database
	"3F000": sink.SchemaTooOld,       // invalid_schema_name
	"42501": sink.CredentialsRefused, // insufficient_privilege
	"42703": sink.SchemaTooOld,       // undefined_column
	"42804": sink.SchemaTooOld,       // datatype_mismatch
	"42883": sink.SchemaTooOld,       // undefined_function, such as a comparison of columns of another type
	"42P01": sink.SchemaTooOld,       // undefined_table
	"42P10": sink.SchemaTooOld,       // invalid_column_reference: no unique index for ON CONFLICT
	"42P17": sink.SchemaTooOld,       // invalid_object_definition: partitions overlap
	"53100": sink.Full,               // disk_full
	"57P":   sink.Unreachable,        // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped
}

// blame are the classes of codes that the rows themselves are to blame for.
var blame = map[string]bool{
	"22": true, // data_exception
	"23": true, // integrity_constraint_violation
	"54": true, // program_limit_exceeded, such as a text too long for an index
}

func reasonOf(code string) sink.Reason {
	for _, length := range []int{5, 3, 2} {
		if reason, ok := reasons[code[:min(length, len(code))]]; ok {
			return reason
		}
	}
	return sink.Failing
}

// judge says what an error of a statement that writes rows means for them.
func (s *Sink) judge(err error, found *layout) error {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !blame[refused.Code[:min(2, len(refused.Code))]] {
		return s.explain(err)
	}
	if found.newer { // perhaps a rule that this release does not know of
		return retry(sink.SchemaTooNew, "a newer release has changed the schema, and %s", s.said(refused))
	}
	return &sink.PermanentError{Err: sink.Because(sink.Refused, errors.New(s.said(refused)))}
}

// explain says what is to be done about an error, and forgets what it proves wrong. Nothing of the error itself is kept: pgx writes users
// and addresses into some, and whole statements.
func (s *Sink) explain(err error) error {
	if _, done := errors.AsType[*sink.RetryableError](err); done {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("cannot write to the database: %w", context.Canceled)
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return s.explainRefusal(refused)
	}
	if errors.Is(err, eventtable.ErrLocked) {
		return retry(sink.Failing, "%w, which the next attempt waits for too", eventtable.ErrLocked)
	}
	return s.explainConnection(err)
}

func (s *Sink) explainRefusal(refused *pgconn.PgError) error {
	reason, said := reasonOf(refused.Code), s.said(refused)
	switch {
	case reason == sink.SchemaTooOld && s.forget():
		return retry(sink.SchemaTooNew, "a newer release has changed the schema, and %s", said)
	case refused.Code == "3D000":
		return retry(reason, "%s; an administrator makes it", said)
	case reason == sink.SchemaTooOld:
		return retry(reason, "%s; %s", said, s.mend())
	case reason == sink.ReadOnly:
		s.pool.Reset() // another of the hosts may take writes by now
	case refused.Code == "42501":
		return retry(reason, "%s; an administrator grants it: %s", said, s.grants())
	case refused.Code == "55P03":
		return retry(reason, "%s: somebody else holds a lock on a table", said)
	}
	return retry(reason, "%s", said)
}

// said is what the server said, fit to be shown. Its details stay out: they quote rows.
func (s *Sink) said(refused *pgconn.PgError) string {
	return fmt.Sprintf("the server says: %s (SQLSTATE %s)", sink.Quote(refused.Message, s.secrets...), sink.Quote(refused.Code))
}

// grants are the privileges that the role needs.
func (s *Sink) grants() string {
	schema := eventtable.Quote(s.schema)
	text := fmt.Sprintf("GRANT USAGE ON SCHEMA %[1]s, GRANT SELECT, INSERT, UPDATE ON %[2]s, %[3]s and GRANT SELECT ON %[4]s to the role, "+
		"and DELETE ON %[2]s too if its key holds occurred_at", schema,
		eventtable.Table(s.schema, "delivery_events"), eventtable.Table(s.schema, "dora_metrics"), eventtable.Table(s.schema, eventtable.Versions))
	if s.migrate {
		text += fmt.Sprintf("; or, to migrate, GRANT CREATE ON SCHEMA %s, or ON DATABASE where there is no such schema", schema)
	}
	return text
}

// explainConnection is about errors that no server has a code for.
func (s *Sink) explainConnection(err error) error {
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		err = connect.Unwrap() // without user and database
	}
	var (
		text        = "cannot reach the database: " + sink.Quote(err.Error(), s.secrets...)
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		record      tls.RecordHeaderError
	)
	switch {
	case s.flooded.Swap(false):
		return retry(sink.Failing, "%w", errFlood)
	case errors.Is(err, egress.ErrRefused):
		return retry(sink.AddressRefused, "%s", text)
	case errors.Is(err, errReadOnly):
		return retry(sink.ReadOnly, "%s", text)
	case errors.As(err, &certificate), errors.As(err, &alert), errors.As(err, &record), strings.Contains(text, "server refused TLS connection"):
		return retry(sink.CertificateRefused, "%s", text)
	case errors.Is(err, context.DeadlineExceeded):
		return &sink.RetryableError{Err: sink.Because(sink.Unreachable, fmt.Errorf("no answer of the database in time: %w", context.DeadlineExceeded))}
	}
	return retry(sink.Unreachable, "%s", text)
}

func retry(reason sink.Reason, format string, args ...any) error {
	return &sink.RetryableError{Err: sink.Because(reason, fmt.Errorf(format, args...))}
}
