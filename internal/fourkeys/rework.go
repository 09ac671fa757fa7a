package fourkeys

import "github.com/dora-controller/dora-controller/internal/dora"

// reasons are what made deployments of a service rework, on the way through its events: an attempt that failed or went back, a failure that a
// deployment had caused, and a failure that was open when one began.
//
// Rework is recorded with the deployment, when more may be known than is among the events; what people say comes afterwards. So a deployment
// stays rework, unless people took out of the figures what led to it, and all of that: a drill, or a false alarm.
type reasons struct {
	deploys  map[string]*dora.Event
	failures []*dora.Event
	ends     map[string]*dora.Event
	// stand and taken say of the reasons since the latest deployment whether there are some that count, and some that people took out.
	stand, taken bool
}

// planned are the deployments that are no rework, though they were recorded as such. The events are in order.
func planned(events []*dora.Event, ends map[string]*dora.Event) map[string]bool {
	r := reasons{deploys: map[string]*dora.Event{}, ends: ends}
	for _, e := range events {
		switch e.Type {
		case dora.TypeDeploy:
			r.deploys[e.ID] = e
		case dora.TypeDegraded:
			r.failures = append(r.failures, e)
		case dora.TypeRecovered, dora.TypeChange:
		}
	}
	found := map[string]bool{}
	for _, e := range events {
		switch e.Type {
		case dora.TypeDeploy:
			if r.deploy(e) {
				found[e.ID] = true
			}
		case dora.TypeDegraded:
			if e.CausedBy != "" {
				r.add(r.ignored(e) || r.cause(e) == dora.NotAFailure)
			}
		case dora.TypeRecovered, dora.TypeChange:
		}
	}
	return found
}

func (r *reasons) add(taken bool) {
	r.stand, r.taken = r.stand || !taken, r.taken || taken
}

// deploy goes on after an attempt, and says whether all that had led to it was taken out.
func (r *reasons) deploy(e *dora.Event) (planned bool) {
	verdict := e.Verdict()
	if e.Counts() && classOf(e) == succeeded {
		if is(e.Unplanned, true) {
			r.during(e)
			planned = r.taken && !r.stand
		}
		r.stand, r.taken = false, false
	}
	if e.Outcome == dora.Failed || e.Outcome == dora.RolledBack || verdict == dora.Failure {
		r.add(verdict == dora.NotAFailure || verdict == dora.Ignore)
	}
	return planned
}

// during adds the failures that were open when an attempt began.
func (r *reasons) during(e *dora.Event) {
	began := e.StartedAt
	if began.IsZero() {
		began = e.OccurredAt
	}
	for _, f := range r.failures {
		end := r.ends[f.FailureID]
		if !f.OccurredAt.After(began) && (end == nil || end.OccurredAt.After(began)) {
			r.add(r.ignored(f))
		}
	}
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
