package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/show"
)

// explainOptions are the flags of `explain`.
type explainOptions struct {
	*connection

	since  moment
	limit  int
	output *cli.Choice
}

func newExplainCommand(c *connection) *cobra.Command {
	o := &explainOptions{connection: c}
	cmd := &cobra.Command{
		Use:   "explain SERVICE|APPLICATION [EVENT-ID|TIME]",
		Short: "Say what was counted, what was not, by which rule, and on which evidence",
		Long: `Prints what was decided about a service, or the Application or Rollout of that name: events, and decisions that led to none, each with
the rule of docs/concepts.md that it follows. The ledger keeps the newest 200 decisions of each Application or Rollout.

With the id of an event it says everything about that one: what it counts as in each metric, and the evidence. With the time of a decision,
as it is in the first column, it says on which evidence that was made.`,
		Example: `  kubectl dora explain checkout
  kubectl dora explain checkout --since 7d
  kubectl dora explain checkout ae7fc7eb-3bbd-526a-9d7e-6c796ffea574
  kubectl dora explain checkout 2026-11-20T20:57:31Z`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: c.completeServices,
		RunE:              o.run,
	}
	f := cmd.Flags()
	f.Var(&o.since, "since", "only what occurred at or after this time, or this long ago")
	f.IntVar(&o.limit, "limit", 50, "only the newest so many lines (0: all)")
	o.output = addOutputFlag(cmd, asTable, asJSON)
	return cmd
}

// errNothingKnown ends scripts that name what there is not.
var errNothingKnown = errors.New("the ledger has nothing about it: is that the name of a service, an Application or a Rollout that a DoraTarget selects? " +
	"See kubectl dora status -A")

// told is one line of an explanation: an event, or a decision that led to none.
type told struct {
	At     time.Time   `json:"at"`
	Rule   string      `json:"rule"`
	Counts string      `json:"counts"`
	Event  *dora.Event `json:"event,omitempty"`
	// Marks are all that was ever said of one event, the newest last.
	Marks []dora.Mark `json:"marks,omitempty"`
	// Evidence is what was seen when the event came of it, by which policy it was judged, and what was known before. Seen are the looks before
	// that one since the attempt started, the oldest first.
	Evidence *evidence.Evidence   `json:"evidence,omitempty"`
	Seen     []*evidence.Evidence `json:"seen,omitempty"`
	Decision *decision            `json:"decision,omitempty"`
}

func (o *explainOptions) run(cmd *cobra.Command, args []string) error {
	h, err := o.history(cmd.Context())
	if err != nil {
		return err
	}
	defer h.close()
	if at, err := time.Parse(time.RFC3339, args[len(args)-1]); len(args) > 1 && err == nil {
		return o.moment(cmd, h, args[0], at)
	}
	since := o.since.before(time.Now())
	// An Application's name is in no query, so that all events of the time are read.
	events, err := collect(cmd.Context(), h, eventQuery{since: since})
	if err != nil {
		return err
	}
	context, who := events, o.court(cmd.Context(), cmd.ErrOrStderr(), events)
	events = slices.DeleteFunc(slices.Clone(events), func(e dora.Event) bool { return e.Service != args[0] && e.Subject.Name != args[0] })
	if len(args) > 1 {
		return o.event(cmd, h, events, context, &who, args[1])
	}
	decisions, err := h.decisions(cmd.Context(), args[0])
	missing := errors.Is(err, errNoDecisions)
	if err != nil && !missing {
		return err
	}
	lines := explanation(events, decisions, &who, since)
	if len(lines) == 0 && since.IsZero() {
		return errNothingKnown
	}
	if err := o.print(cmd, lines); err != nil {
		return err
	}
	if missing {
		fmt.Fprintln(cmd.ErrOrStderr(), "\nWhat was not counted is not shown: "+errNoDecisions.Error()+". A copy of the ledger, named with --ledger, has them;"+
			" so has the controller's log at level debug.")
	}
	return nil
}

// explanation is events, and decisions that led to none, in the order in which they happened.
func explanation(events []dora.Event, decisions []decision, who *court, since time.Time) []told {
	var all []told
	for i := range events {
		all = append(all, told{At: events[i].OccurredAt, Rule: ruleOf(&events[i]), Counts: countsAs(&events[i], who), Event: &events[i]})
	}
	for i := range decisions {
		d := &decisions[i]
		if d.EventID == "" && !d.At.Before(since) {
			all = append(all, told{At: d.At, Rule: ruleOfReason(d.Reason), Counts: "nothing", Decision: d})
		}
	}
	slices.SortStableFunc(all, func(a, b told) int { return a.At.Compare(b.At) })
	return all
}

func (o *explainOptions) print(cmd *cobra.Command, lines []told) error {
	if len(lines) == 0 && o.output.Value != asJSON {
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was decided about it in that time.")
		return nil
	}
	if o.limit > 0 {
		lines = lines[max(0, len(lines)-o.limit):]
	}
	if o.output.Value == asJSON {
		return printTold(cmd.OutOrStdout(), lines)
	}
	table := show.NewGrid("TIME", "WHAT", "VERSION", "COUNTS AS", "RULE", "WHY")
	for _, l := range lines {
		if l.Event != nil {
			table.Add(stamp(l.At), strings.TrimSpace(string(l.Event.Type)+" "+string(l.Event.Outcome)), versionName(l.Event), l.Counts,
				cmp.Or(l.Rule, show.Nothing), why(l.Event))
		} else {
			table.Add(stamp(l.At), l.Decision.Reason, show.Nothing, l.Counts, cmp.Or(l.Rule, show.Nothing), l.Decision.Message)
		}
	}
	return table.Print(painted(cmd.OutOrStdout()))
}

func printTold(out io.Writer, lines []told) error {
	encoder := json.NewEncoder(out)
	for i := range lines {
		if err := encoder.Encode(&lines[i]); err != nil {
			return fmt.Errorf("cannot write an explanation: %w", err)
		}
	}
	return nil
}

// event says everything about one.
func (o *explainOptions) event(cmd *cobra.Command, h history, events, all []dora.Event, who *court, id string) error {
	i := slices.IndexFunc(events, func(e dora.Event) bool { return e.ID == id })
	if i < 0 {
		return fmt.Errorf("there is no event %s of that service, Application or Rollout; kubectl dora events -o json lists ids", id)
	}
	e := &events[i]
	marks, err := h.marks(cmd.Context(), id)
	if err != nil {
		return err
	}
	kept, err := h.evidence(cmd.Context(), e.Subject.Name)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	line := told{At: e.OccurredAt, Rule: ruleOf(e), Counts: countsAs(e, who), Event: e, Marks: marks}
	line.rest(e, kept)
	if o.output.Value == asJSON {
		return printTold(out, []told{line})
	}
	fmt.Fprintf(out, "%s\n\n", show.Line(e))
	if err := printAnswers(out, append(answers(e, all, who), saidOf(marks)...)); err != nil || e.Subject.Kind == dora.KindReported {
		return err
	}
	return printSeen(out, line.Seen, line.Evidence)
}

// rest is on what an event rests: the look that it came of, and those that led there.
func (l *told) rest(e *dora.Event, kept []seen) {
	last := slices.IndexFunc(kept, func(s seen) bool { return slices.Contains(s.Events, e.ID) })
	if last < 0 {
		return
	}
	l.Evidence = kept[last].Evidence
	from := e.OccurredAt
	if !e.StartedAt.IsZero() && e.StartedAt.Before(from) {
		from = e.StartedAt
	}
	for _, s := range kept[:last] {
		if s.Subject.UID == e.Subject.UID && !s.Now.Before(from) {
			l.Seen = append(l.Seen, s.Evidence)
		}
	}
}

// moment says on which evidence decisions of a second were made that led to no event.
func (o *explainOptions) moment(cmd *cobra.Command, h history, of string, at time.Time) error {
	decisions, err := h.decisions(cmd.Context(), of)
	if err != nil {
		return err
	}
	kept, err := h.evidence(cmd.Context(), of)
	if err != nil {
		return err
	}
	at = at.Truncate(time.Second)
	lines := slices.DeleteFunc(explanation(nil, decisions, &court{}, at), func(l told) bool { return !l.At.Truncate(time.Second).Equal(at) })
	if len(lines) == 0 {
		return fmt.Errorf("nothing was decided about it at %s that led to no event; kubectl dora explain %s has the times", stamp(at), of)
	}
	for i := range lines {
		d := lines[i].Decision
		j := slices.IndexFunc(kept, func(s seen) bool { return s.Subject.UID == d.Subject.UID && s.Now.Equal(d.At) })
		if j >= 0 {
			lines[i].Evidence = kept[j].Evidence
		}
	}
	if o.output.Value == asJSON {
		return printTold(cmd.OutOrStdout(), lines)
	}
	for i := range lines {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		if err := printMoment(cmd.OutOrStdout(), &lines[i]); err != nil {
			return err
		}
	}
	return nil
}

func printMoment(out io.Writer, l *told) error {
	d := l.Decision
	fmt.Fprintf(out, "%s: %s\n\n", d.Reason, d.Message)
	err := printAnswers(out, [][2]string{
		{"what it counts as", l.Counts},
		{"by which rule", cmp.Or(l.Rule, show.Nothing) + " of docs/concepts.md"},
		{"of which object", string(d.Subject.Kind) + " " + d.Subject.Namespace + "/" + d.Subject.Name + " (" + d.Subject.UID + ")"},
		{"which attempt", d.Attempt},
	})
	if err != nil {
		return err
	}
	return printSeen(out, nil, l.Evidence)
}

// printSeen tells what was seen: of the first look everything, of each that followed what was new. Of nil it says that it is not kept.
func printSeen(out io.Writer, before []*evidence.Evidence, last *evidence.Evidence) error {
	if last == nil {
		fmt.Fprintln(out, "\nWhat Argo's status said then is not kept: of each object the ledger has the newest 40 observations.")
		return nil
	}
	fmt.Fprint(out, "\nWhat Argo's status said, as it was seen; after the first time what was new\n\n")
	table := show.NewGrid("SEEN AT", "FIELD", "SAID")
	known := &deploy.Observation{}
	for _, look := range append(slices.Clone(before), last) {
		for i, row := range show.News(known, &look.Observation) {
			table.Add(map[bool]string{true: stamp(look.Now)}[i == 0], row[0], row[1])
		}
		known = &look.Observation
	}
	return table.Print(painted(out))
}

func printAnswers(out io.Writer, all [][2]string) error {
	table := show.NewGrid("QUESTION", "ANSWER")
	for _, answer := range all {
		if answer[1] != "" {
			table.Add(answer[0], answer[1])
		}
	}
	return table.Print(painted(out))
}
