package sqlite

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// writer runs the writes of many goroutines in few transactions. See the package comment.
type writer struct {
	connection *connection
	group      int
	queue      chan *write // unbuffered: what was received was taken
	quit       chan struct{}
	done       chan struct{}
}

// write is one unit that is kept as a whole or not at all. It may run twice, so it leaves nothing outside the connection
// that a second run does not overwrite.
type write struct {
	ctx    context.Context //nolint:containedctx // it travels with the request, as http.Request's does
	run    func(*connection) error
	err    error
	answer chan error
}

func startWriter(connection *connection, group int) *writer {
	w := &writer{
		connection: connection,
		group:      group,
		queue:      make(chan *write),
		quit:       make(chan struct{}),
		done:       make(chan struct{}),
	}
	go w.loop()
	return w
}

// do hands a write over and waits for its outcome. Once handed over it is finished, whatever happens to its context.
func (w *writer) do(ctx context.Context, doing string, run func(*connection) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	request := &write{ctx: ctx, run: run, answer: make(chan error, 1)}
	var err error
	select {
	case w.queue <- request:
		err = <-request.answer
	case <-ctx.Done():
		err = ctx.Err()
	case <-w.done:
		err = ledger.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// inSteps runs one transaction for each part of a long list of rows, and counts the rows that were changed. What waits meanwhile is
// written between two of them.
func (s *Store) inSteps(
	ctx context.Context, doing string, parts iter.Seq[[]int64], run func(tx *connection, seqs []int64) (int64, error),
) (changed int64, err error) {
	for part := range parts {
		var n int64
		err := s.writer.do(ctx, doing, func(tx *connection) (err error) {
			n, err = run(tx, part)
			return err
		})
		if err != nil {
			return changed, err
		}
		changed += n
	}
	return changed, nil
}

// stop finishes the group in hand and gives up the connection. Called once.
func (w *writer) stop() error {
	close(w.quit)
	<-w.done
	return w.connection.close()
}

func (w *writer) loop() {
	defer close(w.done)
	for {
		select {
		case <-w.quit:
			return
		case first := <-w.queue:
			w.finish(w.gather(first))
		}
	}
}

// gather takes what waits. It lets goroutines that can run do so first, since those that the last group answered are
// about to come back with their next change: otherwise the quickest of them would get a sync of its own each time.
// With nobody running that costs less than a microsecond.
func (w *writer) gather(first *write) []*write {
	group := []*write{first}
	for taken := 0; taken < len(group) && len(group) < w.group; {
		taken = len(group)
		runtime.Gosched()
		group = w.drain(group)
	}
	return group
}

func (w *writer) drain(group []*write) []*write {
	for len(group) < w.group {
		select {
		case next := <-w.queue:
			group = append(group, next)
		default:
			return group
		}
	}
	return group
}

// finish runs a group and answers it once its outcome is on the disk.
func (w *writer) finish(group []*write) {
	if err := w.together(group); err != nil {
		w.apart(group, err)
	}
	for _, request := range group {
		request.answer <- request.err
	}
}

// together runs a group in one transaction. It fails if the transaction was lost, with everything in it.
func (w *writer) together(group []*write) error {
	if err := w.connection.begin(); err != nil {
		return err
	}
	for _, request := range group {
		if request.err = request.ctx.Err(); request.err != nil {
			continue // it ended in the moment of being handed over
		}
		request.err = w.connection.attempt(request.run)
		if errors.Is(request.err, errLost) {
			w.connection.rollback()
			return request.err
		}
	}
	if err := w.connection.commit(); err != nil {
		w.connection.rollback()
		return err
	}
	return nil
}

// apart gives each write of a lost transaction one of its own, so that the one at fault fails alone.
func (w *writer) apart(group []*write, lost error) {
	if len(group) == 1 {
		group[0].err = lost
		return
	}
	for i, request := range group {
		if err := w.together(group[i : i+1]); err != nil {
			request.err = err
		}
	}
}
