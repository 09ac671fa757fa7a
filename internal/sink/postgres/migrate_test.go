package postgres_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// printed is the SQL for an administrator.
func printed(t *testing.T, schema string, partitioned bool) string {
	t.Helper()
	var text strings.Builder
	NewWithT(t).Expect(postgres.PrintMigrations(&text, schema, partitioned)).To(Succeed())
	return text.String()
}

// noted are the migrations that were run.
func noted(t *testing.T, conn *pgx.Conn) []int64 {
	t.Helper()
	return column[int64](t, conn, "SELECT version_id FROM dora.dora_schema_version WHERE is_applied ORDER BY id")
}

// shape is everything about a schema that a client can tell.
func shape(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	return column[string](t, conn, `
		SELECT concat_ws(' ', c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
			pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum), obj_description(c.oid)) FROM pg_class c
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'dora'::regnamespace
		UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = 'dora'::regnamespace
		UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class WHERE relnamespace = 'dora'::regnamespace AND relkind = 'v'
		UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'dora'::regnamespace
		ORDER BY 1`)
}

func TestMigrationsRunOnce(t *testing.T) {
	g := NewWithT(t)
	_, o, conn := fresh(t)
	const processes = 6
	failed := make(chan error, processes)
	for range processes {
		s := open(t, o)
		go func() { failed <- second(s.Send(t.Context(), sinktest.Events())) }()
	}
	for range processes {
		g.Expect(<-failed).NotTo(HaveOccurred())
	}
	versions := noted(t, conn)
	g.Expect(versions[:3]).To(Equal([]int64{0, 1, 2}))
	g.Expect(ids(t, conn)).To(HaveLen(6))

	send(t, open(t, o), sinktest.Events()...)
	g.Expect(noted(t, conn)).To(Equal(versions))
	g.Expect(column[string](t, conn, "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace")).To(BeEmpty())
	g.Expect(column[string](t, conn, "SELECT objid::text FROM pg_locks WHERE locktype = 'advisory'")).To(BeEmpty(), "no lock stays behind")
}

// expiring is a context whose time is over when somebody closes the channel.
type expiring chan struct{}

func (e expiring) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (e expiring) Done() <-chan struct{}                   { return e }
func (e expiring) Value(any) any                           { return nil }
func (e expiring) Err() error {
	select {
	case <-e:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestAMigrationThatAnotherOneHoldsUp: the database is there, and the next attempt asks for the lock again.
func TestAMigrationThatAnotherOneHoldsUp(t *testing.T) {
	g := NewWithT(t)
	_, o, conn := fresh(t)
	postgrestest.Exec(t, conn, fmt.Sprintf("SELECT pg_advisory_lock(%d)", int64(eventtable.MigrationLock)))
	s := open(t, o)
	ctx := make(expiring)
	failed := make(chan error, 1)
	go func() { failed <- second(s.Send(ctx, sinktest.Events())) }()
	g.Eventually(func() int {
		return one[int](t, conn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' "+
			"AND query LIKE '%pg_try_advisory_lock%'")
	}).WithTimeout(postgrestest.Within).Should(Equal(1))
	close(ctx)
	err := <-failed
	g.Expect(err).To(MatchError(ContainSubstring("somebody else is migrating the database")))
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.Failing))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	postgrestest.Exec(t, conn, "SELECT pg_advisory_unlock_all()")
	send(t, s, sinktest.Events()...)
}

func TestASchemaWithANameOfSQL(t *testing.T) {
	for _, schema := range []string{"user", "select", "public", ""} {
		_, o, conn := fresh(t)
		o.Schema = schema
		send(t, open(t, o), sinktest.Events()...)
		if schema == "" {
			schema = "public"
		}
		NewWithT(t).Expect(one[int](t, conn, fmt.Sprintf("SELECT count(*) FROM %q.delivery_events", schema))).To(Equal(6))
	}
}

func TestADatabaseThatIsReplaced(t *testing.T) {
	g := NewWithT(t)
	_, _, conn, s := ready(t)
	send(t, s, sinktest.Events()...)
	postgrestest.Exec(t, conn, "DROP SCHEMA dora CASCADE")
	_, err := s.Send(t.Context(), sinktest.Events())
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.SchemaTooOld), "%v", err)
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	send(t, s, sinktest.Events()...)
	g.Expect(ids(t, conn)).To(HaveLen(6))

	postgrestest.Exec(t, conn, "DROP SCHEMA dora CASCADE")
	g.Expect(sink.ReasonOf(s.Check(t.Context()))).To(Equal(sink.SchemaTooOld))
	g.Expect(s.Check(t.Context())).To(Succeed())
}

func TestMigrationsThatAreSomebodyElses(t *testing.T) {
	g := NewWithT(t)
	_, o, conn := fresh(t)
	o.Migrate = false
	s := open(t, o)
	refusal(t, s, sink.SchemaTooOld, "schema dora is at version 0, and 8 is needed; an administrator runs what `dora-controller migrate --print` prints")
	g.Expect(one[bool](t, conn, "SELECT to_regnamespace('dora') IS NULL")).To(BeTrue(), "nothing was made")
}

func TestASchemaThatIsNewer(t *testing.T) {
	g := NewWithT(t)
	_, o, conn, _ := ready(t)
	postgrestest.Exec(t, conn, "INSERT INTO dora.dora_schema_version (version_id, is_applied) VALUES (999, true)")
	postgrestest.Exec(t, conn, "ALTER TABLE dora.delivery_events ADD COLUMN novel text")
	s := open(t, o)
	send(t, s, sinktest.Events()...)
	g.Expect(s.Check(t.Context())).To(Succeed(), "what has our columns will do")
	postgrestest.Exec(t, conn, "UPDATE dora.delivery_events SET novel = ''")
	postgrestest.Exec(t, conn, "ALTER TABLE dora.delivery_events ALTER COLUMN novel SET NOT NULL")
	event := sinktest.Events()[0]
	event.ID = "new"
	_, err := s.Send(t.Context(), append(sinktest.Events(), event))
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.SchemaTooNew), "%v", err)
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	postgrestest.Exec(t, conn, "ALTER TABLE dora.delivery_events DROP COLUMN novel, DROP COLUMN basis CASCADE")
	_, err = s.Send(t.Context(), sinktest.Events())
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.SchemaTooNew), "%v", err)
}

func TestAColumnThatIsMissing(t *testing.T) {
	_, _, conn, s := ready(t)
	postgrestest.Exec(t, conn, "ALTER TABLE dora.delivery_events DROP COLUMN basis CASCADE")
	refusal(t, s, sink.SchemaTooOld, `"basis"`)
}

func TestATableThatIsMissing(t *testing.T) {
	_, _, conn, s := ready(t)
	postgrestest.Exec(t, conn, "DROP TABLE dora.delivery_events CASCADE")
	refusal(t, s, sink.SchemaTooOld, `delivery_events`)
}

func TestWhatAnAdministratorRuns(t *testing.T) {
	g := NewWithT(t)
	server, o, conn := fresh(t)
	text := printed(t, "dora", false)
	server.Psql(t, o.Database, text)
	made := shape(t, conn)
	versions := noted(t, conn)
	server.Psql(t, o.Database, text)
	g.Expect(noted(t, conn)).To(Equal(versions), "to run it again changes nothing")
	g.Expect(shape(t, conn)).To(Equal(made))

	o.Migrate = false
	s := open(t, o)
	refusal(t, s, sink.CredentialsRefused, "permission denied for schema dora")
	postgrestest.Exec(t, conn, "GRANT dora_writer TO "+o.User)
	g.Expect(s.Check(t.Context())).To(Succeed())
	send(t, s, sinktest.Events()...)
	send(t, s, sinktest.Events()...)
	g.Expect(s.SendFigures(t.Context(), sinktest.Figures())).To(Equal("4 rows"))
	for _, statement := range []string{
		"DELETE FROM dora.delivery_events", "TRUNCATE dora.dora_metrics", "DROP TABLE dora.delivery_events", "CREATE TABLE dora.more (a int)",
		"UPDATE dora.dora_schema_version SET version_id = 0",
	} {
		postgrestest.Exec(t, conn, "SET ROLE dora_writer")
		g.Expect(second(conn.Exec(t.Context(), statement))).To(MatchError(Or(ContainSubstring("42501"))), statement)
	}
	o.Migrate = true
	send(t, open(t, o), sinktest.Events()...)
	postgrestest.Exec(t, conn, "SET ROLE dora_reader")
	g.Expect(ids(t, conn)).To(HaveLen(6))
	g.Expect(one[int](t, conn, "SELECT count(*) FROM dora.dora_metrics")).To(Equal(4))
	g.Expect(second(conn.Exec(t.Context(), "UPDATE dora.delivery_events SET team = ''"))).To(MatchError(ContainSubstring("42501")))

	_, driven, other, _ := ready(t)
	g.Expect(shape(t, other)).To(Equal(made), "what the driver makes in %s is the same", driven.Database)
}

func TestWhatAnAdministratorRunsAfterAnUpgrade(t *testing.T) {
	g := NewWithT(t)
	server, o, conn := fresh(t)
	text := printed(t, "dora", false)
	first, rest, found := strings.Cut(text, "\n-- 00002_")
	g.Expect(found).To(BeTrue())
	server.Psql(t, o.Database, first+"\nCOMMIT;\n")
	g.Expect(noted(t, conn)).To(Equal([]int64{0, 1}))
	o.Migrate = false
	g.Expect(rest).NotTo(BeEmpty())
	server.Psql(t, o.Database, text)
	g.Expect(noted(t, conn)[:3]).To(Equal([]int64{0, 1, 2}))
	postgrestest.Exec(t, conn, "GRANT dora_writer TO "+o.User)
	send(t, open(t, o), sinktest.Events()...)
}

func TestOnlyAPlainNameIsPrinted(t *testing.T) {
	for _, schema := range []string{"a'b", `a"b`, "a;b", "A", "1a", strings.Repeat("a", 64)} {
		NewWithT(t).Expect(postgres.PrintMigrations(io.Discard, schema, false)).NotTo(Succeed(), schema)
	}
}

// after is the first event so much later.
func after(months int) time.Time { return sinktest.Events()[0].OccurredAt.AddDate(0, months, 0) }
