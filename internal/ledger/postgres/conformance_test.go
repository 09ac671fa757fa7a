package postgres

import (
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// The server ends with the process; somebody waits for that.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest.(*Server).reap.func1"))
}

// database is a new one of a test, as --ledger names it. The password is in the environment, as it is for a controller.
func database(tb testing.TB) string {
	tb.Helper()
	d := postgrestest.Start(tb).Database(tb)
	tb.Setenv("PGPASSWORD", d.Password)
	return address(d).String()
}

func address(d postgrestest.Database) *url.URL {
	query := url.Values{"sslmode": {"disable"}, "search_path": {"dora"}}
	return &url.URL{Scheme: "postgres", User: url.User(d.User), Host: d.Host + ":" + strconv.Itoa(d.Port), Path: d.Name, RawQuery: query.Encode()}
}

// TestConformance has one database for all tests, in which each is a cluster of its own: so each of them also tests that none sees another.
func TestConformance(t *testing.T) {
	location := database(t)
	if os.Getenv("LEDGERTEST_SEQUENCES") == "" {
		t.Setenv("LEDGERTEST_SEQUENCES", "20") // a command takes ten times as long as in SQLite
	}
	var mu sync.Mutex
	clusters := map[string]string{}
	ledgertest.Run(t, func(tb testing.TB, place ledgertest.Place) ledger.Store {
		tb.Helper()
		mu.Lock()
		if clusters[place.Dir] == "" {
			clusters[place.Dir] = "cluster-" + strconv.Itoa(len(clusters))
		}
		cluster := clusters[place.Dir]
		mu.Unlock()
		s, err := Open(tb.Context(), location, Options{Cluster: cluster, Now: place.Now, Cached: place.Cached})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}
