package deploy

import (
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Observation is what one look at a subject showed: only what decisions need, in our own words.
// Every field may be missing; a zero value means that Argo did not tell.
type Observation struct {
	Cluster string
	Subject dora.Subject
	// CreatedAt is the object's creationTimestamp.
	CreatedAt time.Time
	// Destination names where the subject deploys to: cluster and namespace.
	Destination string
	// Deleting is set while the object waits for its finalizers, and once it is gone.
	Deleting bool
	// App is set for an Application.
	App *App
	// Rollouts are those the Application manages and that can be seen here, or the one standalone Rollout.
	Rollouts []Rollout
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
	Health Health
	// HealthSince is health.lastTransitionTime; zero before Argo CD 2.14.
	HealthSince time.Time
	// Synced and OutOfSync are sync.status; both are false while it is unknown.
	Synced, OutOfSync bool
	// ReconciledAt is when the comparison started that sync and health come from.
	ReconciledAt time.Time
	// Images is summary.images: a union over pods.
	Images []string
	// Operation is status.operationState.
	Operation *Operation
	// Requested is the top-level operation, present until it completes.
	Requested *Request
	// History is status.history, oldest first.
	History []HistoryEntry
	// Resources are the rows of status.resources that decisions need: workloads, and whatever is Degraded.
	Resources []Resource
	// Stale says that Argo CD itself reports this status to be out of date.
	Stale bool
}

// Request is what an operation was asked to do.
type Request struct {
	// Partial: only some resources were selected, so history will not list it.
	Partial bool
	DryRun  bool
	// SelfHeal: Argo CD repairs drift.
	SelfHeal bool
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
	StartedAt  time.Time
	FinishedAt time.Time
	Phase      Phase
	Message    string
	// Revisions are what the operation resolved: one for each source.
	Revisions []string
	// Rows are syncResult.resources. While Phase is Running they may be the previous operation's.
	Rows []Row
}

// Row is one resource of an operation's result.
type Row struct {
	Kind, Namespace, Name string
	// Workload: a kind that runs pods.
	Workload bool
	// Applied: status Synced in phase Sync, and no hook.
	Applied bool
	// Unchanged: the message says that the apply changed nothing.
	Unchanged bool
	// Images are the target object's, since Argo CD 3.1.
	Images []string
}

// HistoryEntry is one of status.history: a full sync that succeeded.
type HistoryEntry struct {
	// ID is Argo's number. It identifies nothing (it can repeat), but a first id above 0 shows that older entries were dropped.
	ID         int64
	StartedAt  time.Time
	DeployedAt time.Time
	Revisions  []string
	// Images are full references named by the entry's source, where it names any.
	Images []string
}

// Resource is one managed object.
type Resource struct {
	Kind, Namespace, Name string
	// Health is empty where Argo CD does not persist it (the default since 3.0).
	Health Health
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
	Status ConditionStatus
	// Since is lastTransitionTime.
	Since  time.Time
	Reason string
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
	UID, Namespace, Name string
	CreatedAt            time.Time
	// Revision is the annotation rollout.argoproj.io/revision; 0 if there is none yet.
	Revision int
	// Observed: the status describes the current spec (generation, workload generation).
	Observed bool
	Phase    RolloutPhase
	Message  string
	// CurrentHash is the pod-template hash that the spec asks for, StableHash the promoted one.
	CurrentHash, StableHash string
	// Aborted: abort is set. AbortedAt is when the controller carried it out; zero until then.
	Aborted   bool
	AbortedAt time.Time
	// TimedOut: the current hash exceeded its progress deadline, by condition and message.
	TimedOut bool

	Progressing, CompletedCond, HealthyCond, Available, PausedCond Condition

	// BlueGreen strategy; ActiveHash is the hash that takes traffic.
	BlueGreen  bool
	ActiveHash string
	// TrafficRouted: the canary's weight is set by a traffic router; Weight is that weight in percent.
	TrafficRouted bool
	Weight        int

	// Desired is spec.replicas (1 if it is not set).
	Desired int
	// TemplateImages are those of spec.template; empty with workloadRef.
	TemplateImages []string
	ReplicaSets    []ReplicaSet
}

// ReplicaSet is one of a Rollout's.
type ReplicaSet struct {
	Hash     string
	Revision int
	// Reused: it served an earlier revision too (annotation rollout.argoproj.io/revision-history).
	Reused    bool
	CreatedAt time.Time
	Images    []string
	// InitImages are those of its init containers. They are no part of a version, but live while its pods start.
	InitImages []string
	// Replicas exist; Available of them are.
	Replicas, Available int
}
