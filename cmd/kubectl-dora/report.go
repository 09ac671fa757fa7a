package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/report"
)

// longestReport is how long the time of a report may be.
const longestReport = 3 * 366 * 24 * time.Hour

// reportOptions are the flags of `report`.
type reportOptions struct {
	*connection

	since, until moment
	output       *cli.Choice
}

func newReportCommand(c *connection) *cobra.Command {
	o := &reportOptions{connection: c}
	o.since = moment{length: 30 * 24 * time.Hour, text: "30d"}
	cmd := &cobra.Command{
		Use:   "report [TARGET]",
		Short: "Report the five metrics over a time, with their trend and a timeline",
		Long: `Works out the five metrics from the events of the ledger, over any time, and week by week. With a TARGET it is about the services of
that DoraTarget, with its bands and what it counts; without one, about all that the ledger has.

With -o html it prints one page that needs nothing else: no script, no address is asked. It has the trends and a timeline of deployments and failures as
plots, and can be sent by mail or printed. Events are read as kubectl dora events reads them.`,
		Example: `  kubectl dora report payments-prod -n argocd --since 90d
  kubectl dora report payments-prod -n argocd --since 90d -o html > report.html
  kubectl dora report --ledger ledger.db -o markdown`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.completeTargets,
		RunE:              o.run,
	}
	cmd.Flags().Var(&o.since, "since", "when the time of the report begins: a time, or that long ago")
	cmd.Flags().Var(&o.until, "until", "when it ends (default: now)")
	o.output = addOutputFlag(cmd, asTable, asJSON, asCSV, asMarkdown, asHTML)
	return cmd
}

func (o *reportOptions) run(cmd *cobra.Command, args []string) error {
	now := time.Now()
	in := report.Input{Title: "Deployments of all services", From: o.since.before(now), To: now, Made: now, Thresholds: fourkeys.Port()}
	if until := o.until.before(now); !until.IsZero() && until.Before(now) {
		in.To = until
	}
	if !in.From.Before(in.To) || in.To.Sub(in.From) > longestReport {
		return cli.Usage(cmd, fmt.Errorf("the time of the report: --since=%s must lie before its end, by three years at most", o.since.text))
	}
	if len(args) > 0 {
		if err := o.about(cmd.Context(), args[0], &in); err != nil {
			return err
		}
	}
	if err := o.read(cmd.Context(), &in); err != nil {
		return err
	}
	return o.print(cmd.OutOrStdout(), report.New(in))
}

// about makes the report one of a target.
func (o *reportOptions) about(ctx context.Context, name string, in *report.Input) error {
	cl, err := o.connect()
	if err != nil {
		return err
	}
	targets, err := o.targets(ctx, cl, name)
	if err != nil {
		return err
	}
	if len(targets) > 1 {
		return fmt.Errorf("there are %d DoraTargets %q: say which with --namespace", len(targets), name)
	}
	ofTarget(&targets[0], in)
	return nil
}

// ofTarget sets what a target says about its services.
func ofTarget(t *dorav1alpha1.DoraTarget, in *report.Input) {
	in.Title = "DoraTarget " + t.Namespace + "/" + t.Name
	in.Thresholds = report.ThresholdsOf(&t.Spec.Bands)
	in.FollowedSince = t.CreationTimestamp.Time
	if t.Spec.Counts(dorav1alpha1.ChangeConfig) {
		in.Kinds = []dora.ChangeKind{dora.ChangeImage, dora.ChangeConfig}
	}
	in.Services = []fourkeys.Service{}
	for i := range t.Status.Services {
		in.Services = append(in.Services, fourkeys.Service{Name: t.Status.Services[i].Service, Environment: t.Status.Services[i].Environment})
	}
	if n := t.Status.ServicesOmitted; n > 0 {
		in.Notes = append(in.Notes, fmt.Sprintf("The target's status lists %d services; %d more are not in this report", len(in.Services), n))
	}
}

// read adds the events, and since when their services are followed.
func (o *reportOptions) read(ctx context.Context, in *report.Input) error {
	h, err := o.history(ctx)
	if err != nil {
		return err
	}
	defer h.close()
	if in.Events, err = collect(ctx, h, eventQuery{since: in.From.Add(-report.Before), until: in.To}); err != nil {
		return err
	}
	if in.Followed, err = h.followed(ctx); err != nil {
		return err
	}
	if in.Followed == nil && in.Services == nil {
		in.Notes = append(in.Notes, "Since when services are followed is not known here, so rates are over the whole time; "+
			"name a TARGET, or a --ledger, if some are younger")
	}
	if in.Services != nil && len(in.Services) == 0 {
		in.Notes = append(in.Notes, "The target follows no service: kubectl dora doctor says why")
	}
	if slices.ContainsFunc(in.Events, func(e dora.Event) bool { return e.Type == dora.TypeDeploy && e.LeadTimeSeconds != nil }) || len(in.Events) == 0 {
		return nil
	}
	in.Notes = append(in.Notes, "No deployment has a lead time: spec.source of the DoraTarget says where commits are")
	return nil
}

func (o *reportOptions) print(out io.Writer, r *report.Report) error {
	switch strings.ToLower(o.output.Value) {
	case asJSON:
		return r.JSON(out)
	case asCSV:
		return r.CSV(out)
	case asMarkdown:
		return r.Markdown(out)
	case asHTML:
		return r.HTML(out)
	}
	return r.Table(painted(out))
}
