package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// partitioned is a sink whose table an administrator made, in partitions, which are all gone again.
func partitioned(t *testing.T) (postgres.Options, *pgx.Conn) {
	t.Helper()
	server, o, conn := fresh(t)
	server.Psql(t, o.Database, printed(t, "dora", true))
	for _, part := range partitions(t, conn) {
		postgrestest.Exec(t, conn, "DROP TABLE dora."+part)
	}
	postgrestest.Exec(t, conn, "GRANT dora_writer TO "+o.User)
	return o, conn
}

func partitions(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	return column[string](t, conn, `SELECT c.relname::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
		WHERE inhparent = 'dora.delivery_events'::regclass ORDER BY 1`)
}

// inMonths are an event in each of some months from March 2026 on.
func inMonths(months ...int) []dora.Event {
	events := make([]dora.Event, 0, len(months))
	for i, month := range months {
		event := sinktest.Events()[i]
		event.OccurredAt = after(month)
		events = append(events, event)
	}
	return events
}

func TestPrintedPartitions(t *testing.T) {
	g := NewWithT(t)
	server, o, conn := fresh(t)
	text := printed(t, "dora", true)
	server.Psql(t, o.Database, text)
	server.Psql(t, o.Database, text)
	g.Expect(partitions(t, conn)).To(HaveLen(25))
	postgrestest.Exec(t, conn, "GRANT dora_writer TO "+o.User)
	o.Migrate = false
	s := open(t, o)
	g.Expect(s.Check(t.Context())).To(Succeed())
	event := sinktest.Events()[0]
	event.OccurredAt = time.Now()
	send(t, s, event)
	g.Expect(send(t, s, event)).To(Equal("1 row, 0 new or changed"))
	g.Expect(ids(t, conn)).To(Equal([]string{"e1"}))
}

func TestAPartitionThatTheRoleCannotAdd(t *testing.T) {
	g := NewWithT(t)
	o, conn := partitioned(t)
	o.Migrate = false
	s := open(t, o)
	g.Expect(s.Check(t.Context())).To(Succeed())
	_, err := s.Send(t.Context(), inMonths(0))
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.SchemaTooOld))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	g.Expect(err).To(MatchError(ContainSubstring("delivery_events has no partition for 2026-03")))
	_, statement, _ := strings.Cut(err.Error(), "an administrator does: ")
	postgrestest.Exec(t, conn, statement)
	send(t, s, inMonths(0)...)
	g.Expect(ids(t, conn)).To(Equal([]string{"e1"}))
}

func TestPartitionsThatTheRoleAdds(t *testing.T) {
	g := NewWithT(t)
	o, conn := partitioned(t)
	postgrestest.Exec(t, conn, "ALTER TABLE dora.delivery_events OWNER TO "+o.User)
	postgrestest.Exec(t, conn, "GRANT CREATE ON SCHEMA dora TO "+o.User)
	events := inMonths(0, 1, 9, 10, 0)
	failed := make(chan error, 4)
	for range cap(failed) {
		s := open(t, o)
		go func() { failed <- second(s.Send(t.Context(), events)) }()
	}
	for range cap(failed) {
		g.Expect(<-failed).NotTo(HaveOccurred(), "two that add the same month agree")
	}
	g.Expect(ids(t, conn)).To(Equal([]string{"e1", "e2", "e3", "e4", "e5"}))
	g.Expect(partitions(t, conn)).To(Equal([]string{
		"delivery_events_2026_03", "delivery_events_2026_04", "delivery_events_2026_12", "delivery_events_2027_01",
	}))
	g.Expect(one[string](t, conn, "SELECT tableoid::regclass::text FROM dora.delivery_events WHERE id = 'e3'")).To(Equal("dora.delivery_events_2026_12"))

	edge := inMonths(3)[0]
	edge.OccurredAt = time.Date(2026, 6, 30, 20, 0, 0, 0, time.FixedZone("", -4*3600)) // midnight by UTC
	send(t, open(t, o), edge)
	g.Expect(partitions(t, conn)).To(ContainElement("delivery_events_2026_07"))

	postgrestest.Exec(t, conn, "CREATE TABLE dora.wide PARTITION OF dora.delivery_events FOR VALUES FROM ('2027-02-10') TO ('2028-01-01')")
	_, err := open(t, o).Send(t.Context(), inMonths(11))
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.SchemaTooOld))
	g.Expect(err).To(MatchError(And(ContainSubstring("no partition for 2027-02"), ContainSubstring("would overlap"))))
}

func TestAKeyWithTheTimeInIt(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T) (postgres.Options, *pgx.Conn){
		"partitioned": func(t *testing.T) (postgres.Options, *pgx.Conn) {
			t.Helper()
			o, conn := partitioned(t)
			for _, month := range []string{"('2026-03-01') TO ('2026-04-01')", "('2026-04-01') TO ('2026-05-01')"} {
				postgrestest.Exec(t, conn, "CREATE TABLE dora.part_"+month[7:9]+" PARTITION OF dora.delivery_events FOR VALUES FROM "+month)
			}
			return o, conn
		},
		"as a hypertable": func(t *testing.T) (postgres.Options, *pgx.Conn) {
			t.Helper()
			_, o, conn, _ := ready(t)
			postgrestest.Exec(t, conn, "ALTER TABLE dora.delivery_events DROP CONSTRAINT delivery_events_pkey, ADD PRIMARY KEY (id, occurred_at)")
			return o, conn
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o, conn := prepare(t)
			s := open(t, o)
			send(t, s, inMonths(0, 0)...)
			ingested := one[time.Time](t, conn, "SELECT ingested_at FROM dora.delivery_events WHERE id = 'e1'")
			g.Expect(send(t, s, inMonths(0, 0)...)).To(Equal("2 rows, 0 new or changed"))
			found := inMonths(0)[0]
			found.Enrich(dora.CommitFacts{Commits: 2, FirstCommitAt: after(-1), FirstCommit: "aaa", Base: "bbb"})
			send(t, s, found)
			g.Expect(send(t, s, inMonths(0, 0)...)).To(Equal("2 rows, 0 new or changed"))

			send(t, s, inMonths(1)...)
			g.Expect(column[time.Time](t, conn, "SELECT occurred_at FROM dora.delivery_events WHERE id = 'e1'")).
				To(HaveExactElements(BeTemporally("==", after(1))), "an event is there once, at its newest time")
			g.Expect(one[time.Time](t, conn, "SELECT ingested_at FROM dora.delivery_events WHERE id = 'e1'")).To(Equal(ingested))
			g.Expect(ids(t, conn)).To(ConsistOf("e1", "e2"))
		})
	}
}

func TestAnEventWhoseTimeChangesInAPlainTable(t *testing.T) {
	g := NewWithT(t)
	_, _, conn, s := ready(t)
	send(t, s, inMonths(0)...)
	send(t, s, inMonths(1)...)
	g.Expect(column[time.Time](t, conn, "SELECT occurred_at FROM dora.delivery_events")).To(HaveExactElements(BeTemporally("==", after(1))))
}

func TestATableWithoutAKey(t *testing.T) {
	_, _, conn, s := ready(t)
	postgrestest.Exec(t, conn, "ALTER TABLE dora.delivery_events DROP CONSTRAINT delivery_events_pkey")
	postgrestest.Exec(t, conn, "CREATE UNIQUE INDEX ON dora.delivery_events (id) WHERE team <> ''")
	_, err := s.Send(t.Context(), sinktest.Events())
	NewWithT(t).Expect(sink.ReasonOf(err)).To(Equal(sink.SchemaTooOld), "%v", err)
	refusal(t, s, sink.SchemaTooOld, "delivery_events has no unique index on (id), nor on (id, occurred_at)")
}
