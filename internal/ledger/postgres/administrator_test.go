package postgres

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// written are the blocks of docs/operations.md between two lines.
func written(tb testing.TB, language, from, to string) []string {
	tb.Helper()
	page, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		tb.Fatal(err)
	}
	_, part, _ := strings.Cut(string(page), "\n"+from+"\n")
	part, _, _ = strings.Cut(part, "\n"+to+"\n")
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(part, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// asked runs a statement of the page, and returns its rows.
func asked(tb testing.TB, conn *pgx.Conn, statement string) []map[string]any {
	tb.Helper()
	found, err := conn.Query(tb.Context(), statement)
	if err != nil {
		tb.Fatal(err)
	}
	rows, err := pgx.CollectRows(found, pgx.RowToMap)
	if err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
	return rows
}

// TestWhatAnAdministratorAsks runs the statements of the page, as who looks after the database, on ledgers of which everything is known.
func TestWhatAnAdministratorAsks(t *testing.T) {
	g := NewWithT(t)
	d := postgrestest.Start(t).Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	location := address(d).String()
	opened(t, location, "eu-1") // overtaken
	first, second := opened(t, location, "eu-1"), opened(t, location, "us-1")
	g.Expect(first.Commit(t.Context(), deployment("a"))).To(Succeed())
	g.Expect(first.Commit(t.Context(), deployment("b"))).To(Succeed())
	before := deployment("c")
	before.Sinks = nil
	g.Expect(second.Commit(t.Context(), before)).To(Succeed())
	conn := postgrestest.Start(t).Connect(t, d.Name)
	postgrestest.Exec(t, conn, "UPDATE dora.ledger_outbox SET recorded_at = 1772366400000000 + seq * 1000000") // 2026-03-01T12:00:00Z, and a second for each
	postgrestest.Exec(t, conn, "ANALYZE dora.ledger_events")

	blocks := written(t, "sql", "### In PostgreSQL", "### Moving")
	g.Expect(blocks).To(HaveLen(3))
	rows := map[string]any{}
	for _, row := range asked(t, conn, blocks[0]) {
		rows[row["name"].(string)] = row["rows"]
		g.Expect(row["size"]).To(MatchRegexp(`^\d+ (bytes|kB|MB)$`))
	}
	g.Expect(rows).To(And(HaveKey("delivery_events"), HaveKey("ledger_outbox"), HaveKeyWithValue("ledger_events", int64(3))))

	g.Expect(asked(t, conn, blocks[1])).To(HaveExactElements(gstruct.MatchAllKeys(gstruct.Keys{
		"cluster": Equal("eu-1"), "sink": Equal("port"), "pending": Equal(int64(2)), "attempts": Equal(int64(0)),
		"oldest": BeTemporally("==", time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC)),
	})))

	statements := strings.Split(strings.TrimSpace(blocks[2]), ";\n")
	g.Expect(statements).To(HaveLen(2))
	g.Expect(asked(t, conn, statements[0])).To(HaveExactElements(
		And(HaveKeyWithValue("cluster", "eu-1"), HaveKeyWithValue("fence", int64(2)), HaveKeyWithValue("moving", BeNil())),
		And(HaveKeyWithValue("cluster", "us-1"), HaveKeyWithValue("fence", int64(1)))))
	g.Expect(asked(t, conn, strings.TrimSuffix(statements[1], ";"))).To(And(Not(BeEmpty()), HaveEach(HaveKeyWithValue("usename", d.User))))
}

// TestTheBackupOfThePageIsRestored: what was written since is gone, what was before is there, and a process that nobody stopped is fenced.
func TestTheBackupOfThePageIsRestored(t *testing.T) {
	g := NewWithT(t)
	server := postgrestest.Start(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	location := address(d)
	folder := t.TempDir()
	query := location.Query()
	query.Del("search_path")
	location.RawQuery = query.Encode()
	shell := func(script string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", script)
		cmd.Dir = folder
		cmd.Env = []string{
			"PATH=" + server.Programs() + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + folder,
			"PGPASSWORD=" + d.Password, "PGCONNECT_TIMEOUT=" + strconv.Itoa(int(postgrestest.Within/time.Second)), "LEDGER=" + location.String(),
		}
		said, err := cmd.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(said))
	}
	steps := written(t, "sh", "#### Backup of a ledger in PostgreSQL", "### Disasters")
	g.Expect(steps).To(HaveLen(2))
	ours := address(d).String()

	forgotten := opened(t, ours, "eu-1")
	g.Expect(forgotten.Commit(t.Context(), deployment("a"))).To(Succeed())
	shell(steps[0])
	g.Expect(forgotten.Commit(t.Context(), deployment("lost"))).To(Succeed())
	shell(steps[1])
	g.Expect(ids(t, forgotten)).To(Equal([]string{"a"}))
	g.Expect(forgotten.Commit(t.Context(), deployment("late"))).To(MatchError(ledger.ErrFenced))

	next := opened(t, ours, "eu-1")
	g.Expect(next.Commit(t.Context(), deployment("b"))).To(Succeed())
	g.Expect(ids(t, next)).To(Equal([]string{"a", "b"}))
	g.Expect(next.Sinks(t.Context())).To(HaveExactElements(And(HaveField("Sink", "port"), HaveField("Pending", BeNumerically("==", 2)))), "its triggers are there")
	g.Expect(column[string](t, server.Connect(t, d.Name), "SELECT id FROM dora_before.ledger_events ORDER BY seq")).To(Equal([]string{"a", "lost"}))
}
