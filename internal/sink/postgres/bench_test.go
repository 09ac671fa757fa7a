package postgres

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// benched is a sink whose schema is there already.
func benched(b *testing.B) *Sink {
	b.Helper()
	server := postgrestest.Start(b)
	d := server.Database(b)
	s, err := New(Options{
		Host: d.Host, Port: d.Port, Database: d.Name, User: d.User, Password: d.Password, Schema: "dora", CA: server.CA, Migrate: true,
		Guard: egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	if err := s.Check(b.Context()); err != nil {
		b.Fatal(err)
	}
	return s
}

// batchOf are events that were not there before.
func batchOf(round int) []dora.Event {
	events := make([]dora.Event, 0, batch)
	samples := sinktest.Events()
	for i := range batch {
		event := samples[i%len(samples)]
		event.ID = fmt.Sprintf("%08d-0000-5000-8000-%012d", round, i)
		events = append(events, event)
	}
	return events
}

// rate reports how many events were written in a second.
func rate(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkSend writes a full batch of new events.
func BenchmarkSend(b *testing.B) {
	s, round := benched(b), 0
	for b.Loop() {
		round++
		if _, err := s.Send(b.Context(), batchOf(round)); err != nil {
			b.Fatal(err)
		}
	}
	rate(b)
}

// BenchmarkSendAgain writes a full batch that is there already.
func BenchmarkSendAgain(b *testing.B) {
	s, events := benched(b), batchOf(1)
	for b.Loop() {
		if _, err := s.Send(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
	rate(b)
}

// BenchmarkBareInsert writes the rows of BenchmarkSend as anybody would: an INSERT for each in a pgx.Batch, prepared, in one transaction.
func BenchmarkBareInsert(b *testing.B) {
	s, round := benched(b), 0
	config := s.pool.Config().ConnConfig
	config.DefaultQueryExecMode, config.StatementCacheCapacity = pgx.QueryExecModeCacheStatement, 512
	conn, err := pgx.ConnectConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.Background()) })
	places := make([]string, len(eventtable.Columns))
	for i := range places {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", eventtable.Table(s.schema, "delivery_events"), strings.Join(eventtable.Columns, ", "), strings.Join(places, ", "))
	for b.Loop() {
		round++
		if err := insertBare(b.Context(), conn, insert, batchOf(round)); err != nil {
			b.Fatal(err)
		}
	}
	rate(b)
}

func insertBare(ctx context.Context, conn *pgx.Conn, insert string, events []dora.Event) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var all pgx.Batch
		for _, event := range events {
			row, err := eventtable.NewRow(event, "")
			if err != nil {
				return err
			}
			all.Queue(insert, values(row)...)
		}
		return tx.SendBatch(ctx, &all).Close()
	})
}

// values are the columns of a row, with NULL for what is left out.
func values(row eventtable.Row) []any {
	fields := reflect.ValueOf(row)
	all := make([]any, 0, fields.NumField())
	for i := range fields.NumField() {
		if strings.Contains(fields.Type().Field(i).Tag.Get("json"), ",omit") && fields.Field(i).IsZero() {
			all = append(all, nil)
			continue
		}
		all = append(all, fields.Field(i).Interface())
	}
	return all
}
