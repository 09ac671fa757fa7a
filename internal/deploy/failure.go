package deploy

import (
	"strconv"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// openFailure starts a failure, unless one is open. rollout is the uid of the Rollout whose abort opened it.
func (d *decider) openFailure(at time.Time, causedBy, rollout string) {
	s := &d.s
	s.DegradedSince = time.Time{}
	if s.Failure != nil {
		return
	}
	s.Failures++
	s.Failure = &Failure{UID: s.Subject.UID, Ordinal: s.Failures, At: at, CausedBy: causedBy, Rollout: rollout}
	d.svc.openFailure(s.Subject.UID, at)
	if causedBy != "" {
		d.svc.Rework = true
	}
	e := d.event(dora.TypeDegraded, at)
	e.CausedBy = causedBy
	d.nameFailure(e)
}

func (d *decider) nameFailure(e *dora.Event) {
	uid, ordinal := d.s.Failure.UID, strconv.Itoa(d.s.Failure.Ordinal)
	e.ID = dora.ID(d.obs.Cluster, uid, ordinal, string(e.Type))
	e.FailureID = dora.ID(d.obs.Cluster, uid, ordinal, "failure")
	if images := d.running(); len(images) > 0 {
		e.Running = &dora.Version{Images: images}
		e.Running.Label(nil, d.policy.commitOf)
	}
}

// running is what runs: a version that replaced the current one runs before its operation is over, which may be long before its verdict.
func (d *decider) running() []string {
	if p := d.s.Pending; p != nil && len(p.Added) > 0 && allLive(p.Added, d.live) && onlyThese(p.Images, d.live) {
		return d.whole(p.Images)
	}
	return d.s.Current
}

func (d *decider) closeFailure(at time.Time) {
	f := d.s.Failure
	e := d.event(dora.TypeRecovered, at)
	e.CausedBy = f.CausedBy
	e.RecoverySeconds = new(max(at.Sub(f.At), 0).Seconds())
	d.nameFailure(e)
	d.svc.closeFailure(f.UID, at)
	d.s.Failure = nil
}

// judgeFailures opens a failure when the settled version turns Degraded and stays so (rules 7 and 8), and closes one
// when production serves a whole, healthy version again.
func (d *decider) judgeFailures() {
	switch {
	case d.s.Failure != nil:
		d.judgeRecovery()
	case d.app != nil:
		d.judgeDegradedApp()
	default:
		d.judgeDegradedRollout()
	}
}

func (d *decider) judgeRecovery() {
	f := d.s.Failure
	if at := d.stableAgain(f); !at.IsZero() {
		d.closeFailure(at)
		return
	}
	if d.app != nil {
		if since := d.since(); d.app.Health == Healthy && !since.Before(f.At) {
			d.closeFailure(since)
		}
		return
	}
	for i := range d.obs.Rollouts {
		ro := &d.obs.Rollouts[i]
		if at := ro.healthySince(); ro.Observed && !at.IsZero() && !at.Before(f.At) {
			d.closeFailure(at)
			return
		}
	}
}

// healthySince is when a Rollout became healthy; zero if it is not.
func (ro *Rollout) healthySince() time.Time {
	if ro.Phase != RolloutHealthy {
		return time.Time{}
	}
	if ro.HealthyCond.Status == True && ro.HealthyCond.Since.After(ro.CompletedCond.Since) {
		return ro.HealthyCond.Since
	}
	return ro.CompletedCond.Since
}

// stableAgain: after an abort the Rollout stays Degraded until someone edits it, but production is whole again once the
// stable version is fully available and the aborted one is scaled away or without weight. Zero until then.
func (d *decider) stableAgain(f *Failure) time.Time {
	if f.Rollout == "" {
		return time.Time{}
	}
	for i := range d.obs.Rollouts {
		ro := &d.obs.Rollouts[i]
		if ro.UID != f.Rollout || !ro.Aborted || ro.AbortedAt.IsZero() {
			continue
		}
		stable, aborted := ro.set(ro.StableHash), ro.set(ro.CurrentHash)
		if stable == nil || stable.Available < ro.Desired || !ro.withoutTraffic(aborted) {
			return time.Time{}
		}
		if ro.Available.Status == True && ro.Available.Since.After(ro.AbortedAt) {
			return ro.Available.Since
		}
		if d.now.Sub(ro.AbortedAt) > settleFor {
			return ro.AbortedAt
		}
		return later(ro.AbortedAt, d.now)
	}
	return time.Time{}
}

func (ro *Rollout) withoutTraffic(rs *ReplicaSet) bool {
	return rs == nil || rs.Replicas == 0 || ro.TrafficRouted && ro.Weight == 0 || ro.BlueGreen && ro.ActiveHash == ro.StableHash
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// judgeDegradedApp: the health of an Application whose attempts do not explain a Degraded.
func (d *decider) judgeDegradedApp() {
	since := d.since()
	mine := d.app.Health == Degraded && since.After(d.s.FollowedSince) && d.settledDegraded(since)
	d.judgeSettled(mine, since, d.app.Health == HealthUnknown || d.app.Health == "")
}

func (d *decider) judgeDegradedRollout() {
	for i := range d.obs.Rollouts {
		ro := &d.obs.Rollouts[i]
		if !ro.Observed {
			continue
		}
		promoted := ro.StableHash == ro.CurrentHash && len(d.s.Settled) > 0
		d.judgeSettled(promoted && ro.Phase == RolloutDegraded && ro.TimedOut, ro.Progressing.Since, false)
	}
}

// judgeSettled opens a failure once a Degraded of the settled version has lasted. Unknown neither opens nor ends it.
func (d *decider) judgeSettled(degraded bool, since time.Time, unknown bool) {
	s := &d.s
	if !degraded {
		if !s.DegradedSince.IsZero() && !unknown {
			d.decidef(ReasonBlip, "", "Degraded for less than degradedFor (%s)", d.policy.DegradedFor)
			s.DegradedSince = time.Time{}
		}
		return
	}
	if since.IsZero() { // Argo tells no time: the first sight stands in
		if since = s.DegradedSince; since.IsZero() {
			since = d.now
		}
	}
	s.DegradedSince = since
	if d.now.Sub(since) < d.policy.DegradedFor {
		d.recheckAt(since.Add(d.policy.DegradedFor))
		return
	}
	d.openFailure(since, d.causeOf(since), "")
}

// settledDegraded says that a Degraded of the Application is the settled version's: not an attempt's that is still open,
// and not what a Rollout shows while it is being changed or after an abort.
func (d *decider) settledDegraded(since time.Time) bool {
	if p := d.s.Pending; p != nil && !since.Before(p.Start) {
		return false
	}
	if len(d.s.Settled) == 0 {
		return false
	}
	if d.otherDegraded() {
		return true
	}
	if d.rolloutMoving() {
		d.s.Excused, d.s.ExcusedUntil = since, time.Time{}
		return false
	}
	return d.outlasted(since)
}

// outlasted: a Degraded that is older than a Rollout's last turn may be what the Rollout showed before it; only a comparison
// well after that turn makes it the settled version's.
func (d *decider) outlasted(since time.Time) bool {
	var turned time.Time
	for _, r := range d.s.Rollouts {
		for i := range r.Revisions {
			rev := &r.Revisions[i]
			turned = later(turned, later(rev.At, later(rev.PromotedAt, rev.ReturnedAt)))
		}
	}
	var enough time.Time
	if since.Equal(d.s.Excused) {
		if d.s.ExcusedUntil.IsZero() {
			d.s.ExcusedUntil = d.now.Add(settleFor)
		}
		enough = d.s.ExcusedUntil
	}
	if !since.After(turned) {
		enough = later(enough, turned.Add(settleFor))
	}
	d.recheckAt(enough)
	return !d.now.Before(enough) && (since.After(turned) || d.app.ReconciledAt.After(turned))
}

// rolloutMoving: a visible Rollout is between versions, or shows an abort.
func (d *decider) rolloutMoving() bool {
	for i := range d.obs.Rollouts {
		ro := &d.obs.Rollouts[i]
		between := ro.StableHash != ro.CurrentHash || !ro.Observed
		if between || ro.Phase == RolloutDegraded && !ro.TimedOut { // an invalid spec deploys nothing
			return true
		}
	}
	for _, r := range d.s.Rollouts {
		if c := r.current(); c != nil && !c.Closed && (c.PromotedAt.IsZero() || !d.since().After(c.PromotedAt)) {
			return true
		}
	}
	return false
}

// otherDegraded: a resource other than the visible Rollouts is Degraded.
func (d *decider) otherDegraded() bool {
	for _, res := range d.app.Resources {
		if res.Health == Degraded && !d.visibleRollout(&Row{Kind: res.Kind, Namespace: res.Namespace, Name: res.Name}) {
			return true
		}
	}
	return false
}

// causeOf is rule 8: the latest deployment, if the failure began within failureWindow of its Healthy and no other
// operation changed resources in between.
func (d *decider) causeOf(at time.Time) string {
	l := d.s.Deploy
	if l == nil || l.HealthyAt.IsZero() || at.Before(l.HealthyAt) || at.Sub(l.HealthyAt) > d.policy.FailureWindow {
		return ""
	}
	for i := range d.s.Ops {
		o := &d.s.Ops[i]
		if o.Start.After(l.HealthyAt) && !o.Start.After(at) && !o.DryRun && (o.Touched || !o.RowsSeen) {
			return ""
		}
	}
	return l.EventID
}
