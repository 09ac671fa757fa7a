package postgres

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

const writers, rounds = 4, 40

// writing has writers commit one change after the other, each counted in a state, so that one that was written twice, or that was told to be in
// conflict with itself, would show. What happens once they are half way is done meanwhile.
func writing(t *testing.T, s *Store, halfWay func()) {
	t.Helper()
	g := NewWithT(t)
	var all sync.WaitGroup
	half := make(chan struct{}, writers)
	for w := range writers {
		all.Go(func() {
			state := ledger.State{Key: strconv.Itoa(w)}
			for round := range rounds {
				if round == rounds/2 {
					half <- struct{}{}
				}
				change := deployment(fmt.Sprintf("%d-%d", w, round))
				change.States = []ledger.State{state}
				g.Expect(s.Commit(context.Background(), change)).To(Succeed())
				state.Version++
			}
		})
	}
	<-half
	halfWay()
	all.Wait()
	g.Expect(ids(t, s)).To(HaveLen(writers * rounds))
	for w := range writers {
		g.Expect(s.ReadState(t.Context(), strconv.Itoa(w))).To(HaveField("Version", int64(rounds)))
	}
	g.Expect(s.Revision(t.Context())).To(Equal(int64(writers * rounds)))
}

// TestAFailover: the server is gone for good while changes are committed, and its standby is promoted. All that was acknowledged is there.
func TestAFailover(t *testing.T) {
	primary := postgrestest.New(t)
	d := primary.Database(t)
	standby := primary.Standby(t)
	t.Setenv("PGPASSWORD", d.Password)
	location := address(d)
	location.Host = fmt.Sprintf("%s:%d,%[1]s:%[3]d", d.Host, standby.Port, primary.Port) // the one that takes no writes comes first
	writing(t, opened(t, location.String(), "eu-1"), func() {
		primary.Crash(t)
		standby.Promote(t)
	})
}

// TestAConnectionStorm: others take every connection that the server has, and the ledger's break off. It goes on once they leave some.
func TestAConnectionStorm(t *testing.T) {
	g := NewWithT(t)
	server := postgrestest.New(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	s := opened(t, address(d).String(), "eu-1")
	admin := server.Connect(t, d.Name)
	writing(t, s, func() {
		var storm []*pgx.Conn
		g.Eventually(func() []int {
			storm = append(storm, takeAll(t, d)...)
			return column[int](t, admin, `SELECT pg_terminate_backend(pid)::int
				FROM (SELECT pid FROM pg_stat_activity WHERE application_name = 'dora-controller' OFFSET 0) ours`)
		}).WithTimeout(postgrestest.Within).Should(BeEmpty(), "the ledger has a connection")
		g.Expect(len(storm)).To(BeNumerically(">", 40))
		limited, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		g.Expect(s.Ping(limited)).NotTo(Succeed(), "there is no connection left")
		for _, conn := range storm {
			g.Expect(conn.Close(t.Context())).To(Succeed())
		}
	})
}

// takeAll connects until the server takes no more.
func takeAll(t *testing.T, d postgrestest.Database) (all []*pgx.Conn) {
	t.Helper()
	location := address(d)
	location.User = url.UserPassword(d.User, d.Password)
	for refused := 0; refused < 3; {
		conn, err := pgx.Connect(t.Context(), location.String())
		if err != nil {
			refused++
			continue
		}
		all = append(all, conn)
	}
	return all
}

// TestRetentionHoldsNobodyUp: months are to be dropped while somebody's transaction holds the whole table, and others go on writing. What could not be
// finished is finished the next time.
func TestRetentionHoldsNobodyUp(t *testing.T) {
	g := NewWithT(t)
	d := postgrestest.Start(t).Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	partitioned(t, d)
	look := looker(t, d)
	s := opened(t, address(d).String(), "eu-1")
	for month := range 3 {
		event := ledgertest.Deployment(fmt.Sprintf("old-%d", month), "cart", start.AddDate(-2, month, 0))
		g.Expect(s.Commit(t.Context(), ledger.Change{Events: []dora.Event{event}})).To(Succeed())
	}
	g.Expect(s.Commit(t.Context(), deployment("young"))).To(Succeed())
	prune := func() error {
		_, err := s.Prune(t.Context(), ledger.Retention{EventsBefore: start.AddDate(0, -6, 0)})
		return err
	}
	dashboard := looker(t, d)
	postgrestest.Exec(t, dashboard, "BEGIN")
	postgrestest.Exec(t, dashboard, "SELECT count(*) FROM delivery_events")

	pruned := make(chan error, 1)
	go func() { pruned <- prune() }()
	g.Eventually(func() []int {
		return column[int](t, look, "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%DETACH%' AND wait_event_type = 'Lock'")
	}).WithTimeout(postgrestest.Within).Should(HaveLen(1), "retention waits for the dashboard")
	for n := range 10 {
		g.Expect(s.Commit(t.Context(), deployment(strconv.Itoa(n)))).To(Succeed())
	}
	g.Expect(pruned).NotTo(Receive(), "it waits still, and nobody waits for it")
	g.Expect(<-pruned).To(MatchError(ContainSubstring("lock timeout")), "it gives up, for today")

	postgrestest.Exec(t, dashboard, "COMMIT")
	g.Expect(prune()).To(Succeed())
	g.Expect(column[string](t, look, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'delivery_events'::regclass")).
		To(Equal([]string{"delivery_events_2026_03"}))
	g.Expect(column[int64](t, look, "SELECT count(*) FROM delivery_events")).To(Equal([]int64{11}))
}
