package app

import (
	"context"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

const pruneEvery = 24 * time.Hour

// prune drops, at the start and then every day, what the ledger need not keep. Failing to is no reason to stop.
func (l *leader) prune(ctx context.Context, store ledger.Store) error {
	for {
		retention := ledger.Retention{DecisionsPerSubject: l.options.KeepDecisions}
		if l.options.KeepEvents > 0 {
			retention.EventsBefore = l.options.Clock.Now().Add(-l.options.KeepEvents)
		}
		switch dropped, err := store.Prune(ctx, retention); {
		case err != nil && ctx.Err() == nil:
			l.log.Error(err, "Cannot prune the ledger, trying again tomorrow")
		case dropped > 0:
			l.log.Info("Dropped old events from the ledger", "events", dropped, "before", retention.EventsBefore)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pruneEvery):
		}
	}
}
