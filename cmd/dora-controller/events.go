package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/show"
)

// eventsOptions are the flags of `events`.
type eventsOptions struct {
	ledger       string
	cluster      string
	service      string
	types        []string
	ids          []string
	since, until moment
	limit        int
	follow       bool
	output       *output
}

func newEventsCommand() *cobra.Command {
	o := &eventsOptions{}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print the events that a ledger holds",
		Long: `Prints events in the order in which they were recorded. The ledger is only read, also while the controller writes it.

With -o json each line is one event in the form that docs/events.md describes.`,
		Example: `  dora-controller events --since 7d --service checkout
  dora-controller events --type degraded,recovered -o json`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	addLedgerFlags(f, &o.ledger, &o.cluster)
	f.StringVar(&o.service, "service", "", "only events of this service")
	f.StringSliceVar(&o.types, "type", nil, "only events of these types: deploy, degraded, recovered")
	f.StringSliceVar(&o.ids, "id", nil, "only events with these ids")
	f.Var(&o.since, "since", "only what occurred at or after this time, or this long ago: 2026-11-20T20:57:31Z, 12h, 7d")
	f.Var(&o.until, "until", "only what occurred before this time, or longer ago")
	f.IntVar(&o.limit, "limit", 0, "only the newest so many (0: all)")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on printing events as they are recorded")
	o.output = addOutputFlag(cmd)
	return cmd
}

func (o *eventsOptions) run(cmd *cobra.Command, _ []string) error {
	query, err := o.query(time.Now())
	if err != nil {
		return cli.Usage(cmd, err)
	}
	store, err := app.ReadLedger(cmd.Context(), o.ledger, o.cluster)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // it was only read
	p := &eventPrinter{reader: store, out: cmd.OutOrStdout()}
	if o.output.table(p.out) {
		p.table = show.NewTable()
	} else {
		p.json = show.NewJSON(p.out)
	}
	return o.print(cmd, p, query)
}

func (o *eventsOptions) print(cmd *cobra.Command, p *eventPrinter, query ledger.EventQuery) error {
	if err := p.print(cmd.Context(), query); err != nil {
		return err
	}
	if o.follow {
		ticks := time.NewTicker(time.Second)
		defer ticks.Stop()
		return p.follow(cmd.Context(), query, ticks.C)
	}
	if p.table != nil && p.count == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "No events.")
	}
	return nil
}

// query says what is wanted, in the ledger's words.
func (o *eventsOptions) query(now time.Time) (ledger.EventQuery, error) {
	q := ledger.EventQuery{
		IDs: o.ids, Service: o.service, Since: o.since.before(now), Until: o.until.before(now),
		Limit: o.limit, Newest: o.limit > 0,
	}
	if o.limit < 0 {
		return q, fmt.Errorf("invalid argument \"%d\" for \"--limit\" flag: must not be negative", o.limit)
	}
	for _, name := range o.types {
		switch t := dora.Type(name); t {
		case dora.TypeDeploy, dora.TypeDegraded, dora.TypeRecovered, dora.TypeChange:
			q.Types = append(q.Types, t)
		default:
			return q, fmt.Errorf("invalid argument %q for \"--type\" flag: want deploy, degraded, recovered or change", name)
		}
	}
	return q, nil
}

// eventPrinter prints what a ledger holds.
type eventPrinter struct {
	reader ledger.Reader
	out    io.Writer
	table  *show.Table
	json   *show.JSON
	last   int64 // sequence of the newest row that was printed
	count  int
}

// print prints the selected events, oldest first.
func (p *eventPrinter) print(ctx context.Context, q ledger.EventQuery) error {
	rows := p.reader.Events(ctx, q)
	if q.Newest {
		newest, err := collect(rows)
		if err != nil {
			return err
		}
		slices.SortFunc(newest, func(a, b ledger.Row) int { return int(a.Seq - b.Seq) })
		rows = all(newest)
	}
	for row, err := range rows {
		if err == nil {
			err = p.row(ctx, &row)
		}
		if err != nil {
			return err
		}
	}
	if p.table == nil {
		return nil
	}
	return p.table.Print(p.out)
}

func (p *eventPrinter) row(ctx context.Context, row *ledger.Row) error {
	p.last, p.count = max(p.last, row.Seq), p.count+1
	if p.table == nil {
		return p.json.Event(&row.Event)
	}
	if err := p.learnCause(ctx, row.Event.CausedBy); err != nil {
		return err
	}
	p.table.Event(&row.Event)
	return nil
}

// learnCause lets the table name the version that caused a failure, though its deployment may not be among the rows.
func (p *eventPrinter) learnCause(ctx context.Context, id string) error {
	if id == "" || p.table.Knows(id) {
		return nil
	}
	causes, err := collect(p.reader.Events(ctx, ledger.EventQuery{IDs: []string{id}}))
	for i := range causes {
		p.table.Know(&causes[i].Event)
	}
	return err
}

// follow prints what is recorded later, until the context ends.
func (p *eventPrinter) follow(ctx context.Context, q ledger.EventQuery, ticks <-chan time.Time) error {
	q.Limit, q.Newest = 0, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
		q.AfterSeq = p.last
		if err := p.print(ctx, q); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
}

func collect(rows iter.Seq2[ledger.Row, error]) ([]ledger.Row, error) {
	var collected []ledger.Row
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		collected = append(collected, row)
	}
	return collected, nil
}

func all(rows []ledger.Row) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}
