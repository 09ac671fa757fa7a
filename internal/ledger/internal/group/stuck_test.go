package group

import (
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/progress"
)

// TestAWriteThatDoesNotReturnIsStuck; one that waits for its turn is not.
func TestAWriteThatDoesNotReturnIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, board, goOn := NewWithT(t), &progress.Board{}, make(chan struct{})
		q := Start(1, board, time.Minute, func(writes []*Write[int]) {
			<-goOn
			for _, w := range writes {
				w.Tell()
			}
		})
		for range 3 {
			go func() { g.Expect(q.Do(t.Context(), "write", nil)).To(Succeed()) }()
		}
		for range 3 {
			time.Sleep(time.Minute)
			g.Expect(board.Check()).To(Succeed())
			goOn <- struct{}{}
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		g.Expect(board.Check()).To(Succeed(), "to wait for something to write is no work")
		go func() { g.Expect(q.Do(t.Context(), "write", nil)).To(Succeed()) }()
		time.Sleep(time.Minute + 1)
		g.Expect(board.Check()).To(MatchError("stuck: ledger a write since 2000-01-01T01:03:00Z"))
		close(goOn)
		q.Stop()
	})
}
