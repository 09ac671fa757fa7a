package postgres

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
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
