package show

import (
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// Table is a table of events and decisions.
type Table struct {
	Grid

	tags map[string]string // of the versions of deploy events, by id: what a failure was caused by
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{
		Grid: *NewGrid("TIME", "TYPE", "OUTCOME", "SERVICE", "ENVIRONMENT", "VERSION", "PREVIOUS", "NOTE"),
		tags: map[string]string{},
	}
}

// Event adds a row.
func (t *Table) Event(e *dora.Event) {
	t.Know(e)
	t.Add(clock(e.OccurredAt), string(e.Type), orNothing(string(e.Outcome)), e.Service, orNothing(e.Environment),
		versionOf(e), previousOf(e), t.note(e))
}

// Decision adds a row about something that led to no event. Its time is when it was decided.
func (t *Table) Decision(at time.Time, service string, d deploy.Decision) {
	t.Add(clock(at), "decision", string(d.Reason), service, Nothing, Nothing, Nothing, d.Message)
}

// Know lets later rows name the version of that deployment.
func (t *Table) Know(e *dora.Event) {
	if e.Type == dora.TypeDeploy {
		t.tags[e.ID] = tag(e.Version)
	}
}

// Knows tells whether rows can name the version of that deployment.
func (t *Table) Knows(id string) bool { return t.tags[id] != "" }
