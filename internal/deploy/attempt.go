package deploy

import (
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// judgeAttempt looks for a verdict on the pending attempt.
func (d *decider) judgeAttempt(version, added []string) {
	p := d.s.Pending
	last := d.lastTouching()
	if last == nil {
		d.s.Pending = nil // no operation is left that can have brought it
		return
	}
	switch {
	case d.cancelled(p), d.failedOperation(p, added), d.failedDegraded(p, last), d.revertedPending(p, added, last), d.healed(p, version, added, last):
	case p.Change == dora.ChangeImage && len(added) == 0:
		// its images are gone for now
	case d.fresh(p, version, added):
		d.succeedPending(p, last)
	default:
		d.waitForPending(p, last)
	}
}

// lastTouching is the newest operation that may have touched a workload: one that failed before it applied any did not.
func (d *decider) lastTouching() *Op {
	for i := len(d.s.Ops) - 1; i >= 0; i-- {
		if o := &d.s.Ops[i]; !o.DryRun && (!o.ended() || !o.Failed || o.Applied) {
			return o
		}
	}
	return nil
}

// noteInFlight keeps the proof that a newer operation found the attempt still going out (rule 6).
func (d *decider) noteInFlight(p *Attempt, last *Op) {
	if last == nil || !last.Start.After(p.Start) || !d.since().Before(last.Start) {
		return
	}
	switch d.app.Health {
	case Progressing, Suspended, Missing:
		p.ProvenInFlight = true
	case Healthy, Degraded, HealthUnknown:
	}
}

// cancelled: the operation ended without applying a workload, so what appeared was a hook's or joined by itself.
func (d *decider) cancelled(p *Attempt) bool {
	o := d.op(p.Start)
	if o == nil || !o.ended() || !o.RowsSeen {
		return false
	}
	others := p.Change == dora.ChangeImage && len(o.Images) > 0 && !anyLive(p.Added, o.Images) // its rows say that it brought other images
	if o.Applied && !others {
		return false
	}
	d.s.Pending = nil
	for _, ref := range p.Added {
		if _, live := d.s.Pods[ref]; live {
			d.s.Pods[ref] = time.Time{}
			d.joinSilently(ref)
		}
	}
	return true
}

// failedOperation: the operation failed after it applied a workload (a failing PostSync hook, a later wave). A version
// that is Healthy is settled all the same.
func (d *decider) failedOperation(p *Attempt, added []string) bool {
	o := d.failingOp(p)
	if o == nil {
		return false
	}
	at, since := o.End, d.since()
	degraded := d.app.Health == Degraded && !since.Before(p.Start)
	if degraded && since.Before(at) {
		at = since
	}
	d.s.Pending = nil
	d.closeOps(o.Start)
	if p.Change == dora.ChangeImage && len(added) == 0 { // what appeared was a hook's, and is gone
		d.decidef(ReasonSameImages, attemptOf(o), "the operation failed and left the images as they were")
		return true
	}
	d.fail(d.pendingVerdict(p), at)
	if degraded {
		d.openFailure(since, d.lastEvent(), "")
	} else if d.app.Health == Healthy && onlyThese(p.Images, d.live) {
		d.settleFailed(d.whole(p.Images), later(since, p.Start))
	}
	return true
}

// failingOp is the operation that failed the attempt: its own, or a newer one that was no self-heal. Nil if none did.
func (d *decider) failingOp(p *Attempt) *Op {
	if own := d.op(p.Start); own != nil && own.failedApplied() {
		return own
	}
	o := d.newest()
	if o == nil || !o.failedApplied() || o.SelfHeal || o.Start.Before(p.Start) {
		return nil
	}
	return o
}

// failedDegraded is rule 7: a Degraded whose transition lies in the attempt, and that lasts.
func (d *decider) failedDegraded(p *Attempt, last *Op) bool {
	since, bound := d.since(), d.boundOf(p)
	mine := !since.Before(p.Start) && (bound.IsZero() || !since.After(bound))
	switch {
	case !mine:
	case d.app.Health == Degraded:
		if p.DegradedSince.IsZero() || d.codeBefore == Degraded { // of two in a row the first ended unseen
			p.DegradedSince = since
		}
	case d.app.Health == HealthUnknown, since.Equal(bound):
	case !p.DegradedSince.IsZero():
		d.decidef(ReasonBlip, attemptAt(p.Start), "Degraded for less than degradedFor (%s)", d.policy.DegradedFor)
		p.DegradedSince = time.Time{}
	}
	if p.DegradedSince.IsZero() || d.app.Health != Degraded || !mine || d.rolloutMoving() && !d.otherDegraded() {
		return false
	}
	if lasted := d.now.Sub(p.DegradedSince); lasted < d.policy.DegradedFor {
		d.recheckAt(p.DegradedSince.Add(d.policy.DegradedFor))
		return false
	}
	d.s.Pending = nil
	d.closeOps(last.Start)
	d.fail(d.pendingVerdict(p), p.DegradedSince)
	d.openFailure(p.DegradedSince, d.lastEvent(), "")
	return true
}

// boundOf is the start of the first later operation that is not known to bring the same images; zero if there is none.
func (d *decider) boundOf(p *Attempt) time.Time {
	for i := range d.s.Ops {
		o := &d.s.Ops[i]
		if !o.Start.After(p.Start) || o.DryRun || o.SelfHeal || o.Idle {
			continue
		}
		if !o.ended() {
			return o.Start
		}
		same := o.RowsSeen && (!o.Applied || !o.Touched) || len(o.Images) > 0 && len(minus(o.Images, p.Images)) == 0
		if settled := o.End.Add(settleFor); !same && d.now.Before(settled) { // what it brought may not be live yet
			d.recheckAt(settled)
			return o.Start
		}
	}
	return time.Time{}
}

// revertedPending: a newer operation brought the version before back, and this attempt had no verdict (rule 6).
func (d *decider) revertedPending(p *Attempt, added []string, last *Op) bool {
	if p.Change != dora.ChangeImage || len(added) > 0 || last == nil || !last.Start.After(p.Start) || !last.ended() {
		return false
	}
	if anyLive(p.Added, d.live) || !d.healthyAfter(last, last.Start, true) {
		return false
	}
	d.s.Pending = nil
	d.closeOps(last.Start)
	v := d.pendingVerdict(p)
	if p.ProvenInFlight {
		d.rollBackInFlight(v, d.healthyAt(last), true)
		return true
	}
	d.unknown(v, d.deployedAt(v.start), dora.BasisHistory, "its verdict was missed before the earlier version came back")
	d.s.Current = d.s.Settled
	return true
}

// healed: what appeared while Argo CD repaired drift was the drift, and is gone.
func (d *decider) healed(p *Attempt, version, added []string, last *Op) bool {
	own := d.op(p.Start)
	if own == nil || !own.SelfHeal || len(added) > 0 || !last.ended() || !d.repaired(last, version) {
		return false
	}
	d.s.Pending = nil
	return true
}

func (d *decider) waitForPending(p *Attempt, last *Op) {
	if last == nil || !last.ended() {
		return // it is not over; a clock that runs already goes on
	}
	end := d.wait(&p.Clock, last.End, d.app.Health != Suspended)
	if end.IsZero() {
		return
	}
	d.s.Pending = nil
	d.closeOps(last.Start)
	d.unknown(d.pendingVerdict(p), end, dora.BasisLive, "no verdict within the timeout")
}

// closeOps closes every operation up to that start, but for one that still runs.
func (d *decider) closeOps(upTo time.Time) {
	for i := range d.s.Ops {
		if o := &d.s.Ops[i]; !o.Start.After(upTo) && o.ended() {
			o.Closed = true
		}
	}
}
