package fourkeys

import (
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Compute works out the figures of one service in one environment from its events, in any order and with any repetition.
// Kinds are the kinds of change that count; none given means image changes.
//
// Every event must carry its id, and a version's images must be sorted, as dora.Version says.
func Compute(events []dora.Event, w Window, kinds ...dora.ChangeKind) Summary {
	all := make([]*dora.Event, len(events))
	for i := range events {
		all[i] = &events[i]
	}
	sums := tallyOf(all, w, kinds)
	t := sums.followed(w)
	return t.summary()
}

// Tally is what the events of one service add up to over a window: all that its figures need but for how long it was followed. It is the
// same over every window that holds the same of these events, so it can be kept, and put together with those of others by FleetOf. The
// zero Tally is that of a service without events.
type Tally struct{ sums tally }

// TallyOf adds up the events of one service in one environment. The arguments are those of Compute.
func TallyOf(events []*dora.Event, w Window, kinds ...dora.ChangeKind) Tally {
	return Tally{tallyOf(events, w, kinds)}
}

// tally is what is added up over the events of a service, and then over services.
type tally struct {
	services int
	counts   Counts

	deployments     int
	firstDeployment time.Time // that is known, be it from before the window
	secondsFollowed float64
	throughout      bool // at least one service was followed during the whole window
	leadTimes       samples

	failedAttempts int
	unplanned      int

	failures, automaticAborts, open int
	recoveries                      samples
}

func tallyOf(events []*dora.Event, w Window, kinds []dora.ChangeKind) tally {
	if len(kinds) == 0 {
		kinds = []dora.ChangeKind{dora.ChangeImage}
	}
	h := newHistory(events, kinds)
	var t tally
	for _, a := range h.attempts {
		t.attempt(a, w)
	}
	for _, o := range h.outages {
		t.outage(o, w)
	}
	t.leadTimes.sort()
	t.recoveries.sort()
	return t
}

// followed is the tally with the time in which it came about.
func (t *tally) followed(w Window) tally {
	with := *t
	began := w.began(t.firstDeployment)
	with.services, with.secondsFollowed, with.throughout = 1, w.secondsSince(began), !began.After(w.From)
	return with
}

func (t *tally) attempt(a *attempt, w Window) {
	if deployedAt, ok := a.deployedAt(); ok && deployedAt.Before(w.To) {
		t.deployment(a, deployedAt, w)
	}
	if !w.holds(a.OccurredAt) {
		return
	}
	t.count(a.class)
	if a.hasFailed() {
		t.failedAttempts++
	}
	if a.class == succeeded && a.rework {
		t.unplanned++
	}
}

func (t *tally) count(what class) {
	switch what {
	case succeeded:
		t.counts.Succeeded++
	case failed:
		t.counts.Failed++
	case aborted:
		t.counts.Aborted++
	case unexposed:
		t.counts.Unexposed++
	case returned:
		t.counts.Returned++
	case unknown:
		t.counts.Unknown++
	}
}

func (t *tally) deployment(a *attempt, at time.Time, w Window) {
	if t.firstDeployment.IsZero() || at.Before(t.firstDeployment) {
		t.firstDeployment = at
	}
	if at.Before(w.From) {
		return
	}
	t.deployments++
	if seconds, known := a.leadTime(at); known {
		t.leadTimes.add(seconds)
	}
}

func (t *tally) outage(o outage, w Window) {
	if o.ended == nil && o.began.Before(w.To) {
		t.counts.OpenFailures++
	}
	if o.incident && w.holds(o.began) {
		t.counts.Incidents++
	}
	if o.cause == nil || !w.holds(o.cause.OccurredAt) {
		return
	}
	t.failures++
	if o.cause.class == aborted {
		t.automaticAborts++
	}
	if o.ended == nil {
		t.open++
		return
	}
	t.recoveries.add(o.ended.Sub(o.began).Seconds())
}

// deployedAt is when the attempt's version reached Healthy, if it did.
func (a *attempt) deployedAt() (time.Time, bool) {
	switch {
	case a.class == succeeded:
		return a.OccurredAt, true
	case a.healed != nil:
		return a.healed.OccurredAt, true
	}
	return time.Time{}, false
}

// leadTime is the time from the first commit of the attempt's version until it was deployed, in seconds.
func (a *attempt) leadTime(deployedAt time.Time) (seconds float64, known bool) {
	switch {
	case a.FirstCommitAt != nil:
		return deployedAt.Sub(*a.FirstCommitAt).Seconds(), true
	case a.LeadTimeSeconds != nil:
		return *a.LeadTimeSeconds + deployedAt.Sub(a.OccurredAt).Seconds(), true
	}
	return 0, false
}

// hasFailed tells whether the attempt counts as a failed change. It is asked once per attempt, however many reasons it has.
func (a *attempt) hasFailed() bool {
	return a.class == failed || a.class == aborted || a.class == succeeded && a.blamed
}

func (t *tally) plus(other tally) {
	t.services += other.services
	t.counts = t.counts.plus(other.counts)
	t.deployments += other.deployments
	t.secondsFollowed += other.secondsFollowed
	t.throughout = t.throughout || other.throughout
	t.leadTimes.plus(other.leadTimes)
	t.failedAttempts += other.failedAttempts
	t.unplanned += other.unplanned
	t.failures += other.failures
	t.automaticAborts += other.automaticAborts
	t.open += other.open
	t.recoveries.plus(other.recoveries)
}

func (t *tally) summary() Summary {
	attempts := t.counts.Succeeded + t.counts.Failed + t.counts.Aborted
	return Summary{
		Services:          t.services,
		Counts:            t.counts,
		Frequency:         t.frequency(),
		LeadTime:          t.leadTimes.durations(),
		ChangeFailureRate: ratio(t.failedAttempts, attempts),
		Recovery: Recovery{
			Durations:       t.recoveries.durations(),
			Failures:        t.failures,
			AutomaticAborts: t.automaticAborts,
			Open:            t.open,
		},
		Rework: ratio(t.unplanned, t.counts.Succeeded),
	}
}

// frequency multiplies before it divides, so that 30 deployments in 30 days are exactly 7 a week.
func (t *tally) frequency() Frequency {
	f := Frequency{Deployments: t.deployments, FollowedSeconds: t.secondsFollowed}
	if t.secondsFollowed <= 0 || t.deployments == 0 && !t.throughout {
		return f
	}
	f.PerWeek = new(float64(t.deployments) * secondsPerWeek / t.secondsFollowed)
	f.PerDay = new(float64(t.deployments) * secondsPerDay / t.secondsFollowed)
	return f
}
