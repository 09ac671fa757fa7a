package deploy

import (
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Observation is what one look at a subject showed: only what decisions need, in our own words.
// Every field may be missing; a zero value means that Argo did not tell.
type Observation struct {
	Cluster string       `json:"cluster,omitempty"`
	Subject dora.Subject `json:"subject,omitzero"`
	// CreatedAt is the object's creationTimestamp.
	CreatedAt time.Time `json:"created_at,omitzero"`
	// Destination names where the subject deploys to: cluster and namespace.
	Destination string `json:"destination,omitempty"`
	// Deleting is set while the object waits for its finalizers, and once it is gone.
	Deleting bool `json:"deleting,omitempty"`
	// App is set for an Application.
	App *App `json:"app,omitempty"`
	// Rollouts are those the Application manages and that can be seen here, or the one standalone Rollout.
	Rollouts []Rollout `json:"rollouts,omitempty"`
}

// Health is an Application's health code.
type Health string

// The health codes of Argo CD. Any other value is treated as HealthUnknown.
const (
	Healthy       Health = "Healthy"
	Suspended     Health = "Suspended"
	Progressing   Health = "Progressing"
	Missing       Health = "Missing"
	Degraded      Health = "Degraded"
	HealthUnknown Health = "Unknown"
)

// App is what an Application's status tells.
type App struct {
	Health Health `json:"health,omitempty"`
	// HealthSince is health.lastTransitionTime; zero before Argo CD 2.14.
	HealthSince time.Time `json:"health_since,omitzero"`
	// Synced and OutOfSync are sync.status; both are false while it is unknown.
	Synced    bool `json:"synced,omitempty"`
	OutOfSync bool `json:"out_of_sync,omitempty"`
	// ReconciledAt is when the comparison started that sync and health come from.
	ReconciledAt time.Time `json:"reconciled_at,omitzero"`
	// Images is summary.images: a union over pods.
	Images []string `json:"images,omitempty"`
	// Operation is status.operationState.
	Operation *Operation `json:"operation,omitempty"`
	// Requested is the top-level operation, present until it completes.
	Requested *Request `json:"requested,omitempty"`
	// History is status.history, oldest first.
	History []HistoryEntry `json:"history,omitempty"`
	// Resources are the rows of status.resources that decisions need: workloads, and whatever is Degraded.
	Resources []Resource `json:"resources,omitempty"`
	// Stale says that Argo CD itself reports this status to be out of date.
	Stale bool `json:"stale,omitempty"`
}

// Request is what an operation was asked to do.
type Request struct {
	// Partial: only some resources were selected, so history will not list it.
	Partial bool `json:"partial,omitempty"`
	DryRun  bool `json:"dry_run,omitempty"`
	// SelfHeal: Argo CD repairs drift.
	SelfHeal bool `json:"self_heal,omitempty"`
}

// Phase is the phase of an operation.
type Phase string

// The phases of an operation.
const (
	Running     Phase = "Running"
	Terminating Phase = "Terminating"
	PhaseFailed Phase = "Failed"
	PhaseError  Phase = "Error"
	Completed   Phase = "Succeeded"
)

// Operation is one sync operation as status.operationState shows it.
type Operation struct {
	Request
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	Phase      Phase     `json:"phase,omitempty"`
	Message    string    `json:"message,omitempty"`
	// Revisions are what the operation resolved: one for each source.
	Revisions []string `json:"revisions,omitempty"`
	// Rows are syncResult.resources. While Phase is Running they may be the previous operation's.
	Rows []Row `json:"rows,omitempty"`
}

// Row is one resource of an operation's result.
type Row struct {
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Workload: a kind that runs pods.
	Workload bool `json:"workload,omitempty"`
	// Applied: status Synced in phase Sync, and no hook.
	Applied bool `json:"applied,omitempty"`
	// Unchanged: the message says that the apply changed nothing.
	Unchanged bool `json:"unchanged,omitempty"`
	// Images are the target object's, since Argo CD 3.1.
	Images []string `json:"images,omitempty"`
}

// HistoryEntry is one of status.history: a full sync that succeeded.
type HistoryEntry struct {
	// ID is Argo's number. It identifies nothing (it can repeat), but a first id above 0 shows that older entries were dropped.
	ID         int64     `json:"id,omitempty"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	DeployedAt time.Time `json:"deployed_at,omitzero"`
	Revisions  []string  `json:"revisions,omitempty"`
	// Images are full references named by the entry's source, where it names any.
	Images []string `json:"images,omitempty"`
}

// Resource is one managed object.
type Resource struct {
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Health is empty where Argo CD does not persist it (the default since 3.0).
	Health Health `json:"health,omitempty"`
}

// ConditionStatus of a Rollout's condition.
type ConditionStatus string

// The statuses of a condition. Empty means that there is no such condition.
const (
	True    ConditionStatus = "True"
	False   ConditionStatus = "False"
	NotTold ConditionStatus = "Unknown"
)

// Condition is one of a Rollout's conditions.
type Condition struct {
	Status ConditionStatus `json:"status,omitempty"`
	// Since is lastTransitionTime.
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

// RolloutPhase is the effective phase of a Rollout.
type RolloutPhase string

// The phases of a Rollout.
const (
	RolloutHealthy     RolloutPhase = "Healthy"
	RolloutDegraded    RolloutPhase = "Degraded"
	RolloutProgressing RolloutPhase = "Progressing"
	RolloutPaused      RolloutPhase = "Paused"
)

// Rollout is what a Rollout and its ReplicaSets tell.
type Rollout struct {
	UID       string    `json:"uid,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	// Revision is the annotation rollout.argoproj.io/revision; 0 if there is none yet.
	Revision int `json:"revision,omitempty"`
	// Observed: the status describes the current spec (generation, workload generation).
	Observed bool         `json:"observed,omitempty"`
	Phase    RolloutPhase `json:"phase,omitempty"`
	Message  string       `json:"message,omitempty"`
	// CurrentHash is the pod-template hash that the spec asks for, StableHash the promoted one.
	CurrentHash string `json:"current_hash,omitempty"`
	StableHash  string `json:"stable_hash,omitempty"`
	// Aborted: abort is set. AbortedAt is when the controller carried it out; zero until then.
	Aborted   bool      `json:"aborted,omitempty"`
	AbortedAt time.Time `json:"aborted_at,omitzero"`
	// TimedOut: the current hash exceeded its progress deadline, by condition and message.
	TimedOut bool `json:"timed_out,omitempty"`

	Progressing   Condition `json:"progressing,omitzero"`
	CompletedCond Condition `json:"completed_cond,omitzero"`
	HealthyCond   Condition `json:"healthy_cond,omitzero"`
	Available     Condition `json:"available,omitzero"`
	PausedCond    Condition `json:"paused_cond,omitzero"`

	// BlueGreen strategy; ActiveHash is the hash that takes traffic.
	BlueGreen  bool   `json:"blue_green,omitempty"`
	ActiveHash string `json:"active_hash,omitempty"`
	// TrafficRouted: the canary's weight is set by a traffic router; Weight is that weight in percent.
	TrafficRouted bool `json:"traffic_routed,omitempty"`
	Weight        int  `json:"weight,omitempty"`

	// Desired is spec.replicas (1 if it is not set).
	Desired int `json:"desired,omitempty"`
	// TemplateImages are those of spec.template; empty with workloadRef.
	TemplateImages []string     `json:"template_images,omitempty"`
	ReplicaSets    []ReplicaSet `json:"replica_sets,omitempty"`
}

// ReplicaSet is one of a Rollout's.
type ReplicaSet struct {
	Hash     string `json:"hash,omitempty"`
	Revision int    `json:"revision,omitempty"`
	// Reused: it served an earlier revision too (annotation rollout.argoproj.io/revision-history).
	Reused    bool      `json:"reused,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Images    []string  `json:"images,omitempty"`
	// InitImages are those of its init containers. They are no part of a version, but live while its pods start.
	InitImages []string `json:"init_images,omitempty"`
	// Replicas exist; Available of them are.
	Replicas  int `json:"replicas,omitempty"`
	Available int `json:"available,omitempty"`
}
