package app

import (
	"context"
	"errors"
	"net/http"
	"time"
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

// check: only a write tells whether the disk takes writes. Who stands by for a ledger that is shared is ready to.
func (l *leader) check(req *http.Request) error {
	if l.options.shared() && !l.elected() {
		return nil
	}
	store := l.store.Load()
	if store == nil || !l.working.Load() {
		return errors.New("the ledger is not open: this process is not the leader, or another one still writes the ledger")
	}
	ctx, cancel := context.WithTimeout(req.Context(), checkWithin)
	defer cancel()
	return (*store).Ping(ctx)
}

func (l *leader) elected() bool {
	select {
	case <-l.mgr.Elected():
		return true
	default:
		return false
	}
}
