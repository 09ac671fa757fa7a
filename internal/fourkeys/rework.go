package fourkeys

import (
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// signs are what is known of why a deployment was made.
//
// Whether it is rework is recorded with it, when of Argo's side more may be known than is among the events. What people say, and what others
// report, comes afterwards. So a deployment that was recorded as rework stays it, unless people took out of the figures what led to it, and all of
// that: a drill, or a false alarm. One that was not recorded as rework is rework nevertheless if it was reported, or what led to it was.
type signs struct {
	// stand and taken: there are some that count, and some that people took out.
	stand, taken bool
	// seen and reported: there are some that count by themselves, not because people call them a failure; and others reported them.
	seen, reported bool
}

func (s *signs) add(taken bool) { s.stand, s.taken = s.stand || !taken, s.taken || taken }

func (s *signs) see(e *dora.Event) { s.seen, s.reported = true, s.reported || isReported(e) }

// rework tells whether a deployment was made because production was, or had been, broken.
func (s *signs) rework(e *dora.Event) bool {
	return s.reported || s.seen && isReported(e) || is(e.Unplanned, true) && (s.stand || !s.taken)
}

func isReported(e *dora.Event) bool { return e.Source != "" }

// reasons are what made deployments of a service rework, on the way through its events: an attempt that failed or went back, a failure that a
// deployment had caused, and a failure that was open when one began.
type reasons struct {
	deploys  map[string]*dora.Event
	failures []*dora.Event
	ends     map[string]*dora.Event
	// passed are the deployments that were passed, and early the failures that were before the one that caused them was over.
	passed map[string]bool
	early  map[string][]*dora.Event
	// since are the signs since the latest deployment.
	since signs
}

// reworked are the deployments that are rework. The events are in order.
func reworked(events []*dora.Event, ends map[string]*dora.Event) map[string]bool {
	r := reasons{deploys: map[string]*dora.Event{}, ends: ends, passed: map[string]bool{}, early: map[string][]*dora.Event{}}
	for _, e := range events {
		switch e.Type {
		case dora.TypeDeploy:
			r.deploys[e.ID] = e
		case dora.TypeDegraded:
			r.failures = append(r.failures, e)
		case dora.TypeRecovered, dora.TypeChange:
		}
	}
	r.forget()
	found := map[string]bool{}
	for _, e := range events {
		switch e.Type {
		case dora.TypeDeploy:
			if r.deploy(e) {
				found[e.ID] = true
			}
		case dora.TypeDegraded:
			r.degraded(e)
		case dora.TypeRecovered, dora.TypeChange:
		}
	}
	return found
}

// deploy goes on after an attempt, and says whether it is a deployment that is rework.
func (r *reasons) deploy(e *dora.Event) (rework bool) {
	if e.Counts() && classOf(e) == succeeded {
		rework = r.during(e).rework(e)
		r.since = signs{}
	}
	verdict, broken := e.Verdict(), e.Outcome == dora.Failed || e.Outcome == dora.RolledBack
	taken := verdict == dora.NotAFailure || verdict == dora.Ignore
	if broken || verdict == dora.Failure {
		r.since.add(taken)
	}
	if broken && !taken {
		r.since.see(e)
	}
	r.passed[e.ID] = true
	for _, f := range r.early[e.ID] {
		r.blame(f)
	}
	return rework
}

// degraded goes on after the beginning of a failure. What caused it was not made because of it, also if it was over only later.
func (r *reasons) degraded(e *dora.Event) {
	switch {
	case e.CausedBy == "":
	case r.deploys[e.CausedBy] != nil && !r.passed[e.CausedBy]:
		r.early[e.CausedBy] = append(r.early[e.CausedBy], e)
	default:
		r.blame(e)
	}
}

// blame adds a failure that a deployment caused. If that is not among the events, nobody knows which of those after it are.
func (r *reasons) blame(failure *dora.Event) {
	taken := r.ignored(failure) || r.cause(failure) == dora.NotAFailure
	r.since.add(taken)
	if !taken && r.deploys[failure.CausedBy] != nil {
		r.since.see(failure)
	}
}

// during are the signs with the failures that were open when an attempt began. One that nobody told the end of makes rework for as long as it
// takes others in, and no longer.
func (r *reasons) during(e *dora.Event) *signs {
	s, began := r.since, begun(e)
	for _, f := range r.failures {
		end := r.ends[f.FailureID]
		if f.CausedBy == e.ID || f.OccurredAt.After(began) || end != nil && !end.OccurredAt.After(began) {
			continue
		}
		taken := r.ignored(f)
		s.add(taken)
		if !taken && (end != nil || f.OccurredAt.Add(unended).After(began)) {
			s.see(f)
		}
	}
	return &s
}

// forget leaves out the failures that were over before the first attempt began: those of all time are read, and most are long over.
func (r *reasons) forget() {
	var first time.Time
	for _, e := range r.deploys {
		if at := begun(e); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	r.failures = slices.DeleteFunc(r.failures, func(f *dora.Event) bool {
		end := r.ends[f.FailureID]
		return end != nil && !end.OccurredAt.After(first)
	})
}

// begun is when an attempt began, or was over if nobody told that.
func begun(e *dora.Event) time.Time {
	if e.StartedAt.IsZero() {
		return e.OccurredAt
	}
	return e.StartedAt
}

// ignored tells whether a failure is in no figure: for itself, or because the deployment is that caused it.
func (r *reasons) ignored(failure *dora.Event) bool {
	return !failure.Counts() || r.cause(failure) == dora.Ignore
}

func (r *reasons) cause(failure *dora.Event) dora.Verdict {
	if cause := r.deploys[failure.CausedBy]; cause != nil {
		return cause.Verdict()
	}
	return dora.Withdrawn
}
