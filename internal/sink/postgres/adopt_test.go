package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// published are the columns that others make, and some of their rows: a deployment, and a failure that ended after an hour.
const (
	published = `CREATE TABLE dora.delivery_events (id text, event_type text NOT NULL, service text NOT NULL, team text, environment text, commit_sha text,
		first_commit_ts timestamptz, occurred_at timestamptz NOT NULL, success boolean, is_rollback boolean, incident_id text, source text,
		payload jsonb, ingested_at timestamptz)`
	theirs = `INSERT INTO dora.delivery_events (id, event_type, service, environment, occurred_at, success, incident_id) VALUES
		('old1', 'deploy', 'theirs', 'production', '2026-01-01T10:00Z', true, NULL),
		('old2', 'incident_open', 'theirs', 'production', '2026-01-01T11:00Z', NULL, 'i'),
		('old3', 'incident_resolved', 'theirs', 'production', '2026-01-01T12:00Z', NULL, 'i')`
)

// found is a sink whose schema has a table of others in it, made by statements.
func found(t *testing.T, statements ...string) (*postgrestest.Server, postgres.Options, *pgx.Conn) {
	t.Helper()
	server, o, conn := fresh(t)
	for _, statement := range append([]string{"SET ROLE " + o.User, "CREATE SCHEMA dora"}, append(statements, "RESET ROLE")...) {
		postgrestest.Exec(t, conn, statement)
	}
	return server, o, conn
}

// adopted checks that a table of others has kept its rows and takes events, and that views tell of both.
func adopted(t *testing.T, conn *pgx.Conn, s *postgres.Sink) {
	t.Helper()
	g := NewWithT(t)
	send(t, s, sinktest.Events()...)
	g.Expect(send(t, s, sinktest.Events()...)).To(Equal("6 rows, 0 new or changed"))
	g.Expect(s.Check(t.Context())).To(Succeed())
	g.Expect(ids(t, conn)).To(ConsistOf(append(sinktest.IDs(sinktest.Events()), "old1", "old2", "old3")))
	g.Expect(one[int](t, conn, "SELECT count(*) FROM dora.delivery_events WHERE ingested_at IS NULL AND source IS NULL")).To(Equal(3), "theirs are as they were")
	// By /docs/postgres.md, a deployment whose change and outcome nobody knows is in no figure; a failure is.
	g.Expect(one[int](t, conn, "SELECT count(*) FROM dora.dora_deployments WHERE service = 'theirs'")).To(BeZero())
	g.Expect(one[float64](t, conn, "SELECT recovery_seconds FROM dora.dora_failures WHERE service = 'theirs'")).To(Equal(3600.0))
	postgrestest.Exec(t, conn, `UPDATE dora.delivery_events SET change = 'image',
		outcome = CASE WHEN is_rollback THEN 'rolled_back' WHEN success THEN 'succeeded' WHEN NOT success THEN 'failed' ELSE 'unknown' END
		WHERE event_type = 'deploy' AND outcome IS NULL`)
	g.Expect(one[int](t, conn, "SELECT sum(deployments)::integer FROM dora.dora_weekly_service WHERE service = 'theirs'")).To(Equal(1))
	postgrestest.Exec(t, conn, "INSERT INTO dora.delivery_events (id, event_type, service, occurred_at) VALUES ('new', 'change', 'theirs', now())")
}

func TestATableOfOthersIsTakenOver(t *testing.T) {
	for name, key := range map[string]string{
		"without a key":         "SELECT",
		"with a key":            "ALTER TABLE dora.delivery_events ADD PRIMARY KEY (id)",
		"with a key and time":   "ALTER TABLE dora.delivery_events ADD UNIQUE (occurred_at, id)",
		"with another key":      "ALTER TABLE dora.delivery_events ADD COLUMN number serial PRIMARY KEY",
		"with some of ours":     "ALTER TABLE dora.delivery_events ADD COLUMN cluster text, ADD COLUMN tag text",
		"with a partial index":  "CREATE UNIQUE INDEX ON dora.delivery_events (id) WHERE team <> ''",
		"with an index of ours": "CREATE INDEX delivery_events_occurred_at_idx ON dora.delivery_events (occurred_at)",
	} {
		t.Run(name, func(t *testing.T) {
			_, o, conn := found(t, published, theirs, key)
			adopted(t, conn, open(t, o))
		})
		t.Run(name+", by an administrator", func(t *testing.T) {
			server, o, conn := found(t, published, theirs, key)
			server.Psql(t, o.Database, printed(t, "dora", false))
			server.Psql(t, o.Database, printed(t, "dora", false))
			postgrestest.Exec(t, conn, "GRANT dora_writer TO "+o.User)
			o.Migrate = false
			adopted(t, conn, open(t, o))
		})
	}
}

func TestPartitionsOfOthersAreTakenOver(t *testing.T) {
	_, o, conn := found(t, published+" PARTITION BY RANGE (occurred_at)",
		"CREATE TABLE dora.part PARTITION OF dora.delivery_events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", theirs)
	adopted(t, conn, open(t, o))
}

func TestATableOfOthersWhoseIDsAreNone(t *testing.T) {
	_, o, conn := found(t, published, theirs, "INSERT INTO dora.delivery_events TABLE dora.delivery_events ORDER BY id LIMIT 1")
	s := open(t, o)
	refusal(t, s, sink.SchemaTooOld, "delivery_events has several rows with the same id, so it can have no unique index on it: delete all but one of each")
	NewWithT(t).Expect(ids(t, conn)).To(ConsistOf("old1", "old1", "old2", "old3"))
	postgrestest.Exec(t, conn, "DELETE FROM dora.delivery_events a USING dora.delivery_events b WHERE a.id = b.id AND a.ctid > b.ctid")
	adopted(t, conn, s)
}
