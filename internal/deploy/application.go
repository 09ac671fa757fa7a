package deploy

import (
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// judgePending decides about the part of an Application that no visible Rollout tells of.
func (d *decider) judgePending() {
	if d.app == nil {
		return
	}
	if p := d.s.Pending; p != nil {
		d.noteInFlight(p, d.lastTouching())
		d.failedBeforeReturn(p)
	}
	version, added, bringer := d.version()
	d.missedVerdict(added)
	d.turnOver(added, bringer)
	d.begin(version, added, bringer)
	if d.s.Pending != nil {
		d.judgeAttempt(version, added)
	}
	if d.s.Pending == nil {
		d.closeIdle()
		d.settleCurrent()
	}
	d.closeOlder()
}

// turnOver ends an attempt because a newer operation brought another version.
func (d *decider) turnOver(added []string, bringer time.Time) {
	p := d.s.Pending
	if p == nil || !bringer.After(p.Start) || len(minus(added, p.Added)) == 0 {
		return
	}
	if d.judgeBefore(bringer) {
		return
	}
	d.s.Pending = nil
	v := d.pendingVerdict(p)
	if !p.DegradedSince.IsZero() {
		d.fail(v, p.DegradedSince)
		d.openFailure(p.DegradedSince, d.lastEvent(), "")
		return
	}
	d.supersede(v, p.FirstSeen, p.ProvenInFlight)
}

// supersede ends an attempt that a newer version replaced. Without proof that it was still going out by then its verdict may have been
// missed: the version keeps its first sight as its rank, and a first deployment is unknown, and what ran before the next (rule 1).
func (d *decider) supersede(v verdict, firstSeen time.Time, proven bool) {
	if !proven && d.s.New {
		d.unknown(v, d.deployedAt(v.start), dora.BasisHistory, "its verdict was missed")
		d.s.Settled, d.s.PreviousKnown = v.images, true
		return
	}
	if !proven {
		d.svc.settle(rankKey(v.images, d.s.Silent), firstSeen)
	}
	d.decidef(ReasonSuperseded, v.id, "a newer version replaced it before any verdict")
}

// failedBeforeReturn: production stood Degraded when the operation started that brought the earlier version back. That counts at once
// (rule 7), and the return is an attempt of its own.
func (d *decider) failedBeforeReturn(p *Attempt) {
	_, added, _ := d.version()
	last, bound := d.lastTouching(), d.boundOf(p)
	if p.DegradedSince.IsZero() || bound.IsZero() || len(added) > 0 || last == nil || !last.ended() || anyLive(p.Added, d.live) {
		return
	}
	d.s.Pending = nil
	d.fail(d.pendingVerdict(p), p.DegradedSince)
	d.openFailure(p.DegradedSince, d.lastEvent(), "")
}

// missedVerdict: a newer operation came and went unseen, and nothing proves that the attempt was still going out by then. What became of
// it in the meantime is not told, unless production shows its success from before that operation.
func (d *decider) missedVerdict(added []string) {
	p := d.s.Pending
	if p == nil || p.ProvenInFlight || len(minus(added, p.Added)) > 0 { // it was going out, or a newer version replaced it
		return
	}
	last, overwritten := d.lastTouching(), d.op(p.Start).overwritten()
	if last == nil || !last.Start.After(p.Start) || !overwritten && !d.passedUnseen(p) {
		return
	}
	if bound := d.boundOf(p); !overwritten && !bound.IsZero() && d.judgeBefore(bound) {
		return
	}
	d.s.Pending = nil
	d.endMissed(p, overwritten)
}

// endMissed ends an attempt whose verdict was missed by what is still live of what it brought.
func (d *decider) endMissed(p *Attempt, overwritten bool) {
	still := slices.DeleteFunc(slices.Clone(p.Added), func(ref string) bool { return !slices.Contains(d.live, ref) })
	if len(still) == 0 && overwritten {
		d.s.Judged = append(d.s.Judged, attemptAt(p.Start))
		d.decidef(ReasonMissedAttempt, attemptAt(p.Start), "it ended while nobody looked, and its images are gone")
		return
	}
	if len(still) == 0 && d.replacedBySomethingElse(p) {
		d.supersede(d.pendingVerdict(p), p.FirstSeen, false)
		return
	}
	if len(still) > 0 {
		p.Images = minus(p.Images, minus(p.Added, still)) // a hook's pods are gone
	}
	d.unknownPending(p, len(still) > 0)
}

// replacedBySomethingElse: what is live of its repositories is neither its version nor the one before.
func (d *decider) replacedBySomethingElse(p *Attempt) bool {
	return slices.ContainsFunc(d.live, func(ref string) bool {
		return hasRepository(p.Added, repository(ref)) && !slices.Contains(d.s.Current, ref)
	})
}

// unknownPending ends an attempt whose verdict was missed. What it brought may still run, and run Healthy.
func (d *decider) unknownPending(p *Attempt, runs bool) {
	first, known := d.s.New, d.s.PreviousKnown
	d.s.PreviousKnown = p.PreviousKnown
	v := d.pendingVerdict(p)
	d.unknown(v, d.deployedAt(p.Start), dora.BasisHistory, "its verdict was missed")
	d.s.PreviousKnown = known
	switch {
	case first:
		d.s.Settled, d.s.PreviousKnown = v.images, true
	case !runs:
		d.s.Current = d.s.Settled
	case d.app.Health == Healthy && !d.since().Before(p.Start) && onlyThese(p.Images, d.live):
		d.settle(v.images, d.since())
	}
}

// passedUnseen: an operation after the attempt's, that may have brought another version, was first seen when it was over.
func (d *decider) passedUnseen(p *Attempt) bool {
	return slices.ContainsFunc(d.s.Ops, func(o Op) bool {
		harmless := o.SelfHeal || o.DryRun || o.RowsSeen && !o.Touched || o.Failed && !o.Applied
		return o.Start.After(p.Start) && o.ended() && !o.Moving && !harmless
	})
}

// judgeBefore gives the success that production still showed when the next operation started.
func (d *decider) judgeBefore(next time.Time) bool {
	p := d.s.Pending
	if d.app.Health != Healthy || !d.since().Before(next) || d.since().Before(p.Start) {
		return false
	}
	o := d.op(p.Start)
	if o == nil || !o.ended() || o.Failed || o.overwritten() {
		return false
	}
	if p.Change == dora.ChangeImage && !anyLive(p.Added, d.live) {
		return false
	}
	d.succeedPending(p, o)
	return true
}

// begin starts an attempt once a version that was not running before is seen, and reads its version anew after that.
func (d *decider) begin(version, added []string, bringer time.Time) {
	p := d.s.Pending
	switch {
	case p != nil && len(added) > 0:
		p.Change, p.Images, p.Added = dora.ChangeImage, version, added // what looked like configuration may bring an image yet
		d.s.Silent = minus(d.s.Silent, added)
		if d.untold = !d.told(added); d.untold {
			d.s.Pending = nil
		}
	case p != nil:
	case len(added) > 0 && !bringer.IsZero() && !d.judged(attemptAt(bringer)):
		d.missEarlier(bringer)
		if d.untold = !d.told(added); !d.untold {
			d.beginImage(version, added, bringer)
		}
	case d.policy.CountConfig && len(added) == 0:
		d.beginConfig(version)
	}
}

// missEarlier: of a new subject, operations before the first one that is seen to bring an image came and went with what they brought.
func (d *decider) missEarlier(bringer time.Time) {
	for i := range d.s.Ops {
		o := &d.s.Ops[i]
		if d.s.New && o.Start.Before(bringer) && o.ended() && !o.Closed && !o.SelfHeal && !d.judged(attemptOf(o)) {
			d.missed(o)
		}
	}
}

func (d *decider) beginImage(version, added []string, bringer time.Time) {
	s := &d.s
	s.Pending = &Attempt{
		Start: bringer, Change: dora.ChangeImage, Images: version, Added: added, FirstSeen: d.now, PreviousKnown: s.PreviousKnown,
	}
	s.Silent = minus(s.Silent, added)
	replaces := slices.ContainsFunc(added, func(ref string) bool { return hasRepository(s.Settled, repository(ref)) })
	if s.Inherited && !replaces { // it is no successor of what ran in the same place
		s.Inherited, s.New, s.Settled, s.Current = false, true, nil, nil
	}
}

// told: where the version before is not known, several live images of one repository could be either.
func (d *decider) told(added []string) bool { return d.s.PreviousKnown || onePerRepository(added) }

func onePerRepository(refs []string) bool {
	seen := map[string]bool{}
	for _, ref := range refs {
		if seen[repository(ref)] {
			return false
		}
		seen[repository(ref)] = true
	}
	return true
}

// beginConfig is rule 5: the same images, and the comparison before the operation found a difference.
func (d *decider) beginConfig(version []string) {
	o := d.newest()
	if o == nil || o.Closed || !o.OutOfSync || o.SelfHeal || !o.ended() || o.RowsSeen && !o.Touched {
		return
	}
	if d.ownsRevision(o) || d.judged(attemptOf(o)) || len(d.s.Settled) == 0 {
		return
	}
	d.s.Pending = &Attempt{Start: o.Start, Change: dora.ChangeConfig, Images: union(d.s.Settled, version), FirstSeen: d.now}
}

func (d *decider) pendingVerdict(p *Attempt) verdict {
	v := verdict{id: attemptAt(p.Start), start: p.Start, images: d.whole(p.Images), change: p.Change, basis: dora.BasisLive}
	if o := d.op(p.Start); o != nil && o.Partial && !o.Listed {
		v.basis = dora.BasisPartialSync
	}
	return v
}

// whole completes a version with what the visible Rollouts run.
func (d *decider) whole(images []string) []string {
	sets := make([][]string, 1, 1+len(d.s.Rollouts))
	sets[0] = images
	for _, r := range d.s.Rollouts {
		stable := r.Stable
		if c := r.current(); c != nil && !c.PromotedAt.IsZero() {
			stable = c.Images
		}
		sets = append(sets, stable)
	}
	return union(sets...)
}
