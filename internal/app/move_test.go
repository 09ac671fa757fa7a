package app

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/ledger/postgres"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const manyEvents = 1200 // more than are copied at once

// filled is a ledger that has something of everything, also what PostgreSQL cannot hold as it is.
func filled(t *testing.T) string {
	t.Helper()
	return filledWith(t, "e")
}

// filledWith has events whose ids begin so.
func filledWith(t *testing.T, prefix string) string {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "ledger.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	subject := ledgertest.Subject("cart")
	change := ledger.Change{
		States: []ledger.State{{Key: "uid-cart", Data: []byte{0, 1, 255}}}, Subject: &subject, Sinks: []string{"port", "lake"}, Resolve: true,
		Decisions: []ledger.Decision{ledgertest.Decision("cart", "Counted", began)},
	}
	change.Decisions[0].Message = "it said \x00 and \xff, and ü"
	for i := range manyEvents {
		change.Events = append(change.Events, ledgertest.Deployment(fmt.Sprintf("%s%04d", prefix, i), "cart", began.Add(time.Duration(i)*time.Minute)))
	}
	g.Expect(s.Commit(t.Context(), change)).To(Succeed())
	g.Expect(s.Commit(t.Context(), ledger.Change{Facts: []dora.CommitFacts{ledgertest.Facts(prefix+"0000", began.Add(-time.Hour))}})).To(Succeed())
	g.Expect(s.Commit(t.Context(), ledger.Change{Marks: []dora.Mark{
		ledgertest.Mark(prefix+"0002", dora.Ignore, "a drill", began), ledgertest.Mark(prefix+"0002", dora.Withdrawn, "it was no drill", began.Add(time.Hour)),
		ledgertest.Mark(prefix+"0003", dora.Failure, "customers saw it", began),
	}})).To(Succeed())
	at := ledger.Attempt{At: began, Took: time.Second, Answer: "no"}
	g.Expect(s.Park(t.Context(), "port", 2, at)).To(Succeed())
	g.Expect(s.Delivered(t.Context(), "lake", at, ledger.Delivery{Seq: 1, Content: 1}, ledger.Delivery{Seq: 2})).To(Succeed())
	g.Expect(s.CachePut(t.Context(), "key", []byte("value"))).To(Succeed())
	g.Expect(s.Close()).To(Succeed())
	return path
}

func target(t *testing.T) string {
	t.Helper()
	d := postgrestest.Start(t).Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	return addressOf(d)
}

func addressOf(d postgrestest.Database) string {
	address := url.URL{
		Scheme: "postgres", User: url.User(d.User), Host: net.JoinHostPort(d.Host, strconv.Itoa(d.Port)), Path: d.Name,
		RawQuery: "sslmode=disable&search_path=dora",
	}
	return address.String()
}

func hashOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return fmt.Sprintf("%x", sha256.Sum256(content))
}

// seen is all that can be read of a ledger.
func seen(t *testing.T, s ledger.Store) []any {
	t.Helper()
	g := NewWithT(t)
	var all []any
	keep := func(value any, err error) {
		g.Expect(err).NotTo(HaveOccurred())
		all = append(all, value)
	}
	for row, err := range s.Events(t.Context(), ledger.EventQuery{}) {
		keep(row, err)
	}
	for _, read := range []func() (any, error){
		func() (any, error) { return s.ReadState(t.Context(), "uid-cart") },
		func() (any, error) { return s.Subjects(t.Context(), ledger.SubjectQuery{}) },
		func() (any, error) { return s.Marks(t.Context(), ledger.MarkQuery{}) },
		func() (any, error) { return s.Sinks(t.Context()) },
		func() (any, error) { return s.Deliveries(t.Context(), ledger.DeliveryQuery{}) },
		func() (any, error) { return s.Outstanding(t.Context(), ledger.OutstandingQuery{}) },
		func() (any, error) { return s.Resolutions(t.Context(), ledger.ResolutionQuery{}) },
		func() (any, error) { return s.Revision(t.Context()) },
		func() (any, error) { return s.Since(t.Context()) },
	} {
		keep(read())
	}
	value, found, err := s.CacheGet(t.Context(), "key")
	keep(value, err)
	g.Expect(found).To(BeTrue())
	return all
}

// TestAMoveThatIsKilled goes on where it ended. Until it is done nobody can open the copy, and in the end it is what the source is.
func TestAMoveThatIsKilled(t *testing.T) {
	if from := os.Getenv("MOVE_TEST_FROM"); from != "" {
		err := Move(t.Context(), from, os.Getenv("MOVE_TEST_TO"), "eu-1", func(step string) {
			fmt.Fprintln(os.Stdout, step)
			if step == "events: 1000 rows copied" {
				select {} // until it is killed
			}
		})
		t.Fatalf("it ended: %v", err)
	}
	g := NewWithT(t)
	from, to := filled(t), target(t)
	before := hashOf(t, from)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "MOVE_TEST_FROM="+from, "MOVE_TEST_TO="+to)
	output, err := child.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(child.Start()).To(Succeed())
	for lines := bufio.NewScanner(output); lines.Scan() && lines.Text() != "events: 1000 rows copied"; {
		g.Expect(lines.Text()).To(HaveSuffix("copied"))
	}
	_, err = sqlite.Open(t.Context(), from, sqlite.Options{})
	g.Expect(err).To(MatchError(ledger.ErrInUse), "nobody writes the source meanwhile")
	g.Expect(child.Process.Kill()).To(Succeed())
	g.Expect(child.Wait()).To(MatchError("signal: killed"))
	_, err = postgres.Open(t.Context(), to, postgres.Options{Cluster: "eu-1"})
	g.Expect(err).To(And(MatchError(ledger.ErrInUse), MatchError(ContainSubstring("run dora-controller migrate again"))))

	var steps []string
	g.Expect(Move(t.Context(), from, to, "eu-1", func(step string) { steps = append(steps, step) })).To(Succeed())
	g.Expect(steps[0]).To(Equal("events: 1200 rows copied"), "it goes on")
	g.Expect(strings.Join(steps, "\n")).To(ContainSubstring("events: 1200 rows verified, sha256 "))
	g.Expect(hashOf(t, from)).To(Equal(before))
	expectCopy(t, from, to)
	g.Expect(Move(t.Context(), from, to, "eu-1", func(string) {})).To(MatchError(ContainSubstring("has a ledger of that cluster already")))
}

// expectCopy opens both, and goes on in the copy.
func expectCopy(t *testing.T, from, to string) {
	t.Helper()
	g := NewWithT(t)
	source, err := sqlite.Open(t.Context(), from, sqlite.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(source.Close()).To(Succeed()) }()
	copied, err := postgres.Open(t.Context(), to, postgres.Options{Cluster: "eu-1"})
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(copied.Close()).To(Succeed()) }()
	g.Expect(seen(t, copied)).To(Equal(seen(t, source)))
	decisions, err := copied.Decisions(t.Context(), "uid-cart", 0)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(decisions).To(HaveExactElements(HaveField("Message", "it said  and \uFFFD, and ü")))

	next := ledger.Change{Events: []dora.Event{ledgertest.Deployment("next", "cart", began)}, Sinks: []string{"port"}}
	g.Expect(copied.Commit(t.Context(), next)).To(Succeed())
	for row, err := range copied.Events(t.Context(), ledger.EventQuery{IDs: []string{"next"}}) {
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(row.Seq).To(Equal(int64(manyEvents + 1)))
	}
}

func TestAMoveOfAnotherCluster(t *testing.T) {
	err := Move(t.Context(), filled(t), target(t), "us-1", func(string) {})
	NewWithT(t).Expect(err).To(MatchError("the ledger is that of cluster eu-1, not of us-1: " +
		"say --cluster=eu-1, as its controller does, or --cluster=eu-1/NAME if that has --shard=NAME"))
}

// TestAMoveOfAShard stands beside that of the rest of its cluster, under the name by which its controller opens it.
func TestAMoveOfAShard(t *testing.T) {
	g := NewWithT(t)
	from, rest, to := filledWith(t, "s"), filledWith(t, "r"), target(t)
	g.Expect(Move(t.Context(), from, to, "us-1/payments", func(string) {})).To(MatchError(ContainSubstring("not of us-1: say --cluster=eu-1")))
	g.Expect(Move(t.Context(), rest, to, "eu-1", func(string) {})).To(Succeed())
	g.Expect(Move(t.Context(), from, to, "eu-1/payments", func(string) {})).To(Succeed())
	for _, o := range []Options{{Cluster: "eu-1"}, {Cluster: "eu-1", Shard: "payments"}} {
		o.Ledger, o.Clock = to, clock.RealClock{}
		s, err := o.openStore(t.Context(), "")
		g.Expect(err).NotTo(HaveOccurred())
		n := 0
		for row, err := range s.Events(t.Context(), ledger.EventQuery{}) {
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(row.Event.ID).To(HavePrefix(map[string]string{"": "r", "payments": "s"}[o.Shard]))
			n++
		}
		g.Expect(n).To(Equal(manyEvents))
		g.Expect(s.Close()).To(Succeed())
	}
}

// TestAMoveWithoutARight copies nothing, and says which one it is.
func TestAMoveWithoutARight(t *testing.T) {
	g := NewWithT(t)
	server := postgrestest.Start(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	from, to := filled(t), addressOf(d)
	neighbour, err := postgres.Open(t.Context(), to, postgres.Options{Cluster: "us-1"}) // which makes the tables
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(neighbour.Close()).To(Succeed())
	conn := server.Connect(t, d.Name)
	postgrestest.Exec(t, conn, "REVOKE INSERT ON dora.ledger_deliveries FROM "+d.User) // the last table
	g.Expect(Move(t.Context(), from, to, "eu-1", func(step string) { t.Error(step) })).
		To(MatchError(ContainSubstring(`its role lacks rights: grant them, or restore the tables that are missing (INSERT on "dora"."ledger_deliveries")`)))
	postgrestest.Exec(t, conn, "GRANT INSERT ON dora.ledger_deliveries TO "+d.User)
	g.Expect(Move(t.Context(), from, to, "eu-1", func(string) {})).To(Succeed())
	expectCopy(t, from, to)
}

// TestASourceThatWasWrittenMeanwhile: between two attempts a controller wrote it.
func TestASourceThatWasWrittenMeanwhile(t *testing.T) {
	g := NewWithT(t)
	from, to := filled(t), target(t)
	stop := errors.New("stopped")
	g.Expect(func() (err error) {
		defer func() { err, _ = recover().(error) }()
		return Move(t.Context(), from, to, "eu-1", func(string) { panic(stop) })
	}()).To(MatchError(stop))
	s, err := sqlite.Open(t.Context(), from, sqlite.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	state, err := s.ReadState(t.Context(), "uid-cart")
	g.Expect(err).NotTo(HaveOccurred())
	state.Data = []byte("newer")
	g.Expect(s.Commit(t.Context(), ledger.Change{States: []ledger.State{state}})).To(Succeed())
	g.Expect(s.Close()).To(Succeed())
	g.Expect(Move(t.Context(), from, to, "eu-1", func(string) {})).To(Succeed())
	expectCopy(t, from, to)
}

// TestACopyThatIsNotTheSource is discarded, and the next attempt begins anew.
func TestACopyThatIsNotTheSource(t *testing.T) {
	g := NewWithT(t)
	server := postgrestest.Start(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	from, to := filled(t), addressOf(d)
	spoil := func(step string) {
		if strings.HasPrefix(step, "deliveries: ") && strings.HasSuffix(step, "copied") {
			server.Psql(t, d.Name, `UPDATE dora.ledger_decisions SET message = 'another'`)
		}
	}
	g.Expect(Move(t.Context(), from, to, "eu-1", spoil)).To(And(MatchError(errChanged), MatchError(ContainSubstring("(decisions: 1 rows, and 1 in the copy)"))))
	_, err := postgres.Open(t.Context(), to, postgres.Options{Cluster: "eu-1"})
	g.Expect(err).To(MatchError(ledger.ErrInUse))
	g.Expect(Move(t.Context(), from, to, "eu-1", func(string) {})).To(Succeed())
	expectCopy(t, from, to)
}

// TestAnotherSourceAfterOneThatWasPublished has nothing of it, though both files have one name and revision. What a sink wrote stays.
func TestAnotherSourceAfterOneThatWasPublished(t *testing.T) {
	g := NewWithT(t)
	server := postgrestest.Start(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	to := addressOf(d)
	stop := errors.New("stopped")
	g.Expect(func() (err error) {
		defer func() { err, _ = recover().(error) }()
		return Move(t.Context(), filledWith(t, "e"), to, "eu-1", func(step string) {
			if strings.Contains(step, "verified") {
				panic(stop) // by then its events are in delivery_events
			}
		})
	}()).To(MatchError(stop))
	conn := server.Connect(t, d.Name)
	count := func(where string) (n int) {
		g.Expect(conn.QueryRow(t.Context(), `SELECT count(*) FROM dora.delivery_events WHERE `+where).Scan(&n)).To(Succeed())
		return n
	}
	g.Expect(count("id LIKE 'e%'")).To(Equal(manyEvents))
	postgrestest.Exec(t, conn, `INSERT INTO dora.delivery_events (id, event_type, service, occurred_at, source, payload)
		VALUES ('of a sink', 'deploy', 'cart', '2026-02-10', 'another', '{}')`)

	from := filledWith(t, "f")
	g.Expect(Move(t.Context(), from, to, "eu-1", func(string) {})).To(Succeed())
	g.Expect(count("id LIKE 'e%'")).To(BeZero())
	g.Expect(count("true")).To(Equal(manyEvents + 1))
	g.Expect(count("id = 'of a sink'")).To(Equal(1))
	g.Expect(Move(t.Context(), from, to, "eu-1", func(string) {})).NotTo(MatchError(ledger.ErrInUse), "nobody uses it")
}
