// Package delivery proves what package dispatch promises, on the real parts: a ledger in SQLite, the drivers, a PostgreSQL server, and the doubles
// of Port and of a receiver of CloudEvents. Between the drivers and the other ends stands a proxy that breaks whatever can break.
//
//	faults_test.go   10,000 events through resets, half answers, refusals, new credentials and hours of outage
//	killed_test.go   a process that records and delivers is killed, again and again
//	outage_test.go   a week of outage with 100,000 events, and the memory that it takes; sinks beside one that is down
//	bench_test.go    events a second, beside a bare insert
//
// What is drawn by lot is drawn from a seed that a failed test prints; DELIVERY_SEED draws the same again. DELIVERY_KILLS is how often the
// process is killed.
package delivery

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/dora-controller/dora-controller/internal/egress"
)

// here is where all destinations of tests are.
var here = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func TestMain(m *testing.M) {
	if settings := os.Getenv(childSettings); settings != "" {
		if err := deliverUntilKilled(settings); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// The process that stops the server of PostgreSQL ends after this one.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest.(*Server).reap.func1"))
}

// seed is what lots are drawn from.
func seed(tb testing.TB) uint64 {
	tb.Helper()
	drawn := rand.Uint64()
	if given := os.Getenv("DELIVERY_SEED"); given != "" {
		var err error
		if drawn, err = strconv.ParseUint(given, 10, 64); err != nil {
			tb.Fatalf("DELIVERY_SEED is no number: %v", err)
		}
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("to draw the same lots again: DELIVERY_SEED=%d go test -run '^%s$' ./test/delivery", drawn, tb.Name())
		}
	})
	return drawn
}

// lots are drawn from a seed; each part of a test has some of its own, so that what one draws does not depend on when another does.
func lots(seed, part uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, part)) }
