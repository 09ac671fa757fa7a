package sqlite

import (
	"database/sql"
	"encoding/json"
	"io/fs"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/pressly/goose/v3"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

// asOf is a closed ledger with the schema of an earlier release, and what these statements put into it.
func asOf(t *testing.T, version int64, fill func(exec func(query string, args ...any))) string {
	t.Helper()
	g := NewWithT(t)
	path := ledgerPath(t)
	db, err := sql.Open("sqlite", dsn(path, "rwc", "journal_mode(WAL)"))
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(db.Close()).To(Succeed()) }()
	db.SetMaxOpenConns(1)
	steps, err := fs.Sub(embedded, "migrations")
	g.Expect(err).NotTo(HaveOccurred())
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, steps)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = provider.UpTo(t.Context(), version)
	g.Expect(err).NotTo(HaveOccurred())
	fill(func(query string, args ...any) {
		_, err := db.ExecContext(t.Context(), query, args...)
		g.Expect(err).NotTo(HaveOccurred(), query)
	})
	return path
}

// TestUpgradeFrom1: a ledger that knew nothing of commits keeps all that it held, and its deployments can be looked into.
func TestUpgradeFrom1(t *testing.T) {
	g := NewWithT(t)
	first, second := ledgertest.Deployment("first", "cart", noon), ledgertest.Deployment("second", "cart", noon.Add(time.Minute))
	failure := ledgertest.Degraded("failure", "cart", noon.Add(time.Hour))
	path := asOf(t, 1, func(exec func(query string, args ...any)) {
		at := noon.UnixMicro()
		exec(`UPDATE ledger SET revision = 3, since = ?`, at)
		exec(`INSERT INTO states (key, version, data) VALUES ('cart', 3, x'01')`)
		exec(`INSERT INTO sinks (name, delivered, settled, last_delivery) VALUES ('port', 1, 1, ?)`, at)
		for _, event := range []dora.Event{first, second, failure} {
			payload, err := json.Marshal(event)
			g.Expect(err).NotTo(HaveOccurred())
			exec(`INSERT INTO events (id, cluster, uid, service, environment, type, outcome, occurred_at, payload)
				VALUES (?, ?, ?, ?, ?, ?, NULLIF(?, ''), ?, ?)`, event.ID, event.Cluster, event.Subject.UID, event.Service,
				event.Environment, string(event.Type), string(event.Outcome), event.OccurredAt.UnixMicro(), string(payload))
		}
		exec(`INSERT INTO outbox (seq, sink, service, recorded_at, next_at) VALUES (2, 'port', 'cart', ?, ?)`, at, at)
		exec(`INSERT INTO outbox (seq, sink, service, recorded_at, next_at, attempts, parked, failed_at, last_error)
			VALUES (3, 'port', 'cart', ?, ?, 1, 1, ?, 'refused')`, at, at, at)
	})
	_, err := OpenReadOnly(t.Context(), path)
	g.Expect(err).To(MatchError(ContainSubstring("has schema 1, but this release reads 7")))

	s := open(t, path, Options{Now: func() time.Time { return noon }})
	g.Expect(ids(t, s)).To(Equal([]string{"first", "second", "failure"}))
	g.Expect(s.Revision(t.Context())).To(Equal(int64(3)))
	g.Expect(s.ReadState(t.Context(), "cart")).To(Equal(ledger.State{Key: "cart", Version: 3, Data: []byte{1}}))
	g.Expect(s.Sinks(t.Context())).To(Equal([]ledger.SinkState{{
		Sink: "port", Cursor: 1, Delivered: 1, Pending: 1, Parked: 1, OldestPending: noon, LastDelivery: noon, LastError: "refused",
	}}))
	g.Expect(s.Due(t.Context(), "port", noon, 9)).To(Equal([]ledger.Delivery{{Seq: 2, Sink: "port", Event: second, NextAt: noon}}))
	g.Expect(s.NextUnresolved(t.Context())).To(BeZero(), "nothing is looked into unasked")
	g.Expect(s.Deliveries(t.Context(), ledger.DeliveryQuery{})).To(BeEmpty(), "nothing was kept of what was delivered then")

	g.Expect(s.Reopen(t.Context(), ledger.ReopenQuery{Missing: true}, noon)).To(Equal(int64(2)))
	known := ledgertest.Facts("first", noon.Add(-time.Hour))
	g.Expect(s.Commit(t.Context(), ledger.Change{Facts: []dora.CommitFacts{known}, Sinks: []string{"port"}})).To(Succeed())
	first.Enrich(known)
	g.Expect(s.Due(t.Context(), "port", noon, 9)).To(HaveExactElements(HaveField("Event", first), HaveField("Event", second)))
	g.Expect(s.Close()).To(Succeed())
	g.Expect(ids(t, open(t, path, Options{}))).To(HaveLen(3), "it is migrated once")
}

// TestReadOnlyTellsFacts: a tool beside the controller reads what the controller found out.
func TestReadOnlyTellsFacts(t *testing.T) {
	g := NewWithT(t)
	path := ledgerPath(t)
	s := open(t, path, Options{})
	reading, err := OpenReadOnly(t.Context(), path)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(reading.Close()).To(Succeed()) }()
	want := ledgertest.Deployment("a", "cart", noon)
	for _, first := range []time.Time{noon.Add(-time.Hour), noon.Add(-time.Minute)} {
		change := ledger.Change{Events: []dora.Event{want}, Facts: []dora.CommitFacts{ledgertest.Facts("a", first)}}
		g.Expect(s.Commit(t.Context(), change)).To(Succeed())
		want.Enrich(change.Facts[0])
		for row, err := range reading.Events(t.Context(), ledger.EventQuery{}) {
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(row.Event).To(Equal(want))
		}
	}
}
