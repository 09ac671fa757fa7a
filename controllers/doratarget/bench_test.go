package doratarget

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/postgres"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/record"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// What the benchmark's target counts: a million events of a thousand services in its window of 90 days; a million more lie before that.
const (
	benchServices = 1000
	benchEvents   = 1_000_000
	benchWindow   = 90 * 24 * time.Hour
	benchLooks    = 21
)

// BenchmarkStatus looks at that target each time that one of its services was deployed, as a process does that has looked at it before, of
// which the median counts, and once as one that has not: then all is read, which is what every look would cost if nothing were remembered.
// Then it does so with a history of twice the length. It measures once: -benchtime 1x. Some 4 GB of disk are needed for a while.
func BenchmarkStatus(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchStatus(b, &sqliteLedger{path: filepath.Join(b.TempDir(), "ledger.db")}) })
	b.Run("postgres", func(b *testing.B) { benchStatus(b, newPostgresLedger(b)) })
}

// bulk is a ledger that takes many events at once, below the contract, which would take minutes for a million.
type bulk interface {
	// add writes events from the row of that number on, with their facts.
	add(b *testing.B, from int, until time.Time)
	open(b *testing.B) ledger.Store
}

func benchStatus(b *testing.B, in bulk) {
	b.Helper()
	for range b.N {
		for _, doubled := range []string{"", "-doubled"} {
			from, until := 0, epoch
			if doubled != "" {
				from, until = benchEvents, epoch.Add(-benchWindow)
			}
			in.add(b, from, until)
			store := in.open(b)
			measureLooks(b, store, doubled)
			if err := store.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func measureLooks(b *testing.B, store ledger.Store, suffix string) {
	b.Helper()
	before := heap()
	r := benched(b, store)
	first := r.look(b)
	if memory := heap() - before; suffix == "" {
		b.ReportMetric(float64(memory)/benchEvents, "B/event")
	}
	took := make([]time.Duration, 0, benchLooks)
	for i := range benchLooks {
		e := benchEvent(i+len(suffix)*benchLooks+10*benchEvents, epoch)
		if err := store.Commit(b.Context(), ledger.Change{Events: []dora.Event{e}}); err != nil {
			b.Fatal(err)
		}
		took = append(took, r.look(b))
	}
	slices.Sort(took)
	b.ReportMetric(float64(first)/float64(time.Millisecond), "ms/first"+suffix)
	b.ReportMetric(float64(took[len(took)/2])/float64(time.Millisecond), "ms/look"+suffix)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// benchReconciler has a cluster with one target and a thousand Applications, whose objects cost nothing to read, as in a cache.
type benchReconciler struct {
	Reconciler

	cluster *benchCluster
}

func benched(b *testing.B, store ledger.Store) *benchReconciler {
	b.Helper()
	cluster := &benchCluster{target: dorav1alpha1.DoraTarget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all", UID: "all", Generation: 1},
		Spec:       dorav1alpha1.DoraTargetSpec{Applications: &dorav1alpha1.SubjectSelector{}, Window: "90d"},
	}}
	for i := range benchServices {
		name := benchName(i)
		cluster.apps = append(cluster.apps, argocd.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}})
	}
	memory, err := record.Open(b.Context(), store, "eu", nil)
	if err != nil {
		b.Fatal(err)
	}
	kinds := served{dora.KindApplication: true}
	r := &benchReconciler{cluster: cluster}
	r.Client, r.Served, r.Memory, r.Events, r.Marks, r.Metrics, r.Cluster = cluster, kinds, memory, store, store, NewMetrics(), "eu"
	r.World, r.Targets, r.Sinks = kube.NewWorld(cluster, kinds, "eu", nil), kube.NewTargets(cluster, nil), kube.NewSinks(cluster, nil)
	r.Share, r.Clock = func(string, string, []sink.Figures) {}, clocktesting.NewFakePassiveClock(epoch)
	return r
}

// look measures a reconciliation that has something to write.
func (r *benchReconciler) look(b *testing.B) time.Duration {
	b.Helper()
	r.pace.forget()
	writes, began := r.cluster.writes, time.Now()
	if _, err := r.Reconcile(b.Context(), requestFor("all")); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	if r.cluster.writes != writes+1 || r.cluster.target.Status.ServiceCount != benchServices {
		b.Fatalf("%d writes, %d services", r.cluster.writes-writes, r.cluster.target.Status.ServiceCount)
	}
	return took
}

// benchCluster is what a reconciler asks of a client.
type benchCluster struct {
	client.Client

	target dorav1alpha1.DoraTarget
	apps   []argocd.Application
	writes int
}

func (c *benchCluster) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	c.target.DeepCopyInto(into.(*dorav1alpha1.DoraTarget))
	return nil
}

func (c *benchCluster) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	switch list := into.(type) {
	case *dorav1alpha1.DoraTargetList:
		list.Items = []dorav1alpha1.DoraTarget{c.target}
	case *argocd.ApplicationList:
		list.Items = c.apps
	}
	return nil
}

func (c *benchCluster) Status() client.SubResourceWriter { return benchStatusWriter{cluster: c} }

type benchStatusWriter struct {
	client.SubResourceWriter

	cluster *benchCluster
}

func (w benchStatusWriter) Patch(_ context.Context, object client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	object.(*dorav1alpha1.DoraTarget).DeepCopyInto(&w.cluster.target)
	w.cluster.writes++
	return nil
}

func benchName(service int) string { return fmt.Sprintf("service-%04d", service%benchServices) }

// benchEvent is one of a history: of ten events of a service seven are successes, then comes a failed deployment, and the beginning and the
// end of its failure.
func benchEvent(i int, at time.Time) dora.Event {
	name, nth := benchName(i), i/benchServices
	e := dora.Event{
		Schema: dora.Schema, ID: fmt.Sprintf("%08x-0000-5000-8000-%012x", i, i), Cluster: "eu", Service: name, Environment: "production", Team: "shop",
		Subject:    dora.Subject{Kind: dora.KindApplication, Namespace: "shop", Name: name, UID: name},
		OccurredAt: at, ObservedAt: at.Add(time.Second), Basis: dora.BasisLive,
	}
	version := func(n int) *dora.Version {
		return &dora.Version{
			Images: []string{fmt.Sprintf("registry.example.com/shop/%s:main-%07x", name, n)}, Tag: fmt.Sprintf("main-%07x", n), Commit: fmt.Sprintf("%040x", n),
		}
	}
	failure := fmt.Sprintf("%08x-1111-5000-8000-%012x", i%benchServices, nth/10)
	switch nth % 10 {
	case 8:
		e.Type, e.FailureID, e.CausedBy = dora.TypeDegraded, failure, fmt.Sprintf("%08x-0000-5000-8000-%012x", i-benchServices, i-benchServices)
	case 9:
		e.Type, e.FailureID, e.RecoverySeconds = dora.TypeRecovered, failure, new(3600.0)
	default:
		e.Type, e.Outcome, e.Change, e.StartedAt = dora.TypeDeploy, dora.Succeeded, dora.ChangeImage, at.Add(-time.Minute)
		e.Version, e.Previous, e.Running = version(nth), dora.Predecessor{Known: true, Version: version(nth - 1)}, version(nth)
		e.Success, e.IsRollback = new(nth%10 != 7), new(false)
		if nth%10 == 7 {
			e.Outcome = dora.Failed
		}
	}
	return e
}

// benchRow is an event as ledgers store it, and its facts; empty if it has none.
func benchRow(b *testing.B, i, of int, until time.Time) (e dora.Event, payload, facts string) {
	b.Helper()
	e = benchEvent(i, until.Add(-benchWindow+time.Duration(of+1)*(benchWindow/(benchEvents+1))))
	text, err := json.Marshal(e)
	if err != nil {
		b.Fatal(err)
	}
	if e.Type == dora.TypeDeploy {
		known, err := json.Marshal(dora.CommitFacts{
			EventID: e.ID, Commit: e.Version.Commit, FirstCommit: e.Version.Commit, Commits: 3, Base: e.Previous.Version.Commit,
			FirstCommitAt: e.OccurredAt.Add(-time.Duration(i*7919%100_000) * time.Second), ResolvedAt: e.ObservedAt,
			Repository: "https://git.example.com/shop/" + e.Service,
		})
		if err != nil {
			b.Fatal(err)
		}
		facts = string(known)
	}
	return e, string(text), facts
}

// sqliteLedger is a file.
type sqliteLedger struct{ path string }

func (l *sqliteLedger) open(b *testing.B) ledger.Store {
	b.Helper()
	store, err := sqlite.Open(b.Context(), l.path, sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return store
}

func (l *sqliteLedger) add(b *testing.B, from int, until time.Time) {
	b.Helper()
	if err := l.open(b).Close(); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: l.path, RawQuery: "_pragma=journal_mode(off)&_pragma=synchronous(off)"}).String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	again := dropIndexes(b, tx)
	event := prepared(b, tx, `INSERT INTO events (seq, id, cluster, uid, service, environment, type, outcome, occurred_at, payload)
		VALUES (?, ?, 'eu', ?, ?, 'production', ?, NULLIF(?, ''), ?, ?)`)
	commits := prepared(b, tx, `INSERT INTO commits (seq, state, recorded_at, facts) VALUES (?, 'resolved', ?, ?)`)
	for of := range benchEvents {
		e, payload, facts := benchRow(b, from+of, of, until)
		seq := from*2 + of + 1
		event(seq, e.ID, e.Subject.UID, e.Service, string(e.Type), string(e.Outcome), e.OccurredAt.UnixMicro(), payload)
		if facts != "" {
			commits(seq, e.ObservedAt.UnixMicro(), facts)
		}
	}
	for _, query := range append(again,
		`UPDATE ledger SET revision = revision + 1, since = COALESCE(since, 1)`,
		`INSERT INTO histories (uid, service, environment, changed) SELECT DISTINCT uid, service, environment, (SELECT revision FROM ledger)
			FROM events WHERE true ON CONFLICT DO UPDATE SET changed = excluded.changed`,
		`INSERT OR IGNORE INTO subjects (cluster, uid, kind, namespace, name, service, team, environment, gaps)
			SELECT 'eu', uid, 'Application', 'shop', uid, service, '', environment, 0 FROM histories`,
	) {
		prepared(b, tx, query)()
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

func prepared(b *testing.B, tx *sql.Tx, query string) func(args ...any) {
	b.Helper()
	statement, err := tx.PrepareContext(b.Context(), query)
	if err != nil {
		b.Fatal(err)
	}
	return func(args ...any) {
		if _, err := statement.ExecContext(b.Context(), args...); err != nil {
			b.Fatal(err)
		}
	}
}

// dropIndexes drops those of events, and says how they are made again: once, which is quicker.
func dropIndexes(b *testing.B, tx *sql.Tx) (again []string) {
	b.Helper()
	found, err := tx.QueryContext(b.Context(), `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events' AND sql IS NOT NULL`)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = found.Close() }() // what matters is in found.Err
	var names []string
	for found.Next() {
		var name, query string
		if err := found.Scan(&name, &query); err != nil {
			b.Fatal(err)
		}
		names, again = append(names, name), append(again, query)
	}
	if err := found.Err(); err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		prepared(b, tx, `DROP INDEX `+name)()
	}
	return again
}

// postgresLedger is a database of a server that the benchmark starts.
type postgresLedger struct{ location string }

func newPostgresLedger(b *testing.B) *postgresLedger {
	b.Helper()
	d := postgrestest.Start(b).Database(b)
	b.Setenv("PGPASSWORD", d.Password)
	query := url.Values{"sslmode": {"disable"}, "search_path": {"dora"}}
	location := url.URL{Scheme: "postgres", User: url.User(d.User), Host: d.Host + ":" + strconv.Itoa(d.Port), Path: d.Name, RawQuery: query.Encode()}
	return &postgresLedger{location.String()}
}

func (l *postgresLedger) open(b *testing.B) ledger.Store {
	b.Helper()
	store, err := postgres.Open(b.Context(), l.location, postgres.Options{Cluster: "eu"})
	if err != nil {
		b.Fatal(err)
	}
	return store
}

func (l *postgresLedger) add(b *testing.B, from int, until time.Time) {
	b.Helper()
	if err := l.open(b).Close(); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(b.Context(), l.location)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(b.Context())) }()
	var commits [][]any
	of := -1
	events := pgx.CopyFromFunc(func() ([]any, error) {
		of++
		if of == benchEvents {
			return nil, nil
		}
		e, payload, facts := benchRow(b, from+of, of, until)
		seq := int64(from*2 + of + 1)
		if facts != "" {
			commits = append(commits, []any{1, seq, "resolved", e.ObservedAt.UnixMicro(), facts})
		}
		outcome := any(string(e.Outcome))
		if e.Outcome == "" {
			outcome = nil
		}
		return []any{1, seq, e.ID, "eu", e.Subject.UID, e.Service, "production", string(e.Type), outcome, e.OccurredAt.UnixMicro(), payload}, nil
	})
	columns := []string{"ledger", "seq", "id", "cluster", "uid", "service", "environment", "type", "outcome", "occurred_at", "payload"}
	if _, err := conn.CopyFrom(b.Context(), pgx.Identifier{"ledger_events"}, columns, events); err != nil {
		b.Fatal(err)
	}
	columns = []string{"ledger", "seq", "state", "recorded_at", "facts"}
	if _, err := conn.CopyFrom(b.Context(), pgx.Identifier{"ledger_commits"}, columns, pgx.CopyFromRows(commits)); err != nil {
		b.Fatal(err)
	}
	for _, query := range []string{
		`INSERT INTO ledger_subjects (ledger, cluster, uid, kind, namespace, name, service, team, environment, gaps)
			SELECT DISTINCT 1, 'eu', uid, 'Application', 'shop', uid, service, '', environment, 0 FROM ledger_events ON CONFLICT DO NOTHING`,
		`UPDATE ledgers SET revision = revision + 1, since = 1, last_event = (SELECT max(seq) FROM ledger_events)`,
		`INSERT INTO ledger_histories SELECT DISTINCT 1, uid, service, environment, (SELECT revision FROM ledgers) FROM ledger_events
			ON CONFLICT (ledger, uid, service, environment) DO UPDATE SET changed = excluded.changed`,
		`ANALYZE`,
	} {
		if _, err := conn.Exec(b.Context(), query); err != nil {
			b.Fatal(err)
		}
	}
}
