package postgres

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// sideBySide is how many write at a time.
const sideBySide = 16

// BenchmarkRecordPostgres16 measures durable changes per second with 16 writers, each change one state, one event in both tables, one decision, one
// observation, one outbox row and one place in the queue of deployments to be looked into. Beside it stands pgbench with 16 clients on the same
// server, which inserts the same rows, each change in a transaction of its own, prepared, and reads nothing.
func BenchmarkRecordPostgres16(b *testing.B) {
	server := postgrestest.Start(b)
	d := server.Database(b)
	b.Setenv("PGPASSWORD", d.Password)
	s, err := Open(b.Context(), address(d).String(), Options{Cluster: "eu-1"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Commit(b.Context(), benchmarkChange(0)); err != nil {
		b.Fatal(err)
	}
	bare := pgbench(b, d, server.Connect(b, d.Name))
	b.ResetTimer()
	began := time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	for range sideBySide {
		all.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				if err := s.Commit(b.Context(), benchmarkChange(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	rate := float64(b.N) / time.Since(began).Seconds()
	b.ReportMetric(rate, "changes/s")
	b.ReportMetric(bare, "changes/s-pgbench")
	b.ReportMetric(rate/bare, "of-pgbench")
}

// benchmarkChange resembles a deployment of one of a thousand subjects.
func benchmarkChange(i int) ledger.Change {
	at := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
	uid := fmt.Sprintf("8f14e45f-ceea-467f-a0e6-%012d", i%1000)
	version := &dora.Version{Images: []string{"registry.example.com/shop/cart:1.2.3-4f5e6d7"}, Tag: "1.2.3-4f5e6d7", Commit: "4f5e6d7"}
	return ledger.Change{
		States: []ledger.State{{Key: fmt.Sprintf("state/%d", i), Data: make([]byte, 1500)}},
		Events: []dora.Event{{
			Schema: dora.Schema, ID: fmt.Sprintf("0b5f1f0e-5a0c-5d0b-9c51-%012d", i), Type: dora.TypeDeploy, Outcome: dora.Succeeded,
			Service: fmt.Sprintf("cart-%d", i%1000), Team: "shop", Environment: "production", Cluster: "eu-1",
			Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "cart", UID: uid},
			Attempt: at.Format(time.RFC3339), StartedAt: at, OccurredAt: at, ObservedAt: at, Change: dora.ChangeImage,
			Version: version, Previous: dora.Predecessor{Known: true, Version: version}, Running: version,
			Success: new(true), IsRollback: new(false), Unplanned: new(false), Basis: dora.BasisLive,
		}},
		Sinks: []string{"stdout"}, Resolve: true,
		Decisions: []ledger.Decision{{
			Cluster: "eu-1", UID: uid, Service: "cart", At: at, Reason: "Counted", Message: "the version reached Healthy",
		}},
		Observation: &ledger.Observation{UID: uid, At: at, Data: make([]byte, 1000)},
	}
}

// pgbench is how many changes a second it makes of rows like those that there are, one in each table.
func pgbench(b *testing.B, d postgrestest.Database, conn *pgx.Conn) float64 {
	b.Helper()
	postgrestest.Exec(b, conn, "SET search_path = dora")
	postgrestest.Exec(b, conn, "CREATE SEQUENCE dora.bench START 1000000")
	postgrestest.Exec(b, conn, "GRANT ALL ON SEQUENCE dora.bench TO PUBLIC")
	script := []string{"BEGIN;\n", "SELECT nextval('bench') AS n, gen_random_uuid()::text AS fresh \\gset\n"}
	args := []string{"--no-vacuum", "--protocol=prepared", "--client=" + strconv.Itoa(sideBySide), "--jobs=2", "--time=5"}
	for _, table := range []string{"ledger_states", "ledger_events", "delivery_events", "ledger_decisions", "ledger_observations", "ledger_outbox", "ledger_commits"} {
		insert, variables := insertLike(b, conn, table)
		script = append(script, insert)
		args = append(args, variables...)
	}
	path := filepath.Join(b.TempDir(), "script.sql")
	if err := os.WriteFile(path, []byte(strings.Join(append(script, "COMMIT;\n"), "")), 0o600); err != nil {
		b.Fatal(err)
	}
	at := address(d)
	at.RawQuery = "sslmode=disable&options=-csearch_path%3Ddora" // libpq knows no search_path
	cmd := exec.CommandContext(b.Context(), pgbenchProgram(b), append(args, "--file="+path, at.String())...)
	out, err := cmd.CombinedOutput()
	rate := regexp.MustCompile(`tps = ([\d.]+)`).FindSubmatch(out)
	if err != nil || rate == nil {
		b.Fatalf("pgbench: %v: %s", err, out)
	}
	n, err := strconv.ParseFloat(string(rate[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// insertLike is a line of pgbench's script that inserts a row like the one that a table has, with other keys. The values are pgbench's variables, since
// its script would take colons in them for some.
func insertLike(b *testing.B, conn *pgx.Conn, table string) (insert string, variables []string) {
	b.Helper()
	keys := map[string]string{"seq": ":n", "n": ":n", "id": ":fresh", "key": ":fresh", "event_id": ":fresh"}
	rows, err := conn.Query(b.Context(), "SELECT key, value FROM (SELECT to_jsonb(t) AS j FROM "+table+" t LIMIT 1) r, jsonb_each_text(j) WHERE value IS NOT NULL")
	if err != nil {
		b.Fatal(err)
	}
	var names, values []string
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		variable, key := keys[name]
		switch {
		case value == "":
			variable = "''" // which no variable of pgbench can be
		case !key:
			variable = ":" + table + "_" + name
			variables = append(variables, "--define="+variable[1:]+"="+value)
		}
		names, values = append(names, name), append(values, variable)
		return nil
	})
	if err != nil || len(names) == 0 {
		b.Fatalf("%s has no row to copy: %v", table, err)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s);\n", table, strings.Join(names, ", "), strings.Join(values, ", ")), variables
}

// pgbenchProgram is where the programs of PostgreSQL are that tests use.
func pgbenchProgram(b *testing.B) string {
	b.Helper()
	if path, err := exec.LookPath(filepath.Join(os.Getenv("PG_BIN"), "pgbench")); err == nil {
		return path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if err != nil || len(found) == 0 {
		b.Fatal("there is no pgbench beside the programs of PostgreSQL: name their folder in PG_BIN")
	}
	return found[len(found)-1]
}
