package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Alerts says of what somebody is told when it got worse than it was over the window before.
type Alerts struct {
	// worsening is by how much longer a median of a team, its lead time for changes or its recovery time, must be than over the window before:
	// a whole percentage from 1% to 999%, such as 25%. At 100% it has doubled. One that goes on to grow is told of again when it is longer by
	// as much than what was told. Services are told of when they fall to a lower band, whatever is written here.
	// +kubebuilder:default="25%"
	// +optional
	Worsening Worsening `json:"worsening,omitempty"`
}

// Worsening is a whole percentage, such as 25%.
//
// +kubebuilder:validation:MaxLength=4
// +kubebuilder:validation:XValidation:rule="self.matches('^[1-9][0-9]{0,2}%$')",message="worsening must be a whole percentage from 1% to 999%, such as 25%; at 100% a time has doubled"
type Worsening string

// AlertReason says what got worse.
//
// +kubebuilder:validation:Enum=ServiceFell;TeamWorsened
type AlertReason string

// The reasons of alerts. They are those of the Kubernetes Events too.
const (
	AlertServiceFell  AlertReason = ReasonServiceFell
	AlertTeamWorsened AlertReason = ReasonTeamWorsened
)

// AlertStatus is one thing that got worse and was told of.
type AlertStatus struct {
	// reason is ServiceFell, for a service that is in a lower band than over the window before, or TeamWorsened, for a median of a team.
	// +required
	Reason AlertReason `json:"reason"`

	// service is the name of the service that fell.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Service string `json:"service,omitempty"`

	// team is the team whose median worsened, or that owns the service, if one does.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Team string `json:"team,omitempty"`

	// environment is the name of the environment.
	// +kubebuilder:validation:MaxLength=63
	// +required
	Environment string `json:"environment"`

	// metric is the one that brought the service into its band, or of which the median is.
	// +required
	Metric Metric `json:"metric"`

	// beforeBand is the band of the service over the window before.
	// +optional
	BeforeBand Band `json:"beforeBand,omitempty"`

	// band is the lowest that the service has been in since.
	// +optional
	Band Band `json:"band,omitempty"`

	// beforeP50Seconds is what the median of the team was over the window before, in seconds.
	// +optional
	BeforeP50Seconds *int64 `json:"beforeP50Seconds,omitempty"`

	// p50Seconds is what the median of the team was when it was told of last, in seconds.
	// +optional
	P50Seconds *int64 `json:"p50Seconds,omitempty"`

	// since is when it was told of last.
	// +required
	Since metav1.Time `json:"since"`

	// ended is when it was no longer worse. It is kept for a day: what comes back within it is the same, and not told of again.
	// +optional
	Ended *metav1.Time `json:"ended,omitempty"`
}
