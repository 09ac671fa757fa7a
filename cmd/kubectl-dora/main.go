// Command kubectl-dora is the kubectl plugin of dora-controller: kubectl dora status, events, explain, mark, sinks, report, doctor,
// bundle.
//
// It asks the API server with the rights of whoever runs it, and writes nothing to the cluster but what `mark` says: an annotation of a
// DoraTarget. What it is not allowed to read it says, and
// goes on with the rest. Events are in the controller's ledger and nowhere else in the cluster: they are read by running
// `dora-controller events` in the controller's pod, as kubectl exec would (exec.go), or from a ledger's file (--ledger). No command
// reads what is in a Secret.
//
// What people read goes to stdout and errors to stderr. The exit code is 0 when all went well, 1 on failure or, of doctor, when there are
// problems, 2 when the command line was wrong, and 3 when doctor found no
// problem, and could not make all checks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/cli"
)

// The exit codes.
const (
	exitOK        = 0
	exitFailure   = 1 // or, of doctor, problems
	exitUsage     = 2
	exitUnchecked = 3 // doctor found no problem, and did not see all
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	var coded *codedError
	var usage *cli.UsageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		if coded.err != nil {
			fmt.Fprintf(errOut, "error: %v\n", coded.err)
		}
		return coded.code
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "error: %v\nSee '%s --help'.\n", err, usage.Command)
		return exitUsage
	}
	fmt.Fprintf(errOut, "error: %v\n", err)
	return exitFailure
}

func newRootCommand() *cobra.Command {
	c := &connection{}
	root := &cobra.Command{
		Use:   "kubectl-dora",
		Short: "What dora-controller counts, why, and what is wrong with it",
		Long: `kubectl dora shows the DORA metrics that dora-controller counts, explains what was counted and what was not, and says what is wrong
with an installation. It writes nothing to the cluster, but for the annotation by which mark says something of an event.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl dora"},
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cli.UnknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("{{.Version}}\n")
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) { c.tell = cmd.ErrOrStderr() }
	c.addFlags(root)
	root.AddCommand(newStatusCommand(c), newEventsCommand(c), newExplainCommand(c), newMarkCommand(c), newSinksCommand(c), newReportCommand(c))
	root.AddCommand(newDoctorCommand(c), newBundleCommand(c), cli.NewVersionCommand("kubectl-dora", "Print the version of the plugin", buildVersion()))
	cli.TellUsageErrors(root)
	return root
}

// codedError ends a command with an exit code of its own; without an error it has said everything already.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }
