package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The most that lists in status hold. What is left out is counted.
const (
	MaxServices     = 100
	MaxTeams        = 50
	MaxDrags        = 3
	MaxOpenFailures = 50
	MaxAlerts       = 100
)

// DoraTargetStatus shows what was counted. It holds no time of the last look and no ages: it changes when something
// happens, or leaves the window.
type DoraTargetStatus struct {
	// conditions say whether the target is being followed. Ready is always there; Reconciling (it will become ready by
	// itself) and Stalled (someone has to mend something) are there only while true; PolicyOverridden, Incomplete,
	// CommitsUnresolved, SinksMissing, MarksRefused, ReportedTwice and ReceiversMissing are there only while true and leave Ready as it
	// is; Worsened is there while spec.alerts is, and says whether anything got worse.
	// +kubebuilder:validation:MaxItems=10
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty" patchMergeKey:"type" patchStrategy:"merge"`

	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// observedSubjects says how many objects are followed.
	// +optional
	ObservedSubjects *ObservedSubjects `json:"observedSubjects,omitempty"`

	// summary holds the figures of all services together. Percentiles are over all their deployments, not over the
	// services' own percentiles.
	// +optional
	Summary *Figures `json:"summary,omitempty"`

	// bands says how many services are in which band.
	// +optional
	Bands *BandDistributions `json:"bands,omitempty"`

	// serviceCount is the number of services that are followed, each counted once per environment.
	// +optional
	ServiceCount int64 `json:"serviceCount"`

	// services holds the figures of each service, in the order of their names. At most 100 are listed; servicesOmitted
	// counts the rest, which the summary includes.
	// +kubebuilder:validation:MaxItems=100
	// +listType=map
	// +listMapKey=service
	// +listMapKey=environment
	// +optional
	Services []ServiceStatus `json:"services,omitempty"`

	// servicesOmitted is the number of services that are not listed.
	// +optional
	ServicesOmitted int64 `json:"servicesOmitted,omitempty"`

	// teams holds the figures of each team, in the order of their names and environments. At most 50 are listed; teamsOmitted counts the
	// rest. It is absent while no service names a team.
	// +kubebuilder:validation:MaxItems=50
	// +listType=map
	// +listMapKey=team
	// +listMapKey=environment
	// +optional
	Teams []TeamStatus `json:"teams,omitempty"`

	// teamsOmitted is the number of teams that are not listed, each counted once per environment.
	// +optional
	TeamsOmitted int64 `json:"teamsOmitted,omitempty"`

	// alerts are what got worse and was told of, and is not told of again while it is here. At most 100 are listed, and nobody is told of the
	// rest, which alertsOmitted counts. It is absent while spec.alerts is.
	// +kubebuilder:validation:MaxItems=100
	// +listType=atomic
	// +optional
	Alerts []AlertStatus `json:"alerts,omitempty"`

	// alertsOmitted is the number of services and medians that got worse and are not listed.
	// +optional
	AlertsOmitted int64 `json:"alertsOmitted,omitempty"`

	// commits says for how many deployments of the window the commits are known. It is absent while spec.source is.
	// +optional
	Commits *CommitCounts `json:"commits,omitempty"`

	// backfill tells of the last time that earlier deployments were looked into again.
	// +optional
	Backfill *BackfillStatus `json:"backfill,omitempty"`

	// marks says which marks this target makes. It is absent while it makes none and none is asked for.
	// +optional
	Marks *MarkCounts `json:"marks,omitempty"`

	// lastDeployment is the latest deployment whose outcome is known or given up.
	// +optional
	LastDeployment *LastDeployment `json:"lastDeployment,omitempty"`

	// openFailures are the failures of production that have not ended, oldest first. At most 50 are listed;
	// summary.counts.openFailures counts all of them.
	// +kubebuilder:validation:MaxItems=50
	// +listType=map
	// +listMapKey=eventID
	// +optional
	OpenFailures []OpenFailure `json:"openFailures,omitempty"`

	// display holds the figures as kubectl prints them, with – for what is not known. Programs read the other fields.
	// +optional
	Display *Display `json:"display,omitempty"`
}

// ObservedSubjects counts the objects that are followed.
type ObservedSubjects struct {
	// applications is the number of Argo CD Applications.
	// +required
	Applications int64 `json:"applications"`

	// rollouts is the number of Argo Rollouts that no followed Application manages.
	// +required
	Rollouts int64 `json:"rollouts"`

	// reported is the number of services whose deployments others report.
	// +optional
	Reported int64 `json:"reported,omitempty"`
}

// ServiceStatus holds the figures of one service in one environment.
type ServiceStatus struct {
	// service is the name of the service.
	// +kubebuilder:validation:MaxLength=253
	// +required
	Service string `json:"service"`

	// environment is the name of the environment.
	// +kubebuilder:validation:MaxLength=63
	// +required
	Environment string `json:"environment"`

	// team is the team that owns the service. It is absent when there is none.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Team string `json:"team,omitempty"`

	Figures `json:",inline"`
}

// CommitCounts counts the deployments of new images in the window by what is known of their commits.
type CommitCounts struct {
	// resolved is the number whose first commit is known.
	// +required
	Resolved int64 `json:"resolved"`

	// pending is the number whose commits are still looked for, those before the window among them. The condition
	// CommitsUnresolved says what stands in the way.
	// +required
	Pending int64 `json:"pending"`

	// unknown is the number that have no lead time, and reasons says why.
	// +required
	Unknown int64 `json:"unknown"`

	// reasons are why deployments have no lead time, in the order of their names.
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=reason
	// +optional
	Reasons []ReasonCount `json:"reasons,omitempty"`
}

// ReasonCount counts deployments with one reason.
type ReasonCount struct {
	// reason is why they have no lead time, such as FirstDeployment or NoCommitInImage.
	// +kubebuilder:validation:MaxLength=64
	// +required
	Reason string `json:"reason"`

	// deployments is their number.
	// +required
	Deployments int64 `json:"deployments"`
}

// MarkCounts counts the marks of a target.
type MarkCounts struct {
	// said is the number of events that annotations of this target mark.
	// +required
	Said int64 `json:"said"`

	// frozen is the number of events that its freezes mark.
	// +required
	Frozen int64 `json:"frozen"`

	// refused is the number of annotations that mark nothing. The condition MarksRefused says why.
	// +required
	Refused int64 `json:"refused"`

	// refusedEvents are the ids of the events of such annotations, in their order, 50 at most.
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=set
	// +optional
	RefusedEvents []string `json:"refusedEvents,omitempty"`

	// observed tells the annotations that this is about from later ones: a hash of them, empty if there are none.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Observed string `json:"observed,omitempty"`
}

// BackfillStatus tells of one backfill.
type BackfillStatus struct {
	// generation is the generation of the spec that it was made for.
	// +optional
	Generation int64 `json:"generation,omitempty"`

	// request is the value of the annotation dora-controller.io/backfill that asked for it.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Request string `json:"request,omitempty"`

	// deployments is the number that were queued.
	// +required
	Deployments int64 `json:"deployments"`
}

// LastDeployment is the latest deployment.
type LastDeployment struct {
	// service is the name of the service.
	// +kubebuilder:validation:MaxLength=253
	// +required
	Service string `json:"service"`

	// environment is the name of the environment.
	// +kubebuilder:validation:MaxLength=63
	// +required
	Environment string `json:"environment"`

	// version is the tag, or without one the digest, of the image that was deployed. It is absent when it is not known.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Version string `json:"version,omitempty"`

	// outcome is how the deployment ended: Succeeded, Failed, RolledBack or Unknown.
	// +required
	Outcome Outcome `json:"outcome"`

	// time is when that happened, by Argo's clock.
	// +required
	Time metav1.Time `json:"time"`

	// eventID is the id of the deploy event in the ledger.
	// +kubebuilder:validation:MaxLength=64
	// +required
	EventID string `json:"eventID"`
}

// Outcome is how a deployment ended.
//
// +kubebuilder:validation:Enum=Succeeded;Failed;RolledBack;Unknown
type Outcome string

// The outcomes.
const (
	OutcomeSucceeded  Outcome = "Succeeded"  // the version reached Healthy
	OutcomeFailed     Outcome = "Failed"     // production degraded while it went out, or its operation failed
	OutcomeRolledBack Outcome = "RolledBack" // production went back to an earlier version
	OutcomeUnknown    Outcome = "Unknown"    // Argo no longer tells
)

// OpenFailure is a failure of production that has not ended.
type OpenFailure struct {
	// service is the name of the service.
	// +kubebuilder:validation:MaxLength=253
	// +required
	Service string `json:"service"`

	// environment is the name of the environment.
	// +kubebuilder:validation:MaxLength=63
	// +required
	Environment string `json:"environment"`

	// since is when production degraded, by Argo's clock.
	// +required
	Since metav1.Time `json:"since"`

	// eventID is the id of the degraded event in the ledger.
	// +kubebuilder:validation:MaxLength=64
	// +required
	EventID string `json:"eventID"`

	// causedBy is the id of the deploy event that caused the failure. It is absent when no deployment did.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	CausedBy string `json:"causedBy,omitempty"`
}

// Display holds figures as kubectl prints them. It is made from the other fields by NewDisplay.
type Display struct {
	// services is the number of services.
	// +kubebuilder:validation:MaxLength=16
	// +required
	Services string `json:"services"`

	// environment is the environment that all services share, or * when they are of several.
	// +kubebuilder:validation:MaxLength=63
	// +required
	Environment string `json:"environment"`

	// deployments is the number of deployments in the window.
	// +kubebuilder:validation:MaxLength=16
	// +required
	Deployments string `json:"deployments"`

	// perWeek is the number of deployments per week and service.
	// +kubebuilder:validation:MaxLength=16
	// +required
	PerWeek string `json:"perWeek"`

	// leadTimeP50 is the median lead time for changes.
	// +kubebuilder:validation:MaxLength=16
	// +required
	LeadTimeP50 string `json:"leadTimeP50"`

	// leadTimeP90 is the lead time for changes that nine of ten deployments keep.
	// +kubebuilder:validation:MaxLength=16
	// +required
	LeadTimeP90 string `json:"leadTimeP90"`

	// changeFailureRate is the change failure rate.
	// +kubebuilder:validation:MaxLength=16
	// +required
	ChangeFailureRate string `json:"changeFailureRate"`

	// recoveryP50 is the median failed deployment recovery time.
	// +kubebuilder:validation:MaxLength=16
	// +required
	RecoveryP50 string `json:"recoveryP50"`

	// recoveryP90 is the recovery time that nine of ten failed deployments keep.
	// +kubebuilder:validation:MaxLength=16
	// +required
	RecoveryP90 string `json:"recoveryP90"`

	// rework is the rework rate.
	// +kubebuilder:validation:MaxLength=16
	// +required
	Rework string `json:"rework"`

	// band is the band of the only service; of several, the most common band and how many services are in it.
	// +kubebuilder:validation:MaxLength=32
	// +required
	Band string `json:"band"`
}
