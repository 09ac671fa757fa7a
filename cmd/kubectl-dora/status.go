package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/report"
	"github.com/dora-controller/dora-controller/internal/show"
)

// recentTimeout bounds the look for recent deployments, which the rest of a status does not wait for.
const recentTimeout = 10 * time.Second

// statusOptions are the flags of `status`.
type statusOptions struct {
	*connection

	recent int
	output *cli.Choice
}

func newStatusCommand(c *connection) *cobra.Command {
	o := &statusOptions{connection: c}
	cmd := &cobra.Command{
		Use:   "status [TARGET]",
		Short: "Show the five metrics, open failures, and what stands in the way",
		Long: `Shows DoraTargets as their status tells: of several a line each, of one everything: the five metrics with what they rest on, the
services, the latest deployments, open failures, conditions and sinks. The latest deployments come from the controller's ledger, as kubectl dora events
reads them; if that cannot be done it says so, and shows the last one that the status tells.

With -o json or yaml it prints one object with the lists targets and sinks, as the cluster has them.`,
		Example: `  kubectl dora status -A
  kubectl dora status payments-prod -n argocd
  kubectl dora status -n argocd -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.completeTargets,
		RunE:              o.run,
	}
	cmd.Flags().IntVar(&o.recent, "recent", 5, "how many of the latest deployments to show of one target (0: none, and the ledger is not read)")
	o.output = addOutputFlag(cmd, asTable, asJSON, asYAML)
	return cmd
}

// standing is what `status -o json` prints.
type standing struct {
	Targets []dorav1alpha1.DoraTarget `json:"targets"`
	Sinks   []dorav1alpha1.DoraSink   `json:"sinks"`
}

func (o *statusOptions) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	if _, err := o.namespace(); err != nil {
		return flagsAtFault(cmd, err)
	}
	cl, err := o.connect()
	if err != nil {
		return err
	}
	targets, err := o.targets(ctx, cl, strings.Join(args, ""))
	if err != nil {
		return err
	}
	sinks, unread := o.sinksOf(ctx, cl, targets)
	if o.output.Value != asTable {
		return printObjects(cmd.OutOrStdout(), o.output.Value, standing{withKind(targets), sinksWithKind(sinks)})
	}
	out := painted(cmd.OutOrStdout())
	switch len(targets) {
	case 0:
		fmt.Fprintln(cmd.ErrOrStderr(), "There are no DoraTargets"+o.where()+".")
		return nil
	case 1:
		err = o.one(ctx, out, &targets[0])
	default:
		err = several(out, targets)
	}
	if err != nil {
		return err
	}
	if unread != nil {
		_, err = fmt.Fprintf(out, "\nSinks: not known, %v\n", unread)
		return err
	}
	if len(sinks) == 0 {
		_, err = fmt.Fprintln(out, "\nSinks: none; events stay in the ledger alone.")
		return err
	}
	fmt.Fprintln(out)
	return printSinks(out, sinks, time.Now())
}

func (c *connection) where() string {
	namespace, err := c.namespace()
	if err != nil || namespace == "" {
		return " in any namespace"
	}
	return fmt.Sprintf(" in namespace %q; -A looks in all", namespace)
}

// sinksOf are those that the targets may use: of their namespaces, and those that they name elsewhere.
func (c *connection) sinksOf(ctx context.Context, cl *cluster, targets []dorav1alpha1.DoraTarget) ([]dorav1alpha1.DoraSink, error) {
	var namespaces []string
	for i := range targets {
		namespaces = append(namespaces, targets[i].Namespace)
		for _, name := range targets[i].Spec.Sinks {
			if namespace, _, other := strings.Cut(string(name), "/"); other {
				namespaces = append(namespaces, namespace)
			}
		}
	}
	slices.Sort(namespaces)
	var all []dorav1alpha1.DoraSink
	for _, namespace := range slices.Compact(namespaces) {
		found, err := listOf[dorav1alpha1.DoraSink](ctx, cl, sinkKind, namespace, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// several prints a line for each target, and below it what to do about those that want something.
func several(out io.Writer, targets []dorav1alpha1.DoraTarget) error {
	table := show.NewGrid("TARGET", "SVCS", "ENV", "DEPLOYS", "/WEEK", "LEAD", "CFR", "RECOVERY", "REWORK", "BAND", "OPEN", "READY")
	for i := range targets {
		t := &targets[i]
		d := t.Status.Display
		if d == nil {
			d = dorav1alpha1.NewDisplay(&t.Status, nil)
		}
		table.Add(t.Namespace+"/"+t.Name, d.Services, d.Environment, d.Deployments, d.PerWeek, d.LeadTimeP50, d.ChangeFailureRate, d.RecoveryP50, d.Rework,
			d.Band, openFailures(&t.Status), string(readiness(t.Status.Conditions).Status))
	}
	if err := table.Print(out); err != nil {
		return err
	}
	for i := range targets {
		for _, c := range wanting(targets[i].Status.Conditions) {
			fmt.Fprintf(out, "\n%s/%s: %s: %s\n", targets[i].Namespace, targets[i].Name, c.Reason, show.Printable(c.Message))
		}
	}
	return nil
}

func openFailures(s *dorav1alpha1.DoraTargetStatus) string {
	if s.Summary == nil {
		return show.Nothing
	}
	return strconv.FormatInt(s.Summary.Counts.OpenFailures, 10)
}

// one prints everything about a target.
func (o *statusOptions) one(ctx context.Context, out io.Writer, t *dorav1alpha1.DoraTarget) error {
	ready := readiness(t.Status.Conditions)
	fmt.Fprintf(out, "DoraTarget %s/%s, the last %s\nReady: %s   %s: %s\n", t.Namespace, t.Name, cmp.Or(t.Spec.Window, "30d"), ready.Status, ready.Reason,
		show.Printable(ready.Message))
	figures := report.FiguresOf(t.Status.Summary)
	metrics := show.NewGrid("METRIC", "VALUE", "FROM", "BAND")
	for _, m := range figures.Metrics() {
		metrics.Add(m.Name, m.Value, m.Samples, m.Band)
	}
	services := show.NewGrid("SERVICE", "ENVIRONMENT", "DEPLOYS", "/WEEK", "LEAD", "CFR", "RECOVERY", "REWORK", "BAND")
	for i := range t.Status.Services {
		s := &t.Status.Services[i]
		of := report.FiguresOf(&s.Figures)
		services.Add(append([]string{s.Service, s.Environment}, of.Cells()...)...)
	}
	p := &page{out: out}
	p.grid("", metrics)
	p.line(figures.Apart())
	p.grid("", services)
	if t.Status.ServicesOmitted > 0 {
		p.line(fmt.Sprintf("%d more services are in the figures and not listed", t.Status.ServicesOmitted))
	}
	o.latest(ctx, p, t)
	p.grid("Open failures", openTable(t))
	for _, c := range wanting(t.Status.Conditions) {
		if c.Type != dorav1alpha1.ConditionReady {
			p.line(c.Type + ": " + c.Reason + ": " + show.Printable(c.Message))
		}
	}
	return p.err
}

// page prints parts with an empty line between them, and keeps the first error.
type page struct {
	out io.Writer
	err error
}

func (p *page) grid(title string, g *show.Grid) {
	if p.err != nil || g.Len() == 0 {
		return
	}
	fmt.Fprintln(p.out)
	if title != "" {
		fmt.Fprintln(p.out, title)
	}
	p.err = g.Print(p.out)
}

func (p *page) line(text string) {
	if text != "" {
		fmt.Fprintf(p.out, "\n%s\n", text)
	}
}

// latest prints the latest deployments of the ledger, or the one that the status tells.
func (o *statusOptions) latest(ctx context.Context, p *page, t *dorav1alpha1.DoraTarget) {
	if o.recent <= 0 || t.Status.ServiceCount == 0 {
		return
	}
	events, err := o.latestOf(ctx, t)
	table := show.NewTable()
	for i := range events {
		table.Event(&events[i])
	}
	if err == nil {
		p.grid("Latest deployments", &table.Grid)
		return
	}
	if last := t.Status.LastDeployment; last != nil {
		p.line(fmt.Sprintf("Last deployment: %s   %s   %s   %s   %s", last.Time.UTC().Format(time.RFC3339), last.Service, last.Environment,
			cmp.Or(last.Version, show.Nothing), outcomeWord(last.Outcome)))
	}
	p.line("Those before it are not shown: " + show.Printable(err.Error()))
}

func (o *statusOptions) latestOf(ctx context.Context, t *dorav1alpha1.DoraTarget) ([]dora.Event, error) {
	ctx, stop := context.WithTimeout(ctx, recentTimeout)
	defer stop()
	h, err := o.history(ctx)
	if err != nil {
		return nil, err
	}
	defer h.close()
	// Some of the newest events may be other targets'.
	events, err := collect(ctx, h, eventQuery{types: []dora.Type{dora.TypeDeploy}, limit: max(200, 10*o.recent)})
	events = slices.DeleteFunc(events, func(e dora.Event) bool { return !counts(t, &e) })
	return events[max(0, len(events)-o.recent):], err
}

// counts tells whether a target lists the service of an event.
func counts(t *dorav1alpha1.DoraTarget, e *dora.Event) bool {
	return slices.ContainsFunc(t.Status.Services, func(s dorav1alpha1.ServiceStatus) bool {
		return s.Service == e.Service && s.Environment == e.Environment
	})
}

func outcomeWord(o dorav1alpha1.Outcome) string {
	switch o {
	case dorav1alpha1.OutcomeRolledBack:
		return string(dora.RolledBack)
	case dorav1alpha1.OutcomeSucceeded, dorav1alpha1.OutcomeFailed, dorav1alpha1.OutcomeUnknown:
	}
	return strings.ToLower(string(o))
}

func openTable(t *dorav1alpha1.DoraTarget) *show.Grid {
	table := show.NewGrid("SINCE", "SERVICE", "ENVIRONMENT", "CAUSE", "EVENT")
	for _, f := range t.Status.OpenFailures {
		cause := "no deployment"
		if f.CausedBy != "" {
			cause = "deployment " + f.CausedBy
		}
		table.Add(f.Since.UTC().Format(time.RFC3339), f.Service, f.Environment, cause, f.EventID)
	}
	return table
}

// readiness is the condition Ready, also of an object that no controller has looked at.
func readiness(conditions []metav1.Condition) metav1.Condition {
	if ready := meta.FindStatusCondition(conditions, dorav1alpha1.ConditionReady); ready != nil {
		return *ready
	}
	return metav1.Condition{
		Type: dorav1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: dorav1alpha1.ReasonStarting,
		Message: "No controller has looked at it yet; if this stays, see kubectl dora doctor",
	}
}

// wanting are the conditions that want something of somebody. Reconciling and Stalled say what Ready says.
func wanting(conditions []metav1.Condition) []metav1.Condition {
	var all []metav1.Condition
	if ready := readiness(conditions); ready.Status != metav1.ConditionTrue {
		all = append(all, ready)
	}
	for _, c := range conditions {
		switch c.Type {
		case dorav1alpha1.ConditionReady, dorav1alpha1.ConditionReconciling, dorav1alpha1.ConditionStalled:
		default:
			if c.Status == metav1.ConditionTrue {
				all = append(all, c)
			}
		}
	}
	return all
}

func withKind(targets []dorav1alpha1.DoraTarget) []dorav1alpha1.DoraTarget {
	for i := range targets {
		targets[i].SetGroupVersionKind(dorav1alpha1.GroupVersion.WithKind("DoraTarget"))
	}
	return append([]dorav1alpha1.DoraTarget{}, targets...)
}

func sinksWithKind(sinks []dorav1alpha1.DoraSink) []dorav1alpha1.DoraSink {
	for i := range sinks {
		sinks[i].SetGroupVersionKind(dorav1alpha1.GroupVersion.WithKind("DoraSink"))
	}
	return append([]dorav1alpha1.DoraSink{}, sinks...)
}

// printObjects prints a value as JSON or YAML.
func printObjects(out io.Writer, form string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil && form == asYAML {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return fmt.Errorf("cannot write the answer: %w", err)
	}
	_, err = fmt.Fprintln(out, strings.TrimSpace(string(text)))
	return err
}
