// Command dora-demo is what `make demo` runs: the controller, on a control plane of its own. It is a program apart, since it needs a
// checkout, and what starts a control plane has no place in the controller's image.
//
// Errors go to stderr. The exit code is 0 when all went well and 1 when it did not.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/demo"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(errOut, "error: %v\n", err)
		return 1
	}
	return 0
}

// options are the flags.
type options struct {
	checkout, crds, assets, ledger string
	keep                           bool
}

func newCommand() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "dora-demo",
		Short: "Show the controller at work on a control plane of its own",
		Long: `Starts etcd and kube-apiserver, runs the controller against them, and lets three recorded stories of a real Argo CD
happen again, as fast as they did: about a minute. Then it shows the DoraTarget and the events, and where the machine has
PostgreSQL also what a DoraSink has written there. Ctrl-C stops everything at
any time; only the ledger and the controller's log stay.

It needs a checkout of the project; make demo builds or fetches the rest.`,
		Example: `  make demo
  make demo ARGS=--keep`,
		Args:          cobra.NoArgs,
		RunE:          o.run,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	f := cmd.Flags()
	f.StringVar(&o.checkout, "checkout", ".", "folder of the project's checkout: our CRDs and the recordings are taken from it")
	f.StringVar(&o.crds, "crds", filepath.Join("bin", "crds"), "folder of Argo's CRDs")
	f.StringVar(&o.assets, "assets", "", "folder of kube-apiserver, etcd and kubectl (default: $KUBEBUILDER_ASSETS, else bin/envtest)")
	f.StringVar(&o.ledger, "ledger", filepath.Join("bin", "demo", "ledger.db"),
		"where the ledger is to lie, beside the controller's log; it is begun anew")
	f.BoolVar(&o.keep, "keep", false, "stay up afterwards until Ctrl-C, and say how to reach the control plane")
	return cmd
}

func (o *options) run(cmd *cobra.Command, _ []string) error {
	log, err := o.createLog()
	if err != nil {
		return fmt.Errorf("cannot write the controller's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // a log that is cut off is better than none
	// Before the control plane starts: what starts it logs, and prints a stack to the terminal where nobody has said to what.
	logger := zap.New(zap.WriteTo(log))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	err = demo.Run(cmd.Context(), demo.Options{
		Assets: o.assetsFolder(), CRDs: []string{filepath.Join(o.checkout, "config", "crd", "bases"), o.crds},
		Recordings:   filepath.Join(o.checkout, "test", "replay", "testdata"),
		Repositories: o.repositories(), LedgerPath: o.ledger, Keep: o.keep, Out: cmd.OutOrStdout(),
		Controller: func(ctx context.Context, cluster *rest.Config) error { return o.control(ctx, cluster, logger) },
		OpenLedger: func(ctx context.Context) (demo.Ledger, error) { return sqlite.OpenReadOnly(ctx, o.ledger) },
	})
	if err != nil && !errors.Is(err, demo.ErrStopped) {
		return fmt.Errorf("%w\nThe controller's log is %s", err, log.Name())
	}
	return err
}

// repositories is the folder of the git repository that the services are built from.
func (o *options) repositories() string { return filepath.Join(filepath.Dir(o.ledger), "source") }

func (o *options) createLog() (*os.File, error) {
	folder := filepath.Dir(o.ledger)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	return os.Create(filepath.Join(folder, "controller.log")) //nolint:gosec // the path is the user's
}

func (o *options) assetsFolder() string {
	for _, folder := range []string{o.assets, os.Getenv("KUBEBUILDER_ASSETS")} {
		if folder != "" {
			return folder
		}
	}
	return filepath.Join(o.checkout, "bin", "envtest")
}

// control runs the controller as `run` does, but for the ports, which another process may have.
func (o *options) control(ctx context.Context, cluster *rest.Config, log logr.Logger) error {
	controller, err := app.New(cluster, app.Options{
		Ledger: o.ledger, Cluster: "demo", LocalRepositories: o.repositories(), MetricsAddress: "0", ProbeAddress: "0", Log: log,
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, // where its PostgreSQL is
	})
	if err != nil {
		return err
	}
	return controller.Run(ctx)
}
