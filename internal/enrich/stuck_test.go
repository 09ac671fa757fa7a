package enrich_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/enrich"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
)

// TestASearchThatDoesNotEndIsStuck, and one that waits for a server that does not answer is not.
func TestASearchThatDoesNotEndIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, board, w, goOn := NewWithT(t), &progress.Board{}, newWorld(t), make(chan struct{})
		w.opts.Board = board
		w.gates["slow"] = make(chan struct{}) // never opened: it ends by the deadline of the search
		w.answer = func(service string, _ int) (commit.Answer, error) {
			if service == "dead" {
				<-goOn
			}
			return found(time.Now()), nil
		}
		w.deploy("slow", "s1", nil)
		worker := enrich.New(w.ledger, w, w, w.opts)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- worker.Start(ctx) }()
		for range 20 {
			time.Sleep(time.Minute)
			g.Expect(board.Check()).To(Succeed())
		}
		w.deploy("dead", "d1", nil)
		worker.Notify()
		time.Sleep(3*time.Minute + progress.Spare + time.Second)
		g.Expect(board.Check()).To(MatchError("stuck: find commits of event d1 since 2000-01-01T00:20:00Z"))
		close(goOn)
		stop()
		g.Expect(<-ended).To(Succeed())
	})
}

// silent is a ledger that does not say whose commits are to be looked for.
type silent struct {
	enrich.Ledger

	goOn chan struct{}
}

func (s silent) Unresolved(context.Context, time.Time, int) ([]ledger.Resolution, error) {
	<-s.goOn
	return nil, nil
}

func TestAQueueThatCannotBeReadIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, board, w, goOn := NewWithT(t), &progress.Board{}, newWorld(t), make(chan struct{})
		w.opts.Board = board
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- enrich.New(silent{w.ledger, goOn}, w, w, w.opts).Start(ctx) }()
		time.Sleep(30*time.Second + progress.Spare + 1)
		g.Expect(board.Check()).To(MatchError("stuck: look for commits in the queue since 2000-01-01T00:00:00Z"))
		stop()
		close(goOn)
		g.Expect(<-ended).To(Succeed())
	})
}
