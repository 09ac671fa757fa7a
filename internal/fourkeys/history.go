package fourkeys

import (
	"cmp"
	"maps"
	"slices"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// class is what a deploy event means to the figures; the package comment has the table.
type class int

const (
	succeeded class = iota // the version reached Healthy
	failed                 // the attempt's own verdict
	aborted                // stopped or reverted while users could meet it
	unexposed              // stopped or reverted before they could
	returned               // brought an earlier version back
	unknown                // in no figure
)

func classOf(e *dora.Event) class {
	switch e.Verdict() {
	case dora.NotAFailure:
		return succeeded
	case dora.Failure:
		return classOfFailure(e)
	case dora.Withdrawn, dora.Ignore:
	}
	return classOfOutcome(e)
}

// classOfFailure: what became Healthy was deployed nevertheless, and what was stopped or went back is a change that users met.
func classOfFailure(e *dora.Event) class {
	switch e.Outcome {
	case dora.Succeeded:
		return succeeded
	case dora.RolledBack:
		return aborted
	case dora.Failed, dora.Unknown:
	}
	return failed
}

func classOfOutcome(e *dora.Event) class {
	switch e.Outcome {
	case dora.Succeeded:
		return succeeded
	case dora.Failed:
		return failed
	case dora.RolledBack:
		return classOfRolledBack(e)
	case dora.Unknown:
		return unknown
	}
	// An outcome that a later schema adds says nothing here.
	return unknown
}

// classOfRolledBack takes an attempt whose exposure is not known for exposed: only exposed: false is a reason to leave it out.
func classOfRolledBack(e *dora.Event) class {
	switch {
	case is(e.Success, true):
		return returned
	case is(e.Exposed, false):
		return unexposed
	}
	return aborted
}

func is(fact *bool, value bool) bool { return fact != nil && *fact == value }

// attempt is a deploy event and what other events say about it.
type attempt struct {
	*dora.Event
	class class
	// before and after are its neighbours in its subject's history of what was put before users, so without unexposed attempts.
	before, after *attempt
	// blamed says that a failure names it as its cause, that a rollback left it, or that people call it a failure.
	blamed bool
	// rework says that it was made because production was, or had been, broken.
	rework bool
	// healed is the end of its failure, if it failed and reached Healthy by itself.
	healed *dora.Event
}

// failure is a span in which production was degraded.
type failure struct {
	began *dora.Event
	ended *dora.Event // nil while it is open
	// cause is the deployment that caused it; nil if none of those that count did.
	cause *attempt
	// incident says that no deployment that counts caused it. A cause that is named but was not handed in is none here.
	incident bool
}

// history is the events of one service, each told once, in order, with what they say about one another.
type history struct {
	attempts []*attempt
	failures []failure
	outages  []outage
}

func newHistory(events []*dora.Event, kinds []dora.ChangeKind) *history {
	var (
		h        = &history{}
		degraded []*dora.Event
		deploys  = map[string]*attempt{} // by id; nil for a change of a kind that does not count
		ends     = map[string]*dora.Event{}
	)
	ordered := inOrder(events)
	for _, e := range ordered {
		if !e.Counts() {
			continue
		}
		switch e.Type {
		case dora.TypeDeploy:
			deploys[e.ID] = h.addAttempt(e, kinds)
		case dora.TypeDegraded:
			degraded = append(degraded, e)
		case dora.TypeRecovered:
			if e.FailureID != "" {
				ends[e.FailureID] = e
			}
		case dora.TypeChange: // is in no figure
		}
	}
	for _, e := range degraded {
		cause, told := deploys[e.CausedBy]
		if cause != nil && cause.Verdict() == dora.NotAFailure {
			cause = nil // something else was it
		}
		incident := e.CausedBy == "" || told && cause == nil
		h.failures = append(h.failures, failure{began: e, ended: ends[e.FailureID], cause: cause, incident: incident})
	}
	h.judge()
	rework := reworked(ordered, ends)
	for _, a := range h.attempts {
		a.rework = rework[a.ID]
	}
	h.outages = outagesOf(h.failures)
	return h
}

func (h *history) addAttempt(e *dora.Event, kinds []dora.ChangeKind) *attempt {
	if !slices.Contains(kinds, e.Change) {
		return nil
	}
	a := &attempt{Event: e, class: classOf(e), blamed: e.Verdict() == dora.Failure}
	h.attempts = append(h.attempts, a)
	return a
}

// inOrder tells each event once, by time.
func inOrder(events []*dora.Event) []*dora.Event {
	byID := make(map[string]*dora.Event, len(events))
	for _, e := range events {
		if known, ok := byID[e.ID]; !ok || tellsMore(e, known) {
			byID[e.ID] = e
		}
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b *dora.Event) int {
		return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
}

// tellsMore chooses between two tellings of one event, which differ in nothing but when it was seen and what was appended later.
func tellsMore(e, known *dora.Event) bool {
	if marked := e.Mark != nil; marked != (known.Mark != nil) {
		return marked
	}
	if enriched := e.FirstCommitAt != nil; enriched != (known.FirstCommitAt != nil) {
		return enriched
	}
	return e.ObservedAt.After(known.ObservedAt)
}

func (h *history) judge() {
	h.link()
	for _, a := range h.attempts {
		if a.leaves(a.before) {
			a.before.blamed = a.before.Verdict() != dora.NotAFailure
		}
	}
	for _, f := range h.failures {
		if f.cause == nil {
			continue
		}
		f.cause.blamed = true
		if f.cause.healed == nil && f.healed() {
			f.cause.healed = f.ended
		}
	}
}

// place is where a subject lives. A subject that was deleted and recreated there goes on with its history, so the uid is no part of it.
type place struct {
	cluster         string
	kind            dora.Kind
	namespace, name string
}

// link makes neighbours of the attempts of one subject. One that was stopped before any user could meet it deployed nothing.
func (h *history) link() {
	last := map[place]*attempt{}
	for _, a := range h.attempts {
		if a.class == unexposed {
			continue
		}
		at := place{a.Cluster, a.Subject.Kind, a.Subject.Namespace, a.Subject.Name}
		if a.before = last[at]; a.before != nil {
			a.before.after = a
		}
		last[at] = a
	}
}

// leaves tells whether this operation brought an earlier version back in place of what that attempt had deployed.
func (a *attempt) leaves(before *attempt) bool {
	return a.class == returned && before != nil && a.Previous.Version.Same(before.Version)
}

// healed tells whether the failure ended with the failed attempt's own version Healthy: nothing else was deployed until
// then, and what runs, where it is known, is that version.
func (f failure) healed() bool {
	if f.cause.class != failed || f.ended == nil {
		return false
	}
	if after := f.cause.after; after != nil && !after.OccurredAt.After(f.ended.OccurredAt) {
		return false
	}
	running := f.ended.Running
	return !running.IsNamed() || running.Same(f.cause.Version)
}
