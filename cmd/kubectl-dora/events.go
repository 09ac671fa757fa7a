package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/show"
)

// eventsOptions are the flags of `events`.
type eventsOptions struct {
	*connection

	service         string
	types, outcomes []string
	since, until    moment
	limit           int
	watch           bool
	output          *cli.Choice
}

func newEventsCommand(c *connection) *cobra.Command {
	o := &eventsOptions{connection: c}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print the deployments, failures and recoveries that were recorded",
		Long: `Prints events in the order in which they were recorded. They are read from the controller's ledger, by running dora-controller events
in its pod: that takes the right to create pods/exec there. With --ledger they are read from a file.

With -o json each line is one event in the form that docs/events.md describes.`,
		Example: `  kubectl dora events --since 7d --service checkout
  kubectl dora events --type deploy --outcome failed,rolled_back -o csv
  kubectl dora events --watch`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	f.StringVar(&o.service, "service", "", "only events of this service")
	f.StringSliceVar(&o.types, "type", nil, "only events of these types: deploy, degraded, recovered")
	f.StringSliceVar(&o.outcomes, "outcome", nil, "only deployments with these outcomes: succeeded, failed, rolled_back, unknown")
	f.Var(&o.since, "since", "only what occurred at or after this time, or this long ago: 2026-11-20T20:57:31Z, 12h, 7d")
	f.Var(&o.until, "until", "only what occurred before this time, or longer ago")
	f.IntVar(&o.limit, "limit", 0, "only the newest so many (0: all)")
	f.BoolVarP(&o.watch, "watch", "w", false, "go on printing events as they are recorded")
	o.output = addOutputFlag(cmd, asTable, asJSON, asCSV)
	complete(cmd, "type", "deploy", "degraded", "recovered")
	complete(cmd, "outcome", "succeeded", "failed", "rolled_back", "unknown")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("service", c.completeServices))
	return cmd
}

func (o *eventsOptions) run(cmd *cobra.Command, _ []string) error {
	q, err := o.query(time.Now())
	if err != nil {
		return cli.Usage(cmd, err)
	}
	h, err := o.history(cmd.Context())
	if err != nil {
		return err
	}
	defer h.close()
	printer := newEventPrinter(cmd.OutOrStdout(), o.output.Value, o.watch)
	err = h.events(cmd.Context(), q, func(e *dora.Event) error {
		if len(o.outcomes) > 0 && !slices.Contains(o.outcomes, string(e.Outcome)) {
			return nil
		}
		return printer.event(e)
	})
	if err != nil {
		return err
	}
	if printer.count == 0 && o.output.Value == asTable {
		fmt.Fprintln(cmd.ErrOrStderr(), "No events.")
	}
	return printer.end()
}

// query says what is wanted. The limit is kept here if outcomes are selected, which the ledger's query does not know.
func (o *eventsOptions) query(now time.Time) (eventQuery, error) {
	q := eventQuery{service: o.service, since: o.since.before(now), until: o.until.before(now), limit: o.limit, follow: o.watch}
	switch {
	case o.limit < 0:
		return q, fmt.Errorf("invalid argument \"%d\" for \"--limit\" flag: must not be negative", o.limit)
	case o.limit > 0 && len(o.outcomes) > 0:
		return q, errors.New("--limit counts events before --outcome selects: leave one of them out, or use --since")
	}
	for _, name := range o.types {
		switch t := dora.Type(name); t {
		case dora.TypeDeploy, dora.TypeDegraded, dora.TypeRecovered, dora.TypeChange:
			q.types = append(q.types, t)
		default:
			return q, fmt.Errorf("invalid argument %q for \"--type\" flag: want deploy, degraded, recovered or change", name)
		}
	}
	for _, name := range o.outcomes {
		switch dora.Outcome(name) {
		case dora.Succeeded, dora.Failed, dora.RolledBack, dora.Unknown:
		default:
			return q, fmt.Errorf("invalid argument %q for \"--outcome\" flag: want succeeded, failed, rolled_back or unknown", name)
		}
	}
	return q, nil
}

// eventPrinter prints events in one of the forms. A table is aligned over all its rows, unless it goes on.
type eventPrinter struct {
	out   io.Writer
	count int
	live  bool
	table *show.Table
	json  *show.JSON
	csv   *csv.Writer
}

func newEventPrinter(out io.Writer, form string, live bool) *eventPrinter {
	p := &eventPrinter{out: painted(out), live: live}
	switch form {
	case asJSON:
		p.json = show.NewJSON(out)
	case asCSV:
		p.csv = csv.NewWriter(out)
		_ = p.csv.Write([]string{
			"id", "type", "outcome", "service", "team", "environment", "cluster", "namespace", "kind", "name", "occurred_at", "version", "commit",
			"previous", "success", "is_rollback", "unplanned", "lead_time_seconds", "recovery_seconds", "failure_id", "caused_by", "basis",
		}) // the writer tells at the end
	default:
		p.table = show.NewTable()
	}
	return p
}

func (p *eventPrinter) event(e *dora.Event) error {
	p.count++
	switch {
	case p.json != nil:
		return p.json.Event(e)
	case p.csv != nil:
		_ = p.csv.Write(eventCells(e)) // the writer tells at the end
		if p.live {
			p.csv.Flush()
		}
		return p.csv.Error()
	}
	p.table.Event(e)
	if p.live {
		return p.table.Print(p.out)
	}
	return nil
}

func (p *eventPrinter) end() error {
	switch {
	case p.csv != nil:
		p.csv.Flush()
		return p.csv.Error()
	case p.table != nil:
		return p.table.Print(p.out)
	}
	return nil
}

func eventCells(e *dora.Event) []string {
	version, previous := e.Version, e.Previous.Version
	if version == nil {
		version = &dora.Version{}
	}
	if previous == nil {
		previous = &dora.Version{}
	}
	cells := []string{
		e.ID, string(e.Type), string(e.Outcome), e.Service, e.Team, e.Environment, e.Cluster, e.Subject.Namespace, string(e.Subject.Kind),
		e.Subject.Name, e.OccurredAt.UTC().Format(time.RFC3339), version.Tag, version.Commit, previous.Tag, flag(e.Success), flag(e.IsRollback),
		flag(e.Unplanned), number(e.LeadTimeSeconds), number(e.RecoverySeconds), e.FailureID, e.CausedBy, string(e.Basis),
	}
	for i := range cells {
		cells[i] = harmless(cells[i])
	}
	return cells
}

// harmless keeps a spreadsheet from taking a cell for a formula.
func harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func flag(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

func number(n *float64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatFloat(*n, 'f', -1, 64)
}
