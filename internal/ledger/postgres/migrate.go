package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

//go:embed migrations/*.sql
var embedded embed.FS

const (
	// versions is the table in which the ledger's migrations are noted.
	versions = "ledger_schema_version"
	// schemaVersion is the number of the newest of them.
	schemaVersion = 6
)

// migrate brings the table of events and the ledger's own ones up to date.
func migrate(ctx context.Context, pool *pgxpool.Pool, schema string, opts Options) error {
	var events, own int64
	err := opts.step(ctx, answerSoon, func(ctx context.Context) (err error) {
		events, own, err = noted(ctx, pool, schema)
		return err
	})
	if err != nil {
		return err
	}
	if own > schemaVersion {
		return newer(schema, own)
	}
	if events >= eventtable.Newest() && own == schemaVersion {
		return nil
	}
	return opts.step(ctx, migrateWithin, func(ctx context.Context) error { return migrateFrom(ctx, pool, schema, events, own) })
}

// migrateFrom runs the migrations that are newer than those noted.
func migrateFrom(ctx context.Context, pool *pgxpool.Pool, schema string, events, own int64) error {
	steps, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return fmt.Errorf("cannot read the embedded migrations: %w", err)
	}
	if events < eventtable.Newest() {
		if err := eventtable.Migrate(ctx, pool, schema, eventtable.Own()); err != nil {
			return unmigrated(err)
		}
	}
	if own < schemaVersion {
		if err := eventtable.Migrate(ctx, pool, schema, eventtable.Steps{Files: steps, Versions: versions}); err != nil {
			return unmigrated(err)
		}
	}
	return nil
}

// unmigrated says whether it may be tried again: whoever migrates holds the lock for as long as that takes.
func unmigrated(err error) error {
	if errors.Is(err, eventtable.ErrLocked) {
		return fmt.Errorf("%w: %w", ledger.ErrInUse, err)
	}
	return fmt.Errorf("cannot migrate: %w", err)
}

// noted are the versions that a schema has of both.
func noted(ctx context.Context, pool *pgxpool.Pool, schema string) (events, own int64, err error) {
	err = inTransaction(ctx, pool, func(tx pgx.Tx) error {
		if events, err = eventtable.Version(ctx, tx, schema, eventtable.Versions); err != nil {
			return err
		}
		own, err = eventtable.Version(ctx, tx, schema, versions)
		return err
	})
	return events, own, err
}

func newer(schema string, version int64) error {
	return fmt.Errorf("%w: schema %s is at version %d, but this release knows up to %d; run the release that wrote it, or a later one",
		ledger.ErrNewerSchema, schema, version, schemaVersion)
}

// find finds the ledger of a cluster, for one who reads.
func find(ctx context.Context, pool *pgxpool.Pool, schema, cluster string) (id int32, err error) {
	_, own, err := noted(ctx, pool, schema)
	switch {
	case err != nil:
		return 0, err
	case own == 0:
		return 0, fmt.Errorf("%w: there is none in schema %s of that database", ledger.ErrNotFound, schema)
	case own > schemaVersion:
		return 0, newer(schema, own)
	case own < schemaVersion:
		return 0, fmt.Errorf("schema %s is at version %d, but this release reads %d: start its controller once to migrate it", schema, own, schemaVersion)
	}
	found, err := pool.Query(ctx, `SELECT id, cluster FROM ledgers WHERE $1 IN ('', cluster) ORDER BY cluster`, cluster)
	if err != nil {
		return 0, err
	}
	var clusters []string
	_, err = pgx.ForEachRow(found, []any{&id, &cluster}, func() error { clusters = append(clusters, cluster); return nil })
	switch {
	case err != nil:
		return 0, err
	case len(clusters) == 0:
		return 0, fmt.Errorf("%w: there is none of that cluster in schema %s of that database", ledger.ErrNotFound, schema)
	case len(clusters) > 1:
		return 0, fmt.Errorf("the database holds those of several clusters; say which with --cluster: %s", strings.Join(clusters, ", "))
	}
	return id, nil
}

// look finds out how delivery_events was made, and which statement writes it.
func look(ctx context.Context, pool *pgxpool.Pool, schema string) (m *months, upsert string, err error) {
	var found eventtable.Layout
	err = inTransaction(ctx, pool, func(tx pgx.Tx) (err error) {
		found, err = eventtable.Look(ctx, tx, schema)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !found.ByID && !found.ByTime {
		err = fmt.Errorf("schema %s has no table delivery_events with a unique index on (id), or on (id, occurred_at), though its migrations were "+
			"noted: restore it, or give the ledger a schema of its own", schema)
	}
	m = &months{pool: pool, schema: schema, partitioned: found.Partitioned, there: map[eventtable.Month]bool{}}
	return m, eventtable.Upsert(schema, !found.ByID), err
}

// months adds the partitions of delivery_events that are missing, if it is partitioned by PostgreSQL's own means.
type months struct {
	pool        *pgxpool.Pool
	schema      string
	partitioned bool

	// changing is held while partitions are added or dropped, which may have to wait for others; mu never for long.
	changing sync.Mutex
	mu       sync.Mutex
	there    map[eventtable.Month]bool
}

func (m *months) known(month eventtable.Month) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.there[month]
}

func (m *months) note(month eventtable.Month, there bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.there[month] = there
}

// forget has the months of some events looked up again.
func (m *months) forget(events []dora.Event) {
	for _, event := range events {
		m.note(eventtable.MonthOf(event.OccurredAt), false)
	}
}

// provide sees to it that each of some events has a partition to go to.
func (m *months) provide(ctx context.Context, events []dora.Event) error {
	if !m.partitioned {
		return nil
	}
	for _, event := range events {
		if month := eventtable.MonthOf(event.OccurredAt); !m.known(month) {
			if err := m.add(ctx, month); err != nil {
				return fmt.Errorf("cannot add a partition of delivery_events for %s: %w", month.From.Format("2006-01"), explained(err))
			}
		}
	}
	return nil
}

func (m *months) add(ctx context.Context, month eventtable.Month) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	err := inTransaction(ctx, m.pool, func(tx pgx.Tx) error { return month.Add(ctx, tx, m.schema) })
	if err == nil {
		m.note(month, true)
	}
	return err
}

// drop takes away the partitions whose months ended before a time and that hold nothing any more. Detaching one concurrently waits for
// those who use the table, and makes nobody wait. Where they take too long, it is left half detached, and finished the next time.
func (m *months) drop(ctx context.Context, before time.Time) error {
	if !m.partitioned {
		return nil
	}
	found, err := m.pool.Query(ctx, `SELECT c.relname::text, inhdetachpending FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
		WHERE inhparent = $1::regclass ORDER BY inhdetachpending DESC, 1`, eventtable.Table(m.schema, eventtable.Name))
	if err != nil {
		return err
	}
	parts, err := pgx.CollectRows(found, pgx.RowToStructByPos[part])
	if err != nil {
		return err
	}
	for _, p := range parts {
		from, err := time.Parse(eventtable.Name+"_2006_01", p.Name)
		if err != nil || from.AddDate(0, 1, 0).After(before) {
			continue // made by others, or too young
		}
		if err := m.dropEmpty(ctx, eventtable.Month{From: from}, p.Pending); err != nil {
			return err
		}
	}
	return nil
}

// part is a partition, which may be half detached.
type part struct {
	Name    string
	Pending bool
}

func (m *months) dropEmpty(ctx context.Context, month eventtable.Month, pending bool) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	whole, one := eventtable.Table(m.schema, eventtable.Name), eventtable.Table(m.schema, month.Name())
	var empty bool
	if err := m.pool.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM `+one+`)`).Scan(&empty); err != nil || !empty {
		return err
	}
	m.note(month, false)
	how := ` CONCURRENTLY`
	if pending {
		how = ` FINALIZE`
	}
	if _, err := m.pool.Exec(ctx, `ALTER TABLE `+whole+` DETACH PARTITION `+one+how); err != nil {
		return err
	}
	// Somebody may have written to it before it was detached; then it goes back where it was.
	return inTransaction(ctx, m.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM `+one+`)`).Scan(&empty); err != nil {
			return err
		}
		if !empty {
			return month.Add(ctx, tx, m.schema)
		}
		_, err := tx.Exec(ctx, `DROP TABLE `+one)
		return err
	})
}
