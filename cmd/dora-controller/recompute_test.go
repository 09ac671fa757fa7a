package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	decided "github.com/dora-controller/dora-controller/internal/record"
)

// observed is a ledger that a controller has written, of an Application that was deployed once while it was followed, and the event of that.
func observed(t *testing.T) (path string, deployed dora.Event) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: func() time.Time { return began }})
	if err != nil {
		t.Fatal(err)
	}
	recorder, err := decided.Open(t.Context(), store, "eu", nil)
	if err != nil {
		t.Fatal(err)
	}
	started := began.Add(time.Minute)
	obs := deploy.Observation{
		Cluster: "eu", CreatedAt: began.Add(time.Second), Destination: "prod",
		Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "cart-eu", UID: "u1"},
		App: &deploy.App{
			Health: deploy.Healthy, HealthSince: started.Add(5 * time.Second), Synced: true, ReconciledAt: started.Add(6 * time.Second),
			Images: []string{"registry.example.com/cart:main-1a1a1a1"},
			Operation: &deploy.Operation{
				StartedAt: started, FinishedAt: started.Add(3 * time.Second), Phase: deploy.Completed, Message: "successfully synced",
				Rows: []deploy.Row{{Kind: "Deployment", Name: "cart", Workload: true, Applied: true}},
			},
			History: []deploy.HistoryEntry{{StartedAt: started, DeployedAt: started.Add(3 * time.Second)}},
		},
	}
	policy := deploy.Policy{Service: "cart", Environment: "production", DegradedFor: time.Minute, FailureWindow: time.Hour, VerdictTimeout: 24 * time.Hour, FollowedSince: began}
	result, err := recorder.Record(t.Context(), &obs, nil, policy, nil, started.Add(10*time.Second))
	if err != nil || len(result.Events) != 1 {
		t.Fatalf("%d events, %v", len(result.Events), err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return path, result.Events[0]
}

var began = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestWhatWasSeenIsShown(t *testing.T) {
	path, e := observed(t)
	got := runCommand(t, "", "evidence", "--ledger", path, "--id", e.ID, "-o", "table")
	for _, want := range []string{
		"2026-11-01T12:01:10Z Application argocd/cart-eu\n", "Healthy since 2026-11-01T12:01:05Z", "Synced, compared at 2026-11-01T12:01:06Z",
		"Succeeded, started at 2026-11-01T12:01:00Z, finished at 2026-11-01T12:01:03Z", "successfully synced", "Deployment cart, applied",
		"registry.example.com/cart:main-1a1a1a1", e.ID,
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("want %q in\n%s%s", want, got.stdout, got.stderr)
		}
	}
	for _, args := range [][]string{{"--of", "cart"}, {"--of", "cart-eu"}, {"--id", e.ID}} {
		got := runCommand(t, "", append([]string{"evidence", "--ledger", path, "-o", "json"}, args...)...)
		if strings.Count(got.stdout, "\n") != 1 || !strings.Contains(got.stdout, `"events":["`+e.ID+`"]`) || !strings.Contains(got.stdout, `"policy":{`) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := runCommand(t, "", "evidence", "--ledger", path, "--id", "none", "-o", "json"); got.code != exitOK || !strings.Contains(got.stderr, "No evidence is kept") {
		t.Errorf("%+v", got)
	}
	for _, args := range [][]string{{"evidence"}, {"evidence", "--id", "a", "--of", "b"}} {
		if got := runCommand(t, "", args...); got.code != exitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestRecomputeTellsAndCorrects(t *testing.T) {
	path, e := observed(t)
	same := runCommand(t, "", "recompute", "--ledger", path, "-o", "json")
	if same.code != exitOK || same.stdout != "" || same.stderr != "Observations that were decided again: 1. Objects: 1. Differences: 0.\n" {
		t.Fatalf("%+v", same)
	}
	surplus(t, path, e)
	got := runCommand(t, "", "recompute", "--ledger", path, "-o", "table")
	if got.code != exitDiffers || !strings.Contains(got.stdout, "surplus") || !strings.Contains(got.stdout, "extra") {
		t.Fatalf("%+v", got)
	}
	if got := runCommand(t, "", "recompute", "--ledger", path, "-o", "json", "--since", "2026-11-02T00:00:00Z"); got.code != exitOK {
		t.Errorf("%+v", got)
	}
	if got := runCommand(t, "", "recompute", "--ledger", path, "--service", "typo"); got.code != exitFailure || !strings.Contains(got.stderr, `no Rollout and no report of service "typo"`) {
		t.Errorf("%+v", got)
	}
	applied := runCommand(t, "", "recompute", "--ledger", path, "--apply", "-o", "json")
	if applied.code != exitOK || !strings.Contains(applied.stderr, "Appended: events 0, marks 1.") {
		t.Fatalf("%+v", applied)
	}
	if got := runCommand(t, "", "marks", "--ledger", path, "-o", "json"); !strings.Contains(got.stdout, `"verdict":"ignore"`) || !strings.Contains(got.stdout, `"source":"recompute"`) {
		t.Errorf("%+v", got)
	}
	if again := runCommand(t, "", "recompute", "--ledger", path, "-o", "json"); again.code != exitOK {
		t.Errorf("what was corrected is found again: %+v", again)
	}
	if got := runCommand(t, "", "recompute", "--ledger", "postgres://dora@127.0.0.1:1/dora", "--apply"); got.code != exitFailure {
		t.Errorf("%+v", got)
	}
}

// surplus adds an event that came of an observation of which the rules find none.
func surplus(t *testing.T, path string, e dora.Event) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	seen, err := store.Observations(t.Context(), e.Subject.UID)
	if err != nil || len(seen) != 1 {
		t.Fatalf("%d observations, %v", len(seen), err)
	}
	e.ID = "extra"
	if err := store.Commit(context.WithoutCancel(t.Context()), ledger.Change{Events: []dora.Event{e}, Observation: &seen[0]}); err != nil {
		t.Fatal(err)
	}
}

// TestRecomputeTellsWhatWasReported: what a receiver heard is no object without evidence, and is not passed over in silence.
func TestRecomputeTellsWhatWasReported(t *testing.T) {
	path, _ := observed(t)
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	subject := dora.Subject{Kind: dora.KindReported, Namespace: "shop", Name: "cart", UID: "r1"}
	report := func(id string, kind dora.Type, failure string, hours int) dora.Event {
		return dora.Event{
			Schema: dora.Schema, ID: id, Type: kind, Service: "cart", Environment: "production", Cluster: "eu", Subject: subject, FailureID: failure,
			OccurredAt: began.Add(time.Duration(hours) * time.Hour), ObservedAt: began, Basis: dora.BasisAPI, Source: "api", Receiver: "ci",
		}
	}
	deployed := report("d1", dora.TypeDeploy, "", 1)
	deployed.Outcome = dora.Succeeded
	row := ledger.Subject{Subject: subject, Cluster: "eu", Service: "cart", Environment: "production", FollowedSince: began}
	if err := store.Commit(t.Context(), ledger.Change{Subject: &row, Events: []dora.Event{
		deployed, report("c1", dora.TypeChange, "", 2), report("i1", dora.TypeDegraded, "f", 3), report("i2", dora.TypeRecovered, "f", 48),
	}}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	const said = "Observations that were decided again: 1. Objects: 1. Differences: 0. Reported events that are not decided again, " +
		"since the texts of incidents and who counted them then are not kept: "
	for since, want := range map[string]string{"": "2 of incidents, 2 of deployments and changes.\n", "2026-11-03T00:00:00Z": "1 of incidents, 0 of deployments and changes.\n"} {
		args := []string{"recompute", "--ledger", path, "-o", "json"}
		if since != "" {
			args = append(args, "--since", since)
		}
		if got := runCommand(t, "", args...); got.code != exitOK || got.stderr != said+want {
			t.Errorf("%+v", got)
		}
	}
}
