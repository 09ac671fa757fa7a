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
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/show"
)

// deliveriesOptions are the flags of `deliveries`.
type deliveriesOptions struct {
	ledger, cluster                  string
	sink, event, service             string
	since                            moment
	limit                            int
	failed, pending, parked, payload bool
	output                           *output
}

func newDeliveriesCommand() *cobra.Command {
	o := &deliveriesOptions{}
	cmd := &cobra.Command{
		Use:   "deliveries",
		Short: "Print what was sent to sinks, and what they answered",
		Long: `Prints the newest attempts to deliver events to sinks, oldest first, from the ledger's log. With --event it begins with how
that event stands with each sink: delivered, pending or parked. With --pending and --parked it prints what is pending, or
parked, now; those that were recorded first come first. The ledger is only read, also while the controller writes it.

The log keeps the newest 10,000 attempts of each sink. Events that a sink's filter left out are not in it.`,
		Example: `  dora-controller deliveries --event 5b0c1d1e-8d5a-5b7e-9c39-0a1b2c3d4e5f
  dora-controller deliveries --sink payments/port --failed --since 1d
  dora-controller deliveries --parked -o json --payload`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	addLedgerFlags(f, &o.ledger, &o.cluster)
	f.StringVar(&o.sink, "sink", "", "only to this sink: namespace/name, or its name if no other namespace has one of that name")
	f.StringVar(&o.event, "event", "", "only the event with this id")
	f.StringVar(&o.service, "service", "", "only events of this service")
	f.Var(&o.since, "since", "only attempts at or after this time, or this long ago: 2026-11-20T20:57:31Z, 12h, 7d")
	f.IntVar(&o.limit, "limit", 50, "only so many: the newest attempts, or what waits longest (0: all)")
	f.BoolVar(&o.failed, "failed", false, "only attempts that failed: those that were put off, and those after which the event was parked")
	f.BoolVar(&o.pending, "pending", false, "what sinks are owed now, and when it is tried next")
	f.BoolVar(&o.parked, "parked", false, "what sinks refused for good and is parked now")
	f.BoolVar(&o.payload, "payload", false, "print the event beside each line, as the ledger reads it now; JSON only")
	o.output = addOutputFlag(cmd)
	f.Lookup("output").Usage = "how to print: json, one object a line, or table (default: table on a terminal, else json)"
	cmd.AddCommand(newResendCommand())
	return cmd
}

func (o *deliveriesOptions) run(cmd *cobra.Command, _ []string) error {
	if err := o.check(); err != nil {
		return cli.Usage(cmd, err)
	}
	store, err := app.ReadLedger(cmd.Context(), o.ledger, o.cluster)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // it was only read
	r := &deliveryReader{deliveriesOptions: o, ledger: store, now: time.Now(), events: map[string]*dora.Event{}}
	found, err := r.read(cmd.Context())
	switch {
	case errors.Is(err, errAmbiguous):
		return cli.Usage(cmd, err)
	case err != nil:
		return err
	}
	return o.print(cmd, r, found)
}

func (o *deliveriesOptions) check() error {
	switch {
	case o.limit < 0:
		return fmt.Errorf("invalid argument \"%d\" for \"--limit\" flag: must not be negative", o.limit)
	case (o.pending || o.parked) && (o.failed || o.since.set):
		return errors.New("--pending and --parked tell what is so now, --failed and --since what was tried: leave out the one or the other")
	case o.payload && o.output.Value == outputTable:
		return errors.New("--payload prints JSON lines alone: leave out -o table")
	}
	return nil
}

func (o *deliveriesOptions) print(cmd *cobra.Command, r *deliveryReader, found *deliveries) error {
	out := cmd.OutOrStdout()
	if o.payload || !o.output.table(out) {
		return r.printJSON(out, found)
	}
	if len(found.standings)+len(found.attempts) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), found.none)
		return nil
	}
	return r.printTables(out, found)
}

// deliveries are what is to be printed.
type deliveries struct {
	standings []show.Standing
	attempts  []ledger.DeliveryRecord // oldest first
	none      string                  // what to say if there is nothing
}

// deliveryReader finds out what was asked for.
type deliveryReader struct {
	*deliveriesOptions

	ledger sinkLedger
	now    time.Time
	sinks  []ledger.SinkState
	events map[string]*dora.Event // that --payload prints, by id
}

// sinkLedger is a ledger that tells about sinks.
type sinkLedger interface {
	ledger.Reader
	Sinks(ctx context.Context) ([]ledger.SinkState, error)
}

func (r *deliveryReader) read(ctx context.Context) (found *deliveries, err error) {
	if r.sinks, err = r.ledger.Sinks(ctx); err != nil {
		return nil, err
	}
	if r.sink, err = sinkNamed(r.sink, r.sinks); err != nil {
		return nil, err
	}
	found = &deliveries{}
	asksNow := r.pending || r.parked
	if !asksNow {
		if found.attempts, err = r.attempts(ctx); err != nil {
			return nil, err
		}
	}
	if asksNow || r.asksOfEvent() {
		if found.standings, err = r.standings(ctx); err != nil {
			return nil, err
		}
	}
	if found.none, err = r.whyNone(ctx); err != nil || !r.payload {
		return found, err
	}
	return found, r.learnEvents(ctx, found)
}

// asksOfEvent tells whether the question is what became of an event.
func (r *deliveryReader) asksOfEvent() bool {
	return r.event != "" && !r.failed && !r.since.set && !r.pending && !r.parked
}

// errAmbiguous: a name that means several sinks.
var errAmbiguous = errors.New("say which")

// sinkNamed is the sink that a name means: all of it, or the part behind the namespace.
func sinkNamed(name string, sinks []ledger.SinkState) (string, error) {
	var known, likely []string
	for _, s := range sinks {
		known = append(known, s.Sink)
		if strings.HasSuffix(s.Sink, "/"+name) {
			likely = append(likely, s.Sink)
		}
	}
	switch {
	case name == "" || slices.Contains(known, name):
		return name, nil
	case len(likely) == 1:
		return likely[0], nil
	case len(likely) > 1:
		return "", fmt.Errorf("there are several sinks %q, %w: %s", name, errAmbiguous, strings.Join(likely, ", "))
	case len(known) == 0:
		return "", fmt.Errorf("the ledger knows no sink %q: none was ever owed an event", name)
	}
	return "", fmt.Errorf("the ledger knows no sink %q; it knows %s", name, strings.Join(known, ", "))
}

// attempts are the newest ones, oldest first.
func (r *deliveryReader) attempts(ctx context.Context) ([]ledger.DeliveryRecord, error) {
	q := ledger.DeliveryQuery{Sink: r.sink, EventID: r.event, Service: r.service, Since: r.since.before(r.now), Limit: r.limit}
	if r.failed {
		q.Fates = []ledger.Fate{ledger.FateRetried, ledger.FateParked}
	}
	records, err := r.ledger.Deliveries(ctx, q)
	slices.Reverse(records)
	return records, err
}

// whyNone is what to say if there is nothing to print.
func (r *deliveryReader) whyNone(ctx context.Context) (string, error) {
	switch {
	case r.pending && r.parked:
		return "Nothing is pending or parked.", nil
	case r.pending:
		return "Nothing is pending.", nil
	case r.parked:
		return "Nothing is parked.", nil
	case !r.asksOfEvent():
		return "No deliveries.", nil
	}
	rows, err := collect(r.ledger.Events(ctx, ledger.EventQuery{IDs: []string{r.event}}))
	if err != nil {
		return "", err
	}
	if len(rows) == 0 {
		return "No deliveries: the ledger has no event " + r.event + ".", nil
	}
	whom := "any sink"
	if r.sink != "" {
		whom = r.sink
	}
	return "No deliveries: event " + r.event + " was never owed to " + whom + ", was left out by a filter, or arrived longer ago than the log goes.", nil
}

// learnEvents reads the events that are printed beside lines. Those that were pruned are missing.
func (r *deliveryReader) learnEvents(ctx context.Context, found *deliveries) error {
	ids := []string{}
	for i := range found.standings {
		ids = append(ids, found.standings[i].EventID)
	}
	for i := range found.attempts {
		ids = append(ids, found.attempts[i].EventID)
	}
	slices.Sort(ids)
	for row, err := range r.ledger.Events(ctx, ledger.EventQuery{IDs: slices.Compact(ids)}) {
		if err != nil {
			return err
		}
		r.events[row.Event.ID] = &row.Event
	}
	return nil
}

func (r *deliveryReader) printJSON(out io.Writer, found *deliveries) error {
	lines := show.NewJSON(out)
	for i := range found.standings {
		if err := lines.Delivery(&found.standings[i], r.events[found.standings[i].EventID]); err != nil {
			return err
		}
	}
	for i := range found.attempts {
		if err := lines.Delivery(&found.attempts[i], r.events[found.attempts[i].EventID]); err != nil {
			return err
		}
	}
	return nil
}

func (r *deliveryReader) printTables(out io.Writer, found *deliveries) error {
	standings, attempts := show.NewStandings(r.now), show.NewAttempts()
	for i := range found.standings {
		standings.Standing(&found.standings[i])
	}
	for i := range found.attempts {
		attempts.Attempt(&found.attempts[i])
	}
	both := standings.Len() > 0 && attempts.Len() > 0
	if err := standings.Print(out); err != nil {
		return err
	}
	if both {
		fmt.Fprintln(out)
	}
	return attempts.Print(out)
}
