package postgres

import (
	"bytes"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// TestTheTableThatOthersRead has each event in its newest form, without a sink.
func TestTheTableThatOthersRead(t *testing.T) {
	g := NewWithT(t)
	d := postgrestest.Start(t).Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	s, conn := opened(t, address(d).String(), "eu-1"), looker(t, d)
	lead := func() []*float64 {
		return column[*float64](t, conn, "SELECT lead_time_seconds FROM delivery_events ORDER BY id")
	}

	g.Expect(s.Commit(t.Context(), deployment("a"))).To(Succeed())
	g.Expect(lead()).To(Equal([]*float64{nil}))
	facts := ledger.Change{Facts: []dora.CommitFacts{ledgertest.Facts("a", start.Add(-time.Hour))}}
	g.Expect(s.Commit(t.Context(), facts)).To(Succeed())
	g.Expect(lead()).To(HaveExactElements(HaveValue(Equal(3600.0))))
	again := deployment("a")
	again.Events[0].Service = "another"
	g.Expect(s.Commit(t.Context(), again)).To(Succeed())
	g.Expect(column[string](t, conn, "SELECT service FROM delivery_events")).To(Equal([]string{"cart"}), "an event that is written again changes nothing")
	g.Expect(column[string](t, conn, "SELECT class FROM dora_deployments")).To(Equal([]string{"succeeded"}), "the views read it")

	g.Expect(s.Forget(t.Context(), "port", time.Time{})).To(Equal(int64(1)))
	g.Expect(s.Prune(t.Context(), ledger.Retention{EventsBefore: start.Add(time.Hour)})).To(Equal(int64(1)))
	g.Expect(lead()).To(BeEmpty())
}

// TestNothingOfAConflictIsInTheTable: it is written in the transaction of the change.
func TestNothingOfAConflictIsInTheTable(t *testing.T) {
	g := NewWithT(t)
	d := postgrestest.Start(t).Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	s := opened(t, address(d).String(), "eu-1")
	change := deployment("a")
	change.States = []ledger.State{{Key: "a", Version: 7}}
	g.Expect(s.Commit(t.Context(), change)).To(MatchError(ledger.ErrConflict))
	g.Expect(column[string](t, looker(t, d), "SELECT id FROM delivery_events")).To(BeEmpty())
}

// partitioned makes the table as an administrator does who wants it by months, and takes away those that are made with it.
func partitioned(t *testing.T, d postgrestest.Database) {
	t.Helper()
	server := postgrestest.Start(t)
	var script bytes.Buffer
	NewWithT(t).Expect(postgres.PrintMigrations(&script, "dora", true)).To(Succeed())
	server.Psql(t, d.Name, script.String())
	conn := looker(t, d)
	for _, part := range column[string](t, conn, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'delivery_events'::regclass") {
		postgrestest.Exec(t, conn, "DROP TABLE "+part)
	}
	postgrestest.Exec(t, conn, "ALTER SCHEMA dora OWNER TO "+d.User)
	postgrestest.Exec(t, conn, "ALTER TABLE delivery_events OWNER TO "+d.User)
	postgrestest.Exec(t, conn, "GRANT SELECT ON dora_schema_version TO "+d.User)
}

// TestMonths: a table that an administrator has partitioned gets the months that events need, and loses those that retention has emptied.
func TestMonths(t *testing.T) {
	g := NewWithT(t)
	d := postgrestest.Start(t).Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	partitioned(t, d)
	conn := looker(t, d)
	parts := func() []string {
		return column[string](t, conn, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'delivery_events'::regclass ORDER BY 1")
	}
	s := opened(t, address(d).String(), "eu-1")
	change := ledger.Change{}
	for _, id := range []string{"2026-01", "2026-02", "2026-03"} {
		at, err := time.Parse("2006-01-02", id+"-15")
		g.Expect(err).NotTo(HaveOccurred())
		change.Events = append(change.Events, ledgertest.Deployment(id, "cart", at))
	}
	g.Expect(s.Commit(t.Context(), change)).To(Succeed())
	g.Expect(parts()).To(Equal([]string{"delivery_events_2026_01", "delivery_events_2026_02", "delivery_events_2026_03"}))

	postgrestest.Exec(t, conn, `INSERT INTO delivery_events (id, event_type, service, occurred_at, source, payload)
		VALUES ('of others', 'deploy', 'cart', '2026-02-10', 'another', '{}')`)
	g.Expect(s.Prune(t.Context(), ledger.Retention{EventsBefore: start})).To(Equal(int64(2)))
	g.Expect(parts()).To(Equal([]string{"delivery_events_2026_02", "delivery_events_2026_03"}), "what others have written stays")
	g.Expect(column[string](t, conn, "SELECT id FROM delivery_events ORDER BY id")).To(Equal([]string{"2026-03", "of others"}))
	g.Expect(ids(t, s)).To(Equal([]string{"2026-03"}))
}

// TestAMonthThatAnotherClusterDropped is made again, for an event, and for facts and marks of one.
func TestAMonthThatAnotherClusterDropped(t *testing.T) {
	g := NewWithT(t)
	d := postgrestest.Start(t).Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	partitioned(t, d)
	conn := looker(t, d)
	here, there := opened(t, address(d).String(), "us-1"), opened(t, address(d).String(), "eu-1")
	dropped := func() {
		t.Helper()
		postgrestest.Exec(t, conn, "DELETE FROM delivery_events")
		_, err := there.Prune(t.Context(), ledger.Retention{EventsBefore: start.AddDate(0, 2, 0)})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(column[bool](t, conn, "SELECT to_regclass('delivery_events_2026_03') IS NULL")).To(Equal([]bool{true}))
	}
	written := func() []string { return column[string](t, conn, "SELECT id FROM delivery_events") }

	g.Expect(here.Commit(t.Context(), deployment("a"))).To(Succeed())
	dropped()
	g.Expect(here.Commit(t.Context(), deployment("b"))).To(Succeed())
	g.Expect(written()).To(Equal([]string{"b"}))
	dropped()
	g.Expect(here.Commit(t.Context(), ledger.Change{Facts: []dora.CommitFacts{ledgertest.Facts("a", start.Add(-time.Hour))}})).To(Succeed())
	g.Expect(written()).To(Equal([]string{"a"}))
	dropped()
	mark := dora.Mark{EventID: "b", Verdict: dora.Failure, At: start, Source: "incident"}
	g.Expect(here.Commit(t.Context(), ledger.Change{Marks: []dora.Mark{mark}})).To(Succeed())
	g.Expect(written()).To(Equal([]string{"b"}))
	g.Expect(ids(t, here)).To(Equal([]string{"a", "b"}))
}
