package postgres

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/group"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func opened(tb testing.TB, location, cluster string) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), location, Options{Cluster: cluster, Patience: postgrestest.Within})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func deployment(id string) ledger.Change {
	return ledger.Change{Events: []dora.Event{ledgertest.Deployment(id, "cart", start)}, Sinks: []string{"port"}, Resolve: true}
}

func ids(tb testing.TB, r ledger.Reader) []string {
	tb.Helper()
	list := []string{}
	for row, err := range r.Events(tb.Context(), ledger.EventQuery{}) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, row.Event.ID)
	}
	return list
}

// looker looks into the schema of the ledger, as who runs queries there.
func looker(tb testing.TB, d postgrestest.Database) *pgx.Conn {
	tb.Helper()
	conn := postgrestest.Start(tb).Connect(tb, d.Name)
	postgrestest.Exec(tb, conn, "SET search_path TO dora")
	return conn
}

func column[T any](tb testing.TB, conn *pgx.Conn, query string) []T {
	tb.Helper()
	found, err := conn.Query(tb.Context(), query)
	if err != nil {
		tb.Fatal(err)
	}
	all, err := pgx.CollectRows(found, pgx.RowTo[T])
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// TestWhoWasOvertakenWritesNothing: two processes have the ledger open at once, as when the first was paused and lost its lease.
func TestWhoWasOvertakenWritesNothing(t *testing.T) {
	g := NewWithT(t)
	location := database(t)
	old := opened(t, location, "eu-1")
	g.Expect(old.Commit(t.Context(), deployment("a"))).To(Succeed())
	g.Expect(old.Fenced()).NotTo(BeClosed())

	young := opened(t, location, "eu-1")
	g.Expect(old.Commit(t.Context(), deployment("b"))).To(MatchError(ledger.ErrFenced))
	g.Eventually(old.Fenced()).Should(BeClosed())
	writes := map[string]error{
		"deliver": old.Delivered(t.Context(), "port", ledger.Attempt{At: start}, ledger.Delivery{Seq: 1}),
		"ping":    old.Ping(t.Context()),
		"cache":   old.CachePut(t.Context(), "key", nil),
	}
	_, writes["owe"] = old.Owe(t.Context(), "lake", ledger.EventQuery{}, start)
	_, writes["prune"] = old.Prune(t.Context(), ledger.Retention{EventsBefore: start.AddDate(1, 0, 0), DecisionsPerSubject: 1})
	for name, err := range writes {
		if name != "prune" { // it has nothing to drop, as the event is owed, and so writes nothing
			g.Expect(err).To(MatchError(ledger.ErrFenced), name)
		}
	}
	g.Expect(ids(t, young)).To(Equal([]string{"a"}))
	g.Expect(young.Commit(t.Context(), deployment("c"))).To(Succeed())
	g.Expect(ids(t, old)).To(Equal([]string{"a", "c"}), "it may read")
	g.Expect(young.Fenced()).NotTo(BeClosed())
}

// TestPingWritesWhatItDoubts alone: an hour in which nothing happens writes nothing, however often somebody asks.
func TestPingWritesWhatItDoubts(t *testing.T) {
	g, server := NewWithT(t), postgrestest.Start(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	conn := server.Connect(t, d.Name)
	s, err := Open(t.Context(), address(d).String(), Options{Cluster: "eu-1", Patience: time.Millisecond})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = s.Close() })
	row := func() string {
		return column[string](t, conn, "SELECT ledgers::text || xmin || xmax FROM dora.ledgers")[0]
	}
	writes := func(want bool) {
		t.Helper()
		before := row()
		g.Expect(s.Ping(t.Context())).To(Succeed())
		if want {
			g.Expect(row()).NotTo(Equal(before))
		} else {
			g.Expect(row()).To(Equal(before))
		}
	}
	writes(true) // nothing has been written yet
	for range 10 {
		writes(false)
	}
	g.Expect(s.Commit(t.Context(), deployment("a"))).To(Succeed())
	writes(false)

	server.ReadOnly(t, true)
	g.Expect(s.Ping(t.Context())).To(MatchError(ContainSubstring("25006")))
	server.ReadOnly(t, false)
	writes(true)
	writes(false)

	postgrestest.Exec(t, conn, "ALTER TABLE dora.ledgers OWNER TO postgres")
	postgrestest.Exec(t, conn, "GRANT SELECT ON dora.ledgers TO "+d.User)
	g.Expect(s.Ping(t.Context())).To(MatchError(ContainSubstring(`(INSERT, UPDATE on "dora"."ledgers")`)))
	postgrestest.Exec(t, conn, "GRANT INSERT, UPDATE ON dora.ledgers TO "+d.User)
	writes(false)

	g.Expect(s.CachePut(t.Context(), "", nil)).To(MatchError(ContainSubstring("23514")), "a key has letters")
	writes(true)
	writes(false)
}

// TestPingNamesTheRightsThatAreMissing on any table, though the ledger's row may be written, and nothing is to be recorded just now.
func TestPingNamesTheRightsThatAreMissing(t *testing.T) {
	g, server := NewWithT(t), postgrestest.Start(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	conn := server.Connect(t, d.Name)
	s := opened(t, address(d).String(), "eu-1")
	for range 2 {
		g.Expect(s.Ping(t.Context())).To(Succeed())
	}
	for _, table := range append(slices.Clone(ledger.Tables), ledger.Table{}) {
		name, rights := "dora.ledger_"+table.Name, []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
		if table.Name == "" {
			name, rights = "dora.delivery_events", rights[:3]
		}
		for _, right := range rights {
			postgrestest.Exec(t, conn, "REVOKE "+right+" ON "+name+" FROM "+d.User)
			g.Expect(s.Ping(t.Context())).To(MatchError(HaveSuffix("(" + right + ` on "dora"."` + strings.TrimPrefix(name, "dora.") + `")`)))
			postgrestest.Exec(t, conn, "GRANT "+right+" ON "+name+" TO "+d.User)
			g.Expect(s.Ping(t.Context())).To(Succeed(), name)
		}
	}

	postgrestest.Exec(t, conn, "ALTER TABLE dora.delivery_events OWNER TO postgres")
	postgrestest.Exec(t, conn, "REVOKE INSERT ON dora.ledger_events FROM "+d.User)
	g.Expect(s.Ping(t.Context())).To(MatchError(
		ContainSubstring(`(INSERT on "dora"."ledger_events"; SELECT, INSERT, UPDATE on "dora"."delivery_events")`)))
	g.Expect(s.Commit(t.Context(), deployment("a"))).To(MatchError(And(
		ContainSubstring("the database says: "), ContainSubstring("42501"))))
	postgrestest.Exec(t, conn, "GRANT INSERT ON dora.ledger_events TO "+d.User)
	postgrestest.Exec(t, conn, "GRANT SELECT, INSERT, UPDATE (service) ON dora.delivery_events TO "+d.User)
	g.Expect(s.Ping(t.Context())).To(Succeed())
	postgrestest.Exec(t, conn, "GRANT UPDATE ON dora.delivery_events TO "+d.User)
	g.Expect(s.Commit(t.Context(), deployment("a"))).To(Succeed())

	postgrestest.Exec(t, conn, "ALTER SCHEMA dora OWNER TO postgres")
	g.Expect(s.Ping(t.Context())).To(MatchError(ContainSubstring("permission denied for schema dora")))
	postgrestest.Exec(t, conn, "GRANT USAGE ON SCHEMA dora TO "+d.User)
	g.Expect(s.Ping(t.Context())).To(Succeed())
	postgrestest.Exec(t, conn, "DROP TABLE dora.delivery_events CASCADE")
	g.Expect(s.Ping(t.Context())).To(MatchError(And(ContainSubstring("restore"), ContainSubstring("delivery_events"))))
}

// TestAdmits: only what somebody has to mend is told, and no password with it.
func TestAdmits(t *testing.T) {
	g := NewWithT(t)
	d := postgrestest.Start(t).Database(t)
	location := address(d)
	admits := func(password, user, name string) error {
		t.Setenv("PGPASSWORD", password)
		location := *location
		location.User, location.Path = url.User(user), name
		return Admits(t.Context(), location.String())
	}
	g.Expect(admits(d.Password, d.User, d.Name)).To(Succeed())
	wrong := admits("hunter2", d.User, d.Name)
	g.Expect(wrong).To(MatchError(ContainSubstring("28P01")))
	g.Expect(wrong.Error()).NotTo(ContainSubstring("hunter2"))
	g.Expect(admits(d.Password, "nobody", d.Name)).To(MatchError(Or(ContainSubstring("28P01"), ContainSubstring("28000"))))
	g.Expect(admits(d.Password, d.User, "none")).To(MatchError(ContainSubstring("3D000")))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	location.Host = closed.Addr().String()
	g.Expect(closed.Close()).To(Succeed())
	g.Expect(admits(d.Password, d.User, d.Name)).To(Succeed(), "it cannot be reached")
}

// TestAdmitsNobodyWhoCouldNotWork: the role may not connect, or lacks a right; the server's certificate is of another authority, or it has none.
func TestAdmitsNobodyWhoCouldNotWork(t *testing.T) {
	g, server := NewWithT(t), postgrestest.Start(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	conn := server.Connect(t, d.Name)
	plain := address(d).String()
	g.Expect(Admits(t.Context(), plain)).To(Succeed(), "the schema is not there yet")
	g.Expect(opened(t, plain, "eu-1").Close()).To(Succeed())
	g.Expect(Admits(t.Context(), plain)).To(Succeed())

	postgrestest.Exec(t, conn, "REVOKE INSERT ON dora.ledger_states FROM "+d.User)
	g.Expect(Admits(t.Context(), plain)).To(MatchError(ContainSubstring(`(INSERT on "dora"."ledger_states")`)))
	postgrestest.Exec(t, conn, "GRANT INSERT ON dora.ledger_states TO "+d.User)
	postgrestest.Exec(t, conn, "ALTER SCHEMA dora OWNER TO postgres")
	g.Expect(Admits(t.Context(), plain)).To(MatchError(ContainSubstring("permission denied for schema dora")))
	postgrestest.Exec(t, conn, "ALTER SCHEMA dora OWNER TO "+d.User)
	name := pgx.Identifier{d.Name}.Sanitize()
	postgrestest.Exec(t, conn, "ALTER DATABASE "+name+" OWNER TO postgres")
	postgrestest.Exec(t, conn, "REVOKE CONNECT ON DATABASE "+name+" FROM PUBLIC")
	g.Expect(Admits(t.Context(), plain)).To(MatchError(ContainSubstring("42501")))
	postgrestest.Exec(t, conn, "ALTER DATABASE "+name+" OWNER TO "+d.User)

	folder := t.TempDir()
	verified := func(authority string, content []byte) error {
		file := filepath.Join(folder, authority)
		g.Expect(os.WriteFile(file, content, 0o600)).To(Succeed())
		return Admits(t.Context(), strings.Replace(plain, "sslmode=disable", "sslmode=verify-full&sslrootcert="+file, 1))
	}
	g.Expect(verified("own", server.CA)).To(Succeed())
	g.Expect(verified("other", postgrestest.OtherCA(t))).To(MatchError(And(
		ContainSubstring("signed by unknown authority"), ContainSubstring("sslrootcert"))))

	unencrypted, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = unencrypted.Close() })
	go func() {
		for {
			conn, err := unencrypted.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, 8)) // SSLRequest, which such a server answers so
			_, _ = conn.Write([]byte("N"))
			_ = conn.Close()
		}
	}()
	location := address(d)
	location.Host, location.RawQuery = unencrypted.Addr().String(), "sslmode=require"
	g.Expect(Admits(t.Context(), location.String())).To(MatchError(ContainSubstring("does not encrypt connections")))
}

// TestALedgerIsOfOneKubernetesCluster, from the first controller on that knows in which it runs. Another one takes nothing from it, until an
// administrator says so, by the statement of the message.
func TestALedgerIsOfOneKubernetesCluster(t *testing.T) {
	g, server := NewWithT(t), postgrestest.Start(t)
	d := server.Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	open := func(kubernetes string) (*Store, error) {
		s, err := Open(t.Context(), address(d).String(), Options{Cluster: "eu-1", Kubernetes: kubernetes, Patience: postgrestest.Within})
		if err == nil {
			t.Cleanup(func() { _ = s.Close() })
		}
		return s, err
	}
	for _, first := range []string{"", "a", "a", ""} {
		_, err := open(first)
		g.Expect(err).NotTo(HaveOccurred())
	}
	s, err := open("a")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = open("b")
	g.Expect(err).To(MatchError(And(ContainSubstring("another Kubernetes cluster"), ContainSubstring("--cluster"))))
	g.Expect(err).NotTo(Or(MatchError(ledger.ErrInUse), MatchError(ledger.ErrUnreachable)), "nobody is waited for")
	g.Expect(s.Commit(t.Context(), deployment("a"))).To(Succeed(), "nothing was taken from it")

	_, statement, found := strings.Cut(err.Error(), "run UPDATE ")
	g.Expect(found).To(BeTrue())
	postgrestest.Exec(t, looker(t, d), "UPDATE "+statement)
	_, err = open("b")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = open("a")
	g.Expect(err).To(MatchError(ContainSubstring("another Kubernetes cluster")))
}

// TestATransactionUnderWayIsFinishedBeforeTheNextOpens: the ledger's row is locked from its first statement to its last.
func TestATransactionUnderWayIsFinishedBeforeTheNextOpens(t *testing.T) {
	g := NewWithT(t)
	location := database(t)
	old := opened(t, location, "eu-1")
	under, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- old.do(t.Context(), "wait", func(tx *transaction) error {
			close(under)
			<-goOn
			_, err := tx.exec(`INSERT INTO ledger_sinks (ledger, name) VALUES ($1, 'kept')`)
			return err
		})
	}()
	<-under
	taken := make(chan *Store, 1)
	go func() { taken <- opened(t, location, "eu-1") }()
	g.Consistently(taken, "100ms").ShouldNot(Receive())
	close(goOn)
	g.Expect(<-done).To(Succeed())
	young := <-taken
	g.Expect(young.Sinks(t.Context())).To(HaveExactElements(HaveField("Sink", "kept")))
}

// TestClustersDoNotSeeEachOther, though they have objects of the same names, and share the table that others read.
func TestClustersDoNotSeeEachOther(t *testing.T) {
	g := NewWithT(t)
	d := postgrestest.Start(t).Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	location := address(d).String()
	for _, cluster := range []string{"eu-1", "us-1"} {
		s := opened(t, location, cluster)
		event, subject := ledgertest.Deployment(cluster+"-a", "cart", start), ledgertest.Subject("cart")
		event.Cluster, subject.Cluster = cluster, cluster
		g.Expect(s.Commit(t.Context(), ledger.Change{
			States: []ledger.State{{Key: "uid-cart", Data: []byte(cluster)}}, Subject: &subject, Events: []dora.Event{event}, Sinks: []string{"port"},
			Decisions: []ledger.Decision{ledgertest.Decision("cart", "Counted", start)},
		})).To(Succeed())
	}
	for _, cluster := range []string{"eu-1", "us-1"} {
		s := opened(t, location, cluster)
		g.Expect(ids(t, s)).To(Equal([]string{cluster + "-a"}))
		g.Expect(s.Subjects(t.Context(), ledger.SubjectQuery{})).To(HaveExactElements(HaveField("Cluster", cluster)))
		g.Expect(s.Decisions(t.Context(), "uid-cart", 0)).To(HaveLen(1))
		g.Expect(s.ReadState(t.Context(), "uid-cart")).To(HaveField("Data", []byte(cluster)))
		g.Expect(s.Due(t.Context(), "port", start.AddDate(1, 0, 0), 9)).To(HaveLen(1))
		r, err := OpenReadOnly(t.Context(), location, cluster)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(ids(t, r)).To(Equal([]string{cluster + "-a"}))
		g.Expect(r.Close()).To(Succeed())
	}
	eu := opened(t, location, "eu-1")
	g.Expect(eu.Clusters(t.Context())).To(Equal([]string{"us-1"}))
	us, err := eu.Neighbour(t.Context(), "us-1")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ids(t, us)).To(Equal([]string{"us-1-a"}))
	for _, none := range []string{"eu-1", "asia-1", ""} { // itself is no neighbour
		_, err = eu.Neighbour(t.Context(), none)
		g.Expect(err).To(MatchError(ledger.ErrNotFound))
	}
	_, err = OpenReadOnly(t.Context(), location, "")
	g.Expect(err).To(MatchError(ContainSubstring("say which with --cluster: eu-1, us-1")))
	_, err = OpenReadOnly(t.Context(), location, "asia-1")
	g.Expect(err).To(MatchError(ledger.ErrNotFound))
	g.Expect(column[string](t, looker(t, d), "SELECT cluster || ':' || id FROM delivery_events ORDER BY 1")).
		To(Equal([]string{"eu-1:eu-1-a", "us-1:us-1-a"}))
}

// TestAServerThatRestarts: writers go on through crashes.
func TestAServerThatRestarts(t *testing.T) {
	s, server := opened(t, database(t), "eu-1"), postgrestest.Start(t)
	writing(t, s, func() {
		server.Crash(t)
		server.Start(t)
	})
}

// TestAnAnswerThatIsLost: the connection breaks as a transaction is committed, before the server hears of it or after it did so. Either way
// the change is kept once, and its writer is told so.
func TestAnAnswerThatIsLost(t *testing.T) {
	for name, heard := range map[string]bool{"after the commit": true, "before the commit": false} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var line breaking
			s := line.open(t, database(t))
			tried := 0
			line.heard = heard
			line.armed.Store(true)
			g.Expect(s.do(t.Context(), "write", func(tx *transaction) error {
				tried++
				_, err := tx.exec(`INSERT INTO ledger_sinks (ledger, name) VALUES ($1, $2)`, "try-"+strconv.Itoa(tried))
				return err
			})).To(Succeed())
			g.Expect(line.armed.Load()).To(BeFalse(), "it broke")
			want := "try-1"
			if !heard {
				want = "try-2"
			}
			g.Expect(s.Sinks(t.Context())).To(HaveExactElements(HaveField("Sink", want)))
		})
	}
}

// breaking are connections of which one breaks at the next commit: as it is sent, or, if it is to be heard, as it is answered.
type breaking struct {
	armed atomic.Bool
	heard bool
}

func (b *breaking) open(t *testing.T, location string) *Store {
	t.Helper()
	g := NewWithT(t)
	config, schema, err := parse(location + "&default_query_exec_mode=exec") // a commit is sent as a word then
	g.Expect(err).NotTo(HaveOccurred())
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &breakable{Conn: conn, line: b}, err
	}
	p, err := connect(t.Context(), config)
	g.Expect(err).NotTo(HaveOccurred())
	s, err := open(t.Context(), p, schema, Options{Cluster: "eu-1"}.withDefaults())
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = s.Close() })
	return s
}

type breakable struct {
	net.Conn

	line  *breaking
	broke atomic.Bool
}

func (c *breakable) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("COMMIT")) && c.line.armed.CompareAndSwap(true, false) {
		if !c.line.heard {
			_ = c.Close()
			return 0, io.ErrClosedPipe
		}
		c.broke.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *breakable) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.broke.Load() {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// TestAUnitThatFailsBeforeItSaysAnything harms none beside it.
func TestAUnitThatFailsBeforeItSaysAnything(t *testing.T) {
	g := NewWithT(t)
	s := opened(t, database(t), "eu-1")
	s.writer.Stop()
	w := *s.writer
	s.writer.Queue = group.Start(1, nil, time.Minute, w.finish) // for Close
	name := func(sink string) *write {
		return group.New(t.Context(), func(tx *transaction) error { tx.keepSink(sink); return nil })
	}
	writes := []*write{name("a"), group.New(t.Context(), func(*transaction) error { return io.ErrNoProgress }), name("b")}
	w.finish(writes)
	g.Expect(writes[0].Told()).To(Succeed())
	g.Expect(writes[1].Told()).To(MatchError(io.ErrNoProgress))
	g.Expect(writes[2].Told()).To(Succeed())
	g.Expect(s.Sinks(t.Context())).To(HaveExactElements(HaveField("Sink", "a"), HaveField("Sink", "b")))
}

// TestAUnitThatTheServerDoesNotKnow, so that not even its savepoint was set, takes nothing back that another was told is kept.
func TestAUnitThatTheServerDoesNotKnow(t *testing.T) {
	g := NewWithT(t)
	s := opened(t, database(t), "eu-1")
	s.writer.Stop()
	w := *s.writer
	s.writer.Queue = group.Start(1, nil, time.Minute, w.finish) // for Close
	unknown := func(tx *transaction) error {
		_, err := tx.exec(`INSERT INTO nowhere (ledger) VALUES ($1)`)
		return err
	}
	writes := []*write{group.New(t.Context(), func(tx *transaction) error { tx.keepSink("a"); return nil }), group.New(t.Context(), unknown)}
	w.finish(writes)
	first := writes[0].Told()
	g.Expect(writes[1].Told()).To(HaveOccurred())
	g.Expect(s.Sinks(t.Context())).To(HaveLen(map[bool]int{true: 1, false: 0}[first == nil]), "the first was told %v", first)
}

func TestAnAddressHoldsNoPassword(t *testing.T) {
	for name, location := range map[string]string{
		"beside the user":   "postgres://dora:s3cret-word@db/dora",
		"as a setting":      "postgres://dora@db/dora?password=s3cret-word",
		"in what is no URL": "postgres://dora:s3cret-word%zz@db/dora",
		"after capitals":    "POSTGRES://dora:s3cret-word@db/dora",
	} {
		err := CheckURL(location)
		g := NewWithT(t)
		g.Expect(err).To(HaveOccurred(), name)
		g.Expect(err.Error()).NotTo(ContainSubstring("s3cret-word"), name)
	}
	NewWithT(t).Expect(CheckURL("postgres://dora:x@db/dora")).To(MatchError(ContainSubstring("set PGPASSWORD")))
	NewWithT(t).Expect(CheckURL("postgres://db/dora?search_path=a,b")).To(MatchError(ContainSubstring("one schema")))
	NewWithT(t).Expect(CheckURL("PostgreSQL://db/dora")).To(Succeed(), "as RFC 3986 has it, case is of no matter in a scheme")
	missing := filepath.Join(t.TempDir(), "ca.crt")
	NewWithT(t).Expect(CheckURL("postgres://db/dora?sslmode=verify-full&sslrootcert=" + missing)).To(And(
		MatchError(fs.ErrNotExist), MatchError(ContainSubstring("cannot be read: open "+missing))))
}

func TestANewerSchemaIsLeftAlone(t *testing.T) {
	g := NewWithT(t)
	d := postgrestest.Start(t).Database(t)
	t.Setenv("PGPASSWORD", d.Password)
	location := address(d).String()
	g.Expect(opened(t, location, "eu-1").Close()).To(Succeed())
	postgrestest.Exec(t, looker(t, d), "INSERT INTO ledger_schema_version (version_id, is_applied) VALUES (999, true)")
	_, err := Open(t.Context(), location, Options{Cluster: "eu-1"})
	g.Expect(err).To(MatchError(ledger.ErrNewerSchema))
	_, err = OpenReadOnly(t.Context(), location, "eu-1")
	g.Expect(err).To(MatchError(ledger.ErrNewerSchema))
}
