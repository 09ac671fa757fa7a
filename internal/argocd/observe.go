package argocd

import (
	"slices"
	"strconv"
	"strings"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

const (
	// skipReconcile makes Argo CD leave an Application, and so its status, alone.
	skipReconcile = "argocd.argoproj.io/skip-reconcile"
	// tooLarge is what Argo CD 3.5 says when it cannot store a status.
	tooLarge = "exceeds the Kubernetes resource size limit"
)

// Observe maps an Application, and the Rollouts that it manages and that can be seen from here, to what decisions read.
func Observe(app *Application, cluster string, rollouts []deploy.Rollout) deploy.Observation {
	return deploy.Observation{
		Cluster: cluster,
		Subject: dora.Subject{
			Kind: dora.KindApplication, Namespace: app.Namespace, Name: app.Name, UID: string(app.UID),
		},
		CreatedAt:   app.CreationTimestamp.UTC(),
		Destination: app.Spec.Destination.String(),
		Deleting:    app.DeletionTimestamp != nil,
		App:         app.observe(),
		Rollouts:    rollouts,
	}
}

// ManagedRollouts are the Rollouts that Argo CD lists as this Application's own. It lists them with every tracking method.
func ManagedRollouts(app *Application) []types.NamespacedName {
	var names []types.NamespacedName
	for _, r := range app.Status.Resources {
		if r.Group == application.Group && r.Kind == rolloutKind && !r.Hook {
			names = append(names, types.NamespacedName{Namespace: r.Namespace, Name: r.Name})
		}
	}
	return names
}

// String names the destination by its server, or else by its name.
func (d *Destination) String() string {
	cluster := d.Server
	if cluster == "" {
		cluster = d.Name
	}
	return cluster + "/" + d.Namespace
}

func (a *Application) observe() *deploy.App {
	s := &a.Status
	return &deploy.App{
		Health:       deploy.Health(s.Health.Status),
		HealthSince:  s.Health.LastTransitionTime.UTC(),
		Synced:       s.Sync.Status == "Synced",
		OutOfSync:    s.Sync.Status == "OutOfSync",
		ReconciledAt: s.ReconciledAt.UTC(),
		Images:       told(s.Summary.Images),
		Operation:    s.OperationState.observe(),
		Requested:    a.requested(),
		History:      observeHistory(s.History),
		Resources:    observeResources(s.Resources),
		Stale:        a.stale(),
	}
}

func (a *Application) requested() *deploy.Request {
	if a.Operation == nil {
		return nil
	}
	request := a.Operation.observe()
	return &request
}

// stale: Argo CD says itself that this status is not kept up to date.
func (a *Application) stale() bool {
	if skipped, _ := strconv.ParseBool(a.Annotations[skipReconcile]); skipped {
		return true
	}
	for i := range a.Status.Conditions {
		if a.Status.Conditions[i].stale() {
			return true
		}
	}
	return false
}

func (c *Condition) stale() bool {
	return c.Type == "UnknownError" && strings.Contains(c.Message, tooLarge)
}

func observeHistory(entries []Revision) []deploy.HistoryEntry {
	observed := make([]deploy.HistoryEntry, len(entries))
	for i := range entries {
		observed[i] = entries[i].observe()
	}
	return observed
}

func (r *Revision) observe() deploy.HistoryEntry {
	return deploy.HistoryEntry{
		ID:         r.ID,
		StartedAt:  r.DeployStartedAt.UTC(),
		DeployedAt: r.DeployedAt.UTC(),
		Revisions:  revisions(r.Revision, r.Revisions),
		Images:     sourceImages(r.Source, r.Sources),
	}
}

// observeResources leaves hooks out: Argo CD does not count their health.
func observeResources(rows []Resource) []deploy.Resource {
	var kept []deploy.Resource
	for i := range rows {
		if r := &rows[i]; r.needed() {
			kept = append(kept, deploy.Resource{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, Health: r.health()})
		}
	}
	return kept
}

func (r *Resource) needed() bool {
	return !r.Hook && (isWorkload(r.Group, r.Kind) || r.health() == deploy.Degraded)
}

func (r *Resource) health() deploy.Health {
	if r.Health == nil {
		return ""
	}
	return deploy.Health(r.Health.Status)
}

// revisions are one for each source: an Application with several has them in the list, and the single one empty.
func revisions(single string, several []string) []string {
	if len(several) > 0 {
		return slices.Clone(several)
	}
	return told([]string{single})
}

// told leaves out what is empty. The copy keeps the cached object out of reach.
func told(values []string) []string {
	var kept []string
	for _, v := range values {
		if v != "" {
			kept = append(kept, v)
		}
	}
	return kept
}
