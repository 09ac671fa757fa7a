package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
)

// benched is how many events a benchmark delivers.
const benched = 100_000

// BenchmarkDrainPostgres delivers a backlog of 100,000 events from the ledger to PostgreSQL. Beside that it sends the same events with the driver alone,
// and inserts the same rows, which are ready to be sent, with pgx as anybody would: an INSERT for each in a pgx.Batch, prepared, and as many in a
// transaction as the driver has. These two take turns, so that what else the machine does meets both.
func BenchmarkDrainPostgres(b *testing.B) {
	for range b.N {
		b.StopTimer()
		target := newDatabase(b)
		store := backlog(b)
		b.StartTimer()
		took, sending, memory := drainBacklog(b, store, target)
		b.StopTimer()
		alone, bare := compare(b, store, target)
		rate := func(took time.Duration) float64 { return benched / took.Seconds() }
		b.ReportMetric(rate(took), "events/s")
		b.ReportMetric(rate(alone), "events/s-driver")
		b.ReportMetric(rate(bare), "events/s-bare")
		b.ReportMetric(rate(took)/rate(bare), "of-bare")
		b.ReportMetric(rate(alone)/rate(bare), "of-bare-driver")
		b.ReportMetric(took.Seconds(), "s/drain")
		b.ReportMetric(sending.Seconds(), "s/sending")
		b.ReportMetric(float64(memory)/(1<<20), "MB-memory")
	}
}

// backlog is a ledger that owes 100,000 events.
func backlog(b *testing.B) *sqlite.Store {
	b.Helper()
	g := NewWithT(b)
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "ledger.db"), sqlite.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	b.Cleanup(func() { g.Expect(store.Close()).To(Succeed()) })
	teller := newStoryteller(lots(1, 1), 1)
	for range benched / commitsOf {
		events := make([]dora.Event, commitsOf)
		for i := range events {
			events[i] = teller.event(time.Now())
		}
		g.Expect(store.Commit(b.Context(), ledger.Change{Events: events, Sinks: []string{sinkName}})).To(Succeed())
	}
	return store
}

// timed is a sink that tells how long it was at work, and when it has taken everything.
type timed struct {
	*postgres.Sink

	left   int
	took   time.Duration
	memory uint64 // the most that was in use at once
	last   chan struct{}
}

// Send implements sink.Sink.
func (s *timed) Send(ctx context.Context, events []dora.Event) (string, error) {
	began := time.Now()
	answer, err := s.Sink.Send(ctx, events)
	s.took += time.Since(began)
	if s.left -= len(events); s.left%10_000 == 0 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		s.memory = max(s.memory, stats.HeapAlloc)
	}
	if s.left == 0 {
		close(s.last)
	}
	return answer, err
}

// drainBacklog delivers all that a ledger owes.
func drainBacklog(b *testing.B, store *sqlite.Store, target *database) (took, sending time.Duration, memory uint64) {
	b.Helper()
	g := NewWithT(b)
	s, err := postgres.New(target.options)
	g.Expect(err).NotTo(HaveOccurred())
	watch := &timed{Sink: s, left: benched, last: make(chan struct{})}
	dispatcher := dispatch.New(store, dispatch.Options{})
	dispatcher.Register(watch, dispatch.Route{})
	ctx, cancel := context.WithCancel(b.Context())
	before, began, ended := heap(), time.Now(), make(chan error, 1)
	go func() { ended <- dispatcher.Start(ctx) }()
	<-watch.last
	cancel()
	g.Expect(<-ended).To(Succeed()) // once the last is noted too
	took = time.Since(began)
	states, err := store.Sinks(b.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(states).To(HaveExactElements(And(HaveField("Pending", int64(0)), HaveField("Delivered", int64(benched)))))
	return took, watch.took, watch.memory - min(before, watch.memory)
}

// compare sends what a ledger has with the driver alone, and inserts the rows that are there already into another table.
func compare(b *testing.B, store *sqlite.Store, filled *database) (alone, bare time.Duration) {
	b.Helper()
	g := NewWithT(b)
	s, err := postgres.New(newDatabase(b).options)
	g.Expect(err).NotTo(HaveOccurred())
	defer s.Close()
	filled.exec(`CREATE TABLE dora.bare (LIKE dora.delivery_events INCLUDING ALL)`, `GRANT ALL ON dora.bare TO `+filled.options.User)
	insert, rows := filled.bare(b)
	chunks := func(yield func([]dora.Event) bool) {
		for chunk := range slices.Chunk(recorded(b, store), s.Batch()) {
			if !yield(chunk) {
				return
			}
		}
	}
	for chunk := range chunks {
		values := rows(len(chunk))
		began := time.Now()
		_, err := s.Send(b.Context(), chunk)
		g.Expect(err).NotTo(HaveOccurred())
		sent := time.Now()
		g.Expect(insert(values)).To(Succeed())
		alone, bare = alone+sent.Sub(began), bare+time.Since(sent)
	}
	return alone, bare
}

// bare is how anybody inserts rows, and the rows of delivery_events as values, so many at a time.
func (d *database) bare(b *testing.B) (insert func(rows [][]any) error, next func(n int) [][]any) {
	b.Helper()
	g := NewWithT(b)
	reader := d.server.Connect(b, d.options.Database)
	found, err := reader.Query(b.Context(), `SELECT column_name FROM information_schema.columns
		WHERE table_schema = 'dora' AND table_name = 'delivery_events' ORDER BY ordinal_position`)
	g.Expect(err).NotTo(HaveOccurred())
	columns, err := pgx.CollectRows(found, pgx.RowTo[string])
	g.Expect(err).NotTo(HaveOccurred())
	places := make([]string, len(columns))
	for i := range columns {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	statement := fmt.Sprintf("INSERT INTO dora.bare (%s) VALUES (%s)", strings.Join(columns, ", "), strings.Join(places, ", "))
	read := strings.Replace(strings.Join(columns, ", "), "payload", "payload::text", 1)
	written, err := reader.Query(b.Context(), "SELECT "+read+" FROM dora.delivery_events")
	g.Expect(err).NotTo(HaveOccurred())
	b.Cleanup(written.Close)
	next = func(n int) [][]any {
		rows := make([][]any, 0, n)
		for len(rows) < n && written.Next() {
			values, err := written.Values()
			g.Expect(err).NotTo(HaveOccurred())
			rows = append(rows, values)
		}
		return rows
	}
	conn := d.connect(b)
	return func(rows [][]any) error {
		return pgx.BeginFunc(b.Context(), conn, func(tx pgx.Tx) error {
			var all pgx.Batch
			for _, row := range rows {
				all.Queue(statement, row...)
			}
			return tx.SendBatch(b.Context(), &all).Close()
		})
	}, next
}

// connect connects as the sink does: with its role, and encrypted.
func (d *database) connect(b *testing.B) *pgx.Conn {
	b.Helper()
	g := NewWithT(b)
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d dbname=%s user=%s sslmode=disable",
		d.options.Host, d.options.Port, d.options.Database, d.options.User))
	g.Expect(err).NotTo(HaveOccurred())
	roots := x509.NewCertPool()
	g.Expect(roots.AppendCertsFromPEM(d.options.CA)).To(BeTrue())
	config.Password, config.TLSConfig = d.options.Password, &tls.Config{RootCAs: roots, ServerName: d.options.Host, MinVersion: tls.VersionTLS12}
	conn, err := pgx.ConnectConfig(b.Context(), config)
	g.Expect(err).NotTo(HaveOccurred())
	b.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
