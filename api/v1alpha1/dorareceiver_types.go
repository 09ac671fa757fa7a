package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DoraReceiver lets somebody report over HTTP what Argo does not see: deployments, changes of code and incidents. It says who may report, by
// a Secret, and what the sender's words mean here.
//
// What was accepted is in the ledger before the sender is told so. A message that is sent again, or late, changes nothing.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=dorareceivers,singular=dorareceiver,scope=Namespaced,shortName=drecv,categories=dora
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`,description="Who sends."
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the receiver takes what it is sent."
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why the receiver is, or is not, ready."
// +kubebuilder:printcolumn:name="Accepted",type=integer,JSONPath=`.status.accepted`,description="Requests that were accepted, ever."
// +kubebuilder:printcolumn:name="Refused",type=integer,JSONPath=`.status.refused`,description="Requests that were refused, ever."
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.status.lastAccepted`,description="Time since a request was accepted last."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since the receiver was created."
// +kubebuilder:printcolumn:name="Path",type=string,priority=1,JSONPath=`.status.path`,description="Where to send to, below the address of the receivers."
// +kubebuilder:printcolumn:name="Refusal",type=string,priority=1,JSONPath=`.status.lastRefusal`,description="Why a request was refused last."
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,description="What to do next, if it is not ready."
type DoraReceiver struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says who may send, and what the sender's words mean here.
	// +required
	Spec DoraReceiverSpec `json:"spec"`

	// status shows what was received. It is written by the controller alone.
	// +optional
	Status DoraReceiverStatus `json:"status,omitzero"`
}

// DoraReceiverList is a list of DoraReceivers.
//
// +kubebuilder:object:root=true
type DoraReceiverList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the receivers.
	// +required
	Items []DoraReceiver `json:"items"`
}

// DoraReceiverSpec says who may send, and what the sender's words mean here.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'Generic') == has(self.generic)",message="a receiver of type Generic needs the settings under generic, and no other type has them"
type DoraReceiverSpec struct {
	// type says who sends: Events, whoever posts the JSON of deployments and changes that docs/dorareceiver.md describes; CloudEvents, whoever
	// posts CDEvents; a code host, GitHub, GitLab or Gitea; a product that knows incidents, PagerDuty, Opsgenie, Alertmanager, Grafana,
	// FireHydrant, IncidentIO, ServiceNow or Statuspage; or Generic, incidents in any JSON, read by expressions.
	// +required
	Type ReceiverType `json:"type"`

	// secretRef names a Secret of the receiver's own namespace by which its sender is known: a token that it sends along, or a signingSecret
	// that it signs with; docs/dorareceiver.md has the keys of each type. Beside a key may stand the same with .next at its end, such as
	// token.next, which is accepted too, so that the two sides need not change at the same moment.
	// +required
	SecretRef SecretReference `json:"secretRef"`

	// services says what a service is called here, by the name that the sender gives it, such as "Checkout API": checkout.
	// +kubebuilder:validation:MaxProperties=512
	// +optional
	Services map[string]ServiceName `json:"services,omitempty"`

	// defaultService is the service of whatever has no entry in services. Without it, a service is called here as the sender calls it.
	// +optional
	DefaultService ServiceName `json:"defaultService,omitempty"`

	// environment is that of whatever the sender names none for.
	// +kubebuilder:default=production
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Environment string `json:"environment,omitempty"`

	// rateLimit is how many requests are accepted in a minute. Those above are told to come again.
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60000
	// +optional
	RateLimit int32 `json:"rateLimit,omitempty"`

	// suspend refuses all requests, so that senders keep them or send them again.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// generic holds the settings of a receiver of type Generic.
	// +optional
	Generic *GenericReceiver `json:"generic,omitempty"`
}

// ReceiverType is who sends.
//
// +kubebuilder:validation:Enum=Events;CloudEvents;GitHub;GitLab;Gitea;PagerDuty;Opsgenie;Alertmanager;Grafana;FireHydrant;IncidentIO;ServiceNow;Statuspage;Generic
type ReceiverType string

// The types of receivers.
const (
	ReceiverEvents       ReceiverType = "Events"
	ReceiverCloudEvents  ReceiverType = "CloudEvents"
	ReceiverGitHub       ReceiverType = "GitHub"
	ReceiverGitLab       ReceiverType = "GitLab"
	ReceiverGitea        ReceiverType = "Gitea"
	ReceiverPagerDuty    ReceiverType = "PagerDuty"
	ReceiverOpsgenie     ReceiverType = "Opsgenie"
	ReceiverAlertmanager ReceiverType = "Alertmanager"
	ReceiverGrafana      ReceiverType = "Grafana"
	ReceiverFireHydrant  ReceiverType = "FireHydrant"
	ReceiverIncidentIO   ReceiverType = "IncidentIO"
	ReceiverServiceNow   ReceiverType = "ServiceNow"
	ReceiverStatuspage   ReceiverType = "Statuspage"
	ReceiverGeneric      ReceiverType = "Generic"
)

// ServiceName is what a service is called here.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
type ServiceName string

// GenericReceiver reads incidents out of any JSON by expressions in CEL over body, the object that came, such as body.incident.id. What an
// expression names and the body has not is not told.
//
// +kubebuilder:validation:XValidation:rule="has(self.opened) || has(self.resolved)",message="opened or resolved has to be there: they say when an incident began and ended"
type GenericReceiver struct {
	// when is the time of the message, a timestamp, a text in RFC 3339 or seconds since 1970. Without it that is when it came in.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	When string `json:"when,omitempty"`

	// id is the incident's identity, which all messages about it share, such as body.incident.id. Where it is null or nothing, the message
	// is accepted and counts nothing.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +required
	ID string `json:"id"`

	// service is the name of the service that it concerns, such as body.incident.component.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Service string `json:"service,omitempty"`

	// opened is when it began: a time as in when, or true, and then it is the time of the message.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Opened string `json:"opened,omitempty"`

	// resolved is when it ended, likewise; null or false while it lasts.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Resolved string `json:"resolved,omitempty"`

	// severity is how bad it is, in the sender's words, such as body.incident.priority.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Severity string `json:"severity,omitempty"`

	// link is the address at which people read about it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Link string `json:"link,omitempty"`

	// title is what it is called.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Title string `json:"title,omitempty"`
}

// DoraReceiverStatus shows what was received.
type DoraReceiverStatus struct {
	// conditions say whether the receiver takes what it is sent. Ready is always there; Stalled (someone has to mend something) is there
	// only while true.
	// +kubebuilder:validation:MaxItems=8
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty" patchMergeKey:"type" patchStrategy:"merge"`

	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// path is where to send to, below the address of the receivers, such as /hooks/payments/pagerduty. Who reports events may choose between
	// /events/deploy and /events/change.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Path string `json:"path,omitempty"`

	// accepted is the number of requests that were accepted, ever.
	// +optional
	Accepted int64 `json:"accepted"`

	// refused is the number of requests that were refused, ever.
	// +optional
	Refused int64 `json:"refused"`

	// lastAccepted is when a request was accepted last.
	// +optional
	LastAccepted *metav1.Time `json:"lastAccepted,omitempty"`

	// lastRefused is when a request was refused last.
	// +optional
	LastRefused *metav1.Time `json:"lastRefused,omitempty"`

	// lastRefusal is why it was refused: one of the reasons that docs/dorareceiver.md lists. It never says what was sent.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	LastRefusal string `json:"lastRefusal,omitempty"`
}

// Path is where what a receiver is for is sent to, below the address of the receivers.
func (r *DoraReceiver) Path() string {
	paths := map[ReceiverType]string{ReceiverEvents: "/events/deploy", ReceiverCloudEvents: "/events"}
	if path, ok := paths[r.Spec.Type]; ok {
		return path
	}
	return "/hooks/" + r.Namespace + "/" + r.Name
}
