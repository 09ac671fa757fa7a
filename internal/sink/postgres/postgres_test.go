package postgres_test

import (
	"context"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// here is where the server of tests is.
var here = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// options are those of a sink that owns a database.
func options(server *postgrestest.Server, d postgrestest.Database) postgres.Options {
	return postgres.Options{
		Name: "shop/postgres", Cluster: "eu-1", Host: d.Host, Port: d.Port, Database: d.Name, User: d.User, Password: d.Password,
		Schema: "dora", TLS: postgres.VerifyFull, CA: server.CA, Migrate: true, Guard: here,
	}
}

func open(tb testing.TB, o postgres.Options) *postgres.Sink {
	tb.Helper()
	s, err := postgres.New(o)
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	tb.Cleanup(s.Close)
	return s
}

// fresh is a sink with a database of its own, and a connection that looks in.
func fresh(tb testing.TB) (*postgrestest.Server, postgres.Options, *pgx.Conn) {
	tb.Helper()
	server := postgrestest.Start(tb)
	d := server.Database(tb)
	conn := server.Connect(tb, d.Name)
	return server, options(server, d), conn
}

// column reads the values of one column.
func column[T any](tb testing.TB, conn *pgx.Conn, query string, args ...any) []T {
	tb.Helper()
	rows, err := conn.Query(context.Background(), query, args...)
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	return values
}

// one reads a row of one column.
func one[T any](tb testing.TB, conn *pgx.Conn, query string, args ...any) T {
	tb.Helper()
	values := column[T](tb, conn, query, args...)
	NewWithT(tb).Expect(values).To(HaveLen(1), query)
	return values[0]
}

// ids are those of all events, in the order in which they came.
func ids(tb testing.TB, conn *pgx.Conn) []string {
	tb.Helper()
	if !one[bool](tb, conn, "SELECT to_regclass('dora.delivery_events') IS NOT NULL") {
		return nil
	}
	return column[string](tb, conn, "SELECT id FROM dora.delivery_events ORDER BY ingested_at, id")
}

func send(tb testing.TB, s *postgres.Sink, events ...dora.Event) string {
	tb.Helper()
	answer, err := s.Send(tb.Context(), events)
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	return answer
}

// refusal is the error of a Send that asks for a retry, and tells no secret.
func refusal(tb testing.TB, s *postgres.Sink, reason sink.Reason, said string) {
	tb.Helper()
	for name, err := range map[string]error{"Send": second(s.Send(tb.Context(), sinktest.Events())), "Check": s.Check(tb.Context())} {
		g := NewWithT(tb)
		g.Expect(err).To(MatchError(ContainSubstring(said)), name)
		g.Expect(sink.ReasonOf(err)).To(Equal(reason), "%s: %v", name, err)
		g.Expect(sink.IsPermanent(err)).To(BeFalse(), name)
		sinktest.KeepsSecrets(tb, err, postgrestest.Password())
	}
}

func second[A any](_ A, err error) error { return err }

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		t.Helper()
		server, o, conn := fresh(t)
		return sinktest.Destination{
			Sink: open(t, o),
			Arrived: func() []string {
				return ids(t, conn)
			},
			Break: func() { server.ReadOnly(t, true) }, Mend: func() { server.ReadOnly(t, false) },
			Secrets: []string{o.Password},
		}
	})
}

func TestContractWithAServerThatIsDown(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		t.Helper()
		server, o, _ := fresh(t)
		return sinktest.Destination{
			Sink: open(t, o), Arrived: func() []string { return ids(t, server.Connect(t, o.Database)) },
			Break: func() { server.Crash(t) }, Mend: func() { server.Start(t) }, Secrets: []string{o.Password},
		}
	})
}

func TestEveryColumn(t *testing.T) {
	g := NewWithT(t)
	_, o, conn := fresh(t)
	s := open(t, o)
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	yes, no, count, lead, recovery := true, false, 3, 5400.25, 90.5
	first := at.Add(-90 * time.Minute)
	full := dora.Event{
		Schema: dora.Schema, ID: "e1", Type: dora.TypeDeploy, Outcome: dora.Succeeded, Service: "cart", Team: "shop", Environment: "production",
		Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "cart-eu", UID: "8f14e45f"}, Attempt: "a1",
		StartedAt: at.Add(-time.Minute), OccurredAt: at, ObservedAt: at.Add(time.Second), Change: dora.ChangeImage,
		Version:  &dora.Version{Images: []string{"r/cart:1.2"}, Tag: "1.2", Commit: "4f5e6d7"},
		Previous: dora.Predecessor{Known: true, Version: &dora.Version{Images: []string{"r/cart:1.1"}, Tag: "1.1"}},
		Running:  &dora.Version{Images: []string{"r/cart:1.0"}, Tag: "1.0"},
		Success:  &yes, IsRollback: &no, Unplanned: &yes, Exposed: &no, CommitCount: &count, FirstCommitAt: &first, LeadTimeSeconds: &lead,
		FirstCommit: "aaa", BaseCommit: "bbb", Repository: "https://git.example.com/cart", FailureID: "f1", CausedBy: "e0",
		RecoverySeconds: &recovery, Basis: dora.BasisLive, Reason: "Synced", Message: "it's \"fine\" \\u0000 ü",
	}
	full.Say(dora.Mark{Verdict: dora.NotAFailure, Reason: "a drill", By: "ada", At: at})
	g.Expect(send(t, s, full)).To(Equal("1 row"))
	for name, want := range map[string]string{
		"id": "e1", "event_type": "deploy", "service": "cart", "team": "shop", "environment": "production", "commit_sha": "4f5e6d7",
		"first_commit_ts": "2026-03-01 10:30:00.123456+00", "occurred_at": "2026-03-01 12:00:00.123456+00", "success": "true", "is_rollback": "false",
		"incident_id": "f1", "source": "argocd", "payload->>'message'": full.Message, "payload->'subject'->>'uid'": "8f14e45f", "cluster": "eu-1",
		"type": "deploy", "outcome": "succeeded", "change": "image", "subject_kind": "Application", "subject_namespace": "argocd",
		"subject_name": "cart-eu", "subject_uid": "8f14e45f", "attempt": "a1", "started_at": "2026-03-01 11:59:00.123456+00",
		"observed_at": "2026-03-01 12:00:01.123456+00", "tag": "1.2", "previous_tag": "1.1", "running_tag": "1.0", "unplanned": "true",
		"exposed": "false", "commit_count": "3", "first_commit": "aaa", "base_commit": "bbb", "repository": "https://git.example.com/cart",
		"lead_time_seconds": "5400.25", "caused_by": "e0", "recovery_seconds": "90.5", "basis": "live", "reason": "Synced", "message": full.Message,
		"mark": "not-a-failure", "mark_reason": "a drill", "marked_by": "ada", "payload->'mark'->>'verdict'": "not-a-failure",
	} {
		g.Expect(one[string](t, conn, "SELECT ("+name+")::text FROM dora.delivery_events")).To(Equal(want), name)
	}
	g.Expect(column[string](t, conn, `SELECT attname::text FROM pg_attribute WHERE attrelid = 'dora.delivery_events'::regclass AND attnum > 0
		AND NOT attisdropped ORDER BY attnum LIMIT 14`)).To(Equal([]string{
		"id", "event_type", "service", "team", "environment", "commit_sha", "first_commit_ts", "occurred_at", "success", "is_rollback",
		"incident_id", "source", "payload", "ingested_at",
	}), "what published queries read stands first")

	bare := dora.Event{Schema: dora.Schema, ID: "e2", Type: dora.TypeDegraded, Service: "cart", OccurredAt: at, ObservedAt: at}
	send(t, s, bare)
	nulls := one[[]string](t, conn, `SELECT array_agg(key ORDER BY key) FROM dora.delivery_events e, jsonb_each(to_jsonb(e)) WHERE id = 'e2' AND value = 'null'`)
	g.Expect(nulls).To(HaveLen(45-len([]string{
		"id", "event_type", "service", "team", "environment", "occurred_at", "source", "payload", "ingested_at",
		"cluster", "type", "observed_at", "updated_at",
	})), "what is not known is NULL, and where it belongs never is: %v", nulls)
	g.Expect(one[string](t, conn, "SELECT team || environment FROM dora.delivery_events WHERE id = 'e2'")).To(BeEmpty())

	missing := column[string](t, conn, `SELECT c.oid::regclass || '.' || coalesce(a.attname, '') FROM pg_class c
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.oid IN ('dora.delivery_events'::regclass, 'dora.dora_metrics'::regclass)
		AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)`)
	g.Expect(missing).To(BeEmpty(), "everything has a comment")
}

func TestAnEventIsKeptOnceInItsNewestForm(t *testing.T) {
	g := NewWithT(t)
	_, o, conn := fresh(t)
	s := open(t, o)
	event := sinktest.Events()[0]
	first := event.OccurredAt.Add(-time.Hour)
	found := event
	found.Enrich(dora.CommitFacts{Commits: 2, FirstCommitAt: first, FirstCommit: "aaa", Base: "bbb"})
	lost := event
	lost.Enrich(dora.CommitFacts{Reason: "no_repository"})
	state := func() string {
		return one[string](t, conn, `SELECT coalesce(commit_count::text, '-') || ' ' || coalesce(lead_time_unknown, '-') || ' ' || (ingested_at = updated_at)::int
			|| ' ' || (payload ? 'lead_time_seconds')::int FROM dora.delivery_events`)
	}
	version := func() string {
		return one[string](t, conn, "SELECT xmin::text || ctid::text FROM dora.delivery_events")
	}

	g.Expect(send(t, s, event)).To(Equal("1 row"))
	g.Expect(state()).To(Equal("- - 1 0"))
	ingested := one[time.Time](t, conn, "SELECT ingested_at FROM dora.delivery_events")

	g.Expect(send(t, s, found)).To(Equal("1 row"))
	g.Expect(state()).To(Equal("2 - 0 1"))
	g.Expect(one[time.Time](t, conn, "SELECT ingested_at FROM dora.delivery_events")).To(Equal(ingested))

	before := version()
	g.Expect(send(t, s, found)).To(Equal("1 row, 0 new or changed"), "the same again changes nothing")
	g.Expect(send(t, s, event)).To(Equal("1 row, 0 new or changed"), "an older form does not replace a newer one")
	g.Expect(version()).To(Equal(before))

	send(t, s, lost)
	g.Expect(state()).To(Equal("- no_repository 0 0"), "what was found out later holds")
	g.Expect(send(t, s, event, found)).To(Equal("2 rows, 1 new or changed"), "both forms in one batch are one row")
	g.Expect(state()).To(Equal("2 - 0 1"))
}

func TestFigures(t *testing.T) {
	g := NewWithT(t)
	_, o, conn := fresh(t)
	s := open(t, o)
	figures := sinktest.Figures()
	g.Expect(s.SendFigures(t.Context(), figures)).To(Equal("4 rows"))
	g.Expect(s.SendFigures(t.Context(), nil)).To(BeEmpty())
	for name, want := range map[string]string{
		"cluster": "eu-1", "target": "shop/shop", "environment": "production", "team": "shop", "day": "2026-03-01", "is_primary": "true",
		"window_from": "2026-01-30 12:00:00+00", "window_to": "2026-03-01 12:00:00+00", "services": "1", "deployments": "12",
		"deployments_per_week": "2.8", "deployments_per_day": "0.4", "lead_time_p50_seconds": "86400", "lead_time_p90_seconds": "172800",
		"lead_time_samples": "11", "lead_time_rejected": "1", "change_failure_rate": "0.25", "failed_attempts": "3", "attempts": "12",
		"recovery_p50_seconds": "1800", "recovery_p90_seconds": "3600", "recovery_samples": "3", "rework_rate": "0.1", "unplanned": "1",
		"succeeded": "10", "failed": "2", "aborted": "1", "unexposed": "0", "returned": "1", "unknown": "0", "incidents": "0",
		"open_failures": "1", "frequency_band": "High", "lead_time_band": "Elite", "change_failure_rate_band": "Medium", "recovery_band": "Elite",
		"band": "Medium",
	} {
		g.Expect(one[string](t, conn, "SELECT ("+name+")::text FROM dora.dora_metrics WHERE scope = 'service' AND service = 'cart'")).To(Equal(want), name)
	}
	g.Expect(one[bool](t, conn, `SELECT change_failure_rate IS NULL AND band IS NULL AND team = '' AND deployments = 0
		FROM dora.dora_metrics WHERE service = 'quiet'`)).To(BeTrue(), "no data is NULL")
	g.Expect(one[string](t, conn, "SELECT environment || team || service FROM dora.dora_metrics WHERE scope = 'target'")).To(BeEmpty())

	attempts := func() []string {
		return column[string](t, conn, "SELECT day || ' ' || attempts FROM dora.dora_metrics WHERE scope = 'service' AND service = 'cart' ORDER BY day")
	}
	at := func(hours, attempts int) sink.Figures {
		f := figures[0]
		f.To, f.Attempts = f.To.Add(time.Duration(hours)*time.Hour), attempts
		return f
	}
	g.Expect(s.SendFigures(t.Context(), []sink.Figures{at(1, 13), at(2, 14)})).To(Equal("2 rows, 1 new or changed"))
	g.Expect(attempts()).To(Equal([]string{"2026-03-01 14"}), "the last of a day stays")
	g.Expect(s.SendFigures(t.Context(), []sink.Figures{at(1, 13)})).To(Equal("1 row, 0 new or changed"))
	_, err := s.SendFigures(t.Context(), []sink.Figures{at(11, 20), at(12, 21)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(attempts()).To(Equal([]string{"2026-03-01 20", "2026-03-02 21"}), "a day begins at midnight, UTC")
}

func TestWhatPostgreSQLCannotHold(t *testing.T) {
	g := NewWithT(t)
	_, o, conn := fresh(t)
	s := open(t, o)
	nul := sinktest.Events()[0]
	nul.Message, nul.Reason = "a\x00b", "\x00\\\x00u0000\xff"
	send(t, s, nul)
	g.Expect(one[string](t, conn, "SELECT message || ' ' || reason || ' ' || (payload->>'message') FROM dora.delivery_events")).
		To(Equal("ab \\u0000\uFFFD ab"), "NUL is left out, and what only looks like it stays")

	events := sinktest.Events()
	send(t, s, events[1])
	long := events[2]
	for i := range 4000 { // longer than a page of an index, however well it is compressed
		long.CausedBy += strconv.Itoa(i * i)
	}
	huge := events[2]
	huge.OccurredAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	strange := events[2]
	strange.Type = "restarted"
	for name, event := range map[string]dora.Event{"a year beyond JSON": huge, "an unknown type": strange, "a key too long for an index": long} {
		_, err := s.Send(t.Context(), []dora.Event{event})
		g.Expect(sink.IsPermanent(err)).To(BeTrue(), "%s: %v", name, err)
	}
	postgrestest.Exec(t, conn, "ALTER TABLE dora.delivery_events ADD CONSTRAINT no_returns CHECK (NOT coalesce(is_rollback, false))")
	_, err := s.Send(t.Context(), events)
	g.Expect(sink.IsPermanent(err)).To(BeTrue(), "%v", err)
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.Refused))
	g.Expect(err).To(MatchError(And(ContainSubstring("no_returns"), ContainSubstring("SQLSTATE 23514"))))
	g.Expect(ids(t, conn)).To(Equal([]string{"e1", "e2"}), "of a batch that is refused nothing arrives")
	send(t, s, events[0], events[1])
}

func TestADatabaseOfAnotherEncoding(t *testing.T) {
	g := NewWithT(t)
	server, o, conn := fresh(t)
	o.Database += "_latin1"
	postgrestest.Exec(t, conn, "CREATE DATABASE "+o.Database+" OWNER "+o.User+" ENCODING 'LATIN1' TEMPLATE template0")
	s := open(t, o)
	t.Cleanup(func() {
		s.Close()
		postgrestest.Exec(t, conn, "DROP DATABASE "+o.Database+" WITH (FORCE)")
	})
	events := sinktest.Events()[:2]
	events[0].Message, events[1].Message = "Überfällig", "→"
	send(t, s, events[0])
	g.Expect(one[string](t, server.Connect(t, o.Database), "SELECT message || (payload->>'message') FROM dora.delivery_events")).To(Equal("ÜberfälligÜberfällig"))
	_, err := s.Send(t.Context(), events)
	g.Expect(sink.IsPermanent(err)).To(BeTrue(), "what it cannot hold it never will: %v", err)
}
