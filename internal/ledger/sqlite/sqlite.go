// Package sqlite keeps the ledger in one SQLite file, without cgo.
//
// # Guarantees
//
//   - A change that Commit acknowledged survives a crash of the process and of the machine: the file is in WAL mode and
//     every transaction is synced to the disk before its changes are answered.
//   - One process writes a ledger. A lock beside the file (path + ".lock", held by the kernel for as long as the process
//     lives) refuses a second one.
//   - A file that is damaged, newer than this release, no ledger, or on a network file system is refused with a message
//     that says what to do, and neither it nor its write-ahead log is touched.
//   - Readers never wait for the writer, nor the writer for them.
//
// # How writes are grouped
//
// A sync costs far more than the statements of a change. One goroutine owns the only writing connection; it takes the
// changes that wait, runs each inside a savepoint of one transaction, commits once, and then answers all of them:
//
//	Commit ─┐                ┌ SAVEPOINT a ─ RELEASE ────────┐
//	Commit ─┼─▶ writer ─ BEGIN ┤ SAVEPOINT b ─ ROLLBACK (CAS) ├─ COMMIT ─ one sync ─▶ nil, ErrConflict, nil
//	Commit ─┘                └ SAVEPOINT c ─ RELEASE ────────┘
//
// So a conflict keeps nothing of its own change and harms no other. If the transaction itself is lost (a full disk),
// its changes run again one by one, and each is told its own fate. Nobody waits for a group to fill: what has gathered
// during one sync makes the next group.
//
// A change waits on an unbuffered channel: handing it over is the moment at which it is taken. Before that its context
// can withdraw it; after that it is finished.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // registers the driver

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
)

// Options of a store. The zero value works.
type Options struct {
	// Now is the clock that stamps records; time.Now if nil.
	Now func() time.Time
	// Cached bounds the entries of the cache; ledger.DefaultCached if zero.
	Cached int
	// Board gets what is being written; nobody if nil.
	Board *progress.Board

	// group bounds how many changes share a transaction.
	group int
	// pragmas are set on the writing connection after the usual ones.
	pragmas []string
	// network names the network file system that a folder is on, if any.
	network func(folder string) (string, error)
	// room is RoomOf.
	room func(path string) (Room, bool, error)
}

// A group of this size is committed in a few tens of milliseconds, which bounds the wait of whoever comes next.
const defaultGroup = 128

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Cached = cmp.Or(o.Cached, ledger.DefaultCached)
	if o.group == 0 {
		o.group = defaultGroup
	}
	if o.network == nil {
		o.network = networkFilesystem
	}
	if o.room == nil {
		o.room = RoomOf
	}
	return o
}

// Store is a ledger in one file, open for writing.
type Store struct {
	reader

	room    func() (room Room, known bool, err error)
	writing *sql.DB
	writer  *writer
	lock    *fileLock
	cached  int
	close   sync.Once
	closing error
}

var _ ledger.Store = (*Store)(nil)

// Open opens the ledger at path for this process alone, and creates it (mode 0600, its folders 0700) if there is none.
// Older schemas are migrated. The errors wrap ledger.ErrCorrupt, ErrNewerSchema or ErrInUse where one of them is the
// reason; a file that is refused is left as it was.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	path, lock, err := claim(path, opts)
	if err != nil {
		return nil, err
	}
	s, err := openClaimed(ctx, path, opts)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	s.lock = lock
	return s, nil
}

// openClaimed opens a file that nobody else writes.
func openClaimed(ctx context.Context, path string, opts Options) (*Store, error) {
	if err := inspect(ctx, path); err != nil {
		return nil, err
	}
	writing, err := openWriting(ctx, path, opts.pragmas)
	if err != nil {
		return nil, err
	}
	connection, err := newConnection(ctx, writing, opts.Now)
	if err != nil {
		return nil, errors.Join(err, writing.Close())
	}
	reading, err := openReading(path)
	if err != nil {
		return nil, errors.Join(err, connection.close(), writing.Close())
	}
	return &Store{
		reader:  reader{db: reading, closed: new(atomic.Bool)},
		room:    func() (Room, bool, error) { return opts.room(path) },
		writing: writing,
		writer:  startWriter(connection, opts),
		cached:  opts.Cached,
	}, nil
}

// Close finishes the changes that were taken, moves the write-ahead log into the file and lets others open it.
// Whatever is called later gets ledger.ErrClosed.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.closed.Store(true)
		s.closing = errors.Join(s.writer.stop(), s.db.Close(), s.writing.Close(), s.lock.release())
	})
	return s.closing
}

// amplyFree is more than the changes of one transaction take.
const amplyFree = 16 << 20

// Ping writes a time and syncs it, since only a write tells for sure whether the disk takes writes; but not while nothing is to be feared, so that
// an hour in which nothing happens writes nothing however often somebody asks.
func (s *Store) Ping(ctx context.Context) error {
	if s.seemsSound(ctx) {
		return nil
	}
	return s.writer.Do(ctx, "cannot write the ledger", func(tx *connection) error {
		_, err := tx.exec(`UPDATE ledger SET pinged_at = ?`, tx.now().UnixMicro())
		return err
	})
}

// seemsSound looks without writing: what was written last was kept, there is room, and the ledger can be read.
func (s *Store) seemsSound(ctx context.Context) bool {
	if !s.writer.Sound() {
		return false
	}
	room, known, err := s.room()
	if err != nil || known && (room.ReadOnly || room.Free < amplyFree) {
		return false
	}
	_, err = s.Revision(ctx)
	return err == nil
}

// ReadOnly is a ledger that another process may be writing.
type ReadOnly struct{ reader }

var _ ledger.Reader = (*ReadOnly)(nil)

// OpenReadOnly opens an existing ledger for reading, also while a controller writes it. It changes nothing and takes no
// lock. A schema that is not this release's is an error: an older one until a controller of this release has opened it.
func OpenReadOnly(ctx context.Context, path string) (*ReadOnly, error) {
	path, err := locate(path)
	if err != nil {
		return nil, err
	}
	db, err := openReading(path)
	if err != nil {
		return nil, err
	}
	if err := readable(ctx, db, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &ReadOnly{reader{db: db, closed: new(atomic.Bool)}}, nil
}

// Close ends the reading.
func (r *ReadOnly) Close() error {
	r.closed.Store(true)
	if err := r.db.Close(); err != nil {
		return fmt.Errorf("cannot close the ledger: %w", err)
	}
	return nil
}
