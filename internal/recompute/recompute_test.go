package recompute_test

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/recompute"
	"github.com/dora-controller/dora-controller/internal/record"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// story is a ledger that a recorder has written, as in a cluster.
type story struct {
	*testing.T

	store    *ledgertest.Memory
	recorder *record.Recorder
	now      time.Time
}

func newStory(t *testing.T) *story {
	t.Helper()
	s := &story{T: t, now: epoch}
	s.store = ledgertest.NewMemory(func() time.Time { return s.now })
	recorder, err := record.Open(t.Context(), s.store, "eu", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.recorder = recorder
	return s
}

// deploys lets an Application deploy a version: it is seen while it goes out, and once it is Healthy or Degraded.
func (s *story) deploys(name, tag string, health deploy.Health) {
	s.Helper()
	started := s.now.Add(time.Minute)
	obs := deploy.Observation{
		Cluster: "eu", CreatedAt: epoch.Add(time.Second), Destination: "prod",
		Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: name, UID: name},
		App: &deploy.App{
			Health: deploy.Progressing, HealthSince: started.Add(2 * time.Second), Images: []string{"registry.example.com/" + name + ":" + tag},
			Operation: &deploy.Operation{StartedAt: started, Phase: deploy.Running}, OutOfSync: true, ReconciledAt: started,
		},
	}
	s.sees(&obs, started.Add(3*time.Second))
	obs.App.Operation = &deploy.Operation{
		StartedAt: started, FinishedAt: started.Add(4 * time.Second), Phase: deploy.Completed,
		Rows: []deploy.Row{{Kind: "Deployment", Name: name, Workload: true, Applied: true}},
	}
	obs.App.History = []deploy.HistoryEntry{{StartedAt: started, DeployedAt: started.Add(4 * time.Second)}}
	obs.App.Synced, obs.App.OutOfSync, obs.App.Health = true, false, health
	obs.App.HealthSince, obs.App.ReconciledAt = started.Add(10*time.Second), started.Add(11*time.Second)
	s.sees(&obs, started.Add(12*time.Second))
	s.sees(&obs, started.Add(10*time.Minute))
}

func (s *story) sees(obs *deploy.Observation, at time.Time) {
	s.Helper()
	s.now = at
	policy := deploy.Policy{
		Service: "shop", Environment: "production", DegradedFor: time.Minute, FailureWindow: time.Hour, VerdictTimeout: 24 * time.Hour, FollowedSince: epoch,
	}
	copied := *obs
	app := *obs.App
	copied.App = &app
	if _, err := s.recorder.Record(s.Context(), &copied, nil, policy, nil, at); err != nil {
		s.Fatal(err)
	}
}

func (s *story) run(from recompute.Ledger) *recompute.Report {
	s.Helper()
	subjects, err := s.store.Subjects(s.Context(), ledger.SubjectQuery{})
	if err != nil {
		s.Fatal(err)
	}
	report, err := recompute.Run(s.Context(), from, subjects, time.Time{})
	if err != nil {
		s.Fatal(err)
	}
	return report
}

func (s *story) events() []dora.Event {
	s.Helper()
	var events []dora.Event
	for row, err := range s.store.Events(s.Context(), ledger.EventQuery{}) {
		if err != nil {
			s.Fatal(err)
		}
		events = append(events, row.Event)
	}
	return events
}

// told is a difference in a line.
func told(r *recompute.Report) []string {
	var all []string
	for _, d := range r.Differences {
		words := []string{string(d.Kind), string(d.Event.Type)}
		for _, c := range d.Changes {
			words = append(words, c.Field+":"+c.Was+">"+c.Is)
		}
		all = append(all, strings.Join(words, " "))
	}
	return all
}

// month tells of two Applications of one service, each a few times, one time with a failure.
func (s *story) month() {
	s.Helper()
	for i, health := range []deploy.Health{deploy.Healthy, deploy.Healthy, deploy.Degraded, deploy.Healthy} {
		s.deploys("cart", "main-000000"+string(rune('a'+i)), health)
		s.deploys("search", "main-100000"+string(rune('a'+i)), deploy.Healthy)
	}
	if n := len(s.events()); n < 8 {
		s.Fatalf("the month has %d events", n)
	}
}

func TestTheSameRulesFindTheSame(t *testing.T) {
	s := newStory(t)
	s.month()
	report := s.run(s.store)
	if len(report.Differences) > 0 || report.Subjects != 2 || report.Without != 0 || report.Incomplete != 0 || report.Observations < 12 {
		t.Errorf("%v of %+v", told(report), report)
	}
}

func TestTheSameRulesFindTheSameWhereOldEvidenceWasDropped(t *testing.T) {
	s := newStory(t)
	for range 12 {
		s.month()
	}
	report := s.run(s.store)
	if len(report.Differences) > 0 || report.Incomplete != 2 || report.Observations != 2*ledger.KeptObservations {
		t.Errorf("%v of %+v", told(report), report)
	}
	if !report.Since.After(epoch) {
		t.Errorf("there is evidence since %s", report.Since)
	}
}

// altered is a ledger in which events say something else, are not there, or are more: what it has was decided by other rules.
type altered struct {
	*ledgertest.Memory

	change func(*dora.Event) bool // false: it is not there
}

func (a altered) Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		for row, err := range a.Memory.Events(ctx, q) {
			if a.change(&row.Event) && !yield(row, err) {
				return
			}
		}
	}
}

// Observations forget what came of them, where it is not there.
func (a altered) Observations(ctx context.Context, uid string) ([]ledger.Observation, error) {
	seen, err := a.Memory.Observations(ctx, uid)
	for i := range seen {
		seen[i].Events = slices.DeleteFunc(seen[i].Events, func(id string) bool { return !a.change(&dora.Event{ID: id}) })
	}
	return seen, err
}

func TestWhatTheseRulesFindOtherwise(t *testing.T) {
	s := newStory(t)
	s.month()
	var failed dora.Event
	for _, e := range s.events() {
		if e.Outcome == dora.Failed {
			failed = e
		}
	}
	other := s.run(altered{s.store, func(e *dora.Event) bool {
		if e.ID == failed.ID && e.Type != "" {
			e.Outcome, e.Success = dora.Succeeded, new(true)
		}
		return true
	}})
	want := []string{"different deploy outcome:succeeded>failed success:true>false"}
	if d := cmp.Diff(want, told(other)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	c := other.Correct("v1.2.3", epoch)
	mark := dora.Mark{
		EventID: failed.ID, Verdict: dora.Failure, Reason: "the rules of v1.2.3 find another outcome", By: "recompute v1.2.3", At: epoch, Source: recompute.Source,
	}
	if d := cmp.Diff(recompute.Corrections{Marks: []dora.Mark{mark}}, c); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}

	missing := s.run(altered{s.store, func(e *dora.Event) bool { return e.ID != failed.ID }})
	if d := cmp.Diff([]string{"missing deploy"}, told(missing)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if c := missing.Correct("v1.2.3", epoch); len(c.Events) != 1 || c.Events[0].ID != failed.ID || len(c.Marks)+len(c.Unsaid) > 0 {
		t.Errorf("corrections %+v", c)
	}
}

// An event that came of an observation, and that these rules do not find.
func TestWhatTheseRulesDoNotFind(t *testing.T) {
	s := newStory(t)
	s.month()
	extra := s.events()[0]
	extra.ID = "extra"
	seen, err := s.store.Observations(t.Context(), "cart")
	if err != nil {
		t.Fatal(err)
	}
	last := seen[len(seen)-1]
	if err := s.store.Commit(t.Context(), ledger.Change{Events: []dora.Event{extra}, Observation: &last}); err != nil {
		t.Fatal(err)
	}
	report := s.run(s.store)
	if d := cmp.Diff([]string{"surplus deploy"}, told(report)); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
	c := report.Correct("v1.2.3", epoch)
	if len(c.Marks) != 1 || c.Marks[0].Verdict != dora.Ignore || c.Marks[0].EventID != "extra" || len(c.Events)+len(c.Unsaid) > 0 {
		t.Fatalf("corrections %+v", c)
	}
	if err := s.store.Commit(t.Context(), ledger.Change{Marks: c.Marks}); err != nil {
		t.Fatal(err)
	}
	if again := s.run(s.store); len(again.Differences) > 0 {
		t.Errorf("what was corrected is found again: %v", told(again))
	}
	said := c.Marks[0]
	said.Verdict, said.Source = dora.Failure, "DoraTarget shop/production"
	if err := s.store.Commit(t.Context(), ledger.Change{Marks: []dora.Mark{said}}); err != nil {
		t.Fatal(err)
	}
	if c := s.run(s.store).Correct("v1.2.3", epoch); len(c.Marks) > 0 || len(c.Unsaid) != 1 {
		t.Errorf("what people said does not come first: %+v", c)
	}
}

func TestSubjectsWithoutEvidenceAreCounted(t *testing.T) {
	s := newStory(t)
	row := ledger.Subject{Subject: dora.Subject{UID: "old"}, Cluster: "eu", Service: "old"}
	if err := s.store.Commit(t.Context(), ledger.Change{Subject: &row}); err != nil {
		t.Fatal(err)
	}
	if report := s.run(s.store); report.Without != 1 || report.Subjects != 0 {
		t.Errorf("%+v", report)
	}
}

// What is kept decides as what was seen did, and is small: some 40 of each subject are kept.
func TestWhatIsKeptIsSmall(t *testing.T) {
	s := newStory(t)
	s.month()
	seen, err := s.store.Observations(t.Context(), "cart")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range seen {
		if len(o.Data) > 1500 {
			t.Errorf("an observation takes %d bytes", len(o.Data))
		}
		read, err := evidence.Decode(o.Data)
		if err != nil {
			t.Fatal(err)
		}
		again, err := evidence.Encode(read)
		if err != nil || !bytes.Equal(o.Data, again) {
			t.Errorf("it is kept as something else once it was read: %v", err)
		}
		if text, err := json.Marshal(read); err != nil || !bytes.Contains(text, []byte("cart")) {
			t.Errorf("%s, %v", text, err)
		}
	}
	if _, err := os.Stat(filepath.Join("..", "evidence", "dictionary.json")); err != nil {
		t.Fatal(err)
	}
}

// broken is a ledger with one observation of a subject that nobody can read.
type broken struct{ *ledgertest.Memory }

func (b broken) Observations(ctx context.Context, uid string) ([]ledger.Observation, error) {
	seen, err := b.Memory.Observations(ctx, uid)
	if uid == "cart" {
		seen[1].Data = []byte("these are no observations")
	}
	return seen, err
}

func TestOneThatCannotBeReadIsToldAndHidesNoOther(t *testing.T) {
	s := newStory(t)
	s.month()
	whole, report := s.run(s.store), s.run(broken{s.store})
	if len(report.Differences) > 0 || len(report.Unreadable) != 1 || report.Observations != whole.Observations {
		t.Fatalf("%v of %+v", told(report), report)
	}
	if text := report.Unreadable[0].Error(); !strings.Contains(text, "Application argocd/cart, seen at 2026-11-01T12:") {
		t.Errorf("it is told as: %s", text)
	}
}

// A ledger that two clusters were written to has a row of an object for each.
func TestASubjectOfTwoRowsIsDecidedOnce(t *testing.T) {
	s := newStory(t)
	s.month()
	row := ledger.Subject{Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "cart", UID: "cart"}, Cluster: "us", Service: "shop"}
	before := s.run(s.store)
	if err := s.store.Commit(t.Context(), ledger.Change{Subject: &row}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, s.run(s.store)); d != "" {
		t.Errorf("(-one row +two)\n%s", d)
	}
}
