// Package group gathers the writes of many goroutines, so that a driver of the ledger can commit them together: a sync of the disk costs
// far more than the statements of a change.
//
// A write waits on an unbuffered channel: handing it over is the moment at which it is taken. Before that its context can withdraw it;
// after that it is finished. Nobody waits for a group to fill: what has gathered during one transaction makes the next group.
package group

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
)

// Write is one unit that is kept as a whole or not at all, in a transaction T. It may run twice, so it leaves nothing outside the
// transaction that a second run does not overwrite.
type Write[T any] struct {
	Ctx context.Context //nolint:containedctx // it travels with the request, as http.Request's does
	Run func(T) error
	// Err is what became of it.
	Err error

	answer chan error
}

// New is a write that somebody hands over without a queue, as tests do.
func New[T any](ctx context.Context, run func(T) error) *Write[T] {
	return &Write[T]{Ctx: ctx, Run: run, answer: make(chan error, 1)}
}

// Tell answers who waits for the write. Called once.
func (w *Write[T]) Tell() { w.answer <- w.Err }

// Told is the answer.
func (w *Write[T]) Told() error { return <-w.answer }

// Queue hands groups of writes to one goroutine.
type Queue[T any] struct {
	most   int
	board  *progress.Board
	within time.Duration
	finish func([]*Write[T])
	queue  chan *Write[T] // unbuffered: what was received was taken
	quit   chan struct{}
	done   chan struct{}
	sound  atomic.Bool
}

// Start begins to gather groups of at most so many. finish runs each, sets what became of its writes, and tells them. How long one may take
// stands on the board.
func Start[T any](most int, board *progress.Board, within time.Duration, finish func([]*Write[T])) *Queue[T] {
	q := &Queue[T]{most: most, board: board, within: within, finish: finish, queue: make(chan *Write[T]), quit: make(chan struct{}), done: make(chan struct{})}
	go q.loop()
	return q
}

// Do hands a write over and waits for its outcome. Once handed over it is finished, whatever happens to its context.
func (q *Queue[T]) Do(ctx context.Context, doing string, run func(T) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	request := New(ctx, run)
	var err error
	select {
	case q.queue <- request:
		err = request.Told()
	case <-ctx.Done():
		err = ctx.Err()
	case <-q.done:
		err = ledger.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// InSteps runs one transaction for each part of a long list of rows, and counts the rows that were changed. What waits meanwhile is
// written between two of them.
func (q *Queue[T]) InSteps(
	ctx context.Context, doing string, parts iter.Seq[[]int64], run func(tx T, seqs []int64) (int64, error),
) (changed int64, err error) {
	for part := range parts {
		var n int64
		err := q.Do(ctx, doing, func(tx T) (err error) {
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

// Answer tells all of a group what became of them.
func (q *Queue[T]) Answer(writes []*Write[T]) {
	q.sound.Store(!slices.ContainsFunc(writes, func(w *Write[T]) bool { return w.Err != nil }))
	for _, w := range writes {
		w.Tell()
	}
}

// Sound tells whether all was kept that was written last, and nothing is being written: then there is no reason to write only to see whether
// that is possible.
func (q *Queue[T]) Sound() bool { return q.sound.Load() }

// Stop finishes the group in hand. Called once.
func (q *Queue[T]) Stop() {
	close(q.quit)
	<-q.done
}

// Stopping is closed as soon as somebody stops the queue.
func (q *Queue[T]) Stopping() <-chan struct{} { return q.quit }

func (q *Queue[T]) loop() {
	defer close(q.done)
	for {
		select {
		case <-q.quit:
			return
		case first := <-q.queue:
			q.run(q.gather(first))
		}
	}
}

func (q *Queue[T]) run(writes []*Write[T]) {
	work := q.board.Begin("ledger", "a write", q.within)
	defer work.End()
	q.sound.Store(false)
	q.finish(writes)
}

// gather takes what waits. It lets goroutines that can run do so first, since those that the last group answered are
// about to come back with their next change: otherwise the quickest of them would get a sync of its own each time.
// With nobody running that costs less than a microsecond.
func (q *Queue[T]) gather(first *Write[T]) []*Write[T] {
	group := []*Write[T]{first}
	for taken := 0; taken < len(group) && len(group) < q.most; {
		taken = len(group)
		runtime.Gosched()
		group = q.drain(group)
	}
	return group
}

func (q *Queue[T]) drain(group []*Write[T]) []*Write[T] {
	for len(group) < q.most {
		select {
		case next := <-q.queue:
			group = append(group, next)
		default:
			return group
		}
	}
	return group
}
