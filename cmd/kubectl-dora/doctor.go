package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/doctor"
	"github.com/dora-controller/dora-controller/internal/show"
)

// doctorTimeout is how long reading may take: what has not come by then is told as not checked.
const doctorTimeout = 4 * time.Second

// doctorOptions are the flags of `doctor`.
type doctorOptions struct {
	*connection

	list   bool
	output *cli.Choice
}

func newDoctorCommand(c *connection) *cobra.Command {
	o := &doctorOptions{connection: c}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with this installation, and how to mend it",
		Long: `Looks at the whole installation, in all namespaces unless --namespace names one: the kinds, the controller and its rights, what targets
select, images, commits, sinks. It takes under five seconds and reads with your rights: what you may not read is said ("not checked: …"). No
Secret is read; whether one exists is asked without its content.

The exit code is 0 if all checks were made and there is no problem (warnings do not count), 1 if there is one or nothing could be checked, 3 if
none was found but not all checks could be made.`,
		Example: `  kubectl dora doctor
  kubectl dora doctor -o json
  kubectl dora doctor --list`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	cmd.Flags().BoolVar(&o.list, "list", false, "list the checks, and make none")
	o.output = addOutputFlag(cmd, asTable, asJSON, asYAML)
	return cmd
}

func (o *doctorOptions) run(cmd *cobra.Command, _ []string) error {
	if o.list {
		return listChecks(cmd.OutOrStdout())
	}
	r, err := o.examine(cmd.Context())
	if err != nil {
		return err
	}
	if o.output.Value == asTable {
		err = printDoctor(painted(cmd.OutOrStdout()), r)
	} else {
		err = printObjects(cmd.OutOrStdout(), o.output.Value, r)
	}
	if err != nil {
		return err
	}
	return verdict(r)
}

// verdict is the exit code: for a script 0 means that all was looked at, and is well.
func verdict(r *doctor.Report) error {
	switch {
	case r.Problems() > 0:
		return &codedError{code: exitFailure}
	case len(r.Unchecked) > 0:
		return &codedError{code: exitUnchecked}
	}
	return nil
}

// examine reads what can be read, and makes all checks.
func (c *connection) examine(ctx context.Context) (*doctor.Report, error) {
	cl, err := c.connect()
	if err != nil {
		return nil, err
	}
	snapshot, err := c.snapshot(ctx, cl)
	if err != nil {
		return nil, err
	}
	r := doctor.Examine(snapshot)
	if len(r.Unchecked) == len(doctor.All()) {
		return nil, errors.New("nothing could be checked; " + r.Unchecked[0].Why)
	}
	return r, nil
}

func listChecks(out io.Writer) error {
	table := show.NewGrid("CHECK", "ASKS")
	for _, c := range doctor.All() {
		table.Add(c.Name, c.Asks)
	}
	return table.Print(out)
}

func printDoctor(out io.Writer, r *doctor.Report) error {
	for i := range r.Findings {
		f := &r.Findings[i]
		fmt.Fprintf(out, "%s   %s   %s\n    %s\n    To mend it: %s\n\n",
			f.Severity, f.Check, show.Printable(f.Object), show.Printable(f.Wrong), show.Printable(f.Mend))
	}
	for _, u := range r.Unchecked {
		fmt.Fprintf(out, "not checked: %s: %s\n", u.Check, show.Printable(u.Why))
	}
	if len(r.Unchecked) > 0 {
		fmt.Fprintln(out)
	}
	_, err := fmt.Fprintf(out, "%s passed, %s, %s, %d not checked.\n", counted(len(r.Passed), "check"), counted(r.Problems(), "problem"),
		counted(len(r.Findings)-r.Problems(), "warning"), len(r.Unchecked))
	if r.Problems() > 0 || len(r.Unchecked) == 0 {
		return err
	}
	_, err = fmt.Fprintln(out, "That is no clean bill: who may read more can check the rest.")
	return err
}

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
