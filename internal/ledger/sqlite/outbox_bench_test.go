package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// backlog is how many rows are pending in the benchmarks of the outbox: a sink was away for long, or an old ledger is owed to a new one.
const backlog = 100_000

// owing is a ledger that owes n events of so many services to the sink port.
func owing(b *testing.B, n, services int) *Store {
	b.Helper()
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "ledger.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	for from := 0; from < n; from += 1000 {
		change := ledger.Change{Sinks: []string{"port"}}
		for i := from; i < min(n, from+1000); i++ {
			event := benchmarkChange(i).Events[0]
			event.Service = fmt.Sprintf("cart-%d", i%services)
			change.Events = append(change.Events, event)
		}
		if err := s.Commit(b.Context(), change); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// take delivers one batch, and says how many rows that was and how long each half took.
func take(b *testing.B, s *Store, batch int) (n int, reading, writing time.Duration) {
	b.Helper()
	began := time.Now()
	due, err := s.Due(b.Context(), "port", began, batch)
	if err != nil {
		b.Fatal(err)
	}
	read := time.Now()
	if err := s.Delivered(b.Context(), "port", ledger.Attempt{At: began, Took: time.Second, Answer: "202 Accepted"}, due...); err != nil {
		b.Fatal(err)
	}
	return len(due), read.Sub(began), time.Since(read)
}

// BenchmarkDrain delivers a backlog, in large and in small batches, of few and of many services. What a batch takes in the first and in
// the last tenth of it tells whether the length of the backlog matters.
func BenchmarkDrain(b *testing.B) {
	for _, batch := range []int{500, 20} {
		for _, services := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("batch=%d/services=%d", batch, services), func(b *testing.B) {
				for range b.N {
					b.StopTimer()
					s := owing(b, backlog, services)
					b.StartTimer()
					drain(b, s, batch)
				}
			})
		}
	}
}

func drain(b *testing.B, s *Store, batch int) {
	b.Helper()
	var tenths [10]time.Duration
	var reads, writes time.Duration
	for done := 0; done < backlog; {
		n, reading, writing := take(b, s, batch)
		if n == 0 {
			b.Fatalf("nothing is due after %d", done)
		}
		tenths[done*10/backlog] += reading + writing
		reads, writes, done = reads+reading, writes+writing, done+n
	}
	batches := float64(backlog / batch)
	b.ReportMetric(float64(tenths[0].Microseconds())*10/batches, "µs/first-batches")
	b.ReportMetric(float64(tenths[9].Microseconds())*10/batches, "µs/last-batches")
	b.ReportMetric(float64(reads.Microseconds())/batches, "µs/Due")
	b.ReportMetric(float64(writes.Microseconds())/batches, "µs/Delivered")
}

// BenchmarkBacklog measures what is asked of a sink with a backlog: for its status, for each scrape, and by its worker.
func BenchmarkBacklog(b *testing.B) {
	s := owing(b, backlog, 1000)
	for name, ask := range map[string]func() error{
		"Sinks":   func() error { _, err := s.Sinks(b.Context()); return err },
		"NextDue": func() error { _, err := s.NextDue(b.Context(), "port"); return err },
		"Due":     func() error { _, err := s.Due(b.Context(), "port", time.Now(), 500); return err },
		"held up": func() error { _, err := s.Due(b.Context(), "port", time.Unix(0, 0), 500); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				if err := ask(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkForget drops a sink with a backlog and as many records. What others wait for meanwhile is its longest transaction.
func BenchmarkForget(b *testing.B) {
	for range b.N {
		b.StopTimer()
		s := owing(b, backlog, 1000)
		for range backlog / 500 {
			take(b, s, 500)
		}
		if _, err := s.Owe(b.Context(), "port", ledger.EventQuery{}, time.Now()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		ended := make(chan error)
		go func() { _, err := s.Forget(b.Context(), "port", time.Time{}); ended <- err }()
		var longest time.Duration
		for waiting := true; waiting; {
			began := time.Now()
			if err := s.CachePut(b.Context(), "key", nil); err != nil {
				b.Fatal(err)
			}
			longest = max(longest, time.Since(began))
			select {
			case err := <-ended:
				if err != nil {
					b.Fatal(err)
				}
				waiting = false
			default:
			}
		}
		b.ReportMetric(float64(longest.Microseconds()), "µs/longest-wait")
	}
}
