package drift

import (
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/common"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	synccommon "github.com/argoproj/gitops-engine/pkg/sync/common"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/argocd/lenient"
	"github.com/dora-controller/dora-controller/internal/deploy"
)

func TestRecordedApplicationsReadAsArgoReadsThem(t *testing.T) {
	recorded(t, "Application", func(raw []byte) {
		var theirs v1alpha1.Application
		decode(t, raw, &theirs)
		var ours argocd.Application
		decode(t, raw, &ours)
		same(t, theirs.Name, wantApplication(&theirs), ours)
	})
}

func TestGeneratedApplicationsReadAsArgoWritesThem(t *testing.T) {
	fill := filler()
	for range generated {
		var theirs v1alpha1.Application
		fill.Fill(&theirs)
		var ours argocd.Application
		decode(t, encode(t, &theirs), &ours)
		same(t, "generated", wantApplication(&theirs), ours)
	}
}

func TestArgoKnowsEveryFieldWeName(t *testing.T) {
	fill := filler()
	for range generated {
		var ours argocd.Application
		fill.Fill(&ours)
		dropUnread(&ours)
		raw := encode(t, &ours)
		// Argo CD 3.1 added this one; the required v2 cannot know it.
		var theirs v1alpha1.Application
		known(t, withoutResultImages(t, raw), &theirs)
		want := wantApplication(&theirs)
		for i := range rows(&ours) {
			rows(&want)[i].Images = rows(&ours)[i].Images
		}
		same(t, "generated", want, ours)
	}
}

func TestWordsAreArgos(t *testing.T) {
	for ours, theirs := range map[string]string{
		string(deploy.Healthy):       string(health.HealthStatusHealthy),
		string(deploy.Suspended):     string(health.HealthStatusSuspended),
		string(deploy.Progressing):   string(health.HealthStatusProgressing),
		string(deploy.Missing):       string(health.HealthStatusMissing),
		string(deploy.Degraded):      string(health.HealthStatusDegraded),
		string(deploy.HealthUnknown): string(health.HealthStatusUnknown),
		string(deploy.Running):       string(synccommon.OperationRunning),
		string(deploy.Terminating):   string(synccommon.OperationTerminating),
		string(deploy.PhaseFailed):   string(synccommon.OperationFailed),
		string(deploy.PhaseError):    string(synccommon.OperationError),
		string(deploy.Completed):     string(synccommon.OperationSucceeded),
	} {
		if ours != theirs {
			t.Errorf("we say %q where Argo CD says %q", ours, theirs)
		}
	}
}

func TestObserveGoesByArgosWords(t *testing.T) {
	theirs := v1alpha1.Application{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{common.AnnotationKeyAppSkipReconcile: "true"}},
		Status: v1alpha1.ApplicationStatus{
			Sync: v1alpha1.SyncStatus{Status: v1alpha1.SyncStatusCodeSynced},
			OperationState: &v1alpha1.OperationState{SyncResult: &v1alpha1.SyncOperationResult{Resources: v1alpha1.ResourceResults{{
				Group: "apps", Kind: "Deployment", Status: synccommon.ResultCodeSynced, SyncPhase: synccommon.SyncPhaseSync,
			}, {
				Group: "batch", Kind: "Job", Status: synccommon.ResultCodeSynced, HookType: synccommon.HookTypePostSync,
			}}}},
		},
	}
	app := observe(t, &theirs).App
	if !app.Stale || !app.Synced || app.OutOfSync {
		t.Errorf("got stale %v, synced %v, out of sync %v; want a stale, synced one", app.Stale, app.Synced, app.OutOfSync)
	}
	if rows := app.Operation.Rows; len(rows) != 1 || !rows[0].Applied || !rows[0].Workload {
		t.Errorf("got rows %+v, want the applied Deployment alone", rows)
	}
	theirs.Status.Sync.Status = v1alpha1.SyncStatusCodeOutOfSync
	if app := observe(t, &theirs).App; app.Synced || !app.OutOfSync {
		t.Errorf("got synced %v, out of sync %v; want false, true", app.Synced, app.OutOfSync)
	}
}

func TestAStatusTooLargeIsToldInArgosWords(t *testing.T) {
	theirs := v1alpha1.Application{Status: v1alpha1.ApplicationStatus{Conditions: []v1alpha1.ApplicationCondition{{
		Type: v1alpha1.ApplicationConditionUnknownError,
		// Argo CD 3.5's message; version 2 has only the type.
		Message: "Application status exceeds the Kubernetes resource size limit",
	}}}}
	if !observe(t, &theirs).App.Stale {
		t.Error("want a stale status")
	}
}

// An override that names an image fully is one that Argo CD takes for the same image.
func TestImageOverridesAreKustomizes(t *testing.T) {
	for _, override := range []string{"web:v2", "web=registry.example.com/web:v2", "registry.example.com:5000/web:v2"} {
		entry := v1alpha1.RevisionHistory{Source: v1alpha1.ApplicationSource{Kustomize: &v1alpha1.ApplicationSourceKustomize{
			Images: v1alpha1.KustomizeImages{v1alpha1.KustomizeImage(override)},
		}}}
		theirs := v1alpha1.Application{Status: v1alpha1.ApplicationStatus{History: v1alpha1.RevisionHistories{entry}}}
		got := observe(t, &theirs).App.History[0].Images
		if len(got) != 1 || !strings.HasSuffix(override, got[0]) {
			t.Errorf("%s: got images %q", override, got)
		}
	}
}

func observe(t *testing.T, theirs *v1alpha1.Application) deploy.Observation {
	t.Helper()
	var ours argocd.Application
	decode(t, encode(t, theirs), &ours)
	return argocd.Observe(&ours, "", nil)
}

// wantApplication takes every field that we read from Argo's own type, by name.
func wantApplication(theirs *v1alpha1.Application) argocd.Application {
	return argocd.Application{
		TypeMeta:   theirs.TypeMeta,
		ObjectMeta: wantMeta(theirs.ObjectMeta),
		Spec: argocd.Spec{Destination: argocd.Destination{
			Server: theirs.Spec.Destination.Server, Name: theirs.Spec.Destination.Name, Namespace: theirs.Spec.Destination.Namespace,
		}},
		Operation: each(theirs.Operation, wantOperation),
		Status: argocd.Status{
			Health: argocd.Health{
				Status:             string(theirs.Status.Health.Status),
				LastTransitionTime: wantTime(theirs.Status.Health.LastTransitionTime),
			},
			Sync:           argocd.Sync{Status: string(theirs.Status.Sync.Status)},
			ReconciledAt:   wantTime(theirs.Status.ReconciledAt),
			History:        all(theirs.Status.History, wantRevision),
			OperationState: each(theirs.Status.OperationState, wantOperationState),
			Summary:        argocd.Summary{Images: theirs.Status.Summary.Images},
			Resources:      all(theirs.Status.Resources, wantResource),
			Conditions:     all(theirs.Status.Conditions, wantCondition),
		},
	}
}

func wantMeta(theirs metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: theirs.Name, Namespace: theirs.Namespace, UID: theirs.UID, ResourceVersion: theirs.ResourceVersion,
		Generation: theirs.Generation, CreationTimestamp: theirs.CreationTimestamp, DeletionTimestamp: theirs.DeletionTimestamp,
		Labels: theirs.Labels, Annotations: theirs.Annotations, Finalizers: theirs.Finalizers,
	}
}

func wantOperation(theirs v1alpha1.Operation) argocd.Operation {
	return argocd.Operation{
		Sync:        each(theirs.Sync, wantSync),
		InitiatedBy: argocd.Initiator{Automated: theirs.InitiatedBy.Automated},
	}
}

func wantSync(theirs v1alpha1.SyncOperation) argocd.SyncOperation {
	return argocd.SyncOperation{
		Resources:             make([]argocd.Selected, len(theirs.Resources)),
		DryRun:                theirs.DryRun,
		SelfHealAttemptsCount: theirs.SelfHealAttemptsCount,
	}
}

func wantRevision(theirs v1alpha1.RevisionHistory) argocd.Revision {
	return argocd.Revision{
		ID: theirs.ID, Revision: theirs.Revision, Revisions: theirs.Revisions,
		DeployStartedAt: wantTime(theirs.DeployStartedAt), DeployedAt: wantTime(&theirs.DeployedAt),
		Source: wantSource(theirs.Source), Sources: all(theirs.Sources, wantSource),
	}
}

func wantSource(theirs v1alpha1.ApplicationSource) argocd.Source {
	return argocd.Source{Kustomize: each(theirs.Kustomize, func(k v1alpha1.ApplicationSourceKustomize) argocd.Kustomize {
		return argocd.Kustomize{Images: all(k.Images, func(i v1alpha1.KustomizeImage) string { return string(i) })}
	})}
}

func wantOperationState(theirs v1alpha1.OperationState) argocd.OperationState {
	return argocd.OperationState{
		Operation: wantOperation(theirs.Operation), Phase: string(theirs.Phase), Message: theirs.Message,
		StartedAt: wantTime(&theirs.StartedAt), FinishedAt: wantTime(theirs.FinishedAt),
		SyncResult: each(theirs.SyncResult, func(r v1alpha1.SyncOperationResult) argocd.SyncResult {
			return argocd.SyncResult{
				Revision: r.Revision, Revisions: r.Revisions,
				Resources: all(r.Resources, wantResult),
			}
		}),
	}
}

func wantResult(theirs *v1alpha1.ResourceResult) argocd.ResourceResult {
	if theirs == nil {
		return argocd.ResourceResult{}
	}
	return argocd.ResourceResult{
		Group: theirs.Group, Kind: theirs.Kind, Namespace: theirs.Namespace, Name: theirs.Name,
		Status: string(theirs.Status), Message: theirs.Message,
		HookType: string(theirs.HookType), SyncPhase: string(theirs.SyncPhase),
	}
}

func wantResource(theirs v1alpha1.ResourceStatus) argocd.Resource {
	return argocd.Resource{
		Group: theirs.Group, Kind: theirs.Kind, Namespace: theirs.Namespace, Name: theirs.Name, Hook: theirs.Hook,
		Health: each(theirs.Health, func(h v1alpha1.HealthStatus) argocd.ResourceHealth {
			return argocd.ResourceHealth{Status: string(h.Status)}
		}),
	}
}

func wantCondition(theirs v1alpha1.ApplicationCondition) argocd.Condition {
	return argocd.Condition{Type: theirs.Type, Message: theirs.Message}
}

func wantTime(theirs *metav1.Time) lenient.Time {
	if theirs == nil {
		return lenient.Time{}
	}
	return lenient.At(theirs.Time)
}

func each[T, O any](theirs *T, want func(T) O) *O {
	if theirs == nil {
		return nil
	}
	ours := want(*theirs)
	return &ours
}

func all[T, O any](theirs []T, want func(T) O) []O {
	ours := make([]O, len(theirs))
	for i := range theirs {
		ours[i] = want(theirs[i])
	}
	return ours
}
