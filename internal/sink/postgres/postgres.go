// Package postgres writes events and figures into the tables of a PostgreSQL database, for dashboards and for queries of anybody.
//
// Each call of Send is one transaction: all of its events are there afterwards, or none. An event has one row, found by its id, in the
// newest form that arrived: what is sent again changes the row only where it says something else, and leaves it alone otherwise; a form
// from before the commits were looked for does not replace one from after. ingested_at stays, updated_at moves with each change. Figures
// have one row for each UTC day, with the last of them.
//
// The schema is looked at before the first write, and anew when the server no longer knows a table or a column, since a database can be
// replaced by another. Whoever keeps it up to date, the driver or an administrator, runs the same migrations, and they know of each other.
// delivery_events may be partitioned by month, or be a hypertable: then its key is (id, occurred_at), and the driver adds the month that is
// missing, if its role may. A schema that is newer than the driver knows will do, as long as it has the columns.
//
// Nothing of a connection comes from the controller's environment or home, as it does in libpq, except the authorities that PGSSLROOTCERT
// names, for want of others. Every connection is dialled by the guard. Errors hold what the server said, without the password, and a server
// that shows no certificate to check is not told the password in clear text. Of a connection no more than 4 MiB is read, so that no server can
// fill the memory.
//
// Statements name the schema of each table, settings hold for one transaction, and nothing is prepared, so a pooler that hands out
// connections by transaction may stand in between; migrations alone need a session, since they hold a lock.
package postgres

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// batch is the most events in a transaction: enough to make its round trips cheap, few enough that one that is refused costs little.
const batch = 200

// TLS says how a connection is encrypted.
type TLS string

// The ways to encrypt a connection.
const (
	VerifyFull TLS = "VerifyFull" // with a certificate for that host
	VerifyCA   TLS = "VerifyCA"   // with any certificate of the authority
	Require    TLS = "Require"    // with whatever certificate
	Disable    TLS = "Disable"    // not at all
)

// Options are the settings and credentials of a sink.
type Options struct {
	Name    string
	Cluster string // of events that name none
	// Host is the name or address of a server, or several, separated by commas, of which the first is used that takes writes. Each may
	// have a port of its own, as in db:6432.
	Host     string
	Port     int // 0 is 5432
	Database string
	User     string
	Password string
	Schema   string // empty is public
	TLS      TLS    // empty is VerifyFull
	// CA are the authorities to trust, and Cert and Key what the client shows, in PEM form. Without CA they are those that PGSSLROOTCERT
	// of the environment names, else the system's.
	CA, Cert, Key []byte
	// Migrate keeps the schema up to date. Without it, it is an administrator who does.
	Migrate bool
	Guard   egress.Guard
}

// Sink writes to one database.
type Sink struct {
	name, cluster string
	schema        string
	migrate       bool
	secrets       []string
	pool          *pgxpool.Pool
	flooded       *atomic.Bool  // since the last error of a connection
	preparing     chan struct{} // one at a time
	known         atomic.Pointer[layout]
}

var (
	_ sink.Measured = (*Sink)(nil)
	_ sink.Checked  = (*Sink)(nil)
)

// New makes a sink. It connects to nothing yet. It fails if an option is missing or makes no sense.
func New(o Options) (*Sink, error) {
	flooded := new(atomic.Bool)
	config, err := o.config(flooded)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("cannot set up connections: %w", err)
	}
	return &Sink{
		name: o.Name, cluster: o.Cluster, schema: schemaOr(o.Schema), migrate: o.Migrate, secrets: []string{o.Password, string(o.Key)},
		pool: pool, flooded: flooded, preparing: make(chan struct{}, 1),
	}, nil
}

// Close ends all connections. It waits for a Send that goes on.
func (s *Sink) Close() { s.pool.Close() }

// Name implements sink.Sink.
func (s *Sink) Name() string { return s.name }

// Batch implements sink.Sink.
func (s *Sink) Batch() int { return batch }

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, events []dora.Event) (answer string, err error) {
	if len(events) == 0 {
		return "", nil
	}
	rows, err := eventtable.Rows(events, s.cluster)
	if err != nil {
		return "", &sink.PermanentError{Err: err}
	}
	found, err := s.prepare(ctx)
	if err != nil {
		return "", s.explain(err)
	}
	written, err := s.write(ctx, found.events, rows)
	if found.partitioned && eventtable.LacksPartition(err) {
		if err = s.addPartitions(ctx, events); err == nil {
			written, err = s.write(ctx, found.events, rows)
		}
	}
	if err != nil {
		return "", s.judge(err, found)
	}
	return answerOf(len(events), written), nil
}

// SendFigures implements sink.Measured.
func (s *Sink) SendFigures(ctx context.Context, figures []sink.Figures) (answer string, err error) {
	if len(figures) == 0 {
		return "", nil
	}
	rows, err := figureRows(figures)
	if err != nil {
		return "", &sink.PermanentError{Err: err}
	}
	found, err := s.prepare(ctx)
	if err != nil {
		return "", s.explain(err)
	}
	written, err := s.write(ctx, found.figures, rows)
	if err != nil {
		return "", s.judge(err, found)
	}
	return answerOf(len(figures), written), nil
}

// Check implements sink.Checked: it writes no rows, with the statements that write them, so that it needs all that these need.
func (s *Sink) Check(ctx context.Context) error {
	found, err := s.prepare(ctx)
	if err != nil {
		return s.explain(err)
	}
	for _, statement := range []string{found.events, found.figures} {
		if _, err := s.write(ctx, statement, []byte("[]")); err != nil {
			return s.explain(err)
		}
	}
	return nil
}

func answerOf(sent int, written int64) string {
	rows := "rows"
	if sent == 1 {
		rows = "row"
	}
	if int64(sent) == written {
		return fmt.Sprintf("%d %s", sent, rows)
	}
	return fmt.Sprintf("%d %s, %d new or changed", sent, rows, written)
}

// write runs a statement on rows, in a transaction of its own, and tells how many of them are new or changed.
func (s *Sink) write(ctx context.Context, statement string, rows []byte) (written int64, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: eventtable.Begin}, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, statement, string(rows))
		written = done.RowsAffected()
		return err
	})
	return written, err
}
