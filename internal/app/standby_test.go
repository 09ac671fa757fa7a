package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// standingBy is a manager whose process does not lead yet.
type standingBy struct {
	manager.Manager

	elected chan struct{}
}

func (m standingBy) Elected() <-chan struct{} { return m.elected }

// TestAStandbyThatTheDatabaseRefusesIsNotReady, as soon as it starts, and until the database lets it in.
func TestAStandbyThatTheDatabaseRefusesIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, mgr := NewWithT(t), standingBy{elected: make(chan struct{})}
		asked, refusal := 0, errors.New("wrong password")
		s := &standby{elected: mgr.elected, ask: func(context.Context) error { time.Sleep(time.Second); asked++; return refusal }}
		l := &leader{mgr: mgr, options: &Options{Ledger: "postgres://dora@db/dora"}, standby: s}
		ended := make(chan error, 1)
		go func() { ended <- s.Start(t.Context()) }()
		g.Expect(l.check(nil)).To(MatchError(ContainSubstring("has not said yet")))
		time.Sleep(time.Second + time.Millisecond)
		for range 10 {
			g.Expect(l.check(nil)).To(MatchError("wrong password"))
		}
		refusal = nil
		time.Sleep(time.Minute)
		g.Expect(l.check(nil)).To(MatchError("wrong password"), "it is being asked")
		time.Sleep(time.Second)
		g.Expect(l.check(nil)).To(Succeed())
		g.Expect(asked).To(Equal(2))
		close(mgr.elected)
		g.Expect(<-ended).To(Succeed())
		g.Expect(l.check(nil)).To(MatchError(ContainSubstring("the ledger is not open")), "it leads")
	})
}
