package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// addPartitions adds the partitions that are missing for events.
func (s *Sink) addPartitions(ctx context.Context, events []dora.Event) error {
	var months []eventtable.Month
	for _, event := range events {
		if m := eventtable.MonthOf(event.OccurredAt); !slices.Contains(months, m) {
			months = append(months, m)
		}
	}
	for _, m := range months {
		if err := s.addPartition(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sink) addPartition(ctx context.Context, m eventtable.Month) error {
	err := s.read(ctx, func(tx pgx.Tx) error { return m.Add(ctx, tx, s.schema) })
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code[:min(2, len(refused.Code))] == "42" {
		return retry(sink.SchemaTooOld, "delivery_events has no partition for %s, and the role cannot add one: %s; an administrator does: "+
			"CREATE TABLE %s PARTITION OF %s FOR VALUES %s", m.From.Format("2006-01"), s.said(refused),
			eventtable.Table(s.schema, m.Name()), eventtable.Table(s.schema, eventtable.Name), m.Bounds())
	}
	return err
}
