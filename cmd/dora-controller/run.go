package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/cli"
)

func newRunCommand() *cobra.Command {
	options := app.Options{LeaderElectionNamespace: os.Getenv("POD_NAMESPACE"), ReceiversIP: os.Getenv("POD_IP"), Version: buildVersion()}
	logs := newLogFlags()
	var keep duration
	grace := duration(24 * time.Hour)
	var kubeconfig string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the controller",
		Long: `Run the controller until it is told to stop: watch Applications, Rollouts and DoraTargets, keep every decision in
the ledger, and show the figures in the targets. Outside of a cluster it uses the current context of the kubeconfig.

The ledger is a file with one writer: a second process waits until the first has left. Or it is in a PostgreSQL database that clusters share:
then who opens it last writes, and any number stand by. The password is read from PGPASSWORD, or from the file that PGPASSFILE names.`,
		Example: `  # in a cluster, as config/manager does
  dora-controller run --leader-elect --ledger=/var/lib/dora-controller/ledger.db

  # the same, and DoraTargets in argocd may select objects of all namespaces
  dora-controller run --leader-elect --ledger=/var/lib/dora-controller/ledger.db --trusted-namespaces=argocd

  # on a laptop, against the current context, each event printed as a line
  dora-controller run --ledger=./ledger.db --stdout-sink`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.KeepEvents, options.SinkGrace, options.Stdout = time.Duration(keep), time.Duration(grace), cmd.OutOrStdout()
			return run(cmd, options, kubeconfig, logs)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	whatIsWatched(flags, &options)
	flags.BoolVar(&options.StdoutSink, "stdout-sink", false, "print each event on standard output, one JSON object a line")
	flags.BoolVar(&options.Explain, "explain", false, "show Kubernetes events for what was not counted too, with the reason")
	flags.StringVar(&kubeconfig, "kubeconfig", "",
		"file that says how to reach the cluster (default: KUBECONFIG, the pod's service account, or ~/.kube/config)")
	flags.StringVar(&options.GitCache, "git-cache", "", "folder for copies of git repositories, commits alone (default: git, beside the ledger)")
	flags.Var((*bytesFlag)(&options.GitCacheBytes), "git-cache-size", "what that folder may take, such as 500Mi or 2Gi (default 1Gi)")
	flags.StringVar(&options.LocalRepositories, "local-repositories", "",
		"folder below which a DoraTarget may name a repository as file:///path (default: none may)")
	flags.Var((*networks)(&options.AllowNetworks), "allow-networks",
		"networks of git servers, registries and sinks that may be reached though they are not public, such as 10.0.0.0/8,fd00::/8")
	flags.Var(&grace, "sink-grace", "how long what a DoraSink is owed is kept while there is no such DoraSink")
	flags.Var(&keep, "keep-events", "how long events are kept, such as 400d; 0 keeps them for ever")
	flags.IntVar(&options.KeepDecisions, "keep-decisions", 0, "how many decisions are kept of each Application or Rollout (default 200)")
	flags.BoolVar(&options.LeaderElect, "leader-elect", false, "let one of several processes work, by a lease")
	flags.StringVar(&options.LeaderElectionNamespace, "leader-election-namespace", options.LeaderElectionNamespace,
		"namespace of the lease (default: that of the pod)")
	flags.StringVar(&options.MetricsAddress, "metrics-bind-address", ":8080", "where Prometheus metrics are served; 0 switches off")
	flags.BoolVar(&options.MetricsSecure, "metrics-secure", false,
		"serve metrics over TLS, to those alone who may get /metrics by their rights in the cluster")
	flags.StringVar(&options.MetricsCertificate, "metrics-cert-dir", "",
		"folder of tls.crt and tls.key for them, read again when they change (default: a certificate made at the start)")
	flags.StringVar(&options.PprofAddress, "pprof-bind-address", "",
		"where profiles are served under /debug/pprof/, on the loopback interface, such as localhost:6060 (default: nowhere)")
	addOpenPorts(flags, &options)
	logs.addTo(flags)
	return cmd
}

// addOpenPorts are the flags of what everybody in the network can reach, beside metrics.
func addOpenPorts(flags *pflag.FlagSet, options *app.Options) {
	flags.StringVar(&options.ReceiversAddress, "receivers-bind-address", "",
		"where what others report is taken, as DoraReceivers say, such as :8443 (default: nowhere)")
	flags.StringVar(&options.ReceiversCertificate, "receivers-cert-dir", "", "folder of tls.crt and tls.key for that, read again when they change")
	flags.StringVar(&options.ReceiversIP, "receivers-ip", options.ReceiversIP,
		"where other replicas reach this one, to pass on what they are sent while they stand by (default: $POD_IP)")
	flags.BoolVar(&options.ReceiversPlain, "receivers-plaintext", false, "take it in clear text, as behind a proxy in the same pod")
	flags.StringVar(&options.ProbeAddress, "health-probe-bind-address", ":8081", "where /healthz and /readyz are served; 0 switches off")
}

// whatIsWatched are the flags that say whose deployments are recorded, and where.
func whatIsWatched(flags *pflag.FlagSet, options *app.Options) {
	flags.StringVar(&options.Ledger, "ledger", defaultLedger, "file that every decision is kept in, or postgres://user@host/database")
	flags.StringVar(&options.Cluster, "cluster", "default", "name of this cluster in events; must not change while the ledger is used")
	flags.StringSliceVar(&options.Namespaces, "namespaces", nil, "namespaces to watch (default: all)")
	flags.StringVar(&options.Shard, "shard", "",
		"watch only objects labelled dora-controller.io/shard with this name (default: those without that label)")
	flags.StringSliceVar(&options.TrustedNamespaces, "trusted-namespaces", nil,
		"namespaces whose DoraTargets see all namespaces; others see their own only")
}

// run is what the command does once its flags are read.
func run(cmd *cobra.Command, options app.Options, kubeconfig string, logs *logFlags) error {
	if err := options.Validate(); err != nil {
		return cli.Usage(cmd, err)
	}
	options.Log = logs.logger(cmd.ErrOrStderr())
	ctrl.SetLogger(options.Log)
	// What libraries say has the form of all else.
	libraries := options.Log.WithName("libraries")
	klog.SetLogger(libraries)
	log.SetOutput(withoutAnswers{said{libraries}})
	log.SetFlags(0)
	cluster, err := clusterConfig(kubeconfig)
	if err != nil {
		return err
	}
	options.Log.Info("Starting", "version", buildVersion(), "cluster", options.Cluster, "ledger", options.Ledger)
	traces, err := app.NewTraces(cmd.Context(), options.Version, options.Cluster, options.Log)
	if err != nil {
		return err
	}
	defer lastTraces(traces)
	options.Tracer = traces.Tracer
	controller, err := app.New(cluster, options)
	if err != nil {
		return err
	}
	if err := controller.Run(cmd.Context()); err != nil && !errors.Is(err, cmd.Context().Err()) {
		return err
	}
	return nil
}

// lastTraces sends what is left, for a moment: a collector that does not answer must not keep the process.
func lastTraces(traces *app.Traces) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	traces.Close(ctx)
}

func clusterConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		cluster, err := config.GetConfig()
		if err != nil {
			return nil, fmt.Errorf("cannot find a cluster: %w; use --kubeconfig, or run in a pod with a service account", err)
		}
		return cluster, nil
	}
	cluster, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	return cluster, nil
}
