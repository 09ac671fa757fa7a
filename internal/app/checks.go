package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger/postgres"
)

// A probe waits for a second by default; an answer that comes later is none.
const checkWithin = 800 * time.Millisecond

func (a *App) checkCaches(req *http.Request) error {
	ctx, cancel := context.WithTimeout(req.Context(), checkWithin)
	defer cancel()
	if !a.manager.GetCache().WaitForCacheSync(ctx) {
		return errors.New("the caches are not in step with the API server yet")
	}
	return nil
}

func (a *App) checkWork(*http.Request) error { return a.options.board.Check() }

func (a *App) checkWatches(*http.Request) error { return a.options.hearing.Check() }

// overdue is how long after its end a lease may be held on to: client-go gives it up before, and the manager then ends within half a minute.
const overdue = time.Minute

// checkLease fails for a leader that goes on though it did not renew its lease, as one whose election is stuck would.
func (a *App) checkLease(*http.Request) error {
	renewed := a.options.hearing.Renewed(LeaderElectionID)
	if !a.options.LeaderElect || !a.leader.elected() || renewed.IsZero() || time.Since(renewed) < a.options.LeaseDuration+overdue {
		return nil
	}
	return fmt.Errorf("the lease was renewed at %s for the last time, and this process goes on", renewed.UTC().Format(time.RFC3339))
}

// watchdog logs what is stuck, whether anybody asks or not.
type watchdog struct{ options *Options }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (watchdog) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (w watchdog) Start(ctx context.Context) error {
	w.options.board.Tell(ctx, w.options.Log.WithName("watchdog"))
	return nil
}

// check: who leads has to be able to write. Who stands by for a ledger that is shared is ready to, if it would be let in.
func (l *leader) check(req *http.Request) error {
	if l.options.shared() && !l.elected() {
		return l.standby.check()
	}
	store := l.store.Load()
	if store == nil || !l.working.Load() {
		return errors.New("the ledger is not open: this process is not the leader, or another one still writes the ledger")
	}
	ctx, cancel := context.WithTimeout(req.Context(), checkWithin)
	defer cancel()
	err := (*store).Ping(ctx)
	l.tellRights(err)
	return err
}

// tellRights logs, once, what somebody has to grant: whoever asks for a check is told that it fails, and not why.
func (l *leader) tellRights(err error) {
	lacking := errors.Is(err, postgres.ErrRights)
	if l.lacking.Swap(lacking) != lacking && lacking {
		l.log.Error(err, "The ledger takes nothing, and this process is not ready")
	}
}

func (l *leader) elected() bool {
	select {
	case <-l.mgr.Elected():
		return true
	default:
		return false
	}
}
