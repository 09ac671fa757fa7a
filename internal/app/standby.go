package app

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// askAgain is how often it is asked whether the database would let a standby in.
const askAgain = time.Minute

// standby knows whether the database of the ledger would let this process in once it leads. Else an update with a wrong password would be found
// well, one pod after the other, until the last leader with the right one is gone.
type standby struct {
	ask     func(context.Context) error // fails where somebody has to mend something, and not while the database is merely down
	elected <-chan struct{}
	log     logr.Logger
	answer  atomic.Pointer[error]
}

var _ manager.LeaderElectionRunnable = (*standby)(nil)

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*standby) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable. It asks until this process leads, and opens the ledger.
func (s *standby) Start(ctx context.Context) error {
	for {
		err := s.ask(ctx)
		if err != nil {
			s.log.Error(err, "This process could not take the ledger over, and is not ready to")
		}
		s.answer.Store(&err)
		select {
		case <-ctx.Done():
			return nil
		case <-s.elected:
			return nil
		case <-time.After(askAgain):
		}
	}
}

func (s *standby) check() error {
	if answer := s.answer.Load(); answer != nil {
		return *answer
	}
	return errors.New("the database has not said yet whether it lets this process in")
}
