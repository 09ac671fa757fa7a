package deploy

import (
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// fresh is rule 3 for the pending attempt: whether the Healthy that Argo shows is that of its version.
func (d *decider) fresh(p *Attempt, version, added []string) bool {
	last := d.lastTouching()
	if last == nil || d.app.Health != Healthy {
		return false
	}
	if !last.ended() {
		return d.freshBefore(p, last)
	}
	if !d.healthyAfter(last, p.Start, p.Change == dora.ChangeConfig) {
		return false
	}
	// Where health never moved, the images may lag behind the comparison: what looks like configuration may bring one yet.
	if p.Change == dora.ChangeConfig && d.since().Before(p.Start) && d.now.Sub(last.End) < settleFor {
		d.recheckAt(last.End.Add(settleFor))
		return false
	}
	if d.mayYetBring(p, last) && !onlyThese(version, d.live) {
		return false
	}
	if own := d.op(p.Start); own != nil && own.SelfHeal && len(own.Images) == 0 && !d.repaired(last, version) {
		return false
	}
	return len(added) > 0 || p.Change == dora.ChangeConfig
}

// mayYetBring: an operation after the attempt's own applied a workload, and the live images may not tell yet what that brought.
func (d *decider) mayYetBring(p *Attempt, o *Op) bool {
	held := o.End.Add(settleFor)
	if !o.Start.After(p.Start) || o.SelfHeal || !o.Touched || len(o.Images) > 0 || !d.now.Before(held) {
		return false
	}
	d.recheckAt(held)
	return true
}

// repaired says that what runs is what the newest of repairs of drift brought. Until the drifted image is gone, nothing tells which of the two that is; and a
// version that was Healthy before the repair ended may have been the drifted one, that the repair takes away.
func (d *decider) repaired(o *Op, version []string) bool {
	if !onlyThese(version, d.live) {
		return false
	}
	if d.since().After(o.End) || d.app.Synced && d.app.ReconciledAt.After(o.End) {
		return true
	}
	held := o.End.Add(settleFor)
	d.recheckAt(held)
	return !d.now.Before(held)
}

// freshBefore: a newer operation runs, but the Healthy is older than it.
func (d *decider) freshBefore(p *Attempt, running *Op) bool {
	var last *Op
	for i := range d.s.Ops {
		if o := &d.s.Ops[i]; o.Start.Before(running.Start) && !o.DryRun {
			last = o
		}
	}
	since := d.since()
	if last == nil || last.Start.Before(p.Start) || !last.ended() || last.Unseen && !last.Partial || since.After(running.Start) {
		return false
	}
	if !since.Before(p.Start) && onlyThese(p.Images, d.live) && p.Change == dora.ChangeImage {
		return true
	}
	return d.app.Synced && d.app.ReconciledAt.After(last.End) && !d.app.ReconciledAt.After(running.Start)
}

// healthyAfter says that Healthy is fresh after an operation: by (a) a comparison made after it that found everything
// Synced, (b) a transition since the attempt started with the replaced images gone, or (c) having held for a while.
// Where no image changes, nothing is replaced, so (b) asks for Synced as well. Where several workloads changed, a transition before the end of the operation
// may be that of an earlier wave, while nothing shows yet what the last one replaces; one in the same second too, for all that Argo tells.
func (d *decider) healthyAfter(o *Op, start time.Time, sameImages bool) bool {
	if d.app.Health != Healthy || !o.ended() || d.rolloutUnobserved() {
		return false
	}
	if d.app.Synced && d.app.ReconciledAt.After(o.End) {
		return true
	}
	version, _, _ := d.version()
	gone := onlyThese(version, d.live)
	since, waves := d.since(), o.Several && !d.since().After(o.End)
	if !since.Before(start) && gone && !waves && (!sameImages || d.app.Synced) {
		return true
	}
	if held := o.End.Add(settleFor); d.now.Before(held) {
		d.recheckAt(held)
		return false
	}
	return gone
}

// rolloutUnobserved says that a Rollout's spec is newer than its status: whatever health the Application shows is that of the spec before.
func (d *decider) rolloutUnobserved() bool {
	return slices.ContainsFunc(d.obs.Rollouts, func(ro Rollout) bool { return !ro.Observed })
}

// healthyAt is when production became Healthy under an operation: the transition, or deployedAt if health never moved.
func (d *decider) healthyAt(o *Op) time.Time {
	if since := d.since(); !since.Before(o.Start) {
		return since
	}
	return d.deployedAt(o.Start)
}

func (d *decider) deployedAt(start time.Time) time.Time {
	o := d.op(start)
	switch {
	case o == nil:
		return start
	case !o.Deployed.IsZero():
		return o.Deployed
	default:
		return later(o.End, start)
	}
}

// succeedPending gives the attempt its success. After a gap in observation a transition later than the end of the operation
// proves nothing about when.
func (d *decider) succeedPending(p *Attempt, last *Op) {
	d.s.Pending = nil
	v := d.pendingVerdict(p)
	own := d.op(p.Start)
	at := d.since()
	switch {
	case at.Before(p.Start):
		at = d.deployedAt(p.Start)
		if own != nil && !own.Moving {
			v.basis = dora.BasisHistory
		}
	case own != nil && (own.Gap || !own.Moving) && at.After(own.End):
		at, v.basis = d.deployedAt(p.Start), dora.BasisHistory
	}
	at = later(at, d.closeMembers(v.id))
	if last != nil {
		d.closeOps(last.Start)
	}
	if d.s.New && p.Change == dora.ChangeImage && d.svc.sharedHome(d.s.Subject.UID, d.s.Destination, v.images) {
		d.decidef(ReasonRecreated, v.id, "another subject of the service runs these images in the same place")
		d.settle(v.images, at)
		return
	}
	d.succeed(v, at)
}

// closeMembers closes the Rollouts' part of an attempt, and says when the last of them was promoted.
func (d *decider) closeMembers(owner string) time.Time {
	var at time.Time
	for _, m := range d.revisionsOf(func(r *Revision) bool { return r.Owner == owner && !r.Closed && !r.PromotedAt.IsZero() }) {
		m.rev.Closed = true
		at = later(at, m.rev.PromotedAt)
	}
	return at
}

func (d *decider) ownsRevision(o *Op) bool {
	attempt := attemptOf(o)
	for _, r := range d.s.Rollouts {
		for i := range r.Revisions {
			if rev := &r.Revisions[i]; rev.Owner == attempt || rev.Owner == "" && !rev.Closed {
				return true
			}
		}
	}
	return false
}

// closeIdle closes the newest operation once it is known to have changed no version.
func (d *decider) closeIdle() {
	o := d.newest()
	if o == nil || o.Closed || !o.ended() || d.untold {
		return
	}
	if o.Failed && !o.Applied && !d.ownsRevision(o) {
		o.Closed, o.Idle = true, true
		d.decidef(ReasonNothing, attemptOf(o), "the operation failed before a workload was applied: %s", o.Message)
		return
	}
	if d.openRevisions() || !d.healthyAfter(o, o.Start, true) {
		return
	}
	o.Closed = true
	if d.ownsRevision(o) || d.judged(attemptOf(o)) {
		return
	}
	o.Idle = true
	d.explainIdle(o)
	d.shedReplaced()
	if !d.s.New {
		d.s.PreviousKnown = true
	}
}

// shedReplaced: a baseline taken while a version went out holds the replaced images too, until they are gone.
func (d *decider) shedReplaced() {
	s := &d.s
	live := minus(s.Settled, minus(s.Settled, d.live))
	kept := slices.DeleteFunc(slices.Clone(s.Settled), func(ref string) bool {
		return !slices.Contains(live, ref) && hasRepository(live, repository(ref))
	})
	if len(kept) == len(s.Settled) || !slices.Equal(s.Settled, s.Current) {
		return
	}
	for _, ref := range minus(s.Settled, kept) { // it was seen running before the other
		d.svc.settle(rankKey(overlay(kept, []string{ref}), s.Silent), s.FollowedSince)
	}
	d.settle(kept, d.now)
}

func (d *decider) openRevisions() bool {
	for _, r := range d.s.Rollouts {
		if slices.ContainsFunc(r.Revisions, func(rev Revision) bool { return !rev.Closed }) {
			return true
		}
	}
	return false
}

func (d *decider) explainIdle(o *Op) {
	attempt := attemptOf(o)
	switch {
	case d.s.Inherited:
		d.recreated(attempt)
	case o.SelfHeal:
		d.decidef(ReasonSelfHeal, attempt, "Argo CD repaired drift; the images did not change")
	case o.OutOfSync:
		d.decidef(ReasonConfigOnly, attempt, "configuration changed, the images did not")
	default:
		d.decidef(ReasonSameImages, attempt, "the images did not change")
	}
}

// recreated is rule 11: a deleted and recreated subject with the same images is nothing new.
func (d *decider) recreated(attempt string) {
	d.settle(d.s.Settled, d.now)
	d.decidef(ReasonRecreated, attempt, "the recreated subject runs what its predecessor ran")
}

// settleCurrent settles a version that got no success verdict but runs Healthy after all.
func (d *decider) settleCurrent() {
	o := d.newest()
	if len(d.obs.Rollouts) > 0 || slices.Equal(d.s.Current, d.s.Settled) || o == nil || !d.healthyAfter(o, o.Start, true) {
		return
	}
	// Pods of the version before may linger; after a newer operation they could as well be what it brought back.
	version, added, _ := d.version()
	if len(added) == 0 && (allLive(d.live, version) || d.judged(attemptOf(o))) {
		d.settleLate(d.s.Current, d.since(), attemptOf(o))
	}
}

// closeOlder closes operations that a newer one followed and that nothing waits for.
func (d *decider) closeOlder() {
	newest := d.newest()
	if newest == nil {
		return
	}
	repaired := d.repairedSync(newest)
	for i := range d.s.Ops {
		o := &d.s.Ops[i]
		waits := d.s.Pending != nil && o.Start.Equal(d.s.Pending.Start) || o == repaired
		if o != newest && o.ended() && !waits && newest.ended() {
			o.Closed = true
		}
	}
}

// repairedSync is the sync before a repair that is not closed yet. What it brought may show only after both.
func (d *decider) repairedSync(newest *Op) *Op {
	if !newest.SelfHeal || newest.Closed {
		return nil
	}
	for i := len(d.s.Ops) - 1; i >= 0; i-- {
		if o := &d.s.Ops[i]; !o.SelfHeal {
			return o
		}
	}
	return nil
}

// missed is rule 10: a history entry that came and went while nobody looked.
func (d *decider) missed(o *Op) {
	o.Closed = true
	version := overlay(d.s.Current, o.Images)
	if len(o.Images) == 0 {
		d.s.PreviousKnown = false
		if d.imported(o.Start) {
			d.decidef(ReasonNotImported, attemptOf(o), "nothing tells the images of this entry of the history")
			return
		}
		d.s.Gaps++
		d.decidef(ReasonGap, attemptOf(o), "a deployment came and went while nobody looked, and nothing tells its images")
		return
	}
	if len(minus(version, d.s.Current)) == 0 {
		o.Idle = true
		d.decidef(ReasonSameImages, attemptOf(o), "the images did not change")
		return
	}
	v := verdict{id: attemptOf(o), start: o.Start, images: version, change: dora.ChangeImage, basis: dora.BasisHistory}
	if d.app.Health == Healthy && d.since().Before(o.Start) {
		d.succeed(v, d.deployedAt(o.Start))
		return
	}
	first := d.s.New && d.s.PreviousKnown
	d.unknown(v, d.deployedAt(o.Start), dora.BasisHistory, "it ended while nobody looked")
	if d.s.PreviousKnown = first; first {
		d.s.Settled = v.images // rule 1: nothing else ran before the next one
	}
}
