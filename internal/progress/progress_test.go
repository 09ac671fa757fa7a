package progress

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// began is when the time of a test in a bubble begins.
const began = "2000-01-01T00:00:00Z"

func TestWorkIsStuckOnceItTakesLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, b := NewWithT(t), &Board{}
		g.Expect(b.Check()).To(Succeed(), "nothing was begun")
		cart := b.Begin("reconcile", "argocd/cart", time.Minute)
		time.Sleep(time.Minute)
		g.Expect(b.Check()).To(Succeed(), "it may take that long")
		time.Sleep(time.Nanosecond)
		g.Expect(b.Check()).To(MatchError("stuck: reconcile argocd/cart since " + began))
		cart.End()
		g.Expect(b.Check()).To(Succeed(), "it has ended after all")
		cart.End()
	})
}

func TestAStepBeginsTheTimeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, b := NewWithT(t), &Board{}
		port := b.Begin("deliver", "port", time.Minute)
		for range 10 {
			time.Sleep(time.Minute)
			g.Expect(b.Check()).To(Succeed())
			port.Step()
		}
		time.Sleep(time.Minute + 1)
		g.Expect(b.Check()).To(MatchError("stuck: deliver port since 2000-01-01T00:10:00Z"))
	})
}

func TestOfManyTheOldestAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, b := NewWithT(t), &Board{}
		for name := range strings.SplitSeq("gfedcba", "") {
			b.Begin("reconcile", name, time.Minute)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		b.Begin("reconcile", "young", time.Minute)
		g.Expect(b.Check()).To(MatchError("stuck: reconcile g since 2000-01-01T00:00:00Z; reconcile f since 2000-01-01T00:00:01Z; " +
			"reconcile e since 2000-01-01T00:00:02Z; reconcile d since 2000-01-01T00:00:03Z; reconcile c since 2000-01-01T00:00:04Z; and 2 more"))
	})
}

func TestWhatIsStuckIsLoggedOnceAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, b, lines := NewWithT(t), &Board{}, []string{}
		ctx, stop := context.WithCancel(t.Context())
		go b.Tell(ctx, funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
		b.Begin("ledger", "a write", time.Minute)
		b.Begin("reconcile", "argocd/cart", time.Hour).End()
		stuck := func(ledger string) string {
			return "# HELP dora_stuck_work Pieces of work that take longer than they may, by their kind.\n# TYPE dora_stuck_work gauge\n" +
				"dora_stuck_work{work=\"ledger\"} " + ledger + "\ndora_stuck_work{work=\"reconcile\"} 0\n"
		}
		g.Expect(testutil.CollectAndCompare(b, strings.NewReader(stuck("0")))).To(Succeed())
		time.Sleep(10 * time.Minute)
		g.Expect(testutil.CollectAndCompare(b, strings.NewReader(stuck("1")))).To(Succeed())
		stop()
		synctest.Wait()
		g.Expect(lines).To(HaveExactElements(And(ContainSubstring("Work is stuck"), ContainSubstring(`"work"="ledger a write"`))))
	})
}

func TestNobodyLooksAtANilBoard(*testing.T) {
	var b *Board
	w := b.Begin("reconcile", "argocd/cart", time.Minute)
	w.Step()
	w.End()
}
