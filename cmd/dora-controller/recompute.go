package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/recompute"
	"github.com/dora-controller/dora-controller/internal/show"
)

// errDiffers: the ledger and these rules do not agree, or something could not be read, which was printed.
var errDiffers = errors.New("the ledger and the rules of this release differ")

// corrected is how many facts one change of the ledger takes.
const corrected = 200

// recomputeOptions are the flags of `recompute`.
type recomputeOptions struct {
	ledger, cluster, service string
	since                    moment
	apply                    bool
	output                   *output
}

func newRecomputeCommand() *cobra.Command {
	o := &recomputeOptions{}
	cmd := &cobra.Command{
		Use:   "recompute",
		Short: "Decide again, by the rules of this release, what was decided before, and print the difference",
		Long: `Takes what a ledger keeps of what was seen of Argo's status, in order, through the rules of this release, and prints where they find
something else than what the ledger has: events that are missing, that these rules do not find, or that say something else. The exit code is 0
if there is no difference and 3 if there is one, or something that cannot be read. It tells how far the evidence goes back: of each object
the newest 40 observations are kept. What receivers reported is counted, and not decided again.

--apply appends what can be said so: missing events, and marks by "recompute" on those that these rules do not find, or of another outcome.
No event is changed, what people said stays, and what no fact can express is printed as such. It takes a ledger in a file that no
controller has open.`,
		Example: `  dora-controller recompute --service checkout
  dora-controller recompute --since 30d -o json
  dora-controller recompute --ledger ./ledger.db --apply`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	addLedgerFlags(f, &o.ledger, &o.cluster)
	f.StringVar(&o.service, "service", "", "only this service")
	f.Var(&o.since, "since", "only events that occurred at or after this time, or this long ago: 2026-11-20T20:57:31Z, 12h, 7d")
	f.BoolVar(&o.apply, "apply", false, "append what these rules find")
	o.output = addOutputFlag(cmd)
	f.Lookup("output").Usage = "how to print differences: json, one a line, or table (default: table on a terminal, else json)"
	return cmd
}

func (o *recomputeOptions) run(cmd *cobra.Command, _ []string) error {
	report, err := o.report(cmd.Context())
	if err != nil {
		return err
	}
	if err := o.print(cmd, report); err != nil {
		return err
	}
	if o.apply {
		return o.correct(cmd, report)
	}
	if len(report.Differences)+len(report.Unreadable) > 0 {
		return errDiffers
	}
	return nil
}

// report decides again what was seen of the subjects of the service, or of all.
func (o *recomputeOptions) report(ctx context.Context) (*recompute.Report, error) {
	store, err := app.ReadLedger(ctx, o.ledger, o.cluster)
	if err != nil {
		return nil, err
	}
	defer store.Close() //nolint:errcheck // it was only read
	subjects, err := store.Subjects(ctx, ledger.SubjectQuery{})
	if err != nil {
		return nil, err
	}
	if o.service != "" {
		subjects = slices.DeleteFunc(subjects, func(s ledger.Subject) bool { return s.Service != o.service })
		if len(subjects) == 0 {
			return nil, fmt.Errorf("the ledger knows no Application, no Rollout and no report of service %q", o.service)
		}
	}
	return recompute.Run(ctx, store, subjects, o.since.before(time.Now()))
}

func (o *recomputeOptions) print(cmd *cobra.Command, report *recompute.Report) error {
	out := cmd.OutOrStdout()
	var err error
	if o.output.table(out) {
		err = printDifferences(out, report.Differences)
	} else {
		err = printLines(out, report.Differences, "a difference")
	}
	fmt.Fprintln(cmd.ErrOrStderr(), extent(report))
	for _, unreadable := range report.Unreadable {
		fmt.Fprintf(cmd.ErrOrStderr(), "Not decided again, since it cannot be read: %v\n", unreadable)
	}
	return err
}

// extent says what was judged again, and what was not.
func extent(r *recompute.Report) string {
	text := fmt.Sprintf("Observations that were decided again: %d. Objects: %d. Differences: %d.", r.Observations, r.Subjects, len(r.Differences))
	if r.Incomplete > 0 {
		text += fmt.Sprintf(" Objects of which older observations are no longer kept: %d; of all there are those since %s.",
			r.Incomplete, r.Since.Format(time.RFC3339))
	}
	if r.Deployments+r.Incidents > 0 {
		text += fmt.Sprintf(" Reported events that are not decided again, since the texts of incidents and who counted them then are not kept: "+
			"%d of incidents, %d of deployments and changes.", r.Incidents, r.Deployments)
	}
	if r.Without > 0 {
		text += fmt.Sprintf(" Objects of which none is kept, about which nothing is known: %d.", r.Without)
	}
	return text
}

func printDifferences(out io.Writer, differences []recompute.Difference) error {
	if len(differences) == 0 {
		return nil
	}
	table := show.NewGrid("TIME", "DIFFERENCE", "EVENT", "WHAT")
	for i := range differences {
		d := &differences[i]
		what := []string{show.Line(&d.Event)}
		for _, c := range d.Changes {
			what = append(what, fmt.Sprintf("%s is %q and was %q", c.Field, c.Is, c.Was))
		}
		table.Add(d.Event.OccurredAt.UTC().Format(time.RFC3339), string(d.Kind), d.Event.ID, strings.Join(what, "; "))
	}
	return table.Print(out)
}

// correct appends what can be said.
func (o *recomputeOptions) correct(cmd *cobra.Command, report *recompute.Report) error {
	c := report.Correct("dora-controller "+buildVersion(), time.Now().UTC())
	if len(c.Events)+len(c.Marks) > 0 {
		if err := o.write(cmd.Context(), &c); err != nil {
			return err
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Appended: events %d, marks %d.\n", len(c.Events), len(c.Marks))
	if len(c.Events)+len(c.Marks) > 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "Sinks are owed them once somebody asks: dora-controller deliveries resend.")
	}
	if len(c.Unsaid)+len(report.Unreadable) == 0 {
		return nil
	}
	if len(c.Unsaid) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "Differences that stay, since an event never changes and no mark says that: %d.\n", len(c.Unsaid))
	}
	return errDiffers
}

func (o *recomputeOptions) write(ctx context.Context, c *recompute.Corrections) error {
	store, err := app.WriteLedger(ctx, o.ledger)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(c.Events, corrected) {
		err = errors.Join(err, store.Commit(ctx, ledger.Change{Events: some}))
	}
	for some := range slices.Chunk(c.Marks, corrected) {
		err = errors.Join(err, store.Commit(ctx, ledger.Change{Marks: some}))
	}
	return errors.Join(err, store.Close())
}
