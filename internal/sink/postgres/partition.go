package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// partitionLock keeps two from adding partitions at once: "part" in ASCII.
const partitionLock = 0x70617274

// lacksPartition tells whether there is no partition for a row. The code is that of a CHECK which failed, and those have a name.
func lacksPartition(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == "23514" && refused.ConstraintName == ""
}

// partition is the part of delivery_events that holds a month, by UTC.
type partition struct{ from time.Time }

func partitionOf(at time.Time) partition {
	at = at.UTC()
	return partition{time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)}
}

func (p partition) name() string { return "delivery_events_" + p.from.Format("2006_01") }

// bounds are its first moment and that of the next one.
func (p partition) bounds() string {
	const form = "2006-01-02 15:04:05+00"
	return fmt.Sprintf("FROM ('%s') TO ('%s')", p.from.Format(form), p.from.AddDate(0, 1, 0).Format(form))
}

// addPartitions adds the partitions that are missing for events.
func (s *Sink) addPartitions(ctx context.Context, events []dora.Event) error {
	var months []partition
	for _, event := range events {
		if p := partitionOf(event.OccurredAt); !slices.Contains(months, p) {
			months = append(months, p)
		}
	}
	for _, p := range months {
		if err := s.addPartition(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// addPartition makes a table and attaches it, which, unlike making a partition at once, lets others read and write the rest meanwhile.
func (s *Sink) addPartition(ctx context.Context, p partition) error {
	whole, part := table(s.schema, "delivery_events"), table(s.schema, p.name())
	err := s.read(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(partitionLock)); err != nil {
			return err
		}
		covered, err := s.covered(ctx, tx, p)
		if err != nil || covered {
			return err
		}
		_, err = tx.Exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS);"+
			"ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES %[3]s", part, whole, p.bounds()))
		return err
	})
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code[:min(2, len(refused.Code))] == "42" {
		return retry(sink.SchemaTooOld, "delivery_events has no partition for %s, and the role cannot add one: %s; an administrator does: "+
			"CREATE TABLE %s PARTITION OF %s FOR VALUES %s", p.from.Format("2006-01"), s.said(refused), part, whole, p.bounds())
	}
	return err
}

// covered tells whether the partition is there.
func (s *Sink) covered(ctx context.Context, tx pgx.Tx, p partition) (covered bool, err error) {
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1) AND inhparent = to_regclass($2))",
		table(s.schema, p.name()), table(s.schema, "delivery_events")).Scan(&covered)
	return covered, err
}
