package argocd

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dora-controller/dora-controller/internal/argocd/lenient"
)

// Application is an Argo CD Application, reduced to what decisions need. Reading it back and writing it would lose the
// rest, and nothing here ever writes one.
//
// +kubebuilder:object:root=true
type Application struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec Spec `json:"spec"`
	// Operation is the request, present until it completes. It stands beside the status, as the kind defines it.
	Operation *Operation `json:"operation,omitempty"`
	Status    Status     `json:"status,omitzero"`
}

// ApplicationList is a list of them.
//
// +kubebuilder:object:root=true
type ApplicationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Application `json:"items"`
}

// Spec is what is wanted.
type Spec struct {
	Destination Destination `json:"destination"`
}

// Destination is where an Application deploys to. Of Server and Name one is set.
type Destination struct {
	Server    string `json:"server,omitempty"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

// Operation is what was asked for.
type Operation struct {
	Sync        *SyncOperation `json:"sync,omitempty"`
	InitiatedBy Initiator      `json:"initiatedBy,omitzero"`
}

// SyncOperation are the terms of a sync.
type SyncOperation struct {
	// Resources are those selected; none means all. Which they are is not needed.
	Resources []Selected `json:"resources,omitempty"`
	DryRun    bool       `json:"dryRun,omitempty"`
	// SelfHealAttemptsCount has had this other name in JSON since Argo CD 2.14.
	SelfHealAttemptsCount int64 `json:"autoHealAttemptsCount,omitempty"`
}

// Selected stands for a resource that a partial sync names.
type Selected struct{}

// Initiator is who started an operation.
type Initiator struct {
	Automated bool `json:"automated,omitempty"`
}

// Status is what Argo CD reports.
type Status struct {
	Health         Health          `json:"health,omitzero"`
	Sync           Sync            `json:"sync,omitzero"`
	ReconciledAt   lenient.Time    `json:"reconciledAt,omitzero"`
	History        []Revision      `json:"history,omitempty"`
	OperationState *OperationState `json:"operationState,omitempty"`
	Summary        Summary         `json:"summary,omitzero"`
	Resources      []Resource      `json:"resources,omitempty"`
	Conditions     []Condition     `json:"conditions,omitempty"`
}

// Health is an Application's health and, since Argo CD 2.14, when it became so.
type Health struct {
	Status             string       `json:"status,omitempty"`
	LastTransitionTime lenient.Time `json:"lastTransitionTime,omitzero"`
}

// Sync is the verdict of the last comparison. Which revision was compared says nothing about what is deployed, so it is not read.
type Sync struct {
	Status string `json:"status,omitempty"`
}

// Revision is one entry of the history.
type Revision struct {
	ID              int64        `json:"id"`
	Revision        string       `json:"revision,omitempty"`
	Revisions       []string     `json:"revisions,omitempty"`
	DeployStartedAt lenient.Time `json:"deployStartedAt,omitzero"`
	DeployedAt      lenient.Time `json:"deployedAt,omitzero"`
	Source          Source       `json:"source,omitzero"`
	Sources         []Source     `json:"sources,omitempty"`
}

// Source is where manifests come from, reduced to the images it names.
type Source struct {
	Kustomize *Kustomize `json:"kustomize,omitempty"`
}

// Kustomize holds image overrides in kustomize's syntax.
type Kustomize struct {
	Images []string `json:"images,omitempty"`
}

// OperationState is an operation under way, or the last one.
type OperationState struct {
	Operation  Operation    `json:"operation"`
	Phase      string       `json:"phase,omitempty"`
	Message    string       `json:"message,omitempty"`
	StartedAt  lenient.Time `json:"startedAt,omitzero"`
	FinishedAt lenient.Time `json:"finishedAt,omitzero"`
	SyncResult *SyncResult  `json:"syncResult,omitempty"`
}

// SyncResult is what an operation resolved and applied.
type SyncResult struct {
	Revision  string           `json:"revision,omitempty"`
	Revisions []string         `json:"revisions,omitempty"`
	Resources []ResourceResult `json:"resources,omitempty"`
}

// ResourceResult is what became of one resource.
type ResourceResult struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Status    string `json:"status,omitempty"`
	Message   string `json:"message,omitempty"`
	HookType  string `json:"hookType,omitempty"`
	SyncPhase string `json:"syncPhase,omitempty"`
	// Images are the target object's, since Argo CD 3.1.
	Images []string `json:"images,omitempty"`
}

// Summary is gathered over everything the Application owns, pods included.
type Summary struct {
	Images []string `json:"images,omitempty"`
}

// Resource is one managed object.
type Resource struct {
	Group     string          `json:"group,omitempty"`
	Kind      string          `json:"kind,omitempty"`
	Namespace string          `json:"namespace,omitempty"`
	Name      string          `json:"name,omitempty"`
	Hook      bool            `json:"hook,omitempty"`
	Health    *ResourceHealth `json:"health,omitempty"`
}

// ResourceHealth is absent where Argo CD does not persist it, the default since 3.0.
type ResourceHealth struct {
	Status string `json:"status,omitempty"`
}

// Condition is something that Argo CD complains about.
type Condition struct {
	Type    string `json:"type,omitempty"`
	Message string `json:"message,omitempty"`
}
