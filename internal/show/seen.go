package show

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

// Seen tells in rows what was read of Argo's status: the field, in Argo's words where it has one, and what it said. What said nothing is left out.
func Seen(o *deploy.Observation) [][2]string {
	var rows seen
	if !o.CreatedAt.IsZero() {
		rows.add("object", "created at "+at(o.CreatedAt))
	}
	if o.Deleting {
		rows.add("object", "being deleted")
	}
	rows.add("destination", o.Destination)
	if o.App != nil {
		rows.application(o.App)
	}
	for i := range o.Rollouts {
		rows.rollout(&o.Rollouts[i])
	}
	return rows
}

// News tells in rows what Seen tells of a look and did not of the look before: what is new, and which fields say nothing any more.
func News(before, after *deploy.Observation) [][2]string {
	old, now := Seen(before), Seen(after)
	var rows [][2]string
	for _, row := range now {
		if !slices.Contains(old, row) {
			rows = append(rows, row)
		}
	}
	for _, row := range old {
		says := func(other [2]string) bool { return other[0] == row[0] }
		if !slices.ContainsFunc(now, says) && !slices.ContainsFunc(rows, says) {
			rows = append(rows, [2]string{row[0], Nothing})
		}
	}
	return rows
}

type seen [][2]string

func (s *seen) add(field, said string) {
	if said != "" {
		*s = append(*s, [2]string{field, Printable(said)})
	}
}

func (s *seen) application(a *deploy.App) {
	s.add("health.status", since(string(a.Health), a.HealthSince))
	switch compared := ", compared at " + at(a.ReconciledAt); {
	case a.Synced:
		s.add("sync.status", "Synced"+compared)
	case a.OutOfSync:
		s.add("sync.status", "OutOfSync"+compared)
	case !a.ReconciledAt.IsZero():
		s.add("sync.status", "neither Synced nor OutOfSync"+compared)
	}
	s.add("summary.images", strings.Join(a.Images, ", "))
	if a.Operation != nil {
		s.operation(a.Operation)
	}
	if r := a.Requested; r != nil {
		s.add("operation", strings.Join(append([]string{"asked for"}, kindsOf(*r)...), " "))
	}
	if n := len(a.History); n > 0 {
		last := a.History[n-1]
		s.add("history", fmt.Sprintf("%d entries; the last is %d, started at %s, deployed at %s", n, last.ID, at(last.StartedAt), at(last.DeployedAt)))
	}
	for _, r := range a.Resources {
		s.add("resources", strings.TrimSpace(r.Kind+" "+r.Name+" "+string(r.Health)))
	}
	if a.Stale {
		s.add("conditions", "Argo CD says that this status is out of date")
	}
}

func (s *seen) operation(o *deploy.Operation) {
	text := string(o.Phase) + ", started at " + at(o.StartedAt)
	if !o.FinishedAt.IsZero() {
		text += ", finished at " + at(o.FinishedAt)
	}
	s.add("operationState", strings.Join(append([]string{text}, kindsOf(o.Request)...), ", "))
	s.add("operationState.message", o.Message)
	s.add("operationState.syncResult.revisions", strings.Join(o.Revisions, ", "))
	for _, r := range o.Rows {
		said := []string{r.Kind + " " + r.Name}
		if r.Applied {
			said = append(said, "applied")
		}
		if r.Unchanged {
			said = append(said, "unchanged")
		}
		s.add("operationState.syncResult.resources", strings.Join(slices.Concat(said, r.Images), ", "))
	}
}

func kindsOf(r deploy.Request) (kinds []string) {
	for name, is := range map[string]bool{"of a part": r.Partial, "a dry run": r.DryRun, "a self-heal": r.SelfHeal} {
		if is {
			kinds = append(kinds, name)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func (s *seen) rollout(r *deploy.Rollout) {
	name := "Rollout " + r.Name + " "
	s.add(name+"phase", fmt.Sprintf("%s, revision %d", r.Phase, r.Revision))
	s.add(name+"message", r.Message)
	s.add(name+"hashes", fmt.Sprintf("current %s, stable %s%s", r.CurrentHash, r.StableHash, map[bool]string{true: ", active " + r.ActiveHash}[r.BlueGreen]))
	if r.Aborted {
		s.add(name+"abort", "aborted at "+at(r.AbortedAt))
	}
	if r.TrafficRouted {
		s.add(name+"weight", fmt.Sprintf("%d%%", r.Weight))
	}
	for _, c := range []struct {
		kind string
		deploy.Condition
	}{
		{"Available", r.Available}, {"Completed", r.CompletedCond}, {"Healthy", r.HealthyCond}, {"Paused", r.PausedCond}, {"Progressing", r.Progressing},
	} {
		if c.Status != "" {
			s.add(name+"condition "+c.kind, since(strings.TrimSpace(string(c.Status)+" "+c.Reason), c.Since))
		}
	}
	for _, set := range r.ReplicaSets {
		images := strings.Join(set.Images, ", ")
		s.add(name+"ReplicaSet "+set.Hash, fmt.Sprintf("revision %d, %d of %d available, %s", set.Revision, set.Available, set.Replicas, images))
	}
}

func since(what string, t time.Time) string {
	if t.IsZero() || what == "" {
		return what
	}
	return what + " since " + at(t)
}

func at(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339)
}
