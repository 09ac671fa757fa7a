package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/show"
)

// decisionsOptions are the flags of `decisions`.
type decisionsOptions struct {
	ledger, cluster, of string
	since               moment
	output              *output
}

func newDecisionsCommand() *cobra.Command {
	o := &decisionsOptions{}
	cmd := &cobra.Command{
		Use:   "decisions",
		Short: "Print what was decided about a service, also what led to no event",
		Long: `Prints the decisions that a ledger keeps about the Applications and Rollouts of a service, or of that name, oldest first. Those that led to
an event name it. docs/events.md explains each reason. The ledger is only read, also while the controller writes it.`,
		Example: `  dora-controller decisions --of checkout
  dora-controller decisions --of checkout --since 7d -o json`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	addLedgerFlags(f, &o.ledger, &o.cluster)
	f.StringVar(&o.of, "of", "", "the service, or the name of the Application or Rollout")
	f.Var(&o.since, "since", "only what was decided at or after this time, or this long ago: 2026-11-20T20:57:31Z, 12h, 7d")
	o.output = addOutputFlag(cmd)
	f.Lookup("output").Usage = "how to print decisions: json, one a line, or table (default: table on a terminal, else json)"
	return cmd
}

// decision is one line: what the ledger keeps, with the object that it is about.
type decision struct {
	ledger.Decision

	Subject dora.Subject `json:"subject"`
}

func (o *decisionsOptions) run(cmd *cobra.Command, _ []string) error {
	if o.of == "" {
		return cli.Usage(cmd, errors.New("say of what: --of takes a service, or the name of an Application or Rollout"))
	}
	store, err := app.ReadLedger(cmd.Context(), o.ledger, o.cluster)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // it was only read
	made, err := o.decisions(cmd.Context(), store)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if o.output.table(out) {
		return printDecisions(cmd, made)
	}
	return printLines(out, made, "a decision")
}

// decisions are those of the subjects that are meant, oldest first.
func (o *decisionsOptions) decisions(ctx context.Context, from ledger.Reader) ([]decision, error) {
	subjects, err := subjectsOf(ctx, from, o.of)
	if err != nil {
		return nil, err
	}
	var all []decision
	for _, s := range subjects {
		made, err := from.Decisions(ctx, s.UID, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range made {
			if since := o.since.before(time.Now()); !d.At.Before(since) {
				all = append(all, decision{d, s})
			}
		}
	}
	slices.SortFunc(all, func(a, b decision) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, nil
}

// subjectsOf are those of a service, or of that name.
func subjectsOf(ctx context.Context, from ledger.Reader, of string) ([]dora.Subject, error) {
	all, err := from.Subjects(ctx, ledger.SubjectQuery{})
	var meant []dora.Subject
	for i := range all {
		if all[i].Service == of || all[i].Name == of {
			meant = append(meant, all[i].Subject)
		}
	}
	return meant, err
}

func printDecisions(cmd *cobra.Command, made []decision) error {
	if len(made) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "No decisions.")
	}
	for i := range made {
		d := &made[i]
		line := show.Decision(d.At, d.Subject, deploy.Decision{Reason: deploy.Reason(d.Reason), Attempt: d.Attempt, Message: d.Message})
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
			return fmt.Errorf("cannot write a decision: %w", err)
		}
	}
	return nil
}
