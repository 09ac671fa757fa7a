package sqltest_test

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/sqltest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// What these tests write by themselves is what the sink writes.
func TestRowsAreThoseOfTheSink(t *testing.T) {
	g := NewWithT(t)
	events := append(november(t), sinktest.Events()...)
	for _, verdict := range []dora.Verdict{dora.Failure, dora.NotAFailure, dora.Ignore} {
		for _, e := range november(t) {
			e.ID += string(verdict)
			e.Say(dora.Mark{Verdict: verdict, Reason: "a drill", By: "ada", At: at(1)})
			events = append(events, e)
		}
	}
	for i := range events { // one of each fact that an event can have
		events[i].Enrich(dora.CommitFacts{Commit: "4f5e6d7", FirstCommit: "1a", FirstCommitAt: at(0), Commits: 3, Base: "2b", Repository: "https://example.com/r", Message: "m"})
		events[i].Reason, events[i].Message = "Because", "of this"
	}
	server := postgrestest.Start(t)
	sent := server.Database(t)
	destination, err := postgres.New(postgres.Options{
		Name: "shop/postgres", Cluster: "eu", Host: sent.Host, Port: sent.Port, Database: sent.Name, User: sent.User, Password: sent.Password,
		Schema: sqltest.Schema, TLS: postgres.Disable, Migrate: true, Guard: egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	defer destination.Close()
	_, err = destination.Send(t.Context(), events)
	g.Expect(err).NotTo(HaveOccurred())
	written := sqltest.Open(t, postgres.Migrations())
	written.Insert(t, events)

	const rows = `SELECT to_jsonb(e) - '{ingested_at,updated_at}'::text[] AS row FROM dora.delivery_events e ORDER BY id COLLATE "C"`
	type stored struct{ Row map[string]any }
	theirs := &sqltest.Database{Conn: server.Connect(t, sent.Name)}
	g.Expect(query[stored](t, t, written, rows)).To(Equal(query[stored](t, t, theirs, rows)))
}
