package sqlite

import (
	"errors"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger/internal/group"
	"github.com/dora-controller/dora-controller/internal/progress"
)

// write is one unit that is kept as a whole or not at all.
type write = group.Write[*connection]

// writer runs the writes of many goroutines in few transactions. See the package comment.
type writer struct {
	*group.Queue[*connection]

	connection *connection
}

// writeWithin is what a group may take: a disk that takes longer to sync one is as good as gone.
const writeWithin = time.Minute

func startWriter(connection *connection, opts Options) *writer {
	w := &writer{connection: connection}
	w.Queue = group.Start(opts.group, opts.Board, writeWithin+progress.Spare, w.finish)
	return w
}

// stop finishes the group in hand and gives up the connection. Called once.
func (w *writer) stop() error {
	w.Stop()
	return w.connection.close()
}

// finish runs a group and answers it once its outcome is on the disk.
func (w *writer) finish(writes []*write) {
	if err := w.together(writes); err != nil {
		w.apart(writes, err)
	}
	w.Answer(writes)
}

// together runs a group in one transaction. It fails if the transaction was lost, with everything in it.
func (w *writer) together(writes []*write) error {
	if err := w.connection.begin(); err != nil {
		return err
	}
	for _, request := range writes {
		if request.Err = request.Ctx.Err(); request.Err != nil {
			continue // it ended in the moment of being handed over
		}
		request.Err = w.connection.attempt(request.Run)
		if errors.Is(request.Err, errLost) {
			w.connection.rollback()
			return request.Err
		}
	}
	if err := w.connection.commit(); err != nil {
		w.connection.rollback()
		return err
	}
	return nil
}

// apart gives each write of a lost transaction one of its own, so that the one at fault fails alone.
func (w *writer) apart(writes []*write, lost error) {
	if len(writes) == 1 {
		writes[0].Err = lost
		return
	}
	for i, request := range writes {
		if err := w.together(writes[i : i+1]); err != nil {
			request.Err = err
		}
	}
}
