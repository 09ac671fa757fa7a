package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dora-controller/dora-controller/internal/backoff"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/group"
	"github.com/dora-controller/dora-controller/internal/progress"
)

// mostTogether bounds a group: a session that has more than 64 savepoints makes all others look up which of them were committed.
const mostTogether = 32

// between are the waits between attempts to run a group again.
var between = backoff.Exponential{Base: 100 * time.Millisecond, Cap: 2 * time.Second}

// write is one unit that is kept as a whole or not at all.
type write = group.Write[*transaction]

// writer runs the writes of many goroutines in few transactions. See the package comment.
type writer struct {
	*group.Queue[*transaction]

	pool     *pgxpool.Pool
	ledger   int32
	token    int64
	cluster  string
	upsert   string
	now      func() time.Time
	patience time.Duration
	board    *progress.Board
	fenced   func()

	// doubt is the count of writes that the ledger has if the commit succeeded whose answer was lost; 0 if there is no doubt.
	doubt int64
}

func startWriter(w *writer) *writer {
	w.Queue = group.Start(mostTogether, w.board, w.patience+writeWithin+progress.Spare, w.finish)
	return w
}

// finish runs a group until its outcome is known, or for as long as the patience lasts, and answers it.
func (w *writer) finish(writes []*write) {
	deadline := time.Now().Add(w.patience)
	err := w.together(writes)
	for failures := 1; lost(err) && time.Now().Before(deadline) && w.wait(between.Delay(failures, rand.Float64())); failures++ { //nolint:gosec // no secret
		err = w.together(writes)
	}
	w.doubt = 0
	for _, request := range writes {
		switch {
		case err == nil:
			request.Err = explained(request.Err)
		case !errors.Is(request.Err, context.Canceled) && !errors.Is(request.Err, context.DeadlineExceeded):
			request.Err = explained(err)
		}
	}
	w.Answer(writes)
	if errors.Is(err, ledger.ErrFenced) {
		w.fenced()
	}
}

// wait tells whether the time passed; it does not if the store is being closed.
func (w *writer) wait(d time.Duration) bool {
	select {
	case <-w.Stopping():
		return false
	case <-time.After(d):
		return true
	}
}

// together runs a group in one transaction. It fails if the transaction was lost, with everything in it, or refused.
func (w *writer) together(writes []*write) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
	defer cancel()
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // which closes it if a transaction is still open
	tx := &transaction{ctx: ctx, conn: conn.Conn(), writer: w}
	if err := tx.begin(); err != nil {
		return err
	}
	if w.doubt != 0 && tx.at.writes == w.doubt {
		return tx.rollback() // it was committed, and each of its writes knows what became of it
	}
	w.doubt = 0
	for _, request := range writes {
		if request.Err = request.Ctx.Err(); request.Err != nil {
			continue // it ended in the moment of being handed over
		}
		if request.Err = tx.attempt(request.Run); lost(request.Err) && !tx.answered(request.Err) {
			return request.Err
		}
	}
	w.doubt = tx.at.writes + 1
	return tx.commit()
}

// claimed tells whether the token is still the newest.
func (w *writer) claimed(token int64) error {
	if token == w.token {
		return nil
	}
	return fmt.Errorf("%w: cluster %s has token %d, and this process %d", ledger.ErrFenced, w.cluster, token, w.token)
}
