package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// ready is a sink whose schema is there already.
func ready(tb testing.TB) (*postgrestest.Server, postgres.Options, *pgx.Conn, *postgres.Sink) {
	tb.Helper()
	server, o, conn := fresh(tb)
	s := open(tb, o)
	NewWithT(tb).Expect(s.Check(context.Background())).To(Succeed())
	return server, o, conn, s
}

// waiting is the sink's backend, once it waits for a lock.
func waiting(t *testing.T, conn *pgx.Conn, database string) (pid int) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		return conn.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name = 'dora-controller'
			AND wait_event_type = 'Lock'`, database).Scan(&pid)
	}).WithTimeout(postgrestest.Within).Should(Succeed())
	return pid
}

// lockTable makes every Send wait until the answer is called.
func lockTable(t *testing.T, server *postgrestest.Server, database string) (release func()) {
	t.Helper()
	holder := server.Connect(t, database)
	postgrestest.Exec(t, holder, "BEGIN")
	postgrestest.Exec(t, holder, "LOCK TABLE dora.delivery_events IN ACCESS EXCLUSIVE MODE")
	return func() { postgrestest.Exec(t, holder, "ROLLBACK") }
}

func TestAConnectionLostInMidBatch(t *testing.T) {
	for name, cut := range map[string]func(t *testing.T, server *postgrestest.Server, conn *pgx.Conn, pid int){
		"an administrator ends it": func(t *testing.T, _ *postgrestest.Server, conn *pgx.Conn, pid int) {
			t.Helper()
			postgrestest.Exec(t, conn, "SELECT pg_terminate_backend($1)", pid)
		},
		"the server is stopped": func(t *testing.T, server *postgrestest.Server, _ *pgx.Conn, _ int) { t.Helper(); server.Stop(t) },
		"the server crashes":    func(t *testing.T, server *postgrestest.Server, _ *pgx.Conn, _ int) { t.Helper(); server.Crash(t) },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			server, o, conn, s := ready(t)
			events := sinktest.Events()
			send(t, s, events[:2]...)
			release := lockTable(t, server, o.Database)
			failed := make(chan error, 1)
			go func() { failed <- second(s.Send(t.Context(), events)) }()
			cut(t, server, conn, waiting(t, conn, o.Database))
			err := <-failed
			g.Expect(sink.ReasonOf(err)).To(Equal(sink.Unreachable), "%v", err)
			g.Expect(sink.IsPermanent(err)).To(BeFalse())
			sinktest.KeepsSecrets(t, err, o.Password)
			if name == "an administrator ends it" {
				release()
			} else {
				refusal(t, s, sink.Unreachable, "cannot reach the database")
			}
			server.Start(t)
			conn = server.Connect(t, o.Database)
			g.Expect(ids(t, conn)).To(Equal(sinktest.IDs(events[:2])), "half a batch never arrives")
			send(t, s, events...)
			g.Expect(ids(t, conn)).To(Equal(sinktest.IDs(events)))
		})
	}
}

func TestAServerThatIsRestartedBetweenBatchesCostsNoBatch(t *testing.T) {
	server, o, _, s := ready(t)
	send(t, s, sinktest.Events()[0])
	server.Stop(t)
	server.Start(t)
	NewWithT(t).Eventually(func() error { return second(s.Send(t.Context(), sinktest.Events())) }).Should(Succeed())
	NewWithT(t).Expect(ids(t, server.Connect(t, o.Database))).To(HaveLen(6))
}

func TestReadOnlyThenWritableAgain(t *testing.T) {
	server, o, conn, s := ready(t)
	server.ReadOnly(t, true)
	refusal(t, s, sink.ReadOnly, "read-only transaction (SQLSTATE 25006)")
	o.Host = "127.0.0.1,127.0.0.1"
	refusal(t, open(t, o), sink.ReadOnly, "it takes no writes, as a standby does")
	server.ReadOnly(t, false)
	send(t, s, sinktest.Events()...)
	NewWithT(t).Expect(ids(t, conn)).To(HaveLen(6))
}

func TestALockThatSomebodyElseHolds(t *testing.T) {
	g := NewWithT(t)
	server, o, conn, s := ready(t)
	release := lockTable(t, server, o.Database)
	_, err := s.Send(t.Context(), sinktest.Events())
	g.Expect(err).To(MatchError(ContainSubstring("lock timeout (SQLSTATE 55P03): somebody else holds a lock on a table")))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())

	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- second(s.Send(ctx, sinktest.Events())) }()
	waiting(t, conn, o.Database)
	cancel()
	g.Expect(<-failed).To(MatchError(context.Canceled), "who waits for a lock can be told to stop")

	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(time.Second))
	defer cancel()
	_, err = s.Send(ctx, sinktest.Events())
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.Unreachable), "%v", err)
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
	release()
	send(t, s, sinktest.Events()...)
	g.Expect(ids(t, conn)).To(HaveLen(6))
}

// A disk cannot be filled without rights that a test may not have, so a trigger says what the server does then.
func TestADiskThatIsFull(t *testing.T) {
	g := NewWithT(t)
	_, _, conn, s := ready(t)
	postgrestest.Exec(t, conn, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file "base/1": No space left on device'; END $$`)
	postgrestest.Exec(t, conn, "CREATE TRIGGER full_disk BEFORE INSERT ON dora.delivery_events FOR EACH ROW EXECUTE FUNCTION full_disk()")
	_, err := s.Send(t.Context(), sinktest.Events())
	g.Expect(err).To(MatchError(ContainSubstring("No space left on device (SQLSTATE 53100)")))
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.Full))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	postgrestest.Exec(t, conn, "DROP TRIGGER full_disk ON dora.delivery_events")
	send(t, s, sinktest.Events()...)
}

func TestWhatARoleMayNotDo(t *testing.T) {
	server, o, conn := fresh(t)
	owner := open(t, o)
	send(t, owner, sinktest.Events()[0])
	o.User = server.Role(t, o.Database+"_writer", "")
	o.Migrate = false
	s := open(t, o)
	refusal(t, s, sink.CredentialsRefused, `permission denied for schema dora (SQLSTATE 42501); an administrator grants it: GRANT USAGE ON SCHEMA "dora"`)
	postgrestest.Exec(t, conn, "GRANT USAGE ON SCHEMA dora TO "+o.User)
	refusal(t, s, sink.CredentialsRefused, "permission denied for table dora_schema_version (SQLSTATE 42501)")
	postgrestest.Exec(t, conn, "GRANT SELECT ON dora.dora_schema_version TO "+o.User)
	refusal(t, s, sink.CredentialsRefused, "permission denied for table delivery_events (SQLSTATE 42501)")
	postgrestest.Exec(t, conn, "GRANT SELECT, INSERT, UPDATE ON dora.delivery_events, dora.dora_metrics TO "+o.User)
	NewWithT(t).Expect(s.Check(t.Context())).To(Succeed())
	send(t, s, sinktest.Events()...)
	// What it was granted has to go before it does.
	postgrestest.Exec(t, conn, "DROP OWNED BY "+o.User)

	o.Schema, o.Migrate = "other", true
	refusal(t, open(t, o), sink.CredentialsRefused, `GRANT CREATE ON SCHEMA "other", or ON DATABASE`)
	postgrestest.Exec(t, conn, "CREATE SCHEMA other")
	postgrestest.Exec(t, conn, "GRANT USAGE ON SCHEMA other TO "+o.User)
	_, err := open(t, o).Send(t.Context(), sinktest.Events())
	NewWithT(t).Expect(sink.ReasonOf(err)).To(Equal(sink.CredentialsRefused), "%v", err)
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("permission denied for schema other")))
	postgrestest.Exec(t, conn, "DROP OWNED BY "+o.User)
}
