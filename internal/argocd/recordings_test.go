package argocd

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

func decode(tb testing.TB, raw []byte) *Application {
	tb.Helper()
	var app Application
	if err := json.Unmarshal(raw, &app); err != nil {
		tb.Fatal(err)
	}
	return &app
}

func TestEveryRecordedApplicationIsObserved(t *testing.T) {
	recorded(t, func(file string, raw []byte) {
		app := decode(t, raw)
		seen := Observe(app, "here", nil)
		if seen.Subject.UID == "" || seen.Subject.Name != file || seen.Subject.Namespace != "argocd" {
			t.Errorf("%s: got subject %+v", file, seen.Subject)
		}
		if seen.CreatedAt.IsZero() || seen.Destination != "https://kubernetes.default.svc/prod-"+file {
			t.Errorf("%s: got created at %s, destination %s", file, seen.CreatedAt, seen.Destination)
		}
		if rec := app.Status.ReconciledAt; !rec.IsZero() && seen.App.HealthSince.IsZero() {
			t.Errorf("%s: health has no time though the status is from %s", file, rec.UTC())
		}
	})
}

func TestTrimmingChangesNoObservation(t *testing.T) {
	recorded(t, func(file string, raw []byte) {
		app := decode(t, raw)
		want, wantRollouts := Observe(app, "", nil), ManagedRollouts(app)
		if _, err := Trim(app); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, Observe(app, "", nil), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s: before (-) and after (+) Trim:\n%s", file, diff)
		}
		if got := ManagedRollouts(app); !slices.Equal(got, wantRollouts) {
			t.Fatalf("%s: got Rollouts %v, want %v", file, got, wantRollouts)
		}
	})
}

func TestCopiesShareNothing(t *testing.T) {
	recorded(t, func(file string, raw []byte) {
		app := decode(t, raw)
		list := &ApplicationList{Items: []Application{*app}}
		copied, ok := list.DeepCopyObject().(*ApplicationList)
		if !ok || !reflect.DeepEqual(list, copied) {
			t.Fatalf("%s: the copy differs", file)
		}
		seen := Observe(app, "", nil)
		if _, err := Trim(&copied.Items[0]); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(seen, Observe(app, "", nil)) {
			t.Fatalf("%s: trimming the copy changed the original", file)
		}
	})
}

// Each line is something that a real Argo CD wrote at some time in the story of that name.
func TestRecordedStories(t *testing.T) {
	for _, story := range []struct {
		file, fact string
		holds      func(deploy.Observation) bool
	}{
		{"d01-success", "Synced and Healthy after the operation", func(o deploy.Observation) bool {
			return o.App.Synced && o.App.Health == deploy.Healthy && o.App.Operation != nil &&
				o.App.ReconciledAt.After(o.App.Operation.FinishedAt)
		}},
		{"d01-success", "Healthy, Succeeded and OutOfSync with the old images", func(o deploy.Observation) bool {
			return o.App.OutOfSync && o.App.Health == deploy.Healthy && o.App.Operation != nil && o.App.Operation.Phase == deploy.Completed
		}},
		{"d01-success", "history tells when the operation started", func(o deploy.Observation) bool {
			h, op := o.App.History, o.App.Operation
			return len(h) == 2 && op != nil && h[1].ID == 1 && h[1].StartedAt.Equal(op.StartedAt) && !h[1].DeployedAt.After(op.FinishedAt)
		}},
		{"d03-argocd-rollback", "a rollback leaves the Application OutOfSync", func(o deploy.Observation) bool {
			h := o.App.History
			return len(h) == 3 && o.App.OutOfSync && slices.Equal(h[2].Revisions, h[0].Revisions)
		}},
		{"d05-self-heal", "a self-heal is partial", func(o deploy.Observation) bool {
			return o.App.Requested != nil && o.App.Requested.SelfHeal && o.App.Requested.Partial
		}},
		{"d05-self-heal", "operationState keeps the request of the operation before", func(o deploy.Observation) bool {
			r, op := o.App.Requested, o.App.Operation
			return r != nil && !r.Partial && !r.SelfHeal && op != nil && op.Partial && op.SelfHeal
		}},
		{"d06-config-only", "an unchanged image is deployed again", func(o deploy.Observation) bool {
			return len(o.App.History) > 1 && len(o.App.Images) == 1
		}},
		{"d05-self-heal", "an apply that changes nothing says so", func(o deploy.Observation) bool {
			rows := rowsOf(o)
			return len(rows) == 1 && rows[0].Kind == "Deployment" && rows[0].Applied && rows[0].Unchanged
		}},
		{"d08-sync-failed", "a refused apply is not applied", func(o deploy.Observation) bool {
			rows := rowsOf(o)
			return len(rows) > 0 && rows[0].Workload && !rows[0].Applied && o.App.Operation.Phase == deploy.PhaseFailed
		}},
		{"d10-recreated", "a deleted Application is deleting", func(o deploy.Observation) bool { return o.Deleting }},
		{"d02-fix-forward", "a workload that is Degraded is named", func(o deploy.Observation) bool {
			return o.App.Health == deploy.Degraded && slices.Contains(o.App.Resources, deploy.Resource{
				Kind: "Deployment", Namespace: "prod-d02-fix-forward", Name: "web", Health: deploy.Degraded,
			})
		}},
		{"d11-hpa-degraded", "what is pruned is not applied", func(o deploy.Observation) bool {
			return len(o.App.History) == 3 && len(rowsOf(o)) == 1 && rowsOf(o)[0].Kind == "Deployment"
		}},
		{"d13-digest", "an image by digest", func(o deploy.Observation) bool {
			return len(o.App.Images) > 0 && strings.Contains(o.App.Images[0], "@sha256:")
		}},
		{"d16-multi-source", "one revision for each source", func(o deploy.Observation) bool {
			h := o.App.History
			return len(h) > 0 && len(h[0].Revisions) == 2 && slices.Equal(h[len(h)-1].Revisions, o.App.Operation.Revisions)
		}},
		{"d18-hook-failed", "a hook is no row, and the operation failed", func(o deploy.Observation) bool {
			op := o.App.Operation
			return op != nil && op.Phase == deploy.PhaseFailed && op.Message != "" && !slices.ContainsFunc(op.Rows, applied)
		}},
		{"d19-selective-sync", "a selective sync is partial and no self-heal", func(o deploy.Observation) bool {
			return o.App.Requested != nil && o.App.Requested.Partial && !o.App.Requested.SelfHeal
		}},
		{"d21-postsync-failed", "a workload was applied by an operation that failed", func(o deploy.Observation) bool {
			op := o.App.Operation
			return op != nil && op.Phase == deploy.PhaseFailed && slices.ContainsFunc(op.Rows, applied)
		}},
		{"d23-two-workloads", "both workloads are rows", func(o deploy.Observation) bool {
			return len(rowsOf(o)) == 2 && len(o.App.Resources) == 2
		}},
		{"r01-canary", "a paused Rollout suspends the Application", func(o deploy.Observation) bool {
			return o.App.Health == deploy.Suspended
		}},
	} {
		t.Run(story.file+": "+story.fact, func(t *testing.T) {
			if !happened(t, story.file, story.holds) {
				t.Error("no recorded object shows it")
			}
		})
	}
}

func happened(t *testing.T, file string, holds func(deploy.Observation) bool) bool {
	t.Helper()
	found := false
	for _, raw := range applications(t, "../../test/replay/testdata/"+file+".jsonl") {
		found = found || holds(Observe(decode(t, raw), "", nil))
	}
	return found
}

func rowsOf(o deploy.Observation) []deploy.Row {
	if o.App.Operation == nil {
		return nil
	}
	return o.App.Operation.Rows
}

func applied(r deploy.Row) bool { return r.Workload && r.Applied }

func TestRecordedRolloutsAreManaged(t *testing.T) {
	want := types.NamespacedName{Namespace: "prod-r01-canary", Name: "web"}
	found := false
	for _, raw := range applications(t, "../../test/replay/testdata/r01-canary.jsonl") {
		managed := ManagedRollouts(decode(t, raw))
		found = found || slices.Equal(managed, []types.NamespacedName{want})
	}
	if !found {
		t.Errorf("no recorded object lists %s", want)
	}
}
