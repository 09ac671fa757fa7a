package recompute

import (
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Source is what marks name that corrections make. Targets leave them alone, and what people say comes before them.
const Source = "recompute"

// Corrections are facts that are to be appended, so that figures are those of these rules.
type Corrections struct {
	Events []dora.Event
	Marks  []dora.Mark
	// Unsaid are differences, or those parts of them, that no fact can express: an event never changes.
	Unsaid []Difference
}

// Correct says how to append what these rules find. An event of which people have said something stays as they have it.
func (r *Report) Correct(release string, now time.Time) (c Corrections) {
	for _, d := range r.Differences {
		verdict, sayable := d.verdict()
		switch {
		case d.Kind == Missing:
			c.Events = append(c.Events, d.Event)
			continue
		case !sayable || d.Event.Mark != nil && d.Event.Mark.Source != Source:
			c.Unsaid = append(c.Unsaid, d)
			continue
		}
		c.Marks = append(c.Marks, dora.Mark{
			EventID: d.Event.ID, Verdict: verdict, Reason: "the rules of " + release + " " + reasons[d.Kind],
			By: "recompute " + release, At: now, Source: Source,
		})
		if rest := slices.DeleteFunc(slices.Clone(d.Changes), Change.said); len(rest) > 0 {
			c.Unsaid = append(c.Unsaid, Difference{d.Kind, d.Event, rest})
		}
	}
	return c
}

var reasons = map[Kind]string{Surplus: "find no such event", Different: "find another outcome"}

// verdict is the mark that says the difference, if one can.
func (d *Difference) verdict() (dora.Verdict, bool) {
	deploy := d.Event.Type == dora.TypeDeploy
	switch {
	case d.Kind == Surplus:
		return dora.Ignore, deploy || d.Event.Type == dora.TypeDegraded
	case d.Kind != Different || !deploy || !slices.ContainsFunc(d.Changes, func(c Change) bool { return c.Field == "outcome" }):
		return dora.Withdrawn, false
	case d.Event.Outcome == dora.Succeeded:
		return dora.NotAFailure, true
	case d.Event.Outcome == dora.Failed:
		return dora.Failure, true
	}
	return dora.Withdrawn, false
}

// said tells whether the mark of another outcome says the change, too.
func (c Change) said() bool {
	return slices.Contains([]string{"outcome", "success", "is_rollback", "exposed", "reason", "message", "basis"}, c.Field)
}
