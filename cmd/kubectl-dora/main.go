// Command kubectl-dora is the kubectl plugin of dora-controller: kubectl dora status, events, explain, sinks, report, doctor, bundle.
//
// It asks the API server with the rights of whoever runs it, and never writes to the cluster. What it is not allowed to read it says, and
// goes on with the rest. Events are in the controller's ledger and nowhere else in the cluster: they are read by running
// `dora-controller events` in the controller's pod, as kubectl exec would (exec.go), or from a ledger's file (--ledger). No command
// reads what is in a Secret.
//
// What people read goes to stdout and errors to stderr. The exit code is 0 when all went well, 1 on failure or, of doctor, when there are
// problems, 2 when the command line was wrong, and 3 when doctor could not check anything.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitOK        = 0
	exitFailure   = 1 // or, of doctor, problems
	exitUsage     = 2
	exitUnchecked = 3 // doctor could check nothing
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
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		if coded.err != nil {
			fmt.Fprintf(errOut, "error: %v\n", coded.err)
		}
		return coded.code
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "error: %v\nSee '%s --help'.\n", err, usage.command)
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
with an installation. It writes nothing to the cluster.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl dora"},
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("{{.Version}}\n")
	c.addFlags(root)
	root.AddCommand(newStatusCommand(c), newEventsCommand(c), newExplainCommand(c), newSinksCommand(c), newReportCommand(c))
	root.AddCommand(newDoctorCommand(c), newBundleCommand(c), newVersionCommand())
	tellUsageErrors(root)
	return root
}

// unknownCommand refuses a word that is no command, and names those that look like it.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("%q is no command of kubectl dora", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
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

// usageError is a command line that is wrong: another try with the same words cannot succeed.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

func usage(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return &usageError{cmd.CommandPath(), err}
}

// tellUsageErrors marks what cobra finds wrong with flags and arguments, also of the commands below.
func tellUsageErrors(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(usage)
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error { return usage(cmd, check(cmd, args)) }
	for _, below := range cmd.Commands() {
		tellUsageErrors(below)
	}
}
