package postgres

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// greeting lets a client in and answers nothing more, as a pooler does whose server is gone.
func greeting(conn net.Conn) {
	server := pgproto3.NewBackend(conn, conn)
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return
	}
	server.Send(&pgproto3.AuthenticationOk{})
	server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	_ = server.Flush()
	buffer := make([]byte, 1024)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

// TestOpeningGivesUpOnAServerThatFallsSilent, so that it is tried again, and nothing is stuck meanwhile.
func TestOpeningGivesUpOnAServerThatFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, board := NewWithT(t), &progress.Board{}
		config, schema, err := parse("postgres://dora@192.0.2.1/dora?sslmode=disable")
		g.Expect(err).NotTo(HaveOccurred())
		config.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go greeting(server)
			return client, nil
		}
		p, err := connect(t.Context(), config)
		g.Expect(err).NotTo(HaveOccurred())
		began := time.Now()
		_, err = open(t.Context(), p, schema, Options{Cluster: "eu-1", Board: board}.withDefaults())
		g.Expect(err).To(MatchError(ledger.ErrUnreachable))
		g.Expect(err).To(MatchError(ContainSubstring("did not answer within 1m0s")))
		g.Expect(time.Since(began)).To(BeNumerically("~", time.Minute, time.Second), "of the bubble's clock")
		g.Expect(board.Check()).To(Succeed())
		p.close()
		synctest.Wait()
	})
}

// TestAStepOfOpeningThatDoesNotEndIsStuck: one that its deadline does not end, once it has had the time to.
func TestAStepOfOpeningThatDoesNotEndIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, board, goOn := NewWithT(t), &progress.Board{}, make(chan struct{})
		opts := Options{Board: board}
		ended := make(chan error, 1)
		go func() {
			ended <- opts.step(t.Context(), time.Minute, func(context.Context) error { <-goOn; return nil })
		}()
		time.Sleep(time.Minute + progress.Spare)
		g.Expect(board.Check()).To(Succeed())
		time.Sleep(time.Nanosecond)
		g.Expect(board.Check()).To(MatchError("stuck: open the ledger since 2000-01-01T00:00:00Z"))
		close(goOn)
		g.Expect(<-ended).To(Succeed())
		g.Expect(board.Check()).To(Succeed())
	})
}

// TestAMigrationThatAnotherOneHoldsUpIsWaitedFor: the lock of migrations is held for as long as one takes, and then it is tried again.
func TestAMigrationThatAnotherOneHoldsUpIsWaitedFor(t *testing.T) {
	g, server := NewWithT(t), postgrestest.Start(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	other := server.Connect(t, d.Name)
	postgrestest.Exec(t, other, fmt.Sprintf("SELECT pg_advisory_lock(%d)", int64(eventtable.MigrationLock)))
	ctx, giveUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Open(ctx, address(d).String(), Options{Cluster: "eu-1"})
		ended <- err
	}()
	g.Eventually(func() []string {
		return column[string](t, other, "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' "+
			"AND query LIKE '%pg_try_advisory_lock%'")
	}).WithTimeout(postgrestest.Within).Should(HaveLen(1))
	giveUp()
	err := <-ended
	g.Expect(err).To(MatchError(ledger.ErrInUse))
	g.Expect(err).To(MatchError(ContainSubstring("somebody else is migrating the database")))
	postgrestest.Exec(t, other, "SELECT pg_advisory_unlock_all()")
	opened(t, address(d).String(), "eu-1")
}
