package rollouts

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

func TestEveryRecordedRolloutIsObserved(t *testing.T) {
	recorded(t, "*", func(l look) {
		got := l.observe()
		if got.UID == "" || got.Namespace != "prod-"+l.file || got.Name != "web" || got.CreatedAt.IsZero() || got.Desired < 1 {
			t.Fatalf("%s: got %+v", l.file, got)
		}
		for _, set := range got.ReplicaSets {
			if set.Hash == "" || set.Revision == 0 && set.Replicas > 0 || len(set.Images) == 0 || set.CreatedAt.IsZero() {
				t.Fatalf("%s: got ReplicaSet %+v", l.file, set)
			}
		}
		if !slices.IsSortedFunc(got.ReplicaSets, func(a, b deploy.ReplicaSet) int { return a.Revision - b.Revision }) {
			t.Fatalf("%s: ReplicaSets are not in order: %+v", l.file, got.ReplicaSets)
		}
	})
}

func TestTrimmingChangesNoObservation(t *testing.T) {
	recorded(t, "*", func(l look) {
		want := l.observe()
		wantOwner, _ := Owner(l.ro)
		trimmed := look{ro: l.ro.DeepCopy(), sets: l.sets}
		if _, err := Trim(trimmed.ro); err != nil {
			t.Fatal(err)
		}
		for i := range trimmed.sets {
			if _, err := Trim(&trimmed.sets[i]); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, trimmed.observe(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s: before (-) and after (+) Trim:\n%s", l.file, diff)
		}
		if owner, ok := Owner(trimmed.ro); owner != wantOwner || ok != (wantOwner.Name != "") {
			t.Fatalf("%s: got owner %s, want %s", l.file, owner, wantOwner)
		}
	})
}

func TestCopiesAreEqual(t *testing.T) {
	recorded(t, "*", func(l look) {
		list := &RolloutList{Items: []Rollout{*l.ro}}
		if copied, ok := list.DeepCopyObject().(*RolloutList); !ok || !reflect.DeepEqual(list, copied) {
			t.Fatalf("%s: the copy differs", l.file)
		}
	})
}

func TestRecordedOwners(t *testing.T) {
	recorded(t, "r01-canary", func(l look) {
		if owner, ok := Owner(l.ro); !ok || owner != (types.NamespacedName{Name: "r01-canary"}) {
			t.Fatalf("got owner %s (%v)", owner, ok)
		}
	})
	recorded(t, "r12-standalone", func(l look) {
		if owner, ok := Owner(l.ro); ok {
			t.Fatalf("got owner %s of a Rollout that no Application manages", owner)
		}
	})
}

// Each line is something that a real Argo Rollouts wrote at some time in the story of that name.
func TestRecordedStories(t *testing.T) {
	for _, story := range []struct {
		file, fact string
		holds      func(deploy.Rollout) bool
	}{
		{"r01-canary", "the first revision is stable before a pod is ready", func(r deploy.Rollout) bool {
			return r.Revision == 1 && r.CurrentHash != "" && r.StableHash == r.CurrentHash && r.Phase == deploy.RolloutProgressing
		}},
		{"r01-canary", "an update that is not observed is no Healthy", func(r deploy.Rollout) bool {
			return !r.Observed && r.Phase == deploy.RolloutProgressing && r.HealthyCond.Status == deploy.True
		}},
		{"r01-canary", "a step pauses", func(r deploy.Rollout) bool {
			return r.Phase == deploy.RolloutPaused && r.StableHash != r.CurrentHash && r.CompletedCond.Status == deploy.False
		}},
		{"r01-canary", "the second revision is promoted", func(r deploy.Rollout) bool {
			return r.Revision == 2 && r.Phase == deploy.RolloutHealthy && r.StableHash == r.CurrentHash &&
				r.CompletedCond.Status == deploy.True && !r.CompletedCond.Since.IsZero() && len(r.ReplicaSets) == 2
		}},
		{"r02-abort-retry", "an abort is carried out", func(r deploy.Rollout) bool {
			return r.Aborted && !r.AbortedAt.IsZero() && r.Phase == deploy.RolloutDegraded && !r.TimedOut
		}},
		{"r02-abort-retry", "a retry takes the abort back", func(r deploy.Rollout) bool {
			return !r.Aborted && r.Progressing.Reason == "RolloutRetry" && r.Progressing.Status == deploy.NotTold
		}},
		{"r04-deadline", "the deadline of the current hash is exceeded", func(r deploy.Rollout) bool {
			return r.TimedOut && !r.Aborted && r.Phase == deploy.RolloutDegraded && r.Progressing.Status == deploy.False
		}},
		{"r08-blue-green", "traffic is still on the old hash", func(r deploy.Rollout) bool {
			return r.BlueGreen && r.ActiveHash == r.StableHash && r.ActiveHash != r.CurrentHash && r.CurrentHash != ""
		}},
		{"r08-blue-green", "traffic has moved to the new hash", func(r deploy.Rollout) bool {
			return r.BlueGreen && r.Revision == 2 && r.ActiveHash == r.CurrentHash && r.Phase == deploy.RolloutHealthy
		}},
		{"r10-scale-restart", "replicas are scaled", func(r deploy.Rollout) bool { return r.Revision == 1 && r.Desired != 4 }},
		{"r07-revert-mid-canary", "an old ReplicaSet is used again", func(r deploy.Rollout) bool {
			return r.Revision == 3 && slices.ContainsFunc(r.ReplicaSets, func(s deploy.ReplicaSet) bool {
				return s.Reused && s.Revision == 3 && s.Hash == r.CurrentHash
			})
		}},
		{"r12-standalone", "the template and its ReplicaSet run the same image", func(r deploy.Rollout) bool {
			return len(r.ReplicaSets) == 1 && slices.Equal(r.TemplateImages, r.ReplicaSets[0].Images) && r.ReplicaSets[0].Available == r.Desired
		}},
	} {
		t.Run(story.file+": "+story.fact, func(t *testing.T) {
			found := false
			recorded(t, story.file, func(l look) { found = found || story.holds(l.observe()) })
			if !found {
				t.Error("no recorded object shows it")
			}
		})
	}
}

// Without a traffic router weights are not set: none of the recorded Rollouts has one.
func TestRecordedRolloutsAreNotRouted(t *testing.T) {
	recorded(t, "*", func(l look) {
		if got := l.observe(); got.TrafficRouted || got.Weight != 0 {
			t.Fatalf("%s: got routed %v, weight %d", l.file, got.TrafficRouted, got.Weight)
		}
	})
}
