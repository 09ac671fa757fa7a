package v1alpha1

// Incidents says which incidents count, of those that DoraReceivers of the target's own namespace hear.
type Incidents struct {
	// receivers names the DoraReceivers of this namespace whose incidents count. Without it all of them do.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	Receivers []ReceiverName `json:"receivers,omitempty"`

	// severities are those that count, in the words of the sender, such as P1 or critical, in upper or lower case. An incident counts that had
	// one of them when it opened or when it ended. Without it all do, also those that have none.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=set
	// +optional
	Severities []Severity `json:"severities,omitempty"`

	// services says what a service is called here, by the name that an incident has for it once its receiver has mapped it, such as
	// "Checkout API": checkout. Names that are not there stay.
	// +kubebuilder:validation:MaxProperties=512
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() > 0 && k.size() <= 253)",message="services: the name of a service has 1 to 253 characters"
	// +optional
	Services map[string]ServiceName `json:"services,omitempty"`

	// argo says whether failures count that Argo shows: Count, or Ignore, where only people and monitors know what a failure is. The outcomes
	// of deployments are Argo's in either case.
	// +kubebuilder:default=Count
	// +optional
	Argo ArgoFailures `json:"argo,omitempty"`
}

// Reported selects services whose deployments are reported to DoraReceivers of the target's own namespace.
type Reported struct {
	// services are the names of services: * stands for any number of characters, and ? for exactly one. A service that the target follows in
	// Argo too, in the same environment, is counted as Argo shows it, and what is reported of its deployments is not.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +required
	Services []ServiceGlob `json:"services"`
}

// ReceiverName is the name of a DoraReceiver.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="receivers are names of DoraReceivers of this namespace"
type ReceiverName string

// Severity is how bad an incident is, in the words of who reports it.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
type Severity string

// ServiceGlob matches names of services, such as checkout or payments-*.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
type ServiceGlob string

// ArgoFailures says whether failures count that Argo shows.
//
// +kubebuilder:validation:Enum=Count;Ignore
type ArgoFailures string

// Whether they count.
const (
	ArgoCount  ArgoFailures = "Count"
	ArgoIgnore ArgoFailures = "Ignore"
)
