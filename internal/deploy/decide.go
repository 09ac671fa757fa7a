package deploy

import (
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// settleFor is how long Healthy must hold after an operation of an Application that never becomes
// Synced, and how long images may lag behind the comparison that closed an operation.
const settleFor = 60 * time.Second

// Decide says what follows from one observation of a subject. It is pure: the same arguments give the same
// result, and nothing is modified. Deciding twice on one observation changes nothing the second time.
func Decide(state State, service Service, obs *Observation, policy *Policy, now time.Time) Result {
	if state.seen == fingerprint(&state, obs, policy) && (state.RecheckAt.IsZero() || now.Before(state.RecheckAt)) {
		return Result{State: state, Service: service, RecheckAt: state.RecheckAt}
	}
	return decideAnew(state, service, obs, policy, now)
}

// decideAnew is apart from Decide so that an observation that changes nothing allocates nothing. One verdict can make room for the
// next (an attempt ends, and the one behind it comes to light), so it looks again until nothing more follows.
func decideAnew(state State, service Service, obs *Observation, policy *Policy, now time.Time) Result {
	d := &decider{s: state.clone(), svc: service.clone(), obs: obs, app: obs.App, policy: policy, now: now}
	for range maxLooks {
		before, beforeService := d.s.clone(), d.svc.clone()
		d.look = look{}
		d.run()
		if d.s.same(&before) && d.svc.same(&beforeService) {
			break
		}
	}
	d.tellRanks()
	d.s.RecheckAt = d.recheck
	d.s.seen = fingerprint(&d.s, obs, policy)
	changed := len(d.events) > 0 || len(d.decisions) > 0 || !d.s.same(&state) || !d.svc.same(&service)
	return Result{State: d.s, Service: d.svc, Changed: changed, Events: d.events, Decisions: d.decisions, RecheckAt: d.recheck}
}

// maxLooks bounds how often one observation is looked at; more than three were never needed.
const maxLooks = 8

// decider carries one decision.
type decider struct {
	s      State
	svc    Service
	obs    *Observation
	app    *App
	policy *Policy
	now    time.Time
	look

	events    []dora.Event
	decisions []Decision
}

// look is what one pass over the observation finds.
type look struct {
	live       []string    // counted images of pods that belong to no visible Rollout
	appended   []time.Time // operations that were not known before
	ended      []time.Time // operations that had ended before this observation
	baseline   bool        // this is the first look at what ran before anybody followed it
	untold     bool        // several images are live, and which of them is the version is not told yet
	codeBefore Health      // the health as seen before
	cameBack   bool        // health went away and came back unseen
	recheck    time.Time
}

func (d *decider) run() {
	if d.obs.Deleting {
		d.svc.leaveHome(d.obs.Subject.UID, d.s.Failure)
		return
	}
	if d.app != nil && d.app.Stale {
		return
	}
	d.identify()
	if d.app != nil && d.app.Health == "" && d.app.Operation == nil && len(d.app.History) == 0 {
		return // Argo CD has not looked at it yet
	}
	d.noteHealth()
	d.readOperations()
	d.readRollouts()
	d.readImages()
	if !d.s.Based {
		d.takeBaseline()
	}
	d.judgeRevisions()
	d.judgePending()
	d.judgeFailures()
	d.forget()
}

// identify follows rules 1 and 11: who the subject is, and what it inherits.
func (d *decider) identify() {
	p, s := d.policy, &d.s
	if !s.Known {
		s.Known, s.FollowedSince, s.PreviousKnown = true, p.FollowedSince, true
		s.New = !d.obs.CreatedAt.Before(p.FollowedSince.Truncate(time.Second)) // creationTimestamp has whole seconds
		if home, ok := d.svc.inherit(d.obs.Subject, d.obs.Destination); ok && s.New {
			s.New, s.Inherited = false, true
			s.Settled, s.Current, s.Failure = home.Images, home.Images, copied(home.Failure)
		}
		if p.ImportHistory && !s.New && !s.Inherited && d.app != nil && len(d.app.History) > 0 {
			s.New, s.Imported = true, true
		}
	} else if s.Service != p.Service || s.Environment != p.Environment {
		d.decidef(ReasonRebased, "", "the service changed from %s in %s to %s in %s", s.Service, s.Environment, p.Service, p.Environment)
		d.svc.settle(rankKey(s.Settled, s.Silent), d.now)
	}
	d.baseline = !s.Based && !s.New && !s.Inherited
	s.Subject, s.Service, s.Team, s.Environment = d.obs.Subject, p.Service, p.Team, p.Environment
	s.Destination = d.obs.Destination
}

// noteHealth keeps a transition time where Argo CD tells none. A code that is the same as before but of another
// transition came back while nobody looked.
func (d *decider) noteHealth() {
	if d.app == nil {
		return
	}
	s := &d.s
	d.codeBefore = s.HealthCode
	if d.app.Health != s.HealthCode {
		s.HealthCode, s.HealthSeen = d.app.Health, time.Time{}
		if d.app.HealthSince.IsZero() {
			s.HealthSeen = d.now
		}
	} else if !d.app.HealthSince.Equal(s.HealthAt) && !s.HealthAt.IsZero() {
		d.cameBack = true
	}
	s.HealthAt = d.app.HealthSince
}

// since is when the Application's health took its present code.
func (d *decider) since() time.Time {
	if d.app.HealthSince.IsZero() {
		return d.s.HealthSeen
	}
	return d.app.HealthSince
}

// takeBaseline is rule 1: what runs at first sight is not a deployment. Of a subject that is newer than the following
// everything it ever did is still to be judged.
func (d *decider) takeBaseline() {
	s := &d.s
	s.Based = true
	if !d.baseline {
		return
	}
	s.Settled = d.runningNow()
	s.Current = s.Settled
	d.svc.settle(rankKey(s.Settled, nil), d.now)
	d.svc.settleHome(s.Subject, s.Destination, s.Settled)
	for i := range s.Ops {
		if o := &s.Ops[i]; o.ended() && (i < len(s.Ops)-1 || d.healthyAfter(o, o.Start, false)) {
			o.Closed = true
		}
	}
	for _, r := range s.Rollouts {
		d.baseRollout(r)
	}
	d.decidef(ReasonBaseline, "", "first sight: what runs now is not a deployment")
}

// baseRollout takes what a Rollout runs at first sight as given; a version that is going out just then is still to be judged.
func (d *decider) baseRollout(r *RolloutState) {
	d.s.Settled, d.s.Current = union(d.s.Settled, r.Stable), union(d.s.Current, r.Stable)
	for i := range r.Revisions {
		rev := &r.Revisions[i]
		rev.Closed = r.StableHash == rev.Hash || len(rev.Aborts) > 0 || !rev.DegradedSince.IsZero()
		rev.Moving = true
		for j := range rev.Aborts {
			rev.Aborts[j].Judged = true
		}
	}
}

// runningNow is what serves production: live images and the stable version of each Rollout.
func (d *decider) runningNow() []string {
	sets := make([][]string, 1, 1+len(d.s.Rollouts))
	sets[0] = d.live
	for _, r := range d.s.Rollouts {
		sets = append(sets, r.Stable)
	}
	return union(sets...)
}

// recheckAt asks to be run again by then.
func (d *decider) recheckAt(t time.Time) {
	if !t.After(d.now) {
		return
	}
	if d.recheck.IsZero() || t.Before(d.recheck) {
		d.recheck = t
	}
}

// forget bounds the state.
func (d *decider) forget() {
	s := &d.s
	if n := len(s.Ops) - keptOps; n > 0 {
		s.Ops = slices.Delete(s.Ops, 0, n)
	}
	for _, r := range s.Rollouts {
		if n := len(r.Revisions) - keptRevisions; n > 0 {
			r.Revisions = slices.Delete(r.Revisions, 0, n)
		}
	}
	if n := len(s.Judged) - keptJudged; n > 0 {
		s.Judged = slices.Delete(s.Judged, 0, n)
	}
}
