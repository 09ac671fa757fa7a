package drift

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dora-controller/dora-controller/internal/argocd"
)

// dropUnread empties the metadata that we hold in Kubernetes' type and do not read.
func dropUnread(ours metav1.Object) {
	ours.SetManagedFields(nil)
	ours.SetOwnerReferences(nil)
	ours.SetGenerateName("")
	ours.SetSelfLink("")
	ours.SetDeletionGracePeriodSeconds(nil)
}

func rows(app *argocd.Application) []argocd.ResourceResult {
	if app.Status.OperationState == nil || app.Status.OperationState.SyncResult == nil {
		return nil
	}
	return app.Status.OperationState.SyncResult.Resources
}

// withoutResultImages drops status.operationState.syncResult.resources[].images.
func withoutResultImages(t *testing.T, raw []byte) []byte {
	t.Helper()
	var app argocd.Application
	if err := json.Unmarshal(raw, &app); err != nil {
		t.Fatal(err)
	}
	for i := range rows(&app) {
		rows(&app)[i].Images = nil
	}
	return encode(t, &app)
}
