package record_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/record"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// world is one ledger, one recorder and one clock.
type world struct {
	*testing.T

	store    *watched
	recorder *record.Recorder
	now      time.Time
	policy   *deploy.Policy // instead of policyOf the subject's name
}

// watched counts what is asked of a ledger, and can be made to fail.
type watched struct {
	ledger.Store

	mu             sync.Mutex
	reads, commits int
	before         func() // each commit
	fail           error
	changes        []ledger.Change
}

func (w *watched) ReadState(ctx context.Context, key string) (ledger.State, error) {
	w.mu.Lock()
	w.reads++
	w.mu.Unlock()
	return w.Store.ReadState(ctx, key)
}

func (w *watched) Commit(ctx context.Context, change ledger.Change) error {
	w.mu.Lock()
	w.commits++
	before, fail := w.before, w.fail
	w.mu.Unlock()
	if before != nil {
		before()
	}
	if fail != nil {
		return fail
	}
	err := w.Store.Commit(ctx, change)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.changes = append(w.changes, change)
	}
	return err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, now: epoch}
	w.store = &watched{Store: ledgertest.NewMemory(func() time.Time { return w.now })}
	w.open()
	return w
}

// open is what a process does that has just started.
func (w *world) open() {
	w.Helper()
	recorder, err := record.Open(w.Context(), w.store, "eu", nil)
	if err != nil {
		w.Fatal(err)
	}
	w.recorder = recorder
}

// subject is an Application that somebody looks at.
type subject struct {
	dora.Subject

	labels  map[string]string
	created time.Time
	image   string
	app     deploy.App
	// destination is where it deploys to.
	destination string
}

func (w *world) create(name, uid string) *subject {
	w.now = w.now.Add(time.Second)
	return &subject{
		Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: name, UID: uid},
		labels:  map[string]string{"team": "shop"}, created: w.now, app: deploy.App{Health: deploy.Missing, HealthSince: w.now},
	}
}

// deploy applies an image that is Healthy five seconds later.
func (w *world) deploy(s *subject, image string) {
	w.Helper()
	started, finished := w.now.Add(time.Second), w.now.Add(3*time.Second)
	s.app.Operation = &deploy.Operation{
		StartedAt: started, FinishedAt: finished, Phase: deploy.Completed,
		Rows: []deploy.Row{{Kind: "Deployment", Name: "web", Workload: true, Applied: true}},
	}
	s.app.History = append(s.app.History, deploy.HistoryEntry{ID: int64(len(s.app.History)), StartedAt: started, DeployedAt: finished})
	s.app.Health, s.app.HealthSince = deploy.Progressing, finished
	s.app.Synced, s.app.ReconciledAt = true, finished
	s.app.Images = slices.DeleteFunc([]string{s.image, image}, func(i string) bool { return i == "" })
	w.now = finished
	w.look(s)
	s.image, s.app.Images = image, []string{image}
	w.now = w.now.Add(2 * time.Second)
	s.app.Health, s.app.HealthSince, s.app.ReconciledAt = deploy.Healthy, w.now, w.now
	w.look(s)
	w.now = w.now.Add(time.Minute)
}

func (s *subject) observe() *deploy.Observation {
	app := s.app
	return &deploy.Observation{Cluster: "eu", Subject: s.Subject, CreatedAt: s.created, Destination: s.destination, App: &app}
}

func policyOf(service string) deploy.Policy {
	return deploy.Policy{
		Service: service, Team: "shop", Environment: "prod", FollowedSince: epoch.Add(-time.Hour),
		FailureWindow: deploy.DefaultFailureWindow, VerdictTimeout: deploy.DefaultVerdictTimeout,
	}
}

func (w *world) look(s *subject) deploy.Result {
	w.Helper()
	result, err := w.tryLook(s)
	if err != nil {
		w.Fatal(err)
	}
	return result
}

func (w *world) tryLook(s *subject) (deploy.Result, error) {
	policy := policyOf(s.Name)
	if w.policy != nil {
		policy = *w.policy
	}
	return w.recorder.Record(w.Context(), s.observe(), s.labels, policy, []string{"stdout"}, w.now)
}

// told is the ledger's events in words.
func (w *world) told() []string {
	w.Helper()
	var stories []string
	for row, err := range w.store.Events(w.Context(), ledger.EventQuery{}) {
		if err != nil {
			w.Fatal(err)
		}
		stories = append(stories, fmt.Sprintf("%s %s %s", row.Event.Subject.UID, row.Event.Outcome, row.Event.Version.Tag))
	}
	return stories
}

func (w *world) wantTold(want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.told()); diff != "" {
		w.Errorf("the ledger tells otherwise (-want +got):\n%s", diff)
	}
}

const (
	v1 = "registry.example.com/cart:main-1a1a1a1"
	v2 = "registry.example.com/cart:main-2b2b2b2"
)
