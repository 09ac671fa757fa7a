package postgres

import (
	"cmp"
	"context"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// Migrations are the steps that make the schema, as goose reads them. Their names have no schema: whoever runs them sets search_path.
func Migrations() fs.FS { return eventtable.Migrations() }

// layout is what is known of a schema: the statements that fit its tables.
type layout struct {
	events, figures string
	partitioned     bool // delivery_events is, by PostgreSQL's own means
	newer           bool // the schema had migrations that this release does not know
}

// prepare makes sure that the schema is there, and looks at it, unless that was done.
func (s *Sink) prepare(ctx context.Context) (*layout, error) {
	if known := s.known.Load(); known != nil {
		return known, nil
	}
	select {
	case s.preparing <- struct{}{}:
		defer func() { <-s.preparing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if known := s.known.Load(); known != nil {
		return known, nil
	}
	version, err := s.bringUp(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	found.newer = version > eventtable.Newest()
	s.known.Store(found)
	return found, nil
}

// forget makes the next write look at the schema anew. It tells whether the schema was newer than this release.
func (s *Sink) forget() (newer bool) {
	known := s.known.Swap(nil)
	return known != nil && known.newer
}

// bringUp migrates the schema, if it is for us to do, and returns its version.
func (s *Sink) bringUp(ctx context.Context) (version int64, err error) {
	version, err = s.version(ctx)
	if err != nil || version >= eventtable.Newest() {
		return version, err
	}
	if !s.migrate {
		return version, retry(sink.SchemaTooOld, "schema %s is at version %d, and %d is needed; %s", s.schema, version, eventtable.Newest(), s.mend())
	}
	return eventtable.Newest(), eventtable.Migrate(ctx, s.pool, s.schema, eventtable.Own())
}

// mend says who has to do what about a schema that is too old.
func (s *Sink) mend() string {
	if s.migrate {
		return "the next attempt migrates it, unless " + eventtable.Versions + " says that this was done"
	}
	return "an administrator runs what `dora-controller migrate --print` prints, or the sink's migrations are set to Run"
}

// version is the number of the newest migration that the schema has had; 0 is none.
func (s *Sink) version(ctx context.Context) (version int64, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		version, err = eventtable.Version(ctx, tx, s.schema, eventtable.Versions)
		return err
	})
	return version, err
}

// read runs queries in a transaction, which holds the settings that keep it short.
func (s *Sink) read(ctx context.Context, queries func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: eventtable.Begin}, queries)
}

// look finds out how delivery_events was made.
func (s *Sink) look(ctx context.Context) (*layout, error) {
	var found eventtable.Layout
	err := s.read(ctx, func(tx pgx.Tx) (err error) {
		found, err = eventtable.Look(ctx, tx, s.schema)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, retry(sink.SchemaTooOld, "schema %s has no table delivery_events, though its migrations were noted; %s", s.schema, s.mend())
	}
	if err != nil {
		return nil, err
	}
	if !found.ByID && !found.ByTime {
		return nil, retry(sink.SchemaTooOld, "delivery_events has no unique index on (id), nor on (id, occurred_at): it has to have one of them")
	}
	return &layout{events: eventtable.Upsert(s.schema, !found.ByID), figures: figureStatement(s.schema), partitioned: found.Partitioned}, nil
}

func schemaOr(name string) string { return cmp.Or(name, "public") }
