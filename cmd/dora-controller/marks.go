package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/show"
)

// marksOptions are the flags of `marks`.
type marksOptions struct {
	ledger, cluster string
	of              string
	ids             []string
	standing        bool
	output          *output
}

func newMarksCommand() *cobra.Command {
	o := &marksOptions{}
	cmd := &cobra.Command{
		Use:   "marks",
		Short: "Print what people said about events, also what they took back",
		Long: `Prints the marks that a ledger keeps: what was said of which event, by whom, when and why, event by event and each in the order in which it was
said. The last one of an event counts; one without a verdict took back the one before it. docs/marks.md says what marks do, and who may make them. The
ledger is only read, also while the controller writes it.`,
		Example: `  dora-controller marks --standing
  dora-controller marks --id a3875f9c-952a-51f3-8d10-05913465c7f2 -o json`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	addLedgerFlags(f, &o.ledger, &o.cluster)
	f.StringSliceVar(&o.ids, "id", nil, "only those of events with these ids")
	f.StringVar(&o.of, "of", "", "only those of events of this service, Application or Rollout")
	f.BoolVar(&o.standing, "standing", false, "only those that count now")
	o.output = addOutputFlag(cmd)
	f.Lookup("output").Usage = "how to print marks: json, one a line, or table (default: table on a terminal, else json)"
	return cmd
}

// markLine is one line: a mark and the event that it is about.
type markLine struct {
	EventID string `json:"event_id"`
	Service string `json:"service"`
	dora.Mark
}

func (o *marksOptions) run(cmd *cobra.Command, _ []string) error {
	if len(o.ids) > 0 && o.of != "" {
		return cli.Usage(cmd, errors.New("--id names events already: leave out --of"))
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
	if !o.output.table(out) {
		return printLines(out, lines, "a mark")
	}
	if len(lines) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "No marks.")
		return nil
	}
	return printMarkTable(out, lines)
}

// read reads the marks, and what their events are of.
func (o *marksOptions) read(ctx context.Context, from ledger.Reader) ([]markLine, error) {
	marks, err := from.Marks(ctx, ledger.MarkQuery{EventIDs: o.ids, Standing: o.standing})
	if err != nil || len(marks) == 0 {
		return nil, err
	}
	ids := make([]string, 0, len(marks))
	for _, m := range marks {
		ids = append(ids, m.Mark.EventID)
	}
	services := map[string]string{}
	for row, err := range from.Events(ctx, ledger.EventQuery{IDs: ids}) {
		if err != nil {
			return nil, err
		}
		if e := &row.Event; o.of == "" || e.Service == o.of || e.Subject.Name == o.of {
			services[e.ID] = e.Service
		}
	}
	var lines []markLine
	for _, m := range marks {
		if service, wanted := services[m.Mark.EventID]; wanted {
			lines = append(lines, markLine{EventID: m.Mark.EventID, Service: service, Mark: m.Mark})
		}
	}
	return lines, nil
}

func printMarkTable(out io.Writer, lines []markLine) error {
	table := show.NewGrid("EVENT", "SERVICE", "SAID", "MARK", "BY", "REASON")
	for _, l := range lines {
		verdict := string(l.Verdict)
		if l.Verdict == dora.Withdrawn {
			verdict = "taken back"
		}
		table.Add(l.EventID, l.Service, l.At.UTC().Format(time.RFC3339), verdict, l.By, l.Reason)
	}
	return table.Print(out)
}
