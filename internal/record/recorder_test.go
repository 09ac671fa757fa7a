package record_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/record"
)

func TestAllThatFollowsFromOneObservationIsOneChange(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.deploy(cart, v1)
	w.deploy(cart, v2)
	w.wantTold("cart-1 succeeded main-1a1a1a1", "cart-1 succeeded main-2b2b2b2")

	change := w.store.changes[len(w.store.changes)-1]
	if len(change.Events) != 1 || len(change.States) != 2 || !slices.Equal(change.Sinks, []string{"stdout"}) {
		t.Fatalf("want an event, two states and a sink in the last change, got %d, %d and %v", len(change.Events), len(change.States), change.Sinks)
	}
	if got, want := []string{change.States[0].Key, change.States[1].Key}, []string{"subject/eu/cart-1", "service/eu/prod/cart"}; !slices.Equal(got, want) {
		t.Errorf("states are kept as %v, want %v", got, want)
	}
	want := ledger.Subject{
		Subject: cart.Subject, Cluster: "eu", Labels: cart.labels, Service: "cart", Team: "shop", Environment: "prod", FollowedSince: epoch,
	}
	if diff := cmp.Diff(&want, change.Subject); diff != "" {
		t.Errorf("the subject's row differs (-want +got):\n%s", diff)
	}
}

func TestCommitsAreLookedForWhereATargetSaysWhereTheyAre(t *testing.T) {
	for _, sourced := range []bool{false, true} {
		w := newWorld(t)
		cart := w.create("cart", "cart-1")
		policy := policyOf("cart")
		policy.Sourced = sourced
		w.policy = &policy
		w.deploy(cart, v1)
		known, err := w.store.Resolutions(t.Context(), ledger.ResolutionQuery{})
		if err != nil || (known.Pending == 1) != sourced {
			t.Errorf("with a source %v: %d are looked for, %v", sourced, known.Pending, err)
		}
	}
}

func TestAnUnchangedObservationAsksNothingOfTheLedger(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.deploy(cart, v1)
	reads, commits := w.store.reads, w.store.commits
	for range 100 {
		w.now = w.now.Add(time.Minute)
		cart.app.ReconciledAt = w.now // Argo CD compares every few minutes
		if result := w.look(cart); result.Changed {
			t.Fatal("nothing changed, and the result says something did")
		}
	}
	if w.store.reads != reads || w.store.commits != commits {
		t.Errorf("%d reads and %d commits for nothing", w.store.reads-reads, w.store.commits-commits)
	}
}

func TestADecisionThatLedToNoEventIsKept(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.deploy(cart, v1)
	w.deploy(cart, v1)
	decisions, err := w.store.Decisions(t.Context(), "cart-1", 1)
	if err != nil || len(decisions) != 1 {
		t.Fatalf("got %v, %v", decisions, err)
	}
	if d := decisions[0]; d.Reason != string(deploy.ReasonSameImages) || d.Service != "cart" || d.Cluster != "eu" || d.At.IsZero() {
		t.Errorf("got %+v", d)
	}
}

func TestAnUnchangedObservationAllocatesLittle(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.deploy(cart, v1)
	obs, policy, ctx := cart.observe(), policyOf("cart"), context.Background()
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := w.recorder.Record(ctx, obs, cart.labels, policy, nil, w.now); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 1 {
		t.Errorf("%v allocations, want one at most", allocations)
	}
}

func TestARestartRepeatsNothing(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.deploy(cart, v1)
	w.open()
	commits := w.store.commits
	if w.look(cart).Changed {
		t.Error("the first look after a restart changed something")
	}
	if w.store.commits != commits {
		t.Error("the first look after a restart wrote something")
	}
	w.deploy(cart, v2)
	w.wantTold("cart-1 succeeded main-1a1a1a1", "cart-1 succeeded main-2b2b2b2")
}

func TestAnotherWriterIsNeverOverwritten(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.deploy(cart, v1)
	mine := w.recorder
	w.open() // the other one
	theirs := w.recorder
	w.recorder = mine
	w.store.before = func() { // while mine is about to commit, theirs commits the same
		w.store.before = nil
		if _, err := theirs.Record(t.Context(), cart.observe(), cart.labels, policyOf("cart"), nil, w.now); err != nil {
			t.Error(err)
		}
	}
	w.deploy(cart, v2)
	w.wantTold("cart-1 succeeded main-1a1a1a1", "cart-1 succeeded main-2b2b2b2")
}

func TestEndlessConflictsEndInAnError(t *testing.T) {
	w := newWorld(t)
	w.store.fail = fmt.Errorf("%w: subject/eu/cart-1", ledger.ErrConflict)
	if _, err := w.tryLook(w.create("cart", "cart-1")); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestAfterAFailedCommitTheStateIsReadAgain(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.look(cart)
	w.store.fail = errors.New("disk full")
	cart.app.Health = deploy.Progressing
	if result, err := w.tryLook(cart); err == nil || result.Changed {
		t.Fatalf("a change that was not kept was told: %v, %v", result.Changed, err)
	}
	w.store.fail = nil
	reads := w.store.reads
	w.look(cart)
	if w.store.reads-reads != 2 {
		t.Errorf("%d states were read again, want the subject's and the service's", w.store.reads-reads)
	}
}

func TestManyAtOnceDecideEachAttemptOnce(t *testing.T) {
	w := newWorld(t)
	subjects := make([]*subject, 8)
	for i := range subjects {
		subjects[i] = w.create("cart", fmt.Sprintf("cart-%d", i)) // one service: all of them share its state
		subjects[i].Name, subjects[i].destination = fmt.Sprintf("cart-%d", i), fmt.Sprintf("region-%d", i)
	}
	for _, s := range subjects {
		s.app = deploy.App{
			Health: deploy.Healthy, HealthSince: w.now.Add(4 * time.Second), Synced: true, ReconciledAt: w.now.Add(5 * time.Second), Images: []string{v1},
			Operation: &deploy.Operation{
				StartedAt: w.now.Add(time.Second), FinishedAt: w.now.Add(3 * time.Second), Phase: deploy.Completed,
				Rows: []deploy.Row{{Kind: "Deployment", Name: "web", Workload: true, Applied: true}},
			},
			History: []deploy.HistoryEntry{{StartedAt: w.now.Add(time.Second), DeployedAt: w.now.Add(3 * time.Second)}},
		}
	}
	w.now = w.now.Add(10 * time.Second)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			s := subjects[i%len(subjects)]
			if _, err := w.recorder.Record(t.Context(), s.observe(), s.labels, policyOf("cart"), nil, w.now); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	told := w.told()
	slices.Sort(told)
	want := make([]string, len(subjects))
	for i := range subjects {
		want[i] = fmt.Sprintf("cart-%d succeeded main-1a1a1a1", i)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestASubjectThatIsGoneIsRememberedAndInherited(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.deploy(cart, v1)
	if named := w.recorder.Named(dora.KindApplication, "argocd", "cart"); !slices.Equal(named, []dora.Subject{cart.Subject}) {
		t.Errorf("live under that name: %v", named)
	}
	if err := w.recorder.Bury(t.Context(), cart.Subject, w.now); err != nil {
		t.Fatal(err)
	}
	gone := w.recorder.Remembered(func(row *ledger.Subject) bool { return !row.DeletedAt.IsZero() })
	if len(gone) != 1 || !gone[0].DeletedAt.Equal(w.now) || gone[0].Labels["team"] != "shop" || gone[0].Service != "cart" {
		t.Errorf("remembered: %+v", gone)
	}
	if named := w.recorder.Named(dora.KindApplication, "argocd", "cart"); len(named) != 0 {
		t.Errorf("still live: %v", named)
	}

	again := w.create("cart", "cart-2")
	w.deploy(again, v1)
	w.deploy(again, v2)
	w.wantTold("cart-1 succeeded main-1a1a1a1", "cart-2 succeeded main-2b2b2b2")
}

func TestWhatNobodyFollowedLeavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	stranger := w.create("stranger", "stranger-1")
	if err := w.recorder.Bury(t.Context(), stranger.Subject, w.now); err != nil {
		t.Fatal(err)
	}
	obs := stranger.observe()
	obs.Deleting = true
	if _, err := w.recorder.Record(t.Context(), obs, nil, policyOf("stranger"), nil, w.now); err != nil {
		t.Fatal(err)
	}
	if err := w.recorder.Release(t.Context(), stranger.Subject, nil); err != nil {
		t.Fatal(err)
	}
	if all := w.recorder.Remembered(func(*ledger.Subject) bool { return true }); len(all) != 0 {
		t.Errorf("remembered: %+v", all)
	}
}

func TestAReleasedSubjectIsRememberedByItsLastLabels(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.deploy(cart, v1)
	moved := map[string]string{"team": "search"}
	if err := w.recorder.Release(t.Context(), cart.Subject, moved); err != nil {
		t.Fatal(err)
	}
	w.open()
	row, ok := w.recorder.Lookup("cart-1")
	if !ok || !row.DeletedAt.IsZero() || row.Labels["team"] != "search" {
		t.Errorf("remembered: %+v", row)
	}
	w.deploy(cart, v2) // followed again
	w.wantTold("cart-1 succeeded main-1a1a1a1", "cart-1 succeeded main-2b2b2b2")
}

func TestNewLabelsAreWrittenThoughNothingElseChanged(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	w.deploy(cart, v1)
	cart.labels = map[string]string{"team": "shop", "tier": "1"}
	w.look(cart)
	change := w.store.changes[len(w.store.changes)-1]
	if len(change.States)+len(change.Events)+len(change.Decisions) != 0 || change.Subject.Labels["tier"] != "1" {
		t.Errorf("the change is %+v", change)
	}
}

func TestFollowingBeganNotBeforeTheLedger(t *testing.T) {
	w := newWorld(t)
	if !w.recorder.Since().Equal(epoch) {
		t.Fatalf("the ledger began at %v, want when it was opened, %v", w.recorder.Since(), epoch)
	}
	w.now = w.now.Add(24 * time.Hour)
	w.open()
	if !w.recorder.Since().Equal(epoch) {
		t.Errorf("a restart moved the beginning to %v", w.recorder.Since())
	}
	old := w.create("cart", "cart-1")
	old.created = epoch.Add(-time.Minute)
	w.deploy(old, v1)
	w.wantTold() // what ran before is not a deployment
	row, _ := w.recorder.Lookup("cart-1")
	if !row.FollowedSince.Equal(epoch) {
		t.Errorf("followed since %v, want %v", row.FollowedSince, epoch)
	}
}

func TestLooked(t *testing.T) {
	w := newWorld(t)
	cart := w.create("cart", "cart-1")
	if w.recorder.Looked("cart-1") {
		t.Error("nobody looked yet")
	}
	cart.app = deploy.App{Stale: true} // nothing to remember
	w.look(cart)
	if !w.recorder.Looked("cart-1") {
		t.Error("somebody looked")
	}
	if _, known := w.recorder.Lookup("cart-1"); known {
		t.Error("there was nothing to remember")
	}
}

// A controller whose --cluster was lost, as by an upgrade without its values, must not count everything once more under another name.
func TestTheLedgerOfAnotherClusterIsRefused(t *testing.T) {
	w := newWorld(t)
	w.look(w.create("web", "1"))
	_, err := record.Open(t.Context(), w.store, "default", nil)
	if !errors.Is(err, record.ErrOtherCluster) || !strings.Contains(err.Error(), `that of "eu", and this one is called "default"; start with --cluster=eu`) {
		t.Errorf("%v", err)
	}
	if _, err := record.Open(t.Context(), w.store, "eu", nil); err != nil {
		t.Error(err)
	}
}
