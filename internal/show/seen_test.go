package show_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/show"
)

func TestWhatWasSeenOfArgo(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	got := show.Seen(&deploy.Observation{
		Deleting: true,
		App: &deploy.App{
			Health: deploy.Degraded, HealthSince: at, OutOfSync: true, ReconciledAt: at.Add(time.Second), Images: []string{"a:1", "b:2"},
			Operation: &deploy.Operation{
				StartedAt: at, Phase: deploy.PhaseFailed, Message: "one\ntwo", Revisions: []string{"abc"},
				Request: deploy.Request{Partial: true, SelfHeal: true},
				Rows:    []deploy.Row{{Kind: "Deployment", Name: "cart", Applied: true, Images: []string{"a:1"}}, {Kind: "Service", Name: "cart", Unchanged: true}},
			},
			Requested: &deploy.Request{DryRun: true},
			History:   []deploy.HistoryEntry{{ID: 6, StartedAt: at}, {ID: 7, StartedAt: at, DeployedAt: at.Add(time.Minute)}},
			Resources: []deploy.Resource{{Kind: "Rollout", Name: "cart", Health: deploy.Degraded}},
			Stale:     true,
		},
		Rollouts: []deploy.Rollout{{
			Name: "cart", Phase: deploy.RolloutDegraded, Revision: 3, Message: "aborted", CurrentHash: "b", StableHash: "a", BlueGreen: true, ActiveHash: "a",
			Aborted: true, AbortedAt: at, TrafficRouted: true, Weight: 20, PausedCond: deploy.Condition{Status: deploy.True, Since: at, Reason: "CanaryPause"},
			ReplicaSets: []deploy.ReplicaSet{{Hash: "a", Revision: 2, Replicas: 3, Available: 2, Images: []string{"a:1"}}},
		}},
	})
	want := `object|being deleted
health.status|Degraded since 2026-03-01T12:00:00Z
sync.status|OutOfSync, compared at 2026-03-01T12:00:01Z
summary.images|a:1, b:2
operationState|Failed, started at 2026-03-01T12:00:00Z, a self-heal, of a part
operationState.message|one two
operationState.syncResult.revisions|abc
operationState.syncResult.resources|Deployment cart, applied, a:1
operationState.syncResult.resources|Service cart, unchanged
operation|asked for a dry run
history|2 entries; the last is 7, started at 2026-03-01T12:00:00Z, deployed at 2026-03-01T12:01:00Z
resources|Rollout cart Degraded
conditions|Argo CD says that this status is out of date
Rollout cart phase|Degraded, revision 3
Rollout cart message|aborted
Rollout cart hashes|current b, stable a, active a
Rollout cart abort|aborted at 2026-03-01T12:00:00Z
Rollout cart weight|20%
Rollout cart condition Paused|True CanaryPause since 2026-03-01T12:00:00Z
Rollout cart ReplicaSet a|revision 2, 2 of 3 available, a:1`
	var lines []string
	for _, row := range got {
		lines = append(lines, row[0]+"|"+row[1])
	}
	if d := cmp.Diff(strings.Split(want, "\n"), lines); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if rows := show.Seen(&deploy.Observation{}); len(rows) != 0 {
		t.Errorf("nothing was seen, and told is %v", rows)
	}
}

func TestWhatIsNewFromOneLookToTheNext(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	look := func(health deploy.Health, images []string, message string, resources ...deploy.Resource) *deploy.Observation {
		return &deploy.Observation{App: &deploy.App{
			Health: health, Synced: true, ReconciledAt: at, Images: images, Resources: resources,
			Operation: &deploy.Operation{StartedAt: at, Phase: deploy.Running, Message: message},
		}}
	}
	web, worker := deploy.Resource{Kind: "Deployment", Name: "web"}, deploy.Resource{Kind: "Deployment", Name: "worker", Health: deploy.Degraded}
	before := look(deploy.Healthy, []string{"a:1"}, "waiting", web)
	for name, c := range map[string]struct {
		after *deploy.Observation
		want  [][2]string
	}{
		"nothing": {look(deploy.Healthy, []string{"a:1"}, "waiting", web), nil},
		"what another field says, and what one says besides": {
			look(deploy.Degraded, []string{"a:1"}, "waiting", web, worker),
			[][2]string{{"health.status", "Degraded"}, {"resources", "Deployment worker Degraded"}},
		},
		"what no field says any more": {look(deploy.Healthy, nil, "", web), [][2]string{{"summary.images", "–"}, {"operationState.message", "–"}}},
	} {
		if d := cmp.Diff(c.want, show.News(before, c.after)); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
	if rows := show.Seen(&deploy.Observation{App: &deploy.App{}}); len(rows) != 0 {
		t.Errorf("Argo CD said nothing, and told is %v", rows)
	}
}
