// Package postgres keeps the ledger in a PostgreSQL database, for those who want more than one replica, or have several clusters.
//
// # Guarantees
//
//   - A change that Commit acknowledged was committed by the server, as durably as that is set up to be.
//   - Each cluster has a ledger of its own, and none sees what is another's. They share one database and its tables.
//   - One process writes a ledger: the one that opened it last. Opening takes a token greater than all before, and every transaction looks,
//     with the ledger's row locked, whether its token is still the newest. A process that was paused, or cut off, and comes back after another
//     has opened the ledger writes nothing more: its next write fails with ledger.ErrFenced, and so do all that follow.
//   - delivery_events, the table that dashboards read and the PostgreSQL sink writes, has every event in its newest form, from the same
//     transaction that records it. Nothing is read back from there: others may write to it.
//   - A server that restarts, or fails over, is waited for; what was under way is run again, exactly if it was not committed.
//
// # How writes are made
//
// One goroutine writes. It takes the changes that wait, runs each inside a savepoint of one transaction, commits once, and answers all of
// them. The transaction begins with locking the ledger's row, so no two of a ledger ever run side by side and READ COMMITTED is enough:
//
//	BEGIN; lock the row, compare the token ─ SAVEPOINT a … SAVEPOINT b … ─ grow the numbers in the row; COMMIT
//	                     │ newer                                                        │ the connection is lost
//	                     ▼                                                              ▼
//	                 ErrFenced                    on a new connection, behind the same lock: has the row's count of writes grown?
//	                                                   yes: it was committed, and is answered      no: it is run again
//
// Statements that do not depend on each other's answers travel together, so a change costs a few round trips.
//
// Statements name no schema: every connection has it as its search_path. Since the settings of a connection matter, a pooler in between
// has to hand out sessions, not transactions.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
)

// Options of a store.
type Options struct {
	// Cluster is whose ledger it is. Needed.
	Cluster string
	// Kubernetes tells the Kubernetes cluster from all others. A ledger that was opened from another one is refused; not if either is unknown, "".
	Kubernetes string
	// Now is the clock that stamps records; time.Now if nil.
	Now func() time.Time
	// Cached bounds the entries of the cache; ledger.DefaultCached if zero.
	Cached int
	// Patience is how long a write is tried again while the server does not answer; 10 seconds if zero.
	Patience time.Duration
	// Board gets what is being written; nobody if nil.
	Board *progress.Board
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Cached = cmp.Or(o.Cached, ledger.DefaultCached)
	o.Patience = cmp.Or(o.Patience, 10*time.Second)
	return o
}

// Store is a ledger in a database, open for writing.
type Store struct {
	reader

	schema  string
	writer  *writer
	months  *months
	cached  int
	fenced  chan struct{}
	close   sync.Once
	writing *pgxpool.Pool
}

var _ ledger.Store = (*Store)(nil)

// Open opens the ledger of a cluster in the database of a URL, and makes it if there is none; the schema is migrated. From then on whoever
// had opened it before cannot write it any more. The errors wrap ledger.ErrNewerSchema where that is the reason.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	config, schema, err := parse(url)
	if err != nil {
		return nil, err
	}
	pools, err := connect(ctx, config)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, pools, schema, opts)
	if err != nil {
		pools.close()
		return nil, fmt.Errorf("cannot open the ledger of cluster %s: %w", opts.Cluster, explained(err))
	}
	return s, nil
}

func open(ctx context.Context, p *pools, schema string, opts Options) (*Store, error) {
	if err := migrate(ctx, p.writing, schema, opts); err != nil {
		return nil, err
	}
	return prepare(ctx, p, schema, opts, func(ctx context.Context) (int32, int64, error) { return claim(ctx, p.writing, schema, opts) })
}

// prepare makes a store of a schema that is up to date, for who takes a ledger of it.
func prepare(ctx context.Context, p *pools, schema string, opts Options, take func(context.Context) (int32, int64, error)) (*Store, error) {
	var (
		into   *months
		upsert string
		id     int32
		token  int64
	)
	err := opts.step(ctx, answerSoon, func(ctx context.Context) (err error) {
		into, upsert, err = look(ctx, p.writing, schema)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = opts.step(ctx, answerSoon, func(ctx context.Context) (err error) {
		id, token, err = take(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &Store{
		reader: reader{pool: p.reading, ledger: id, closed: new(atomic.Bool)},
		schema: schema, months: into, cached: opts.Cached, fenced: make(chan struct{}), writing: p.writing,
	}
	s.writer = startWriter(&writer{
		pool: p.writing, ledger: id, token: token, cluster: opts.Cluster, upsert: upsert, now: opts.Now, patience: opts.Patience, board: opts.Board,
		fenced: sync.OnceFunc(func() { close(s.fenced) }),
	})
	return s, nil
}

// step bounds a part of opening, on the board too. A connection whose other end is gone, as one through a pooler may be, ends with nothing else.
func (o Options) step(ctx context.Context, within time.Duration, run func(context.Context) error) error {
	work := o.Board.Begin("open", "the ledger", within+progress.Spare)
	defer work.End()
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := run(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: it did not answer within %s", ledger.ErrUnreachable, within)
	}
	return err
}

// claim makes the ledger if there is none, and takes the next token.
func claim(ctx context.Context, pool *pgxpool.Pool, schema string, opts Options) (id int32, token int64, err error) {
	cluster := opts.Cluster
	if cluster == "" {
		return 0, 0, errors.New("it has no name: say which cluster it is")
	}
	var moving, kubernetes *string
	err = inTransaction(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO ledgers (cluster) VALUES ($1) ON CONFLICT (cluster) DO NOTHING`, cluster); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT moving, kubernetes FROM ledgers WHERE cluster = $1 FOR UPDATE`, cluster).Scan(&moving, &kubernetes); err != nil {
			return err
		}
		if moving != nil {
			return fmt.Errorf("%w: it is being copied from %s; run dora-controller migrate again until it says that all was copied",
				ledger.ErrInUse, *moving)
		}
		if kubernetes != nil && opts.Kubernetes != "" && *kubernetes != opts.Kubernetes {
			return elsewhere(schema, cluster)
		}
		return tx.QueryRow(ctx, `UPDATE ledgers SET token = token + 1, kubernetes = coalesce(kubernetes, nullif($2, '')) WHERE cluster = $1
			RETURNING id, token`, cluster, opts.Kubernetes).Scan(&id, &token)
	})
	return id, token, err
}

// elsewhere refuses a ledger that a controller in another Kubernetes cluster has opened: the two would take it from each other for ever.
func elsewhere(schema, cluster string) error {
	return fmt.Errorf("it belongs to another Kubernetes cluster, whose controller has the same --cluster: give one of the two another name; or, if this "+
		"cluster replaces that one, whose controller is gone, run UPDATE %s SET kubernetes = NULL WHERE cluster = '%s'",
		eventtable.Table(schema, "ledgers"), strings.ReplaceAll(cluster, "'", "''"))
}

// Fenced is closed once a write has found that another process opened the ledger. This one should end then.
func (s *Store) Fenced() <-chan struct{} { return s.fenced }

// Close finishes the changes that were taken. Whatever is called later gets ledger.ErrClosed.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.closed.Store(true)
		s.writer.Stop()
		s.writing.Close()
		s.pool.Close()
	})
	return nil
}

// Ping writes a time, since only a write tells for sure whether the database takes writes, and still takes ours; but not while nothing is to be
// feared, so that an hour in which nothing happens writes nothing however often somebody asks.
func (s *Store) Ping(ctx context.Context) error {
	sound, err := s.look(ctx)
	if sound || err != nil {
		return err
	}
	return s.do(ctx, "cannot write the ledger", func(tx *transaction) error {
		_, err := tx.exec(`UPDATE ledgers SET pinged_at = $2 WHERE id = $1`, tx.now().UnixMicro())
		return err
	})
}

// look looks without writing: what was written last was kept, the ledger is still ours, and the server would let us write. It fails if a right is
// missing on any table, of which a write to the ledger's row tells nothing.
func (s *Store) look(ctx context.Context) (sound bool, err error) {
	if err := permitted(ctx, s.writing, s.schema, true); err != nil {
		if errors.Is(err, ErrRights) {
			return false, fmt.Errorf("cannot write the ledger: %w", err)
		}
		return false, nil // the write tells why
	}
	var token int64
	var takes bool
	err = s.writing.QueryRow(ctx, `SELECT token, NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::boolean
		FROM ledgers WHERE id = $1`, s.ledger).Scan(&token, &takes)
	return err == nil && takes && token == s.writer.token && s.writer.Sound(), nil
}

func (s *Store) do(ctx context.Context, doing string, run func(*transaction) error) error {
	return s.writer.Do(ctx, doing, run)
}

// ReadOnly is a ledger that another process may be writing.
type ReadOnly struct{ reader }

var _ ledger.Reader = (*ReadOnly)(nil)

// OpenReadOnly opens the existing ledger of a cluster for reading; it writes nothing. Without a cluster it is the only ledger of the
// database.
func OpenReadOnly(ctx context.Context, url, cluster string) (*ReadOnly, error) {
	config, schema, err := parse(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("cannot set up connections: %w", err)
	}
	id, err := find(ctx, pool, schema, cluster)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("cannot open the ledger: %w", explained(err))
	}
	return &ReadOnly{reader{pool: pool, ledger: id, closed: new(atomic.Bool)}}, nil
}

// Close ends the reading.
func (r *ReadOnly) Close() error {
	r.closed.Store(true)
	r.pool.Close()
	return nil
}
