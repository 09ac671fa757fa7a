package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DoraTarget says whose deployments are counted, and shows the five DORA metrics of them.
//
// It may select one service or a whole fleet, and several targets may select the same object: each counts its
// events, and the oldest of them decides how it is judged.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=doratargets,singular=doratarget,scope=Namespaced,shortName=dt,categories=dora
// +kubebuilder:printcolumn:name="Svcs",type=string,JSONPath=`.status.display.services`,description="Number of services that the target follows."
// +kubebuilder:printcolumn:name="Env",type=string,JSONPath=`.status.display.environment`,description="Environment of the services; * when they are of several."
// +kubebuilder:printcolumn:name="Deploys",type=string,JSONPath=`.status.display.deployments`,description="Deployments in the window."
// +kubebuilder:printcolumn:name="/Week",type=string,JSONPath=`.status.display.perWeek`,description="Deployments per week and service."
// +kubebuilder:printcolumn:name="Lead",type=string,JSONPath=`.status.display.leadTimeP50`,description="Median lead time for changes: first commit to production."
// +kubebuilder:printcolumn:name="Lead P90",type=string,priority=1,JSONPath=`.status.display.leadTimeP90`,description="Lead time for changes that nine of ten deployments keep."
// +kubebuilder:printcolumn:name="CFR",type=string,JSONPath=`.status.display.changeFailureRate`,description="Change failure rate."
// +kubebuilder:printcolumn:name="Recovery",type=string,JSONPath=`.status.display.recoveryP50`,description="Median time to recover from a failed deployment."
// +kubebuilder:printcolumn:name="Recovery P90",type=string,priority=1,JSONPath=`.status.display.recoveryP90`,description="Recovery time that nine of ten failed deployments keep."
// +kubebuilder:printcolumn:name="Rework",type=string,priority=1,JSONPath=`.status.display.rework`,description="Rework rate: share of deployments that were unplanned."
// +kubebuilder:printcolumn:name="Band",type=string,JSONPath=`.status.display.band`,description="Band of the service; of several, the most common band and how many are in it."
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the target is being followed."
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why the target is, or is not, ready."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since the target was created."
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,description="What is followed, or what to do next."
type DoraTarget struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says whose deployments are counted, and how.
	// +required
	Spec DoraTargetSpec `json:"spec"`

	// status shows what was counted. It is written by the controller alone.
	// +optional
	Status DoraTargetStatus `json:"status,omitzero"`
}

// DoraTargetList is a list of DoraTargets.
//
// +kubebuilder:object:root=true
type DoraTargetList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the targets.
	// +required
	Items []DoraTarget `json:"items"`
}

// AnnotationBackfill asks, by any new value, for a look at the commits of all earlier deployments that ended without lead time.
const AnnotationBackfill = "dora-controller.io/backfill"

// LabelShard is the label that says which of several controllers of one cluster sees an object, by its flag --shard: a DoraTarget, a DoraSink, an
// Application or a Rollout. Objects without it are seen by a controller without that flag.
const LabelShard = "dora-controller.io/shard"

// DoraTargetSpec says whose deployments are counted, and how.
//
// +kubebuilder:validation:XValidation:rule="has(self.applications) || has(self.rollouts) || has(self.reported)",message="select something: set applications, rollouts or reported (applications: {} selects all of them)"
// +kubebuilder:validation:XValidation:rule="!has(self.alerts) || !has(self.window) || self.window.size() < 2 || !self.window.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$') || [(self.window.contains('d') ? int(self.window.substring(0, self.window.indexOf('d'))) * 86400 : 0) + (self.window.endsWith('d') ? 0 : duration(self.window.substring(self.window.indexOf('d') + 1)).getSeconds())].all(s, s <= 14515200)",message="with alerts, window must be 168d at most: it is compared with the window before, and older events may be gone",fieldPath=".window"
type DoraTargetSpec struct {
	// applications selects the Argo CD Applications whose deployments are counted. An empty selector ({}) selects all of
	// them in the allowed namespaces; without this field none is selected.
	// +optional
	Applications *SubjectSelector `json:"applications,omitempty"`

	// rollouts selects the Argo Rollouts whose deployments are counted. A Rollout that a followed Application manages
	// counts as part of that Application and never twice, so both selectors may name the same labels. An empty selector
	// ({}) selects all of them in the allowed namespaces; without this field none is selected.
	// +optional
	Rollouts *SubjectSelector `json:"rollouts,omitempty"`

	// service names the service that a deployment is of. Without it, or on an object without the label it names, it is
	// the label "service", else the label "app.kubernetes.io/part-of", else the object's name.
	// +optional
	Service NameSource `json:"service,omitzero"`

	// team names the team that owns the service. Without it, or on an object without the label it names, it is the label
	// "team", else there is none.
	// +optional
	Team NameSource `json:"team,omitzero"`

	// environment names the environment that is deployed to. Without it, or on an object without the label it names, it is
	// the label "environment", else the label "env", else "production".
	// +optional
	Environment NameSource `json:"environment,omitzero"`

	// images says which container images make up a version. Without it all of them do.
	// +optional
	Images ImageFilter `json:"images,omitzero"`

	// source says where the commits of a deployment are found, for the lead time for changes. Without it no image and no
	// repository is asked, and there is no lead time.
	// +optional
	Source *Source `json:"source,omitempty"`

	// changes lists what counts as a deployment: Image, a container image that the running version does not have, and
	// Config, a change of the manifests that leaves the images alone. Image is always among them.
	// +kubebuilder:default={Image}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:XValidation:rule="'Image' in self",message="changes must include Image: a new image is always a deployment"
	// +listType=set
	// +optional
	Changes []ChangeKind `json:"changes,omitempty"`

	// degradedFor is how long production must stay Degraded before it counts as a failure, between 0s and 30m, such as 60s
	// or 5m. Autoscalers and replaced pods make shorter blips. It is measured on Argo's own clock, so a restart of the
	// controller does not reset it.
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="self.size() > 1 && self.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$') && [(self.contains('d') ? int(self.substring(0, self.indexOf('d'))) * 86400 : 0) + (self.endsWith('d') ? 0 : duration(self.substring(self.indexOf('d') + 1)).getSeconds())].all(s, s <= 1800)",message="degradedFor must be a duration between 0s and 30m, such as 60s or 1m30s"
	// +optional
	DegradedFor Duration `json:"degradedFor,omitempty"`

	// failureWindow is how long after a deployment became Healthy a failure is still held against it, between 1m and 30d,
	// such as 1h. A later failure is an incident and no change failure.
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="self.size() > 1 && self.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$') && [(self.contains('d') ? int(self.substring(0, self.indexOf('d'))) * 86400 : 0) + (self.endsWith('d') ? 0 : duration(self.substring(self.indexOf('d') + 1)).getSeconds())].all(s, s >= 60 && s <= 2592000)",message="failureWindow must be a duration between 1m and 30d, such as 1h or 1d12h"
	// +optional
	FailureWindow Duration `json:"failureWindow,omitempty"`

	// verdictTimeout is how long a deployment may stay without a verdict before its outcome is unknown, between 1h and 30d,
	// such as 24h. It runs only while Argo CD's operation is finished and nothing is suspended or paused.
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="self.size() > 1 && self.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$') && [(self.contains('d') ? int(self.substring(0, self.indexOf('d'))) * 86400 : 0) + (self.endsWith('d') ? 0 : duration(self.substring(self.indexOf('d') + 1)).getSeconds())].all(s, s >= 3600 && s <= 2592000)",message="verdictTimeout must be a duration between 1h and 30d, such as 24h or 2d"
	// +optional
	VerdictTimeout Duration `json:"verdictTimeout,omitempty"`

	// window is the time over which the metrics are computed, ending now, between 1d and 366d, such as 30d.
	// +kubebuilder:default="30d"
	// +kubebuilder:validation:XValidation:rule="self.size() > 1 && self.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$') && [(self.contains('d') ? int(self.substring(0, self.indexOf('d'))) * 86400 : 0) + (self.endsWith('d') ? 0 : duration(self.substring(self.indexOf('d') + 1)).getSeconds())].all(s, s >= 86400 && s <= 31622400)",message="window must be a duration between 1d and 366d, such as 30d or 90d"
	// +optional
	Window Duration `json:"window,omitempty"`

	// statusInterval is how long the figures of the status rest after they were written, between 1s and 1h, such as 10s: while events
	// rain they are written no more often than that, and the last ones always. Conditions are written at once.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="self.size() > 1 && self.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$') && [(self.contains('d') ? int(self.substring(0, self.indexOf('d'))) * 86400 : 0) + (self.endsWith('d') ? 0 : duration(self.substring(self.indexOf('d') + 1)).getSeconds())].all(s, s >= 1 && s <= 3600)",message="statusInterval must be a duration between 1s and 1h, such as 10s or 1m30s"
	// +optional
	StatusInterval Duration `json:"statusInterval,omitempty"`

	// spread says how a service is counted that several of the selected objects run: the Applications of its regions or cells, or those of
	// several clusters. With Each, what each of them deploys is a deployment. With All, a version that goes out to all of them is one
	// deployment: complete when the last of them is Healthy, failed if it failed at any.
	// +kubebuilder:default=Each
	// +optional
	Spread Spread `json:"spread,omitempty"`

	// clusters are other clusters whose deployments are counted too, by the names that their controllers were given (--cluster), or * for
	// all of them. Their controllers keep their ledgers in the same PostgreSQL database as this one's. Objects there are selected as here, by
	// namespace and labels. Only a target in one of the controller's trusted namespaces may name clusters, since a namespace may belong to
	// somebody else elsewhere.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	Clusters []ClusterName `json:"clusters,omitempty"`

	// bands says where Elite, High, Medium and Low begin.
	// +kubebuilder:default={preset: Port}
	// +optional
	Bands Bands `json:"bands,omitzero"`

	// alerts tells when a service falls to a lower band than it had over the window before, and when a team's median worsens: by the condition
	// Worsened, by one Kubernetes Event each, and in status.alerts. Without it nobody is told.
	// +optional
	Alerts *Alerts `json:"alerts,omitempty"`

	// sinks are the DoraSinks that the events and metrics of this target are sent to: the name of one in this namespace, or namespace/name
	// of one that is shared. Without it, it is those of this namespace that are default.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=set
	// +optional
	Sinks []SinkName `json:"sinks,omitempty"`

	// freezes are spans of time whose deployments, and failures that began in them, belong into no figure: drills, migrations. Each event in
	// one is marked "ignore", unless an annotation says otherwise of it; the marks go when the freeze does. They hold for the objects of
	// which this target decides.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +listType=map
	// +listMapKey=name
	// +optional
	Freezes []Freeze `json:"freezes,omitempty"`

	// incidents says which incidents count that people and monitors report to DoraReceivers of this namespace, of the services that this target
	// counts. Without it none does.
	// +optional
	Incidents *Incidents `json:"incidents,omitempty"`

	// reported selects services whose deployments are reported to DoraReceivers of this namespace, since Argo does not deploy them. Without it
	// none is selected.
	// +optional
	Reported *Reported `json:"reported,omitempty"`

	// suspend stops the target: while true, nothing new is counted for it and its figures stand still. Objects that
	// another target selects too go on being counted there.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// Freeze is a span of time whose events belong into no figure.
//
// +kubebuilder:validation:XValidation:rule="self.from < self.to",message="a freeze must end after it begins: to must be later than from"
type Freeze struct {
	// name tells the freeze from the others of the target. It is shown as who marked an event.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`

	// from is when the freeze begins. What occurred at that moment is in it.
	// +required
	From metav1.Time `json:"from"`

	// to is when the freeze ends. What occurred at that moment is not in it.
	// +required
	To metav1.Time `json:"to"`

	// reason says why. It is shown with each event.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +required
	Reason string `json:"reason"`
}
