package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/group"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

// deployment is a change of one event.
func deployment(id string) ledger.Change {
	return ledger.Change{Events: []dora.Event{ledgertest.Deployment(id, "cart", noon)}, Sinks: []string{"port"}}
}

// prepared is a write that the test hands to the writer itself, so that groups are exactly what it says.
func prepared(t *testing.T, change ledger.Change) *write {
	t.Helper()
	rec, err := rows.Encode(change)
	if err != nil {
		t.Fatal(err)
	}
	return group.New(t.Context(), func(s *connection) error { return s.keep(rec) })
}

func TestOneGroup(t *testing.T) {
	g := NewWithT(t)
	s, w := idle(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	conflicting := deployment("b")
	conflicting.States = []ledger.State{{Key: "a", Version: 7}}
	writes := []*write{prepared(t, deployment("a")), prepared(t, conflicting), prepared(t, deployment("c")), prepared(t, deployment("d"))}
	writes[3].Ctx = ended
	w.finish(writes)

	g.Expect(writes[0].Told()).To(Succeed())
	g.Expect(writes[1].Told()).To(MatchError(ledger.ErrConflict))
	g.Expect(writes[2].Told()).To(Succeed())
	g.Expect(writes[3].Told()).To(MatchError(context.Canceled))
	g.Expect(ids(t, s)).To(Equal([]string{"a", "c"}))
	g.Expect(s.Revision(t.Context())).To(Equal(int64(2)))
}

// idle is a store whose writer the test plays itself.
func idle(t *testing.T, pragmas ...string) (*Store, *writer) {
	t.Helper()
	s := open(t, ledgerPath(t), Options{pragmas: pragmas})
	s.writer.Stop()
	w := *s.writer
	s.writer = startWriter(s.writer.connection, Options{group: 1}) // closed by the store; it takes nothing, as nobody hands it anything
	return s, &w
}

// TestLostTransaction: where SQLite gives up the transaction and not the statement alone, the group's writes run apart.
func TestLostTransaction(t *testing.T) {
	for name, answer := range map[string]error{"with an error": errors.New("disk full"), "unnoticed": nil} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s, w := idle(t)
			lost := group.New(t.Context(), func(tx *connection) error {
				_, err := tx.exec(`ROLLBACK`)
				return errors.Join(answer, err)
			})
			writes := []*write{prepared(t, deployment("a")), lost, prepared(t, deployment("b"))}
			w.finish(writes)
			g.Expect(writes[0].Told()).To(Succeed())
			g.Expect(writes[1].Told()).To(MatchError(errLost))
			g.Expect(writes[2].Told()).To(Succeed())
			g.Expect(ids(t, s)).To(Equal([]string{"a", "b"}))
			g.Expect(s.Revision(t.Context())).To(Equal(int64(2)))
			sinks, err := s.Sinks(t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(sinks).To(HaveExactElements(HaveField("Pending", int64(2))))
		})
	}
}

// TestFullDisk fills the file to a limit, with small and large changes at once.
func TestFullDisk(t *testing.T) {
	g := NewWithT(t)
	path := ledgerPath(t)
	s := open(t, path, Options{pragmas: []string{"max_page_count(200)"}})
	var mu sync.Mutex
	acknowledged, refused := []string{}, 0
	var all sync.WaitGroup
	for writer := range 8 {
		all.Go(func() {
			for i := range 40 {
				change := deployment(fmt.Sprintf("%d-%d", writer, i))
				change.States = []ledger.State{{Key: change.Events[0].ID, Data: make([]byte, 20_000*(writer%2))}}
				err := s.Commit(t.Context(), change)
				mu.Lock()
				if err == nil {
					acknowledged = append(acknowledged, change.Events[0].ID)
				} else {
					g.Expect(err).To(MatchError(ContainSubstring("database or disk is full")))
					refused++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	g.Expect(refused).NotTo(BeZero())
	g.Expect(ids(t, s)).To(ConsistOf(acknowledged))
	g.Expect(s.Close()).To(Succeed())

	s = open(t, path, Options{})
	g.Expect(ids(t, s)).To(ConsistOf(acknowledged))
	for writer := range 8 {
		for i := range 40 {
			id := fmt.Sprintf("%d-%d", writer, i)
			state, err := s.ReadState(t.Context(), id)
			g.Expect(err).NotTo(HaveOccurred())
			if state.Version == 1 {
				g.Expect(acknowledged).To(ContainElement(id), "half of a refused change")
			}
		}
	}
	g.Expect(s.Commit(t.Context(), deployment("after"))).To(Succeed(), "it goes on once there is room")
}

// TestSmallChangesFitBesideALargeOne: of one group only the change that does not fit is refused.
func TestSmallChangesFitBesideALargeOne(t *testing.T) {
	g := NewWithT(t)
	s, w := idle(t, "max_page_count(100)")
	large := deployment("large")
	large.States = []ledger.State{{Key: "large", Data: make([]byte, 1<<20)}}
	writes := []*write{prepared(t, deployment("a")), prepared(t, large), prepared(t, deployment("b"))}
	w.finish(writes)
	g.Expect(writes[0].Told()).To(Succeed())
	g.Expect(writes[1].Told()).To(MatchError(ContainSubstring("full")))
	g.Expect(writes[2].Told()).To(Succeed())
	g.Expect(ids(t, s)).To(Equal([]string{"a", "b"}))
}

// TestWaitingChangeIsWithdrawn: the writer is busy, so the change was not taken when its context ended.
func TestWaitingChangeIsWithdrawn(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{})
	busy, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		g.Expect(s.writer.Do(t.Context(), "hold", func(*connection) error { close(busy); <-release; return nil })).To(Succeed())
	})
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	withdrawn := make(chan error)
	go func() { withdrawn <- s.Commit(ctx, deployment("waiting")) }()
	cancel()
	g.Expect(<-withdrawn).To(MatchError(context.Canceled), "without waiting for the writer")
	close(release)
	all.Wait()
	g.Expect(ids(t, s)).To(BeEmpty())
}

// TestTakenChangeIsFinished: its context ends while it is being written.
func TestTakenChangeIsFinished(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	rec, err := rows.Encode(deployment("taken"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.writer.Do(ctx, "write", func(tx *connection) error {
		cancel()
		return tx.keep(rec)
	})).To(Succeed())
	g.Expect(ids(t, s)).To(Equal([]string{"taken"}))
}

// restrict has SQLite refuse writes, as a disk does that takes none, or take them again.
func restrict(t *testing.T, s *Store, to int) {
	t.Helper()
	_, err := s.writer.connection.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA query_only = %d", to))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

// TestPingWritesWhatItDoubts: with a disk that takes no writes it fails exactly where it writes.
func TestPingWritesWhatItDoubts(t *testing.T) {
	ample := func(string) (Room, bool, error) { return Room{Free: amplyFree, Size: 1 << 30}, true, nil }
	for name, row := range map[string]struct {
		room   func(string) (Room, bool, error)
		before func(*testing.T, *Store)
		writes bool
	}{
		"nothing is to be feared":  {room: ample},
		"how full is not known":    {room: func(string) (Room, bool, error) { return Room{}, false, nil }},
		"hardly any room is left":  {room: func(string) (Room, bool, error) { return Room{Free: amplyFree - 1}, true, nil }, writes: true},
		"mounted for reading only": {room: func(string) (Room, bool, error) { return Room{Free: 1 << 30, ReadOnly: true}, true, nil }, writes: true},
		"the folder is gone":       {room: func(string) (Room, bool, error) { return Room{}, false, errors.New("stale") }, writes: true},
		"the last write failed": {room: ample, writes: true, before: func(t *testing.T, s *Store) {
			t.Helper()
			NewWithT(t).Expect(s.Commit(t.Context(), deployment("lost"))).NotTo(Succeed())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := open(t, ledgerPath(t), Options{room: row.room})
			g.Expect(s.Ping(t.Context())).To(Succeed(), "nothing was written before, so it writes")
			restrict(t, s, 1)
			if row.before != nil {
				row.before(t, s)
			}
			if !row.writes {
				g.Expect(s.Ping(t.Context())).To(Succeed())
				return
			}
			for range 2 {
				g.Expect(s.Ping(t.Context())).To(MatchError(ContainSubstring("cannot write the ledger")))
			}
			restrict(t, s, 0)
			g.Expect(s.Ping(t.Context())).To(Succeed())
		})
	}
}

// TestPingLeavesTheFilesAsTheyAre while all is well.
func TestPingLeavesTheFilesAsTheyAre(t *testing.T) {
	g, path := NewWithT(t), ledgerPath(t)
	s := open(t, path, Options{})
	g.Expect(s.Commit(t.Context(), deployment("a"))).To(Succeed())
	read := func() (content []string) {
		for _, file := range []string{path, path + "-wal"} {
			text, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			content = append(content, string(text))
		}
		return content
	}
	before := read()
	for range 10 {
		g.Expect(s.Ping(t.Context())).To(Succeed())
	}
	g.Expect(read()).To(Equal(before))
}

// TestWhatCannotBeEncoded fails before it reaches the writer.
func TestWhatCannotBeEncoded(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{})
	change := deployment("a")
	nan := math.NaN()
	change.Events[0].LeadTimeSeconds = &nan
	g.Expect(s.Commit(t.Context(), change)).To(MatchError(ContainSubstring("cannot encode event a")))
}

// TestPlans: the frequent queries use their indexes; a ledger of years is not read from end to end.
func TestPlans(t *testing.T) {
	s := open(t, ledgerPath(t), Options{})
	for name, test := range map[string]struct {
		query ledger.EventQuery
		want  string
	}{
		"a target's events": {ledger.EventQuery{UIDs: []string{"a", "b"}, Since: noon}, "events_by_subject"},
		"a service's":       {ledger.EventQuery{Service: "cart", Newest: true, Limit: 9}, "events_by_service"},
		"what ran before":   {ledger.EventQuery{Cluster: "eu-1", Service: "cart", Environment: "prod", Types: []dora.Type{dora.TypeDeploy}, Until: noon, Newest: true, Limit: 9}, "events_by_service (service=? AND occurred_at<?)"},
		"the newest":        {ledger.EventQuery{Newest: true, Limit: 9}, "events_by_time"},
		"what came later":   {ledger.EventQuery{AfterSeq: 9}, "INTEGER PRIMARY KEY"},
		"by id":             {ledger.EventQuery{IDs: []string{"a"}}, "sqlite_autoindex_events_1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			query, args := eventQuery(test.query)
			plan := explain(t, s, query, args...)
			g.Expect(plan).To(ContainSubstring(test.want))
			if test.query.Newest {
				g.Expect(plan).NotTo(ContainSubstring("TEMP B-TREE"))
			}
		})
	}
}

// TestPlansOfSearches: neither the queue nor a target's figures grow slower with the years before them.
func TestPlansOfSearches(t *testing.T) {
	s := open(t, ledgerPath(t), Options{})
	target := []string{"a", "b"}
	resolutions, ofResolutions := resolutionsQuery(ledger.ResolutionQuery{UIDs: target, Cluster: "eu-1", Since: noon})
	again, ofAgain := reopenQuery(ledger.ReopenQuery{UIDs: target, Cluster: "eu-1", Since: noon, Reasons: target, Missing: true})
	queued, ofQueued := resolutionsQuery(ledger.ResolutionQuery{Queued: true, UIDs: target})
	hurry, ofHurry := hurryQuery(ledger.ResolutionQuery{UIDs: target, Cluster: "eu-1", Since: noon}, noon)
	for name, test := range map[string]struct {
		query string
		args  []any
		want  []string
	}{
		"a target's queued":  {queued, ofQueued, []string{"SEARCH commits USING INDEX commits_pending (state=?)", "SEARCH events USING INTEGER PRIMARY KEY"}},
		"a target's at once": {hurry, ofHurry, []string{"SEARCH commits USING INDEX commits_pending (state=?)", "SEARCH events USING INTEGER PRIMARY KEY"}},
		"the queue":          {unresolvedQuery, []any{1, 1}, []string{"SEARCH c USING INDEX commits_pending (state=?)", "SEARCH e USING INTEGER PRIMARY KEY"}},
		"when it is due":     {nextUnresolvedQuery, nil, []string{"SEARCH commits USING COVERING INDEX commits_pending (state=?)"}},
		"a target's":         {resolutions, ofResolutions, []string{"SEARCH events USING INDEX events_by_subject (uid=? AND occurred_at>?)", "SEARCH commits USING INTEGER PRIMARY KEY"}},
		"a target's again":   {again, ofAgain, []string{"SEARCH events USING INDEX events_by_subject (uid=? AND occurred_at>?)", "SEARCH commits USING INTEGER PRIMARY KEY"}},
		"an event's facts":   {completedQuery, []any{"a"}, []string{"SEARCH e USING INDEX sqlite_autoindex_events_1 (id=?)", "SEARCH c USING INTEGER PRIMARY KEY", "SEARCH marks USING PRIMARY KEY (seq=?)"}},
		"an event's marks":   {saidQuery, []any{"a"}, []string{"SEARCH e USING INDEX sqlite_autoindex_events_1 (id=?)", "SEARCH marks USING PRIMARY KEY (seq=?)"}},
		"the cache":          {cachedQuery, []any{"a"}, []string{"SEARCH cache USING INDEX sqlite_autoindex_cache_1 (key=?)"}},
		"its end":            {trimQuery, []any{9}, []string{"SEARCH cache USING INTEGER PRIMARY KEY (rowid<?)"}},
		"putting off":        {putOffQuery, []any{1, "", "", "a"}, []string{"SEARCH commits USING INTEGER PRIMARY KEY", "SEARCH events USING COVERING INDEX sqlite_autoindex_events_1 (id=?)"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			plan := explain(t, s, test.query, test.args...)
			for _, want := range test.want {
				g.Expect(plan).To(ContainSubstring(want))
			}
			g.Expect(strings.ReplaceAll(plan, "SCAN json_each", "")).NotTo(ContainSubstring("SCAN"))
			g.Expect(plan).NotTo(ContainSubstring("FOR ORDER BY"))
		})
	}
}

func explain(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	steps, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer steps.Close()
	var plan strings.Builder
	for steps.Next() {
		var id, parent, unused int
		var detail string
		if err := steps.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := steps.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

func TestConstraints(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{})
	owed := deployment("owed")
	owed.Resolve = true
	g.Expect(s.Commit(t.Context(), owed)).To(Succeed())
	for _, statement := range []string{
		`DELETE FROM events`, // owed to a sink
		`DELETE FROM sinks`,  // has rows
		`UPDATE events SET outcome = NULL`,
		`UPDATE events SET type = 'degraded'`,
		`UPDATE events SET payload = 'no json'`,
		`UPDATE outbox SET parked = 1`, // without a failed attempt
		`UPDATE outbox SET attempts = 1`,
		`UPDATE ledger SET since = NULL`,
		`INSERT INTO ledger (id, revision) VALUES (2, 0)`,
		`INSERT INTO states (key, version, data) VALUES ('a', 0, x'')`,
		`INSERT INTO commits (seq, state, recorded_at, next_at) VALUES (4711, 'pending', 0, 0)`, // of no event
		`UPDATE commits SET next_at = NULL`,
		`UPDATE commits SET facts = 'no json'`,
		`UPDATE commits SET content = 1`,                                     // without facts
		`UPDATE commits SET state = 'resolved', next_at = NULL`,              // likewise
		`UPDATE commits SET state = 'unknown', next_at = NULL, facts = '{}'`, // without a reason
		`UPDATE commits SET state = 'resolved', next_at = NULL, facts = '{}', reason = 'NoBase'`,
		`UPDATE commits SET state = 'resolved', next_at = NULL, facts = '{}', attempts = 1`,
		`INSERT INTO cache (key, value) VALUES ('', x'')`,
		`UPDATE sinks SET pending = -1`,
		`INSERT INTO deliveries (sink, event_seq, event_id, service, type, fate, content, at, took, answer)
			VALUES ('none', 1, 'a', 'cart', 'deploy', 'delivered', 0, 0, 0, '')`, // of no sink
		`INSERT INTO deliveries (sink, event_seq, event_id, service, type, fate, content, at, took, answer)
			VALUES ('port', 1, 'a', 'cart', 'deploy', 'lost', 0, 0, 0, '')`,
	} {
		err := s.writer.Do(t.Context(), "break", func(tx *connection) error { _, err := tx.exec(statement); return err })
		g.Expect(err).To(MatchError(ContainSubstring("constraint failed")), statement)
	}
}

// TestReopenLooksAgain: what it found to reopen may have ended, gone or come into the queue by the time it is written.
func TestReopenLooksAgain(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{Now: func() time.Time { return noon }})
	for _, id := range []string{"resolved", "unknown", "queued"} {
		change := deployment(id)
		change.Resolve = true
		g.Expect(s.Commit(t.Context(), change)).To(Succeed())
	}
	g.Expect(s.Commit(t.Context(), ledger.Change{Facts: []dora.CommitFacts{
		ledgertest.Facts("resolved", noon), {EventID: "unknown", Reason: "NoBase"},
	}})).To(Succeed())
	g.Expect(s.PutOff(t.Context(), "queued", noon, "Busy", "try again")).To(Succeed())
	g.Expect(s.writer.Do(t.Context(), "reopen", func(tx *connection) error {
		n, err := tx.reopen([]int64{1, 2, 3, 4711}, noon)
		g.Expect(n).To(Equal(int64(1)))
		return err
	})).To(Succeed())
	g.Expect(s.Resolutions(t.Context(), ledger.ResolutionQuery{})).To(Equal(ledger.Resolutions{
		Pending: 2, Failing: []ledger.ReasonCount{{Reason: "Busy", Count: 1, Message: "try again"}}, Resolved: 1,
	}))
}

// TestRolledBackSink: the first row of a sink is taken back with its change, and the next change writes it again.
func TestRolledBackSink(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{})
	refused := deployment("a")
	refused.Decisions = []ledger.Decision{{}} // without a reason
	g.Expect(s.Commit(t.Context(), refused)).To(MatchError(ContainSubstring("constraint failed")))
	g.Expect(s.Commit(t.Context(), deployment("b"))).To(Succeed())
	sinks, err := s.Sinks(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(sinks).To(HaveExactElements(And(HaveField("Sink", "port"), HaveField("Pending", int64(1)))))
}

// TestWritingConnection: what the durability rests on, which no test short of pulling the plug would notice missing.
func TestWritingConnection(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
		var got string
		g.Expect(s.writer.Do(t.Context(), "ask", func(tx *connection) error {
			return tx.conn.QueryRowContext(context.Background(), "PRAGMA "+pragma).Scan(&got)
		})).To(Succeed())
		g.Expect(got).To(Equal(want), pragma)
	}
}
