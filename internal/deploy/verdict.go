package deploy

import (
	"slices"
	"strconv"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// verdict is an attempt about to get its event.
type verdict struct {
	id     string
	start  time.Time
	images []string
	change dora.ChangeKind
	basis  dora.Basis
}

// attempt describes the attempt of a group of revisions; retry counts the aborts before it.
func (d *decider) attempt(owner string, group []member, retry int) verdict {
	v := verdict{id: owner, images: d.composed(group), start: group[0].rev.At, change: d.changes(group[0]), basis: dora.BasisLive}
	if v.change == "" {
		v.change = dora.ChangeImage
	}
	if o := d.ownerOp(owner); o != nil {
		v.start = o.Start
	}
	if retry > 0 {
		v.id += "#" + strconv.Itoa(retry)
	}
	return v
}

// deployEvent fills what every deploy event has. It is nil if the attempt has its event already, or no image of it is counted.
func (d *decider) deployEvent(v verdict, at time.Time, outcome dora.Outcome) *dora.Event {
	if d.judged(v.id) || len(v.images) == 0 {
		return nil
	}
	d.s.Judged = append(d.s.Judged, v.id)
	e := d.event(dora.TypeDeploy, at)
	e.ID = dora.ID(d.obs.Cluster, d.s.Subject.UID, v.id, string(dora.TypeDeploy))
	e.Outcome, e.Attempt, e.StartedAt, e.Change, e.Basis = outcome, v.id, v.start, v.change, v.basis
	if e.Basis == "" {
		e.Basis = dora.BasisLive
	}
	if d.imported(v.start) {
		e.Basis, e.Reason = dora.BasisHistory, importedFromHistory
	}
	return e
}

// imported: it was before the subject was followed, and is told by its history alone.
func (d *decider) imported(start time.Time) bool {
	return d.s.Imported && start.Before(d.s.FollowedSince)
}

func (d *decider) event(t dora.Type, at time.Time) *dora.Event {
	d.events = append(d.events, dora.Event{
		Schema: dora.Schema, Type: t, Service: d.s.Service, Team: d.s.Team, Environment: d.s.Environment,
		Cluster: d.obs.Cluster, Subject: d.s.Subject, OccurredAt: at.UTC(), ObservedAt: d.now.UTC(),
	})
	return &d.events[len(d.events)-1]
}

// lastEvent is the id of the newest event of this decision.
func (d *decider) lastEvent() string {
	if len(d.events) == 0 {
		return ""
	}
	return d.events[len(d.events)-1].ID
}

// describe fills version and previous. Which image changed is told against the version before.
func (d *decider) describe(e *dora.Event, v verdict, previous []string, known bool) {
	version := &dora.Version{Images: v.images}
	changed := minus(v.images, previous)
	if v.change == dora.ChangeConfig || !known {
		changed = nil
	}
	version.Label(changed, d.policy.commitOf)
	if !known && len(v.images) > 1 {
		version.Tag = "" // which of several images changed is not known
	}
	if o := d.ownerOp(v.id); o != nil {
		version.ConfigRevisions = o.Revisions
	}
	if v.change == dora.ChangeConfig && len(version.ConfigRevisions) > 0 {
		version.Commit = version.ConfigRevisions[0]
	}
	e.Version = version
	e.Previous = d.predecessor(previous, version.Tag, changed, known)
}

// predecessor names the version before; its tag is that of the same image.
func (d *decider) predecessor(images []string, tag string, changed []string, known bool) dora.Predecessor {
	p := dora.Predecessor{Known: known}
	if !known || len(images) == 0 {
		return p
	}
	p.Version = &dora.Version{Images: images}
	var same []string
	for _, ref := range changed {
		if dora.ImageTag(ref) == tag {
			same = slices.DeleteFunc(slices.Clone(images), func(old string) bool { return repository(old) != repository(ref) })
			break
		}
	}
	if len(same) == 0 && len(changed) > 0 {
		return p // a new image: it has no tag before
	}
	p.Version.Label(same, d.policy.commitOf)
	return p
}

// tellRanks says of each version when it was first settled: not every settling has an event of its own.
func (d *decider) tellRanks() {
	for i := range d.events {
		e := &d.events[i]
		for _, v := range []*dora.Version{e.Version, e.Previous.Version, e.Running} {
			if v == nil {
				continue
			}
			if n, ok := d.svc.rank(rankKey(v.Images, d.s.Silent)); ok {
				v.SettledAt = new(d.svc.Ranks[n].At.UTC())
			}
		}
	}
}

// succeed is a version that reached Healthy: a deployment, or, if it was settled before the version it replaces, a rollback.
func (d *decider) succeed(v verdict, at time.Time) {
	s := &d.s
	from, back := s.Current, d.bringsEarlier(v)
	outcome := dora.Succeeded
	if back {
		outcome = dora.RolledBack
	}
	e := d.deployEvent(v, at, outcome)
	if e == nil {
		d.settle(v.images, at)
		return
	}
	e.Success, e.IsRollback = new(true), new(back)
	if back {
		d.describe(e, v, from, true)
		d.svc.Rework = true
	} else {
		d.describe(e, v, s.Settled, s.PreviousKnown)
		e.Unplanned = new(d.unplanned(v.start))
		d.svc.Rework = false
	}
	e.Running = &dora.Version{Images: v.images, Tag: e.Version.Tag, Commit: e.Version.Commit}
	s.Deploy = &LastDeploy{EventID: e.ID, Start: v.start, HealthyAt: at}
	d.settle(v.images, at)
}

// bringsEarlier is rule 6: the version was settled before the one it replaces first was.
func (d *decider) bringsEarlier(v verdict) bool {
	return v.change == dora.ChangeImage && d.svc.earlier(rankKey(v.images, d.s.Silent), rankKey(d.s.Current, d.s.Silent))
}

// settleFailed settles a version whose operation failed, but which runs Healthy.
func (d *decider) settleFailed(images []string, at time.Time) {
	d.settle(images, at)
	if d.s.Deploy != nil {
		d.s.Deploy.HealthyAt = at
	}
}

// fail is an attempt under which production degraded, or whose operation failed after it applied a workload.
func (d *decider) fail(v verdict, at time.Time) {
	e := d.deployEvent(v, at, dora.Failed)
	if e == nil {
		return
	}
	e.Success, e.IsRollback = new(false), new(false)
	if d.bringsEarlier(v) {
		d.describe(e, v, d.s.Current, true)
	} else {
		e.Unplanned = new(d.unplanned(v.start))
		d.describe(e, v, d.s.Settled, d.s.PreviousKnown)
	}
	e.Running = &dora.Version{Images: v.images, Tag: e.Version.Tag, Commit: e.Version.Commit}
	d.s.Current, d.s.New = v.images, false
	d.s.Deploy = &LastDeploy{EventID: e.ID, Start: v.start}
	d.svc.Rework = true
}

// rollBackInFlight is an attempt that was aborted or reverted before a verdict: production stays on, or goes back to, the settled version.
func (d *decider) rollBackInFlight(v verdict, at time.Time, exposed bool) {
	s := &d.s
	unplanned := d.unplanned(v.start)
	e := d.deployEvent(v, at, dora.RolledBack)
	if e == nil {
		return
	}
	e.Success, e.IsRollback, e.Exposed, e.Unplanned = new(false), new(true), new(exposed), new(unplanned)
	d.describe(e, v, s.Settled, s.PreviousKnown)
	if len(s.Settled) > 0 {
		running := dora.Version{Images: s.Settled}
		if p := e.Previous.Version; p != nil {
			running.Tag, running.Commit = p.Tag, p.Commit
		}
		e.Running = &running
	}
	s.Current, s.New = s.Settled, false
	d.svc.Rework = true
}

// unknown is an attempt whose verdict Argo no longer tells.
func (d *decider) unknown(v verdict, at time.Time, basis dora.Basis, why string) {
	v.basis = basis
	e := d.deployEvent(v, at, dora.Unknown)
	if e == nil {
		return
	}
	e.IsRollback, e.Message = new(false), why
	d.describe(e, v, d.s.Settled, d.s.PreviousKnown)
	d.svc.settle(rankKey(v.images, d.s.Silent), v.start)
	d.s.Current, d.s.New = v.images, false
}

// settle makes a version the one that last ran Healthy.
func (d *decider) settle(images []string, at time.Time) {
	s := &d.s
	s.Settled, s.Current = images, images
	s.PreviousKnown, s.New, s.Inherited = true, false, false
	s.Silent = slices.DeleteFunc(s.Silent, func(ref string) bool { return !slices.Contains(images, ref) })
	d.svc.settle(rankKey(images, s.Silent), at)
	d.svc.settleHome(s.Subject, s.Destination, images)
}

// settleLate settles a version that got no success verdict but runs Healthy after all.
func (d *decider) settleLate(images []string, at time.Time, attempt string) {
	if slices.Equal(d.s.Settled, images) {
		return
	}
	d.settle(images, at)
	if d.s.Deploy != nil && d.s.Deploy.HealthyAt.IsZero() {
		d.s.Deploy.HealthyAt = at
	}
	d.decidef(ReasonSettledLate, attempt, "the version runs Healthy; its attempt keeps its verdict")
}

// unplanned is rule 9.
func (d *decider) unplanned(start time.Time) bool {
	return d.svc.Rework || d.svc.failing(start)
}

// wait runs the clock of an attempt whose operation ended at that time. It returns when the verdict timeout ran out; zero before.
func (d *decider) wait(c *Clock, ended time.Time, running bool) time.Time {
	if !running {
		if !c.Mark.IsZero() {
			c.Waited += d.now.Sub(c.Mark)
		}
		c.Started, c.Mark = true, time.Time{}
		return time.Time{}
	}
	if c.Mark.IsZero() {
		c.Mark = d.now
		if !c.Started && !ended.IsZero() {
			c.Mark = ended
		}
		c.Started = true
	}
	end := c.Mark.Add(d.policy.VerdictTimeout - c.Waited)
	if d.now.Before(end) {
		d.recheckAt(end)
		return time.Time{}
	}
	return end
}
