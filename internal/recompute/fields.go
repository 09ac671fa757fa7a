package recompute

import (
	"strconv"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// between is what two forms of an event do not say alike. What was found out later (commits, marks), and when it was seen, is no part of it.
func between(was, is *dora.Event) []Change {
	var changes []Change
	now := fields(is)
	for i, before := range fields(was) {
		if before[1] != now[i][1] {
			changes = append(changes, Change{before[0], before[1], now[i][1]})
		}
	}
	return changes
}

// fields are those of an event that rules decide, each with its name.
func fields(e *dora.Event) [][2]string {
	return [][2]string{
		{"type", string(e.Type)},
		{"outcome", string(e.Outcome)},
		{"service", e.Service},
		{"team", e.Team},
		{"environment", e.Environment},
		{"attempt", e.Attempt},
		{"started_at", moment(e.StartedAt)},
		{"occurred_at", moment(e.OccurredAt)},
		{"change", string(e.Change)},
		{"version", version(e.Version)},
		{"previous", previous(e)},
		{"running", version(e.Running)},
		{"success", flag(e.Success)},
		{"is_rollback", flag(e.IsRollback)},
		{"unplanned", flag(e.Unplanned)},
		{"exposed", flag(e.Exposed)},
		{"failure_id", e.FailureID},
		{"caused_by", e.CausedBy},
		{"recovery_seconds", number(e.RecoverySeconds)},
		{"basis", string(e.Basis)},
		{"reason", e.Reason},
		{"message", e.Message},
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func version(v *dora.Version) string {
	if v == nil {
		return ""
	}
	return strings.TrimSpace(v.Tag + " " + strings.Join(v.Images, " "))
}

func previous(e *dora.Event) string {
	switch {
	case !e.Previous.Known:
		return ""
	case e.Previous.Version == nil:
		return "none"
	}
	return version(e.Previous.Version)
}

func flag(f *bool) string {
	if f == nil {
		return ""
	}
	return strconv.FormatBool(*f)
}

func number(n *float64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatFloat(*n, 'g', -1, 64)
}
