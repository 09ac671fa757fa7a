package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

func TestDecisionsAreThoseOfAServiceOrAName(t *testing.T) {
	path, store, _ := ledgerOf(t)
	for _, name := range []string{"checkout-eu", "search"} {
		subject := dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: name, UID: name}
		service, _, _ := strings.Cut(name, "-")
		err := store.Commit(t.Context(), ledger.Change{
			Subject:   &ledger.Subject{Subject: subject, Cluster: "c", Service: service, FollowedSince: time.Unix(0, 0).UTC()},
			Decisions: []ledger.Decision{{Cluster: "c", UID: name, Service: service, At: time.Unix(1, 0).UTC(), Reason: "DryRun", Message: "changed nothing"}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for of, want := range map[string]int{"checkout": 1, "checkout-eu": 1, "search": 1, "nobody": 0} {
		got := runCommand(t, "", "decisions", "-o", "json", "--ledger", path, "--of", of)
		if n := strings.Count(got.stdout, "\n"); n != want || got.code != exitOK {
			t.Errorf("%s: want %d decisions, got %+v", of, want, got)
		}
	}
	got := runCommand(t, "", "decisions", "-o", "table", "--ledger", path, "--of", "checkout")
	if want := "1970-01-01T00:00:01Z Application argocd/checkout-eu DryRun: changed nothing\n"; got.stdout != want {
		t.Errorf("got %+v", got)
	}
	if got := runCommand(t, "", "decisions", "--ledger", path); got.code != exitUsage {
		t.Errorf("got %+v", got)
	}
	if got := runCommand(t, "", "decisions", "-o", "table", "--ledger", path, "--of", "checkout", "--since", "1h"); got.stderr != "No decisions.\n" {
		t.Errorf("got %+v", got)
	}
}
