package app

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/clock"

	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/progress"
	"github.com/dora-controller/dora-controller/internal/tracing"
)

// Options are what an administrator decides. Zero values of the unexported and optional ones have working defaults.
type Options struct {
	// Ledger is the path of the file that every decision is kept in, or the URL of a PostgreSQL database.
	Ledger string
	// Cluster names this cluster in events. It must stay the same for as long as the ledger is used.
	Cluster string
	// Version is that of this build, by which it makes itself known to destinations.
	Version string
	// Namespaces are those that are watched; none means all.
	Namespaces []string
	// Shard is whose objects are seen: those that carry its name as a label. Without one it is those that carry no such label.
	Shard string
	// TrustedNamespaces are those whose DoraTargets see all namespaces that are watched.
	TrustedNamespaces []string
	// StdoutSink writes each event to Stdout, one JSON object a line.
	StdoutSink bool
	Stdout     io.Writer // os.Stdout if nil
	// Explain shows Kubernetes events for what was not counted too.
	Explain bool

	// LeaderElect makes sure that of several processes one works. LeaderElectionNamespace holds the lease; empty means the
	// namespace that the process runs in.
	LeaderElect             bool
	LeaderElectionNamespace string
	// MetricsAddress and ProbeAddress are host:port; "0" switches off.
	MetricsAddress string
	ProbeAddress   string
	// MetricsSecure serves metrics over TLS, to those who may get /metrics. MetricsCertificate is the folder of tls.crt and tls.key; the
	// process makes a certificate for itself if it is empty.
	MetricsSecure      bool
	MetricsCertificate string
	// ReceiversAddress is where senders are listened for, host:port; nowhere if it is empty or "0". ReceiversCertificate is the folder of tls.crt
	// and tls.key; without it ReceiversPlain has to say that requests may come in clear text.
	ReceiversAddress     string
	ReceiversCertificate string
	ReceiversPlain       bool
	// ReceiversIP is where other replicas reach this one. What they are sent while they stand by they pass on to the one that leads; without it they answer
	// that it has to be sent again.
	ReceiversIP string
	// PprofAddress is where profiles are served, on the loopback interface; nowhere if it is empty or "0".
	PprofAddress string

	// GitCache is the folder that copies of git repositories are kept in, commits alone; beside the ledger if it is empty, or,
	// of a ledger in a database, below the folder for temporary files. GitCacheBytes
	// bounds it; 1 GiB if it is 0.
	GitCache      string
	GitCacheBytes int64
	// LocalRepositories is the folder below which a DoraTarget may name a repository as file:///path; none may if it is empty.
	LocalRepositories string
	// AllowNetworks are the networks of git servers, registries and sinks that may be reached though they are not public.
	AllowNetworks []netip.Prefix

	// SinkGrace is how long what a sink is owed is kept of one that does not exist; 24 hours if it is 0.
	SinkGrace time.Duration

	// KeepEvents is how long events are kept; 0 means for ever. KeepDecisions is how many decisions are kept of each subject.
	KeepEvents    time.Duration
	KeepDecisions int

	Log logr.Logger
	// Tracer tells how deployments go through the controller; nil tells nobody.
	Tracer *tracing.Tracer

	board   *progress.Board // what the process works on
	hearing *kube.Hearing   // of the API server

	// Clock is the machine's, put right by what the API server says, if nil.
	Clock clock.WithDelayedExecution
	// Registry is where metrics are registered; controller-runtime's, which is the one that is served, if nil.
	Registry prometheus.Registerer
	// AskKinds is how often to ask which of Argo's kinds are installed.
	AskKinds time.Duration
	// AwaitLedger is how often to ask for a ledger that another process writes.
	AwaitLedger time.Duration
	// LeaseDuration is how long a leader that was lost is waited for. The other times of the election follow from it.
	LeaseDuration time.Duration
}

// shortestKeepEvents is the longest window that a DoraTarget can have: with less, figures would be of less than they say.
const shortestKeepEvents = 366 * 24 * time.Hour

// podNamespace is where a pod finds the name of its namespace.
const podNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Validate names the flag that is wrong, and what to write instead.
func (o Options) Validate() error {
	return errors.Join(
		o.validateLedger(),
		o.validateCluster(),
		o.validateShard(),
		validateNamespaces("namespaces", o.Namespaces),
		validateNamespaces("trusted-namespaces", o.TrustedNamespaces),
		o.validateTrusted(),
		o.validateElection(),
		validateAddress("metrics-bind-address", o.MetricsAddress),
		validateAddress("health-probe-bind-address", o.ProbeAddress),
		o.validateMetrics(),
		o.validatePprof(),
		o.validateReceivers(),
		o.validateRetention(),
		o.validateGitCache(),
	)
}

func validateFile(path string) error {
	if err := checkFile(path); err != nil {
		return fmt.Errorf("--ledger: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("--ledger=%s is a folder: name a file in it, such as %s/ledger.db", path, strings.TrimRight(path, "/"))
	}
	return nil
}

func (o Options) validateCluster() error {
	if problems := validation.IsDNS1123Subdomain(o.Cluster); len(problems) > 0 {
		return fmt.Errorf("--cluster=%q is no name: use lower-case letters, digits, '-' and '.', such as eu-west-1", o.Cluster)
	}
	return nil
}

// validateShard: it is a part of the lease's name, and the value of a label.
func (o Options) validateShard() error {
	if o.Shard != "" && len(validation.IsDNS1123Label(o.Shard)) > 0 {
		return fmt.Errorf("--shard=%q is no name: use lower-case letters, digits and '-', at most 63, such as payments", o.Shard)
	}
	return nil
}

func validateNamespaces(flag string, names []string) error {
	for _, name := range names {
		if len(validation.IsDNS1123Label(name)) > 0 {
			return fmt.Errorf("--%s: %q is no name of a namespace: list names, separated by commas, such as argocd,payments", flag, name)
		}
	}
	return nil
}

// validateTrusted: a target in a namespace that is not watched is never seen, so to trust it is a mistake.
func (o Options) validateTrusted() error {
	for _, name := range o.TrustedNamespaces {
		if len(o.Namespaces) > 0 && !slices.Contains(o.Namespaces, name) {
			return fmt.Errorf("--trusted-namespaces: %s is not watched: add it to --namespaces, or leave --namespaces out", name)
		}
	}
	return nil
}

func (o Options) validateElection() error {
	if name := o.LeaderElectionNamespace; name != "" && len(validation.IsDNS1123Label(name)) > 0 {
		return fmt.Errorf("--leader-election-namespace=%q is no name of a namespace: write one such as dora-system", name)
	}
	if _, err := os.Stat(podNamespace); o.LeaderElect && o.LeaderElectionNamespace == "" && err != nil {
		return errors.New("--leader-elect needs --leader-election-namespace outside of a pod: " +
			"name the namespace of the lease, such as dora-system")
	}
	return nil
}

func validateAddress(flag, address string) error {
	if address == "0" {
		return nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("--%s=%q is no address: write host:port, :8080 for all interfaces, or 0 to switch it off", flag, address)
	}
	return nil
}

// smallestGitCache has room for a copy of a repository or two.
const smallestGitCache = 64 << 20

func (o Options) validateGitCache() error {
	if o.GitCacheBytes != 0 && o.GitCacheBytes < smallestGitCache {
		return fmt.Errorf("--git-cache-size is %d bytes, too few for a copy of a repository: use at least 64Mi, 1Gi is the default", o.GitCacheBytes)
	}
	return nil
}

func (o Options) validateRetention() error {
	if o.KeepEvents != 0 && o.KeepEvents < shortestKeepEvents {
		return fmt.Errorf("--keep-events=%s is shorter than the longest window of a DoraTarget: "+
			"use at least 366d, or 0 to keep them for ever", o.KeepEvents)
	}
	if o.KeepDecisions < 0 {
		return fmt.Errorf("--keep-decisions=%d is negative: say how many to keep of each subject, or 0 for the default", o.KeepDecisions)
	}
	return nil
}
