package deploy

import (
	"slices"
	"strconv"
	"time"
)

// findOwners tells which attempt each revision belongs to: for a standalone Rollout its own; for a managed one that of the
// newest operation that can have brought it, once the Application has been seen past the change.
func (d *decider) findOwners() {
	for _, m := range d.revisionsOf(func(r *Revision) bool { return r.Owner == "" && !r.Closed }) {
		own := m.uid + "/" + strconv.Itoa(m.rev.N)
		if d.app == nil {
			m.rev.Owner = own
			continue
		}
		if !d.seenPast(m.rev.At) {
			continue
		}
		if o := d.bringer(m); o != nil {
			m.rev.Owner = attemptOf(o)
		} else {
			m.rev.Owner, m.rev.Drift = own, true
		}
	}
}

// seenPast: the informers are not ordered, so the operation that explains a change may be seen after it.
func (d *decider) seenPast(t time.Time) bool {
	if d.app.ReconciledAt.After(t) {
		return true
	}
	return slices.ContainsFunc(d.s.Ops, func(o Op) bool {
		return o.Start.After(t) || o.ended() && !o.End.Before(t)
	})
}

// bringer is the operation that a managed revision belongs to; nil if none brought it.
func (d *decider) bringer(m member) *Op {
	for i := len(d.s.Ops) - 1; i >= 0; i-- {
		o := &d.s.Ops[i]
		if o.Start.After(m.rev.At) || o.DryRun || o.SelfHeal && !d.healBrought(o, m) {
			continue
		}
		if d.mayOwn(o, m) {
			return o
		}
		return nil
	}
	return nil
}

// healBrought: a self-heal repairs drift, unless its own rows say that it applied this image.
func (d *decider) healBrought(o *Op, m member) bool {
	if len(o.Images) > 0 {
		return allLive(minus(m.rev.Images, m.rev.Base), o.Images)
	}
	// Without rows that name images: a new ReplicaSet, made while the repair ran, that is still wanted by the
	// comparison that followed.
	return !m.rev.Return && !m.rev.First && o.ended() && !m.rev.At.After(o.End) && m.rev.LeftAt.IsZero() && d.app.Synced && d.app.ReconciledAt.After(o.End)
}

// mayOwn: an operation owns one revision of each Rollout, the last by its end, else the first.
func (d *decider) mayOwn(o *Op, m member) bool {
	if o.Closed && o.Idle {
		return false
	}
	attempt := attemptOf(o)
	for i := range m.r.Revisions {
		other := &m.r.Revisions[i]
		if other == m.rev || other.Owner != attempt {
			continue
		}
		if o.ended() && m.rev.At.After(o.End) || other.Closed {
			return false
		}
		other.Owner, other.Drift = m.uid+"/"+strconv.Itoa(other.N), true
	}
	return true
}

func (d *decider) ownerOp(owner string) *Op {
	for i := range d.s.Ops {
		if attemptOf(&d.s.Ops[i]) == owner {
			return &d.s.Ops[i]
		}
	}
	return nil
}
