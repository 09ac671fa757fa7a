package deploy

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// judgeRevisions decides, from the facts, what came of each Rollout's revisions. Revisions that one operation brought
// are one attempt.
func (d *decider) judgeRevisions() {
	d.findOwners()
	for _, owner := range d.openOwners() {
		d.judgeGroup(owner)
	}
	d.closeRest()
}

// member is one revision of an attempt.
type member struct {
	uid string
	r   *RolloutState
	rev *Revision
}

// revisionsOf lists the revisions in the order in which the Rollouts changed to them.
func (d *decider) revisionsOf(keep func(*Revision) bool) []member {
	var all []member
	for _, uid := range slices.Sorted(maps.Keys(d.s.Rollouts)) {
		r := d.s.Rollouts[uid]
		for i := range r.Revisions {
			if rev := &r.Revisions[i]; keep(rev) {
				all = append(all, member{uid, r, rev})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b member) int { return a.rev.At.Compare(b.rev.At) })
	return all
}

func (d *decider) openOwners() []string {
	var owners []string
	for _, m := range d.revisionsOf(func(r *Revision) bool { return !r.Closed && r.Owner != "" }) {
		if !slices.Contains(owners, m.rev.Owner) {
			owners = append(owners, m.rev.Owner)
		}
	}
	return owners
}

// changes says what a revision changes: an image, only configuration, or nothing that counts.
func (d *decider) changes(m member) dora.ChangeKind {
	if m.rev.Hash != m.rev.BaseHash && len(minus(m.rev.Images, m.rev.Base)) > 0 {
		return dora.ChangeImage
	}
	if o := d.ownerOp(m.rev.Owner); d.policy.CountConfig && o != nil && o.OutOfSync && !o.SelfHeal && !m.rev.Return {
		return dora.ChangeConfig
	}
	return ""
}

// judgeGroup judges the revisions of one attempt together: the worst of them is its outcome.
func (d *decider) judgeGroup(owner string) {
	group := d.revisionsOf(func(r *Revision) bool { return r.Owner == owner && !r.Closed })
	group = slices.DeleteFunc(group, func(m member) bool { return d.changes(m) == "" && !d.bringsBack(m) })
	for _, judge := range []func(string, []member) bool{d.judgeAborts, d.judgeDegraded, d.judgeReturned, d.judgeSuperseded, d.judgePromoted} {
		if len(group) == 0 || judge(owner, group) {
			return
		}
	}
	d.waitForRevisions(owner, group)
}

// bringsBack: a return to the stable template after a failed verdict ends with that version Healthy again.
func (d *decider) bringsBack(m member) bool {
	if !m.rev.Return {
		return false
	}
	i := slices.IndexFunc(m.r.Revisions, func(r Revision) bool { return r.N == m.rev.N })
	return i > 0 && m.r.Revisions[i-1].Failed && len(m.r.Revisions[i-1].Aborts) == 0
}

func (d *decider) judgeAborts(owner string, group []member) bool {
	for _, m := range group {
		for i := range m.rev.Aborts {
			a := &m.rev.Aborts[i]
			if a.Judged {
				continue
			}
			a.Judged = true
			d.rollBackInFlight(d.attempt(owner, group, i), a.At, a.Exposed)
			if a.Exposed {
				d.openFailure(a.At, d.lastEvent(), m.uid)
			}
		}
	}
	aborted := slices.ContainsFunc(group, func(m member) bool {
		n := len(m.rev.Aborts)
		return n > 0 && !m.rev.Aborts[n-1].Retried
	})
	if !aborted {
		return false
	}
	for _, m := range group {
		if !m.rev.PromotedAt.IsZero() { // of several Rollouts, this one went through
			d.s.Settled, d.s.Current = d.composed(nil), d.composed(nil)
		}
		m.rev.Closed = !m.rev.LeftAt.IsZero() || !m.rev.PromotedAt.IsZero()
	}
	return true
}

// judgeDegraded: the progress deadline passed. Standing when the next version starts it counts at once.
func (d *decider) judgeDegraded(owner string, group []member) bool {
	for _, m := range group {
		since := m.rev.DegradedSince
		if since.IsZero() {
			since = d.othersDegradedUnder(m.rev)
		}
		if since.IsZero() {
			continue
		}
		if m.rev.LeftAt.IsZero() && d.now.Sub(since) < d.policy.DegradedFor {
			d.recheckAt(since.Add(d.policy.DegradedFor))
			continue
		}
		d.fail(d.attempt(owner, group, aborts(group)), since)
		d.openFailure(since, d.lastEvent(), "")
		closeGroup(group, true)
		return true
	}
	return false
}

// othersDegradedUnder is when, while a version goes out, something else of the Application turned Degraded: production is degraded under
// that version (rule 7). Zero if nothing did.
func (d *decider) othersDegradedUnder(rev *Revision) time.Time {
	o := d.ownerOp(rev.Owner)
	if d.app == nil || o == nil || !rev.PromotedAt.IsZero() || !rev.LeftAt.IsZero() || len(rev.Aborts) > 0 {
		return time.Time{}
	}
	if d.app.Health != Degraded || d.since().Before(o.Start) || !d.otherDegraded() {
		return time.Time{}
	}
	return d.since()
}

// judgeReturned: the stable template came back before a verdict (rule 6).
func (d *decider) judgeReturned(owner string, group []member) bool {
	for _, m := range group {
		if !m.rev.Returned {
			continue
		}
		if m.rev.ReturnedAt.IsZero() {
			return true // the return is not Healthy yet
		}
		a := d.attempt(owner, group, aborts(group))
		switch {
		case m.rev.Drift:
			d.decidef(ReasonDrift, a.id, "a change that no operation brought was undone before a verdict")
		case m.rev.Proven:
			d.rollBackInFlight(a, m.rev.ReturnedAt, m.rev.Exposed)
		default:
			d.unknown(a, m.rev.LeftAt, dora.BasisHistory, "its verdict was missed before the stable version came back")
			d.s.Current = d.s.Settled
		}
		closeGroup(group, false)
		return true
	}
	return false
}

// judgeSuperseded: a newer version replaced it before any verdict.
func (d *decider) judgeSuperseded(owner string, group []member) bool {
	superseded := slices.ContainsFunc(group, func(m member) bool {
		return !m.rev.LeftAt.IsZero() && m.rev.PromotedAt.IsZero() && !m.rev.Returned
	})
	if !superseded {
		return false
	}
	for _, m := range group {
		if m.r.StableHash == m.rev.Hash && !m.rev.First && !m.rev.LeftAt.IsZero() {
			d.unknown(d.attempt(owner, group, aborts(group)), m.rev.LeftAt, dora.BasisHistory, "it was promoted while nobody looked")
			d.s.Settled, d.s.Current = d.composed(group), d.composed(group)
			closeGroup(group, false)
			return true
		}
	}
	proven := !slices.ContainsFunc(group, func(m member) bool { return !m.rev.Proven && !m.rev.LeftAt.IsZero() })
	d.supersede(d.attempt(owner, group, aborts(group)), group[0].rev.At, proven)
	closeGroup(group, false)
	return true
}

// judgePromoted: every changed Rollout runs the version, and the operation has ended.
func (d *decider) judgePromoted(owner string, group []member) bool {
	at, moving := promoted(group)
	if at.IsZero() {
		return d.judgeOperation(owner, group, time.Time{})
	}
	o := d.ownerOp(owner)
	if o != nil && !o.ended() || d.app != nil && o == nil && !group[0].rev.Drift {
		return true
	}
	if d.judgeOperation(owner, group, at) || d.othersPending(o) {
		return true
	}
	d.succeedRevisions(owner, group, at, moving)
	return true
}

// promoted is when the last Rollout of a group was done; zero while one is not. moving says that any was seen on its way.
func promoted(group []member) (at time.Time, moving bool) {
	for _, m := range group {
		done := m.rev.PromotedAt
		if m.rev.Return {
			done = m.rev.ReturnedAt
		}
		if done.IsZero() {
			return time.Time{}, false
		}
		moving = moving || m.rev.Moving && !m.rev.Revived
		at = later(at, done)
	}
	return at, moving
}

// othersPending: the operation applied other workloads too, and they are still on their way.
func (d *decider) othersPending(o *Op) bool {
	if o == nil {
		return false
	}
	if p := d.s.Pending; p != nil && p.Start.Equal(o.Start) {
		return true
	}
	return o.Plain && !o.Closed && !d.healthyAfter(o, o.Start, false)
}

// judgeOperation: the operation failed after it applied a workload. A version that is Healthy is settled all the same.
func (d *decider) judgeOperation(owner string, group []member, healthyAt time.Time) bool {
	o := d.ownerOp(owner)
	if o == nil || !o.ended() || !o.Failed || aborts(group) > 0 {
		return false
	}
	d.fail(d.attempt(owner, group, 0), o.End)
	closeGroup(group, true)
	if !healthyAt.IsZero() {
		d.settleFailed(d.composed(group), healthyAt)
	}
	return true
}

func (d *decider) succeedRevisions(owner string, group []member, at time.Time, moving bool) {
	a := d.attempt(owner, group, aborts(group))
	a.basis = dora.BasisLive
	o := d.ownerOp(owner)
	if !moving {
		a.basis = dora.BasisHistory
		if o != nil && at.After(o.End) {
			at = o.End
			if !o.Deployed.IsZero() {
				at = o.Deployed
			}
		}
	} else if o != nil && o.Partial && !o.Listed {
		a.basis = dora.BasisPartialSync
	}
	d.succeed(a, at)
	closeGroup(group, false)
}

// waitForRevisions is the verdict timeout: it runs while the operation is finished and nothing is paused.
func (d *decider) waitForRevisions(owner string, group []member) {
	o := d.ownerOp(owner)
	running := d.app == nil || o == nil || o.ended()
	paused := slices.ContainsFunc(d.obs.Rollouts, func(ro Rollout) bool { return ro.Phase == RolloutPaused })
	paused = paused || d.app != nil && d.app.Health == Suspended
	ended := group[0].rev.At
	if o != nil {
		ended = later(o.End, ended)
	}
	if !running {
		return // before its operation ends the clock is not started
	}
	end := d.wait(&group[0].rev.Clock, ended, !paused)
	if end.IsZero() {
		return
	}
	d.unknown(d.attempt(owner, group, aborts(group)), end, dora.BasisLive, "no verdict within the timeout")
	closeGroup(group, false)
}

// closeRest closes what changed nothing that counts, and settles versions that failed and became Healthy after all.
func (d *decider) closeRest() {
	for _, m := range d.revisionsOf(func(r *Revision) bool { return !r.Closed && r.Owner != "" }) {
		if d.changes(m) != "" || d.bringsBack(m) {
			continue
		}
		over := !m.rev.PromotedAt.IsZero() || !m.rev.LeftAt.IsZero() || !m.rev.ReturnedAt.IsZero()
		if !over {
			continue
		}
		m.rev.Closed = true
		switch {
		case d.s.Inherited:
			d.recreated(m.rev.Owner)
		case m.rev.Return:
			d.decidef(ReasonReturned, m.rev.Owner, "the stable template came back; what runs did not change")
		default:
			d.decidef(ReasonSameImages, m.rev.Owner, "the images did not change")
		}
	}
	d.abortedAfterFailure()
	for _, m := range d.revisionsOf(func(r *Revision) bool { return r.Closed && r.Failed && !r.PromotedAt.IsZero() }) {
		m.rev.Failed = false
		d.settleLate(d.composed([]member{m}), m.rev.PromotedAt, m.rev.Owner)
	}
}

// abortedAfterFailure: the operation had failed already when the canary was aborted. The attempt has its event; production was degraded
// all the same (rule 8).
func (d *decider) abortedAfterFailure() {
	for _, m := range d.revisionsOf(func(r *Revision) bool { return r.Closed && r.Failed && len(r.Aborts) > 0 }) {
		a := &m.rev.Aborts[len(m.rev.Aborts)-1]
		if a.Judged {
			continue
		}
		a.Judged = true
		d.s.Current = d.s.Settled
		if a.Exposed {
			d.openFailure(a.At, dora.ID(d.obs.Cluster, d.s.Subject.UID, m.rev.Owner, string(dora.TypeDeploy)), m.uid)
		}
	}
}

func aborts(group []member) int {
	n := 0
	for _, m := range group {
		n = max(n, len(m.rev.Aborts))
	}
	return n
}

func closeGroup(group []member, failed bool) {
	for _, m := range group {
		m.rev.Closed, m.rev.Failed = true, failed
	}
}

// composed is the version that runs once these revisions do: theirs, the stable one of every other Rollout, and the
// images of what is no Rollout.
func (d *decider) composed(group []member) []string {
	sets := make([][]string, 1, 1+len(d.s.Rollouts))
	sets[0] = d.plain(d.s.Settled)
	for uid, r := range d.s.Rollouts {
		images := r.Stable
		for _, m := range group {
			if m.uid == uid {
				images = m.rev.Images
			}
		}
		sets = append(sets, images)
	}
	return union(sets...)
}

// missedRevision is rule 1: the first attempt's verdict was missed, and its images can be told.
func (d *decider) missedRevision(ro *Rollout, n int, at time.Time, images []string) {
	if !d.s.New {
		return
	}
	owner, start := ro.UID+"/"+strconv.Itoa(n), at
	if d.app != nil && len(d.s.Ops) > 0 {
		owner, start = attemptOf(&d.s.Ops[0]), d.s.Ops[0].Start
	}
	d.unknown(verdict{id: owner, start: start, images: images, change: dora.ChangeImage}, at, dora.BasisHistory, "its verdict was missed")
	d.s.Settled, d.s.PreviousKnown = images, true
}

// missedBefore: a Rollout of a new subject is first seen at a later revision. Its stable ReplicaSet tells what ran before.
func (d *decider) missedBefore(ro *Rollout, next *Revision) {
	stable := ro.set(ro.StableHash)
	switch {
	case next.BaseHash == "" || next.Base == nil:
		d.s.PreviousKnown = false
	case stable.Revision <= 1 && len(d.obs.Rollouts) == 1:
		d.missedRevision(ro, 1, stable.CreatedAt, next.Base)
	default:
		d.s.New, d.s.Settled, d.s.Current = false, union(d.s.Settled, next.Base), union(d.s.Current, next.Base)
		d.svc.settle(rankKey(d.s.Settled, d.s.Silent), d.now)
	}
}
