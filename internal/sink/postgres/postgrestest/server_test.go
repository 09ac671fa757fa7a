package postgrestest_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// dial connects as a test's role does.
func dial(ctx context.Context, d postgrestest.Database) (*pgx.Conn, error) {
	address := url.URL{Scheme: "postgres", User: url.UserPassword(d.User, d.Password), Host: fmt.Sprintf("%s:%d", d.Host, d.Port), Path: d.Name, RawQuery: "sslmode=disable"}
	return pgx.Connect(ctx, address.String())
}

func TestADatabaseForEachTest(t *testing.T) {
	g := NewWithT(t)
	server := postgrestest.Start(t)
	one, two := server.Database(t), server.Database(t)
	g.Expect(one.Name).NotTo(Equal(two.Name))
	conn, err := dial(t.Context(), one)
	g.Expect(err).NotTo(HaveOccurred())
	postgrestest.Exec(t, conn, "CREATE TABLE mine (a int)")
	g.Expect(conn.Close(t.Context())).To(Succeed())
	g.Expect(server.Psql(t, one.Name, "INSERT INTO mine VALUES (3); SELECT 'a is ' || a FROM mine;")).To(ContainSubstring("a is 3"))
}

func TestStopAndReadOnly(t *testing.T) {
	g := NewWithT(t)
	server := postgrestest.Start(t)
	database := server.Database(t)
	conn, err := dial(t.Context(), database)
	g.Expect(err).NotTo(HaveOccurred())
	postgrestest.Exec(t, conn, "CREATE TABLE mine (a int)")

	server.ReadOnly(t, true)
	_, err = conn.Exec(t.Context(), "INSERT INTO mine VALUES (1)")
	g.Expect(err).To(MatchError(ContainSubstring("25006")))
	server.ReadOnly(t, false)
	postgrestest.Exec(t, conn, "INSERT INTO mine VALUES (1)")

	server.Stop(t)
	_, err = conn.Exec(t.Context(), "INSERT INTO mine VALUES (2)")
	g.Expect(err).To(HaveOccurred())
	_, err = dial(t.Context(), database)
	g.Expect(err).To(HaveOccurred())
	server.Start(t)
	conn, err = dial(t.Context(), database)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(conn.Close(t.Context())).To(Succeed())
}

// TestTheServerEndsWithItsProcess runs this binary anew, which starts a server and is killed.
func TestTheServerEndsWithItsProcess(t *testing.T) {
	if home := os.Getenv("POSTGRESTEST_TELL"); home != "" {
		fmt.Fprintf(os.Stdout, "home=%s\n", postgrestest.Start(t).Home())
		select {} // until it is killed
	}
	g := NewWithT(t)
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "POSTGRESTEST_TELL=1")
	output, err := child.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(child.Start()).To(Succeed())
	var home string
	_, err = fmt.Fscanf(output, "home=%s\n", &home)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(home).To(BeADirectory())
	pid, err := os.ReadFile(home + "/data/postmaster.pid")
	g.Expect(err).NotTo(HaveOccurred())
	first, _, _ := strings.Cut(string(pid), "\n")

	g.Expect(child.Process.Kill()).To(Succeed())
	_ = child.Wait()
	g.Eventually(home).WithTimeout(postgrestest.Within).ShouldNot(BeADirectory())
	g.Expect("/proc/" + first + "/cmdline").NotTo(BeAnExistingFile())
}

func TestAStandbyHasWhatWasAcknowledgedAndIsPromoted(t *testing.T) {
	g := NewWithT(t)
	primary := postgrestest.New(t)
	database := primary.Database(t)
	standby := primary.Standby(t)
	conn, err := dial(t.Context(), database)
	g.Expect(err).NotTo(HaveOccurred())
	postgrestest.Exec(t, conn, "CREATE TABLE mine AS SELECT 3 AS a")
	primary.Crash(t)

	database.Port = standby.Port
	conn, err = dial(t.Context(), database)
	g.Expect(err).NotTo(HaveOccurred())
	var found int
	g.Expect(conn.QueryRow(t.Context(), "SELECT a FROM mine").Scan(&found)).To(Succeed())
	g.Expect(found).To(Equal(3))
	_, err = conn.Exec(t.Context(), "INSERT INTO mine VALUES (4)")
	g.Expect(err).To(MatchError(ContainSubstring("25006")), "it only follows")
	standby.Promote(t)
	postgrestest.Exec(t, conn, "INSERT INTO mine VALUES (4)")
	g.Expect(conn.Close(t.Context())).To(Succeed())
}
