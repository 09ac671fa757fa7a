package doctor

import (
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// Part is a part of a Snapshot that is read at once, and can be missing.
type Part string

// The parts.
const (
	PartCRDs         Part = "customresourcedefinitions"
	PartPods         Part = "the controller's pods"
	PartPod          Part = "a pod of the controller"
	PartReadyPod     Part = "a pod of the controller that is ready"
	PartWorkload     Part = "the controller's deployment"
	PartLease        Part = "the controller's lease"
	PartAccess       Part = "the controller's rights"
	PartSecrets      Part = "the names of secrets"
	PartTargets      Part = "doratargets"
	PartSinks        Part = "dorasinks"
	PartReceivers    Part = "dorareceivers"
	PartApplications Part = "applications"
	PartRollouts     Part = "rollouts"
	PartClock        Part = "the API server's clock"
	PartReaders      Part = "who may read metrics"
	PartInside       Part = "what the controller's process sees"
	PartServices     Part = "the services of receivers"
	PartIncidents    Part = "the incidents of the ledger"
)

// Snapshot is what was read of a cluster at one time.
type Snapshot struct {
	// Now is this machine's time, ServerNow the API server's.
	Now, ServerNow time.Time
	// Version is the plugin's.
	Version string
	// Unread says why parts are missing.
	Unread map[Part]string

	// CRDs are those of interest that are installed, by name.
	CRDs map[string]CRD
	// ControllerNamespace is where the controller was found; empty if it was not.
	ControllerNamespace string
	Pods                []Pod
	// Workload is the Deployment or StatefulSet of the controller; nil if none was found.
	Workload *Workload
	// Lease is the lease of the leader; nil if there is none.
	Lease *Lease
	// Access is what the API server says of the rights of the controller's service account.
	Access []Access
	// MetricsReaders are who may get /metrics, but for those whom Kubernetes itself lets.
	MetricsReaders []string
	// Inside is what only the controller's process sees.
	Inside Inside
	// Services are those of the controller that lead to its receivers.
	Services []Service
	// Incidents are, of each service as each receiver names it, the newest of the last 30 days.
	Incidents []Incident
	// Secrets says of those that objects name, as namespace/name, whether they exist.
	Secrets map[string]bool

	Targets      []dorav1alpha1.DoraTarget
	Sinks        []dorav1alpha1.DoraSink
	Receivers    []dorav1alpha1.DoraReceiver
	Applications []Subject
	Rollouts     []Subject
}

// CRD is a CustomResourceDefinition.
type CRD struct {
	Established bool
	// Served are the versions that are served.
	Served []string
	// Fields are the paths of interest that the schema has, as spec.source.
	Fields map[string]bool
	// Release is that of Helm which installed it, as namespace/name; empty if it was not Helm.
	Release string
}

// Pod is a pod of the controller.
type Pod struct {
	Namespace, Name string
	Phase           string
	Ready           bool
	// Restarts of the controller's container, the last one's reason and time.
	Restarts    int32
	LastReason  string
	LastEndedAt time.Time
	Waiting     string // the reason why it waits, such as ImagePullBackOff
	Image       string
	CreatedAt   time.Time
}

// Workload is what makes the controller's pods, and its arguments.
type Workload struct {
	Kind, Namespace, Name string
	ServiceAccount        string
	Replicas              int32
	LeaderElect           bool
	// LeaseNamespace and LeaseName are where the lease is: each shard has its own.
	LeaseNamespace, LeaseName string
	// Release is that of Helm which it is of, as namespace/name; empty if it is of none.
	Release string
	// MetricsSecure is --metrics-secure.
	MetricsSecure bool
	// Namespaces and Trusted are --namespaces and --trusted-namespaces.
	Namespaces, Trusted []string
	Ledger              string
	// LedgerVolume is what kind of volume the ledger is on: persistentVolumeClaim, emptyDir, something else, such as a database, or empty if
	// none is mounted there.
	LedgerVolume string
}

// Inside is what `dora-controller inspect` tells; nil is what does not apply, or is not known.
type Inside struct {
	Volume      *Volume      `json:"ledger_volume"`
	Certificate *Certificate `json:"certificate"`
}

// Volume is that of the ledger's file.
type Volume struct {
	Free uint64 `json:"free_bytes"`
	Size uint64 `json:"size_bytes"`
}

// Certificate is the one that receivers show.
type Certificate struct {
	NotAfter time.Time `json:"not_after"`
	// Names are the names and addresses of hosts that it is for.
	Names []string `json:"names"`
}

// Service is one that leads to receivers, with the names that it has outside of the cluster.
type Service struct {
	Namespace, Name string
	Hosts           []string
}

// Incident is one that a receiver was told of.
type Incident struct {
	// Namespace and Receiver are who heard it, Service and Environment what it was taken to be about.
	Namespace, Receiver  string
	Service, Environment string
	At                   time.Time
	// Counted says that a target counted it when it opened.
	Counted bool
}

// Lease is the lease by which the controller elects its leader.
type Lease struct {
	Holder    string
	RenewedAt time.Time
	Duration  time.Duration
}

// Access is the answer to whether the controller may do something.
type Access struct {
	// What is the right in words: "list applications.argoproj.io".
	What string
	// Namespace is where; empty is everywhere.
	Namespace string
	// Secret is the Secret that it is about, if it is one, and For the object that names it.
	Secret, For string
	// Metrics is whether it is for asking who reads metrics.
	Metrics bool
	Allowed bool
}

// Subject is what is of interest of an Application or a Rollout.
type Subject struct {
	Kind, Namespace, Name string
	Labels                map[string]string
	Images                []string
	// Health, of an Application, and whether it says since when; Reconciled is when Argo CD looked at it last.
	Health       string
	HealthTimed  bool
	ReconciledAt time.Time
	CreatedAt    time.Time
	// NoHistory says that revisionHistoryLimit is 0.
	NoHistory bool
}
