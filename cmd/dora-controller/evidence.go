package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/show"
)

// evidenceOptions are the flags of `evidence`.
type evidenceOptions struct {
	ledger, cluster string
	of, id          string
	output          *output
}

func newEvidenceCommand() *cobra.Command {
	o := &evidenceOptions{}
	cmd := &cobra.Command{
		Use:   "evidence",
		Short: "Print what was seen of Argo's status when something was decided",
		Long: `Prints the observations that a ledger keeps: what was read of Argo's status each time that something was decided, or that what is known of an
object changed. Of each Application and Rollout the newest 40 are kept. With --id it is the one that an event came of. With -o json there are also
the policy by which it was judged, and what was known before. The ledger is only read, also while the controller writes it.`,
		Example: `  dora-controller evidence --id a3875f9c-952a-51f3-8d10-05913465c7f2
  dora-controller evidence --of checkout -o json`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	addLedgerFlags(f, &o.ledger, &o.cluster)
	f.StringVar(&o.of, "of", "", "the service, or the name of the Application or Rollout")
	f.StringVar(&o.id, "id", "", "the event that came of it")
	o.output = addOutputFlag(cmd)
	f.Lookup("output").Usage = "how to print it: json, one observation a line, or table (default: table on a terminal, else json)"
	return cmd
}

// seenLine is one observation, as JSON has it.
type seenLine struct {
	Subject dora.Subject `json:"subject"`
	At      time.Time    `json:"at"`
	Events  []string     `json:"events"`
	*evidence.Evidence
}

func (o *evidenceOptions) run(cmd *cobra.Command, _ []string) error {
	if (o.of == "") == (o.id == "") {
		return cli.Usage(cmd, errors.New("say of what by one flag: --id takes an event, --of a service, or the name of an Application or Rollout"))
	}
	store, err := app.ReadLedger(cmd.Context(), o.ledger, o.cluster)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // it was only read
	lines, err := o.read(cmd.Context(), store)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if len(lines) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "No evidence is kept of it: the ledger has the newest 40 observations of each object, "+
			"and none of before a release that keeps them.")
	}
	if o.output.table(out) {
		return printSeen(out, lines)
	}
	return printLines(out, lines, "evidence")
}

func (o *evidenceOptions) read(ctx context.Context, from ledger.Reader) ([]seenLine, error) {
	subjects, err := o.subjects(ctx, from)
	if err != nil {
		return nil, err
	}
	var lines []seenLine
	for _, s := range subjects {
		kept, err := from.Observations(ctx, s.UID)
		if err != nil {
			return nil, err
		}
		for _, one := range kept {
			if o.id != "" && !slices.Contains(one.Events, o.id) {
				continue
			}
			read, err := evidence.Decode(one.Data)
			if err != nil {
				return nil, fmt.Errorf("cannot read what was seen of %s/%s at %s: %w", s.Namespace, s.Name, one.At.Format(time.RFC3339), err)
			}
			lines = append(lines, seenLine{Subject: s, At: one.At, Events: one.Events, Evidence: read})
		}
	}
	return lines, nil
}

// subjects are those that are meant.
func (o *evidenceOptions) subjects(ctx context.Context, from ledger.Reader) ([]dora.Subject, error) {
	if o.id != "" {
		rows, err := collect(from.Events(ctx, ledger.EventQuery{IDs: []string{o.id}}))
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		return []dora.Subject{rows[0].Event.Subject}, nil
	}
	return subjectsOf(ctx, from, o.of)
}

func printSeen(out io.Writer, lines []seenLine) error {
	for i := range lines {
		l := &lines[i]
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s %s %s/%s\n", l.At.UTC().Format(time.RFC3339), l.Subject.Kind, l.Subject.Namespace, l.Subject.Name)
		table := show.NewGrid("FIELD", "SAID")
		for _, row := range show.Seen(&l.Observation) {
			table.Add(row[0], row[1])
		}
		for _, id := range l.Events {
			table.Add("event", id)
		}
		if err := table.Print(out); err != nil {
			return err
		}
	}
	return nil
}
