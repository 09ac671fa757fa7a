package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

func TestWhatPeopleSaidIsExplained(t *testing.T) {
	g := NewWithT(t)
	path, events := aLedger(t)
	var failed dora.Event
	for _, e := range events {
		if e.Outcome == dora.Failed {
			failed = e
		}
	}
	before := run(t, "explain", "checkout", failed.ID, "--ledger", path)
	g.Expect(before.stdout).To(MatchRegexp(`what it counts as +a failed attempt\n`))
	g.Expect(before.stdout).NotTo(ContainSubstring("said at"))

	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	other := aLedgerWith(t, ledger.Change{Marks: []dora.Mark{
		{EventID: failed.ID, Verdict: dora.Ignore, Reason: "a drill", By: "ada", At: at, Source: "DoraTarget argocd/all"},
		{EventID: failed.ID, By: "DoraTarget argocd/all", At: at.Add(time.Hour), Source: "DoraTarget argocd/all"},
		{EventID: failed.ID, Verdict: dora.NotAFailure, Reason: "the quota", By: "bob", At: at.Add(2 * time.Hour), Source: "DoraTarget argocd/all"},
	}})
	got := run(t, "explain", "checkout", failed.ID, "--ledger", other)
	g.Expect(got.stdout).To(And(
		MatchRegexp(`what it counts as +a deployment that did not fail, since people say so\n`),
		MatchRegexp(`said at 2026-11-20T12:00:00Z +marked ignore by ada: a drill \(DoraTarget argocd/all\)\n`),
		MatchRegexp(`said at 2026-11-20T13:00:00Z +what stood was taken back\n`),
		MatchRegexp(`said at 2026-11-20T14:00:00Z +marked not-a-failure by bob: the quota \(DoraTarget argocd/all\)\n`)))
	lines := run(t, "explain", "checkout", "--ledger", other).stdout
	g.Expect(lines).To(ContainSubstring("marked not-a-failure by bob: the quota"))
	var explained told
	g.Expect(json.Unmarshal([]byte(run(t, "explain", "checkout", failed.ID, "--ledger", other, "-o", "json").stdout), &explained)).To(Succeed())
	g.Expect(explained.Marks).To(HaveLen(3))
}

// aLedgerWith is a ledger's file with the month, and what was recorded besides.
func aLedgerWith(t *testing.T, changes ...ledger.Change) string {
	t.Helper()
	path := strings.TrimSuffix(t.TempDir(), "/") + "/said.db"
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Commit(t.Context(), ledger.Change{Events: monthOf(t)}); err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		if err := store.Commit(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestWhatArgoSaidIsExplained(t *testing.T) {
	g := NewWithT(t)
	e := monthOf(t)[0]
	other := e.ID
	e.ID = "seen"
	look := func(at time.Time, health deploy.Health, ids ...string) ledger.Change {
		packed, err := evidence.Encode(&evidence.Evidence{Now: at, Observation: deploy.Observation{
			Subject: e.Subject, Destination: "prod", App: &deploy.App{Health: health, HealthSince: at},
		}})
		g.Expect(err).NotTo(HaveOccurred())
		change := ledger.Change{Observation: &ledger.Observation{UID: e.Subject.UID, At: at, Data: packed}}
		if len(ids) > 0 {
			change.Subject = &ledger.Subject{Subject: e.Subject, Cluster: "eu", Service: "checkout", Environment: "production"}
			change.Events = []dora.Event{e}
		}
		return change
	}
	path := aLedgerWith(t, look(e.StartedAt.Add(-time.Minute), deploy.Healthy), look(e.StartedAt, deploy.Missing),
		look(e.StartedAt.Add(time.Minute), deploy.Progressing), look(e.ObservedAt, deploy.Healthy, e.ID))
	got := run(t, "explain", "checkout", "seen", "--ledger", path)
	_, table, _ := strings.Cut(got.stdout, "after the first time what was new\n\n")
	var lines []string
	for line := range strings.Lines(table) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	g.Expect(lines).To(Equal([]string{
		"SEEN AT FIELD SAID",
		"2026-11-03T09:56:00Z destination prod",
		"health.status Missing since 2026-11-03T09:56:00Z",
		"2026-11-03T09:57:00Z health.status Progressing since 2026-11-03T09:57:00Z",
		"2026-11-03T10:00:00Z health.status Healthy since 2026-11-03T10:00:00Z",
	}))
	g.Expect(run(t, "explain", "checkout", other, "--ledger", path).stdout).To(ContainSubstring("What Argo's status said then is not kept"))
	var explained told
	g.Expect(json.Unmarshal([]byte(run(t, "explain", "checkout", "seen", "--ledger", path, "-o", "json").stdout), &explained)).To(Succeed())
	g.Expect(explained.Evidence.Observation.App.Health).To(Equal(deploy.Healthy))
	g.Expect(explained.Seen).To(HaveExactElements(
		HaveField("Observation.App.Health", deploy.Missing), HaveField("Observation.App.Health", deploy.Progressing)))
}

// What was not counted has evidence too. A decision is named by the time that is shown of it.
func TestWhatArgoSaidOfADecisionIsExplained(t *testing.T) {
	g := NewWithT(t)
	e := monthOf(t)[0]
	at := time.Date(2026, 11, 4, 9, 0, 0, 250_000_000, time.UTC)
	packed, err := evidence.Encode(&evidence.Evidence{Now: at, Observation: deploy.Observation{
		Subject: e.Subject, App: &deploy.App{Health: deploy.Progressing, HealthSince: at.Truncate(time.Second), Stale: true},
	}})
	g.Expect(err).NotTo(HaveOccurred())
	decided := func(at time.Time) ledger.Decision {
		return ledger.Decision{Cluster: "eu", UID: e.Subject.UID, Service: "checkout", At: at, Reason: "SelfHeal", Message: "Argo CD repaired drift"}
	}
	subject := ledger.Subject{Subject: e.Subject, Cluster: "eu", Service: "checkout", Environment: "production"}
	other := aLedgerWith(t, ledger.Change{
		Subject: &subject, Decisions: []ledger.Decision{decided(at), decided(at.Add(time.Hour))}, Observation: &ledger.Observation{UID: e.Subject.UID, At: at, Data: packed},
	})
	g.Expect(run(t, "explain", "checkout", "--ledger", other).stdout).To(MatchRegexp(`2026-11-04T09:00:00Z +SelfHeal`))
	got := run(t, "explain", "checkout", "2026-11-04T09:00:00Z", "--ledger", other)
	g.Expect(got.stdout).To(And(
		HavePrefix("SelfHeal: Argo CD repaired drift\n"), MatchRegexp(`by which rule +4 of docs/concepts.md\n`),
		MatchRegexp(`2026-11-04T09:00:00Z +health.status +Progressing since 2026-11-04T09:00:00Z\n`)))
	g.Expect(run(t, "explain", "checkout", "2026-11-04T10:00:00Z", "--ledger", other).stdout).To(ContainSubstring("What Argo's status said then is not kept"))
	var explained told
	g.Expect(json.Unmarshal([]byte(run(t, "explain", "checkout", "2026-11-04T09:00:00Z", "--ledger", other, "-o", "json").stdout), &explained)).To(Succeed())
	g.Expect(explained.Evidence.Observation.App.Stale).To(BeTrue())
	g.Expect(run(t, "explain", "checkout", "2026-11-04T09:00:01Z", "--ledger", other).stderr).To(
		ContainSubstring("nothing was decided about it at 2026-11-04T09:00:01Z that led to no event; kubectl dora explain checkout has the times"))
}
