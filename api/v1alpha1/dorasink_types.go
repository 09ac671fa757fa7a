package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DoraSink is a place that events and metrics are sent to: Port, a PostgreSQL database, a receiver of CloudEvents, or the controller's
// standard output.
//
// It gets the events of every DoraTarget that names it, each event once. What it is owed is kept by the controller until it was
// delivered, through outages and restarts.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=dorasinks,singular=dorasink,scope=Namespaced,shortName=dsink,categories=dora
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`,description="What the sink is."
// +kubebuilder:printcolumn:name="Default",type=boolean,priority=1,JSONPath=`.spec.default`,description="Whether targets of its namespace use it that name no sink."
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the sink takes what it is sent."
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why the sink is, or is not, ready."
// +kubebuilder:printcolumn:name="Delivered",type=integer,JSONPath=`.status.delivered`,description="Events delivered, ever."
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.pending`,description="Events that are still to be delivered."
// +kubebuilder:printcolumn:name="Parked",type=integer,JSONPath=`.status.parked`,description="Events that the sink refused for good; they can be retried."
// +kubebuilder:printcolumn:name="Oldest",type=date,JSONPath=`.status.oldestPending`,description="How long the oldest pending event has waited."
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.status.lastDelivery`,description="Time since the last delivery."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since the sink was created."
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,description="What to do next, if it is not ready."
type DoraSink struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where to, and what.
	// +required
	Spec DoraSinkSpec `json:"spec"`

	// status shows what was delivered. It is written by the controller alone.
	// +optional
	Status DoraSinkStatus `json:"status,omitzero"`
}

// DoraSinkList is a list of DoraSinks.
//
// +kubebuilder:object:root=true
type DoraSinkList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the sinks.
	// +required
	Items []DoraSink `json:"items"`
}

// What annotations ask of a sink. Each new value asks once.
const (
	// AnnotationRetry asks for another attempt at everything that is parked, and at once at what waits.
	AnnotationRetry = "dora-controller.io/retry"
	// AnnotationResend asks that events are sent again: "since=TIME", "event=ID,ID" or "service=NAME", several separated by spaces. What
	// follows a '#' is not read, so that the same can be asked for twice.
	AnnotationResend = "dora-controller.io/resend"
)

// DoraSinkSpec says where to, and what.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'Port') == has(self.port)",message="a sink of type Port needs the settings under port, and no other type has them"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Postgres') == has(self.postgres)",message="a sink of type Postgres needs the settings under postgres, and no other type has them"
// +kubebuilder:validation:XValidation:rule="(self.type == 'CloudEvents') == has(self.cloudEvents)",message="a sink of type CloudEvents needs the settings under cloudEvents, and no other type has them"
type DoraSinkSpec struct {
	// type says what the sink is: Port, Postgres, CloudEvents or Stdout. Stdout, the controller's own standard output, has no settings.
	// +required
	Type SinkType `json:"type"`

	// default makes it the sink of all targets of its namespace that name none.
	// +optional
	Default bool `json:"default,omitempty"`

	// shared lets targets of all namespaces name it, as namespace/name. It counts only in namespaces that the administrator trusts.
	// +optional
	Shared bool `json:"shared,omitempty"`

	// filter is an expression in CEL that says which events are sent, such as
	// event.environment == "production" && event.team in ["payments", "checkout"]. It may use event.service, .team, .environment,
	// .cluster, .namespace, .type, .outcome, .change and .basis, which are strings, and event.success, .is_rollback and .unplanned.
	// Metrics are sent unless what is known of them (service, team, environment, cluster) rules them out. Without it all are sent.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Filter string `json:"filter,omitempty"`

	// sends lists what is sent: Events, Metrics, or both.
	// +kubebuilder:default={Events,Metrics}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	// +optional
	Sends []SinkContent `json:"sends,omitempty"`

	// backfillSince sends, once, the events that happened at that time or later and were recorded before the sink was there. A time that
	// is changed asks once more.
	// +optional
	BackfillSince *metav1.Time `json:"backfillSince,omitempty"`

	// suspend stops deliveries. What the sink is owed meanwhile is kept, and delivered once it is false again.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// port holds the settings of a sink of type Port.
	// +optional
	Port *PortSink `json:"port,omitempty"`

	// postgres holds the settings of a sink of type Postgres.
	// +optional
	Postgres *PostgresSink `json:"postgres,omitempty"`

	// cloudEvents holds the settings of a sink of type CloudEvents.
	// +optional
	CloudEvents *CloudEventsSink `json:"cloudEvents,omitempty"`
}

// SinkType is what a sink is.
//
// +kubebuilder:validation:Enum=Port;Postgres;CloudEvents;Stdout
type SinkType string

// The types of sinks.
const (
	SinkPort        SinkType = "Port"
	SinkPostgres    SinkType = "Postgres"
	SinkCloudEvents SinkType = "CloudEvents"
	SinkStdout      SinkType = "Stdout"
)

// SinkContent is a part of what a sink can take.
//
// +kubebuilder:validation:Enum=Events;Metrics
type SinkContent string

// What a sink can take.
const (
	SendEvents  SinkContent = "Events"  // deployments, failures and recoveries
	SendMetrics SinkContent = "Metrics" // the figures of services, teams and targets
)

// SinkName names a DoraSink: of the target's own namespace, or, as namespace/name, one that is shared.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=317
// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="name a DoraSink of this namespace, such as port, or a shared one as namespace/name"
type SinkName string

// PortSink says how a portal of Port is reached, and what its blueprints are called.
//
// The rules of addresses stand here and below at what they are part of, since an answer to a rule of theirs would repeat the address, and
// what is refused may be an address with a password in it.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.baseURL) || isURL(self.baseURL) && self.baseURL.matches(r'^https?://([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[^[:cntrl:]\s?#\\]*)?$')`,fieldPath=".baseURL",message="baseURL is an address such as https://api.port.io, without credentials: they belong into the Secret"
type PortSink struct {
	// secretRef names a Secret of the sink's own namespace with the keys clientId and clientSecret of a machine credential.
	// +required
	SecretRef SecretReference `json:"secretRef"`

	// region is where the organisation lives: EU or US.
	// +kubebuilder:default=EU
	// +kubebuilder:validation:Enum=EU;US
	// +optional
	Region string `json:"region,omitempty"`

	// baseURL is the address of the API, instead of that of the region, such as https://api.port.io.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	BaseURL string `json:"baseURL,omitempty"`

	// blueprints are the identifiers of the portal's blueprints.
	// +kubebuilder:default={}
	// +optional
	Blueprints PortBlueprints `json:"blueprints,omitzero"`

	// serviceBy is the property by which a service of the portal is found: $identifier, $title, or the name of one.
	// +kubebuilder:default="$identifier"
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([$]identifier|[$]title|[A-Za-z0-9@_=\\-]+)$')`,message="serviceBy is $identifier, $title, or the identifier of a property"
	// +optional
	ServiceBy string `json:"serviceBy,omitempty"`

	// teamBy is the property by which a team of the portal is found: $identifier, $title, or the name of one.
	// +kubebuilder:default="$identifier"
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([$]identifier|[$]title|[A-Za-z0-9@_=\\-]+)$')`,message="teamBy is $identifier, $title, or the identifier of a property"
	// +optional
	TeamBy string `json:"teamBy,omitempty"`

	// environments says what an environment is called in the portal, such as prod: Production. Without an entry, production and prod are
	// Production, staging and stage are Staging, test, testing, dev and development are Testing, and others keep their name.
	// +kubebuilder:validation:MaxProperties=64
	// +optional
	Environments map[string]PortEnvironment `json:"environments,omitempty"`

	// metricsEnvironment is the environment whose figures the portal's services and teams show.
	// +kubebuilder:default=production
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	MetricsEnvironment string `json:"metricsEnvironment,omitempty"`

	// deploymentStatus says which values the property deploymentStatus takes.
	// +kubebuilder:default={}
	// +optional
	DeploymentStatus PortDeploymentStatus `json:"deploymentStatus,omitzero"`
}

// PortEnvironment is what a portal calls an environment.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=100
type PortEnvironment string

// PortBlueprints are the identifiers of a portal's blueprints. Those that are - are left out.
type PortBlueprints struct {
	// deployment is the blueprint that gets an entity for each deployment.
	// +kubebuilder:default=deployment
	// +optional
	Deployment BlueprintName `json:"deployment,omitempty"`

	// service is the blueprint of services, which get the figures.
	// +kubebuilder:default=service
	// +optional
	Service BlueprintName `json:"service,omitempty"`

	// team is the blueprint of teams, which get the figures.
	// +kubebuilder:default=_team
	// +optional
	Team BlueprintName `json:"team,omitempty"`

	// incident is the blueprint that gets an entity for each failure of production.
	// +kubebuilder:default=doraIncident
	// +optional
	Incident BlueprintName `json:"incident,omitempty"`

	// pullRequest is the blueprint of pull requests, to which deployments are related by their commit, if the portal has one.
	// +kubebuilder:default=-
	// +optional
	PullRequest BlueprintName `json:"pullRequest,omitempty"`
}

// BlueprintName is the identifier of a blueprint, or - for none.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=100
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[\p{L}0-9@_.+:\\/-]+$') && !(self in ['.', '..'])`,message="the identifier of a blueprint is letters, digits and the characters @_.+:/\\-, such as deployment; - alone leaves it out"
type BlueprintName string

// PortDeploymentStatus says which values the property deploymentStatus takes. Port's guides differ: Success and Failed in one, Successful in
// another. A deployment of unknown outcome has none.
type PortDeploymentStatus struct {
	// succeeded is the value of a deployment that succeeded.
	// +kubebuilder:default=Success
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +optional
	Succeeded string `json:"succeeded,omitempty"`

	// failed is the value of a deployment that failed, or was stopped while it went out.
	// +kubebuilder:default=Failed
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +optional
	Failed string `json:"failed,omitempty"`
}

// PostgresSink says how a PostgreSQL database is reached. What the Secret holds need not be said here.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.host) || self.host.split(',').all(h, h.matches(r'^([A-Za-z0-9_][A-Za-z0-9_.-]*(:[0-9]{1,5})?|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*|\[[0-9A-Fa-f]*:[0-9A-Fa-f:.]+\](:[0-9]{1,5})?)$'))`,fieldPath=".host",message="host is the name or address of a server, such as db.example.com, or several separated by commas, without credentials: they belong into the Secret"
type PostgresSink struct {
	// secretRef names a Secret of the sink's own namespace with the credentials: username (or user) and password; it may hold host, port
	// and database (or dbname) too, as those of CloudNativePG do, and ca.crt, tls.crt and tls.key.
	// +required
	SecretRef SecretReference `json:"secretRef"`

	// host is the name or address of the server, or several separated by commas, of which the first is used that takes writes. Each may have
	// a port of its own, as in db-1:6432,db-2:6432. Without it, the Secret says it.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Host string `json:"host,omitempty"`

	// port is the port of the server, or of each that has none of its own. Without it, and without one in the Secret, it is 5432.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`

	// database is the name of the database. Without it, the Secret says it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Database string `json:"database,omitempty"`

	// schema is the schema that the tables are in. It is made if the role may.
	// +kubebuilder:default=public
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z_][a-z0-9_]*$')",message="schema is a name of lower-case letters, digits and '_', such as dora"
	// +optional
	Schema string `json:"schema,omitempty"`

	// tls says how the connection is encrypted: VerifyFull, with a certificate for that host; VerifyCA, with any of that authority;
	// Require, with whatever certificate; Disable, not at all. The authorities are ca.crt of the Secret, else those that PGSSLROOTCERT
	// of the controller names, else the system's.
	// +kubebuilder:default=VerifyFull
	// +kubebuilder:validation:Enum=VerifyFull;VerifyCA;Require;Disable
	// +optional
	TLS string `json:"tls,omitempty"`

	// migrations says who keeps the schema up to date: Run, the controller does, or Check, it only looks, and an administrator runs what
	// `dora-controller migrate --print` prints.
	// +kubebuilder:default=Run
	// +kubebuilder:validation:Enum=Run;Check
	// +optional
	Migrations string `json:"migrations,omitempty"`
}

// CloudEventsSink says how a receiver of CloudEvents is reached over HTTP.
//
// +kubebuilder:validation:XValidation:rule=`isURL(self.url) && self.url.matches(r'^https?://([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][^[:cntrl:]\s#\\]*)?$')`,fieldPath=".url",message="url is an address such as https://events.example.com/dora, without credentials: they belong into the Secret"
type CloudEventsSink struct {
	// url is the address that events are posted to. Redirects are not followed.
	// +kubebuilder:validation:MaxLength=2048
	// +required
	URL string `json:"url"`

	// format says what an event is: dora, this project's own, whose JSON Schema is published with it, or cdevents, events of the CDEvents
	// specification: service.deployed, upgraded and rolledback, incident.detected and resolved; cdevents-0.4 is that vocabulary in the
	// version before, for receivers that know no newer one.
	// +kubebuilder:default=dora
	// +kubebuilder:validation:Enum=dora;cdevents;cdevents-0.4
	// +optional
	Format string `json:"format,omitempty"`

	// mode says how an event is written: structured, all of it in a JSON body, or binary, its attributes as headers.
	// +kubebuilder:default=structured
	// +kubebuilder:validation:Enum=structured;binary
	// +optional
	Mode string `json:"mode,omitempty"`

	// secretRef names a Secret of the sink's own namespace: token is sent as a bearer token, or username and password as basic
	// authentication; hmacKey signs each body with HMAC-SHA256; ca.crt holds certificates to trust.
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`

	// signatureHeader is the header that holds the signature, sha256= and 64 hex digits, if the Secret has a hmacKey. It must not be one that
	// is sent anyway, such as Authorization.
	// +kubebuilder:default=X-Dora-Signature-256
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9-]+$')",message="signatureHeader is the name of a header, such as X-Hub-Signature-256"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(?i)^(authorization|connection|content-length|content-type|host|transfer-encoding|user-agent|ce-.*)$')",message="this header is sent anyway: name another signatureHeader, such as X-Hub-Signature-256"
	// +optional
	SignatureHeader string `json:"signatureHeader,omitempty"`
}

// DoraSinkStatus shows what was delivered.
type DoraSinkStatus struct {
	// conditions say whether the sink takes what it is sent. Ready is always there; Reconciling (it will become ready by itself) and
	// Stalled (someone has to mend something) are there only while true, and so is Parked, which leaves Ready as it is.
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

	// delivered is the number of events that arrived, ever. An event that was completed later arrives again, and counts again.
	// +optional
	Delivered int64 `json:"delivered"`

	// pending is the number of events that are still to be delivered.
	// +optional
	Pending int64 `json:"pending"`

	// parked is the number of events that the sink refused for good. They are kept; the annotation dora-controller.io/retry sends them
	// once more.
	// +optional
	Parked int64 `json:"parked"`

	// oldestPending is since when the oldest of the pending events has waited.
	// +optional
	OldestPending *metav1.Time `json:"oldestPending,omitempty"`

	// lastDelivery is when an event was delivered last.
	// +optional
	LastDelivery *metav1.Time `json:"lastDelivery,omitempty"`

	// lastError is the answer to the newest of the events that are parked or being retried. It is absent once there is none.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	LastError string `json:"lastError,omitempty"`

	// lastMetrics is when metrics were delivered last, by this run of the controller.
	// +optional
	LastMetrics *metav1.Time `json:"lastMetrics,omitempty"`

	// metricsError is why the last metrics were not taken. It is absent once they are.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	MetricsError string `json:"metricsError,omitempty"`

	// requests tells what was asked of the sink last, and done.
	// +optional
	Requests *SinkRequests `json:"requests,omitempty"`
}

// SinkRequests tells what was asked of a sink, and done.
type SinkRequests struct {
	// backfillSince is the time from which events were queued that were recorded before the sink was there; backfilled is their number.
	// +optional
	BackfillSince *metav1.Time `json:"backfillSince,omitempty"`

	// backfilled is the number of events that were queued for spec.backfillSince.
	// +optional
	Backfilled int64 `json:"backfilled,omitempty"`

	// retry is the value of the annotation dora-controller.io/retry that was heeded; retried is the number of events that it concerned.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Retry string `json:"retry,omitempty"`

	// retried is the number of events that were tried again.
	// +optional
	Retried int64 `json:"retried,omitempty"`

	// resend is the value of the annotation dora-controller.io/resend that was heeded; resent is the number of events that it concerned.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Resend string `json:"resend,omitempty"`

	// resent is the number of events that were queued again.
	// +optional
	Resent int64 `json:"resent,omitempty"`

	// error is what was wrong with the last request.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Error string `json:"error,omitempty"`
}
