package deploy

import (
	"slices"
	"time"
)

// readRollouts adds to the facts of each visible Rollout what this observation shows. A status that does not
// describe the current spec is passed over: the next write of the controller tells more.
func (d *decider) readRollouts() {
	for i := range d.obs.Rollouts {
		ro := &d.obs.Rollouts[i]
		if ro.CurrentHash == "" || !ro.Observed || d.behind(ro) {
			continue
		}
		if d.s.Rollouts == nil {
			d.s.Rollouts = map[string]*RolloutState{}
		}
		r, known := d.s.Rollouts[ro.UID]
		if !known {
			r = &RolloutState{}
			d.s.Rollouts[ro.UID] = r
		}
		d.readRevision(r, ro)
		d.readStable(r, ro)
		if !known && d.s.Based && ro.CreatedAt.Before(d.s.FollowedSince) {
			d.baseRollout(r)
		}
	}
}

// behind: the annotation already names the next revision while currentPodHash is still the old one (the controller patches annotation and
// conditions before it recomputes the hash). The ReplicaSet of the current revision carries its number, and did before the Rollout; that of
// the next one need not have been seen yet, since informers are not ordered.
func (d *decider) behind(ro *Rollout) bool {
	current := ro.set(ro.CurrentHash)
	return current != nil && current.Revision > 0 && current.Revision < ro.Revision
}

func (ro *Rollout) set(hash string) *ReplicaSet {
	for i := range ro.ReplicaSets {
		if ro.ReplicaSets[i].Hash == hash {
			return &ro.ReplicaSets[i]
		}
	}
	return nil
}

// images of a hash: its ReplicaSet's, else, of the current one, the template's. Nil if neither is there.
func (d *decider) imagesOf(ro *Rollout, hash string) []string {
	if rs := ro.set(hash); rs != nil {
		return d.policy.Counted(rs.Images)
	}
	if hash == ro.CurrentHash && len(ro.TemplateImages) > 0 {
		return d.policy.Counted(ro.TemplateImages)
	}
	return nil
}

func (d *decider) readRevision(r *RolloutState, ro *Rollout) {
	current := r.current()
	if current == nil || ro.Revision > current.N || (ro.Revision == 0 && ro.CurrentHash != current.Hash) {
		if current = d.nextRevision(r, ro); current == nil {
			return
		}
	}
	if ro.CurrentHash != current.Hash {
		return // an older state of the object
	}
	d.readFacts(current, ro)
	d.readReturn(r, ro)
}

// nextRevision starts a revision, and ends the one before it.
func (d *decider) nextRevision(r *RolloutState, ro *Rollout) *Revision {
	images := d.imagesOf(ro, ro.CurrentHash)
	if images == nil || ro.set(ro.CurrentHash) == nil && len(ro.ReplicaSets) > 0 {
		return nil // its ReplicaSet is not seen yet
	}
	next := Revision{N: ro.Revision, Hash: ro.CurrentHash, Images: images, At: changedAt(ro)}
	before := r.current()
	next.Revived = d.revived(r, ro)
	if before == nil {
		next.First = ro.Revision <= 1
		if next.First {
			next.Base = d.s.Settled // of a subject, or an object of it, that was made anew
		}
		if ro.StableHash != "" && ro.StableHash != ro.CurrentHash {
			next.BaseHash, next.Base = ro.StableHash, d.imagesOf(ro, ro.StableHash)
		}
		if d.s.New && !next.First {
			d.missedBefore(ro, &next)
		}
	} else {
		d.leave(r, before, &next, ro)
	}
	r.Revisions = append(r.Revisions, next)
	return r.current()
}

// revived: the ReplicaSet was re-used, so its version was there before, and no revision of it was ever seen here.
func (d *decider) revived(r *RolloutState, ro *Rollout) bool {
	rs := ro.set(ro.CurrentHash)
	if rs == nil || !rs.Reused || r.StableHash == rs.Hash || slices.ContainsFunc(r.Revisions, func(rev Revision) bool { return rev.Hash == rs.Hash }) {
		return false
	}
	_, ranked := d.svc.rank(rankKey(d.policy.Counted(rs.Images), d.s.Silent))
	return !ranked
}

// leave ends a revision because the Rollout turned to the next one.
func (d *decider) leave(r *RolloutState, before, next *Revision, ro *Rollout) {
	before.LeftAt = next.At
	promoted := !before.PromotedAt.IsZero() || !before.First && r.StableHash == before.Hash
	next.BaseHash, next.Base = r.StableHash, r.Stable
	if before.First && !promoted {
		next.First = ro.StableHash == "" || ro.StableHash == ro.CurrentHash
	}
	if ro.StableHash != ro.CurrentHash && ro.StableHash != next.BaseHash && ro.StableHash != "" {
		next.BaseHash, next.Base = ro.StableHash, d.imagesOf(ro, ro.StableHash)
	}
	// It was still going out if the stable version is still the one it set out to replace, or, of a first one, if it was never Healthy.
	before.Proven = ro.StableHash == before.BaseHash || before.First && ro.HealthyCond.Status == ""
	if before.Hash == next.Hash {
		next.BaseHash, next.Base = next.Hash, next.Images // it left and came back unseen
		return
	}
	if !promoted && next.BaseHash == next.Hash {
		next.Return, before.Returned = true, true
	}
}

// changedAt is when the Rollout turned to its current hash: the creation of a new ReplicaSet, or of a re-used one
// the transition of Completed.
func changedAt(ro *Rollout) time.Time {
	rs := ro.set(ro.CurrentHash)
	if rs != nil && !rs.Reused && rs.Revision == ro.Revision {
		return rs.CreatedAt
	}
	if !ro.CompletedCond.Since.IsZero() {
		return ro.CompletedCond.Since
	}
	if rs != nil {
		return rs.CreatedAt
	}
	return ro.CreatedAt
}

// readFacts notes what happened to the current revision.
func (d *decider) readFacts(rev *Revision, ro *Rollout) {
	promoted := ro.StableHash == ro.CurrentHash
	if !promoted || ro.Phase != RolloutHealthy {
		rev.Moving = true
	}
	d.readExposure(rev, ro, promoted)
	if promoted && !rev.First {
		d.readPromotion(rev, ro)
		return
	}
	if promoted {
		d.readFirst(rev, ro)
		return
	}
	d.readAbort(rev, ro)
	d.readDegraded(rev, ro)
}

func (d *decider) readExposure(rev *Revision, ro *Rollout, promoted bool) {
	switch {
	case ro.BlueGreen:
		rev.Exposed = rev.Exposed || ro.ActiveHash == rev.Hash
	case ro.TrafficRouted:
		rev.Exposed = rev.Exposed || ro.Weight > 0 || promoted
	default:
		rev.Exposed = true
	}
}

// readPromotion: the version is the stable one. It reached Healthy at Completed, whatever its pods did later.
func (d *decider) readPromotion(rev *Revision, ro *Rollout) {
	rev.DegradedSince = time.Time{}
	settled := ro.Phase == RolloutHealthy || ro.Phase == RolloutDegraded
	if rev.Return || !settled || !rev.PromotedAt.IsZero() {
		return
	}
	rev.PromotedAt = ro.CompletedCond.Since
	if rev.PromotedAt.Before(rev.At) { // promoted at once: the stable ReplicaSet was gone
		rev.PromotedAt = later(ro.HealthyCond.Since, rev.At)
	}
}

// readFirst: a first revision is stable from the start, so its health tells.
func (d *decider) readFirst(rev *Revision, ro *Rollout) {
	switch {
	case !rev.PromotedAt.IsZero():
	case ro.Phase == RolloutHealthy && ro.HealthyCond.Status != False:
		rev.PromotedAt, rev.DegradedSince = ro.HealthyCond.Since, time.Time{}
		if rev.PromotedAt.IsZero() {
			rev.PromotedAt = d.now
		}
	case ro.HealthyCond.Status == "":
		d.readDegraded(rev, ro)
	case !rev.Closed:
		// It was Healthy once, and nobody saw when.
		rev.Closed = true
		d.missedRevision(ro, rev.N, rev.At, rev.Images)
	}
}

func (d *decider) readAbort(rev *Revision, ro *Rollout) {
	last := len(rev.Aborts) - 1
	if !ro.Aborted {
		if last >= 0 && !rev.Aborts[last].Retried && ro.Phase != RolloutDegraded {
			rev.Aborts[last].Retried = true
		}
		return
	}
	if ro.AbortedAt.IsZero() || (last >= 0 && rev.Aborts[last].At.Equal(ro.AbortedAt)) {
		return
	}
	if last >= 0 {
		rev.Aborts[last].Retried = true
	}
	rev.Aborts = append(rev.Aborts, Abort{At: ro.AbortedAt, Exposed: rev.Exposed})
	rev.DegradedSince = time.Time{}
}

func (d *decider) readDegraded(rev *Revision, ro *Rollout) {
	if ro.Aborted && !rev.First {
		return
	}
	switch {
	case ro.Phase != RolloutDegraded:
		rev.DegradedSince = time.Time{}
	case rev.DegradedSince.IsZero() && (ro.TimedOut || rev.First && ro.Aborted):
		if rev.DegradedSince = ro.Progressing.Since; rev.DegradedSince.IsZero() {
			rev.DegradedSince = d.now
		}
	}
}

// readReturn: the Rollout is back at its stable template. Whether the revision it left was still going out is proven
// by the Progressing condition: it did not move at the return, or only because a pause ended with it.
func (d *decider) readReturn(r *RolloutState, ro *Rollout) {
	n := len(r.Revisions)
	if n < 2 || !r.Revisions[n-1].Return || !r.Revisions[n-2].Returned || !r.Revisions[n-2].ReturnedAt.IsZero() {
		return
	}
	if ro.Phase != RolloutHealthy || ro.HealthyCond.Status == False {
		return
	}
	left := &r.Revisions[n-2]
	left.ReturnedAt = ro.HealthyCond.Since
	if left.ReturnedAt.IsZero() || left.ReturnedAt.Before(left.LeftAt) {
		left.ReturnedAt = left.LeftAt
	}
	moved := near(ro.Progressing.Since, ro.CompletedCond.Since)
	between := r.Revisions[n-1].N - left.N - 1 // revisions that nobody saw: it was one of those that this return ended
	left.Proven = between <= 0 && (!moved || near(ro.PausedCond.Since, ro.Progressing.Since))
	r.Revisions[n-1].ReturnedAt = left.ReturnedAt
}

// near says that two transitions were written by the same reconcile: clocks tick in seconds.
func near(a, b time.Time) bool { return !a.IsZero() && !b.IsZero() && a.Sub(b).Abs() <= time.Second }

// readStable remembers the promoted version.
func (d *decider) readStable(r *RolloutState, ro *Rollout) {
	if ro.StableHash == "" || ro.StableHash == r.StableHash && r.Stable != nil {
		return
	}
	r.StableHash, r.Stable = ro.StableHash, d.imagesOf(ro, ro.StableHash)
}
