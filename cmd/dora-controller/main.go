// Command dora-controller emits one exact event for each production deployment that Argo CD and Argo Rollouts make.
//
//	dora-controller [run]      the controller, in a cluster
//	dora-controller replay     what recorded watch events would have led to
//	dora-controller record     recordings for it, of a cluster or of files
//	dora-controller events     what the ledger holds
//	dora-controller decisions  what was decided about a service, also what led to no event
//	dora-controller marks      what people said about events
//	dora-controller evidence   what was seen of Argo's status when something was decided
//	dora-controller recompute  decide again, by the rules of this release
//	dora-controller backfill   look again for the commits of deployments that have none
//	dora-controller sinks      what stands in the way of sinks; try again
//	dora-controller deliveries what was sent to sinks; send again
//	dora-controller migrate    the SQL of the PostgreSQL sink
//	dora-controller port       prepare a portal of Port
//
// Errors go to stderr. The exit code is 0 when all went well, 1 on failure, 2 when the command line was wrong and 3 when recompute
// found a difference.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/cli"
)

// defaultLedger is where the ledger is in the manifests under config/.
const defaultLedger = "/var/lib/dora-controller/ledger.db"

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitDiffers = 3 // recompute found a difference
)

func main() {
	log.SetOutput(withoutAnswers{os.Stderr})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// withoutAnswers drops what net/http says, through the standard logger alone, of bytes that a server sends unasked: they may repeat a
// credential.
type withoutAnswers struct{ out io.Writer }

// Write implements io.Writer.
func (w withoutAnswers) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("Unsolicited response")) {
		return len(line), nil
	}
	return w.out.Write(line)
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRootCommand()
	root.SetArgs(withDefaultCommand(args))
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	switch usage := (*cli.UsageError)(nil); {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailure
	case errors.Is(err, errDiffers):
		return exitDiffers
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "error: %v\nSee '%s --help'.\n", err, usage.Command)
		return exitUsage
	}
	fmt.Fprintf(errOut, "error: %v\n", err)
	return exitFailure
}

// withDefaultCommand adds `run` to a command line that names no command.
func withDefaultCommand(args []string) []string {
	if len(args) == 0 {
		return []string{"run"}
	}
	switch first := args[0]; {
	case first == "-h", first == "--help", first == "--version", first == "", first[0] != '-':
		return args
	}
	return append([]string{"run"}, args...)
}

func newRootCommand() *cobra.Command {
	version := false
	root := &cobra.Command{
		Use:   "dora-controller",
		Short: "One exact event for each production deployment that Argo CD and Argo Rollouts make",
		Long: `dora-controller watches Argo CD Applications and Argo Rollouts and emits one exact event for each production
deployment: succeeded, failed, rolled back. Without a command it runs the controller.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cli.UnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !version {
				return cmd.Help()
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), buildVersion())
			return err
		},
	}
	root.SuggestionsMinimumDistance = 2
	// Not cobra's own flag: its template would keep the linker from leaving out what is not called (see TestTheLinkedBinary).
	root.Flags().BoolVarP(&version, "version", "v", false, "version for dora-controller")
	root.AddCommand(newRunCommand(), newReplayCommand(), newEventsCommand(), newDecisionsCommand(), newMarksCommand(), newEvidenceCommand())
	root.AddCommand(newRecomputeCommand(), newBackupCommand(), newBackfillCommand(), newInspectCommand())
	root.AddCommand(cli.NewVersionCommand("dora-controller", "Print the version", buildVersion()))
	root.AddCommand(newSinksCommand(), newDeliveriesCommand(), newMigrateCommand())
	root.AddCommand(newPortCommand(), newRecordCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	cli.TellUsageErrors(root)
	return root
}

// errReported ends a command that has already said on stderr what went wrong.
var errReported = errors.New("failed")
