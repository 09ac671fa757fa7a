package argocd

import (
	"strings"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

// unchanged ends the message of a client-side apply that changed nothing. A server-side apply never tells.
const unchanged = "unchanged"

// observe says what was asked for. Auto-sync selects resources only to repair drift, which is how self-heal shows before
// Argo CD 2.14 began to count its attempts.
func (o *Operation) observe() deploy.Request {
	if o.Sync == nil {
		return deploy.Request{}
	}
	partial := len(o.Sync.Resources) > 0
	return deploy.Request{
		Partial:  partial,
		DryRun:   o.Sync.DryRun,
		SelfHeal: o.Sync.SelfHealAttemptsCount > 0 || (partial && o.InitiatedBy.Automated),
	}
}

func (o *OperationState) observe() *deploy.Operation {
	if o == nil {
		return nil
	}
	operation := deploy.Operation{
		Request:    o.Operation.observe(),
		StartedAt:  o.StartedAt.UTC(),
		FinishedAt: o.FinishedAt.UTC(),
		Phase:      deploy.Phase(o.Phase),
		Message:    quotable(o.Message),
	}
	// The request's revision is not read: a retry may resolve a newer one (Argo CD 3.2).
	if result := o.SyncResult; result != nil {
		operation.Revisions = revisions(result.Revision, result.Revisions)
		operation.Rows = observeRows(result.Resources)
	}
	return &operation
}

func observeRows(rows []ResourceResult) []deploy.Row {
	needed := neededRows(rows)
	observed := make([]deploy.Row, len(needed))
	for i, r := range needed {
		observed[i] = r.observe()
	}
	return observed
}

func (r *ResourceResult) observe() deploy.Row {
	return deploy.Row{
		Kind: r.Kind, Namespace: r.Namespace, Name: r.Name,
		Workload:  r.workload(),
		Applied:   r.applied(),
		Unchanged: r.unchanged(),
		Images:    told(r.Images),
	}
}

// workload: a Job that is a hook runs beside the deployment and is none.
func (r *ResourceResult) workload() bool {
	return r.HookType == "" && isWorkload(r.Group, r.Kind)
}

// applied: rows of versions that did not tell the phase count as those of phase Sync.
func (r *ResourceResult) applied() bool {
	return r.Status == "Synced" && r.HookType == "" && (r.SyncPhase == "" || r.SyncPhase == "Sync")
}

func (r *ResourceResult) unchanged() bool {
	return strings.HasSuffix(r.Message, unchanged)
}

func (r *ResourceResult) changed() bool { return r.applied() && !r.unchanged() }
