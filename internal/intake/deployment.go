package intake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// FirstCommitNotReported is why a reported deployment has no lead time: its sender did not tell its first commit, and nobody looks for it.
const FirstCommitNotReported = "FirstCommitNotReported"

// remembered is how far back is looked for the version before a deployment.
const remembered = 50

// before are the deployments of a service that were reported in this namespace and happened no later than a time, the newest first.
func (i *Intake) before(ctx context.Context, e *dora.Event, at time.Time) ([]dora.Event, error) {
	var events []dora.Event
	for row, err := range i.Store.Events(ctx, ledger.EventQuery{
		Cluster: i.Cluster, UIDs: []string{e.Subject.UID}, Types: []dora.Type{dora.TypeDeploy}, Until: at.Add(time.Microsecond),
		Newest: true, Limit: remembered,
	}) {
		if err != nil {
			return nil, fmt.Errorf("cannot read the deployments before: %w", err)
		}
		events = append(events, row.Event)
	}
	return events, nil
}

// deployed fills in what a deployment is, and returns what its sender told of its commits.
func deployed(e *dora.Event, d *ingest.Deployment, before []dora.Event, now time.Time) dora.CommitFacts {
	e.OccurredAt, e.StartedAt, e.Attempt = d.OccurredAt.UTC(), d.StartedAt.UTC(), e.ID
	e.Change, e.Success, e.IsRollback = dora.ChangeImage, new(d.Success), new(d.IsRollback)
	e.Version = versionOf(d)
	switch {
	case d.IsRollback:
		e.Outcome = dora.RolledBack
	case d.Success:
		e.Outcome = dora.Succeeded
	default:
		e.Outcome = dora.Failed
	}
	if d.IsRollback && !d.Success {
		e.Exposed = new(false) // what runs stayed what it was
	}
	e.Previous = previousOf(d.IsRollback && d.Success, before)
	if e.Outcome == dora.Succeeded {
		e.Unplanned = new(len(before) > 0 && broken(&before[0]))
	}
	if d.Success {
		e.Running = e.Version
	}
	facts := dora.CommitFacts{EventID: e.ID, FirstCommitAt: d.FirstCommitAt, Repository: d.Repository, ResolvedAt: now}
	if d.FirstCommitAt.IsZero() {
		facts.Reason, facts.Message = FirstCommitNotReported, "its sender told no first_commit_ts"
	}
	return facts
}

func versionOf(d *ingest.Deployment) *dora.Version {
	images := slices.Compact(slices.Sorted(slices.Values(d.Images)))
	v := &dora.Version{Images: append([]string{}, images...), Tag: d.Version, Commit: d.Commit}
	if v.Tag == "" && len(images) == 1 {
		v.Tag = dora.ImageTag(images[0])
	}
	return v
}

// previousOf is the version before a deployment: the newest that runs, or, of a return to an earlier one, the one that it leaves, healthy or
// not. A rollback that failed left nothing. That there was none before is not known: it may not have been reported.
func previousOf(leaves bool, before []dora.Event) dora.Predecessor {
	for i := range before {
		e := &before[i]
		if e.Exposed != nil && !*e.Exposed {
			continue
		}
		if leaves && e.Outcome != dora.Unknown || e.Success != nil && *e.Success {
			return dora.Predecessor{Known: true, Version: e.Version}
		}
	}
	return dora.Predecessor{}
}

// broken says that the next deployment is made because of this one.
func broken(e *dora.Event) bool { return e.Outcome == dora.Failed || e.Outcome == dora.RolledBack }

// changed fills in what a change is.
func changed(e *dora.Event, c *ingest.Change) {
	e.OccurredAt, e.Repository = c.OccurredAt.UTC(), c.Repository
	e.Version = &dora.Version{Images: []string{}, Commit: c.Commit}
	if !c.FirstCommitAt.IsZero() {
		e.FirstCommitAt = new(c.FirstCommitAt.UTC())
	}
}
