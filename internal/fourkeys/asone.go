package fourkeys

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Member is a subject that a service is spread over: a region, a cell, a cluster.
type Member struct {
	Cluster string
	Subject dora.Subject
	// Since is from when on a deployment is not complete without it, and Until until when. Until is zero while it exists.
	Since, Until time.Time
}

// AsOne tells the events of one service as if its members were one subject, so that a version which goes out to all of them is
// deployed once:
//
//   - It is deployed when the last member runs it Healthy. That is when it occurred; it began with the first of them.
//   - It failed as soon as it failed at one of them, or was stopped there, or a member went back from it before all had it. What
//     becomes of it at the others is no further deployment. One that tries again after its own verdict begins anew.
//   - It is taken back when the first member goes back from it.
//   - A version that was replaced before all had it is superseded, and nothing.
//   - A member whose first deployment this is joins, and holds nobody up before.
//   - It is unknown if it is so of a member, and nothing worse happened.
//
// What people say about a member's deployment holds: one that they call a failure makes all a failure, and one that they ignore is left as it is.
// Failures are told as they are, with the deployment of all in place of a member's as their cause. So are changes of configuration, of which
// each member has its own.
//
// Two members run the same version if their images are the same but for the registry and folders that hold them; in what is returned
// versions have these names of images alone, and subjects none, so it serves for figures and nothing else.
func AsOne(events []*dora.Event, members []Member) []*dora.Event {
	s := spreading{members: members, joined: map[place]time.Time{}, on: map[place]string{}, rounds: map[string]*round{}, causes: map[string]*round{}}
	for _, e := range events {
		s.noteFirst(e)
	}
	told := inOrder(events)
	leaving := s.departures()
	for _, e := range told {
		for len(leaving) > 0 && !leaving[0].After(e.OccurredAt) {
			s.complete(leaving[0])
			leaving = leaving[1:]
		}
		s.take(e)
	}
	for _, at := range leaving {
		s.complete(at)
	}
	return s.told()
}

// round is one way of a version through the members.
type round struct {
	version string
	// verdicts are the events of its members, the latest of each.
	verdicts map[place]*dora.Event
	first    *dora.Event
	started  time.Time
	// as is how it was told: nil until then.
	as *dora.Event
	// over: all have it, or it was replaced before that. returned: that a member went back from it was told.
	over, returned bool
}

type spreading struct {
	members []Member
	// joined is when a member was deployed to for the first time, of those of which that was seen.
	joined map[place]time.Time
	on     map[place]string
	// rounds are the newest of each version.
	rounds map[string]*round
	causes map[string]*round // by the id of a member's event
	out    []*dora.Event
}

func placeOf(cluster string, s *dora.Subject) place {
	return place{cluster, s.Kind, s.Namespace, s.Name}
}

// nameOf is what makes versions one: their images without the registries and folders that hold them.
func nameOf(v *dora.Version) string {
	if v == nil {
		return ""
	}
	names := make([]string, len(v.Images))
	for i, image := range v.Images {
		names[i] = image[strings.LastIndexByte(image, '/')+1:]
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

func (s *spreading) noteFirst(e *dora.Event) {
	if e.Type != dora.TypeDeploy || e.Change != dora.ChangeImage || !e.Previous.Known || e.Previous.Version != nil {
		return
	}
	at := placeOf(e.Cluster, &e.Subject)
	if known, ok := s.joined[at]; !ok || e.OccurredAt.Before(known) {
		s.joined[at] = e.OccurredAt
	}
}

// departures are when members went, in order: what waited for them alone is complete then.
func (s *spreading) departures() []time.Time {
	var at []time.Time
	for _, m := range s.members {
		if !m.Until.IsZero() {
			at = append(at, m.Until)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// needed tells whether a deployment is not complete without that member.
func (s *spreading) needed(m *Member, at time.Time) bool {
	if at.Before(m.Since) || !m.Until.IsZero() && !at.Before(m.Until) {
		return false
	}
	joined, ok := s.joined[placeOf(m.Cluster, &m.Subject)]
	return !ok || !at.Before(joined)
}

func (s *spreading) take(e *dora.Event) {
	if e.Type != dora.TypeDeploy || e.Change != dora.ChangeImage || !e.Counts() {
		s.settle(e)
		s.out = append(s.out, new(*e))
		return
	}
	if what := classOf(e); what == returned {
		s.goBack(e)
	} else {
		s.goOn(e, what)
	}
	s.complete(e.OccurredAt)
}

// settle notes what a member runs after an event, where that is known.
func (s *spreading) settle(e *dora.Event) {
	runs := e.Running
	if runs == nil && (e.Outcome == dora.Succeeded || e.Outcome == dora.Unknown) {
		runs = e.Version
	}
	if name := nameOf(runs); name != "" {
		s.on[placeOf(e.Cluster, &e.Subject)] = name
	}
}

// goOn takes an attempt to bring a version to a member.
func (s *spreading) goOn(e *dora.Event, what class) {
	at, version := placeOf(e.Cluster, &e.Subject), nameOf(e.Version)
	if s.joins(e, version) {
		s.settle(e)
		return
	}
	r := s.rounds[version]
	if r == nil || r.over || r.verdicts[at] != nil {
		r = s.begin(version, e)
	}
	s.settle(e)
	r.verdicts[at], s.causes[e.ID] = e, r
	if !e.StartedAt.IsZero() && e.StartedAt.Before(r.started) {
		r.started = e.StartedAt
	}
	switch what {
	case failed:
		s.tell(r, e, dora.Failed)
	case aborted, unexposed:
		s.tell(r, e, dora.RolledBack)
	case succeeded, unknown, returned:
	}
}

// joins tells whether a new member begins with what all others run already.
func (s *spreading) joins(e *dora.Event, version string) bool {
	if r := s.rounds[version]; r != nil && !r.over {
		return false
	}
	if e.Outcome != dora.Succeeded || !s.joined[placeOf(e.Cluster, &e.Subject)].Equal(e.OccurredAt) {
		return false
	}
	others := 0
	for i := range s.members {
		m := &s.members[i]
		at := placeOf(m.Cluster, &m.Subject)
		if at == placeOf(e.Cluster, &e.Subject) || !s.needed(m, e.OccurredAt) || s.joined[at].Equal(e.OccurredAt) { // one that joins in the same second
			continue
		}
		if s.on[at] != version {
			return false
		}
		others++
	}
	return others > 0
}

func (s *spreading) begin(version string, e *dora.Event) *round {
	started := e.StartedAt
	if started.IsZero() {
		started = e.OccurredAt
	}
	r := &round{version: version, verdicts: map[place]*dora.Event{}, first: e, started: started}
	s.rounds[version] = r
	return r
}

// goBack takes an operation that brought an earlier version back to a member.
func (s *spreading) goBack(e *dora.Event) {
	left := nameOf(e.Previous.Version)
	s.settle(e)
	r := s.rounds[left]
	if r == nil {
		r = s.begin(left, e)
		r.over = true
	}
	s.causes[e.ID] = r
	switch {
	case r.as == nil && !r.over:
		s.tell(r, e, dora.RolledBack)
		r.returned = true
	case !r.returned && (r.as == nil || r.as.Outcome != dora.RolledBack):
		r.returned = true
		s.out = append(s.out, s.plain(e))
	}
	r.over = true
}

// complete tells the versions that all members run by now.
func (s *spreading) complete(at time.Time) {
	for _, version := range s.open() {
		r := s.rounds[version]
		if !s.everywhere(version, at) {
			continue
		}
		if r.as == nil {
			last := slices.MaxFunc(r.all(), func(a, b *dora.Event) int {
				return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), cmp.Compare(a.ID, b.ID))
			})
			s.tell(r, last, r.outcome())
		}
		for _, other := range s.rounds {
			other.over = true // it is complete, or was replaced before it was
		}
		return
	}
}

// open are the versions that not all members have yet, in a fixed order.
func (s *spreading) open() []string {
	var open []string
	for version, r := range s.rounds {
		if !r.over {
			open = append(open, version)
		}
	}
	slices.Sort(open)
	return open
}

func (s *spreading) everywhere(version string, at time.Time) bool {
	some := false
	for i := range s.members {
		if m := &s.members[i]; s.needed(m, at) {
			if s.on[placeOf(m.Cluster, &m.Subject)] != version {
				return false
			}
			some = true
		}
	}
	return some
}

func (r *round) all() []*dora.Event {
	all := make([]*dora.Event, 0, len(r.verdicts))
	for _, e := range r.verdicts {
		all = append(all, e)
	}
	return all
}

func (r *round) outcome() dora.Outcome {
	for _, e := range r.verdicts {
		if e.Outcome == dora.Unknown {
			return dora.Unknown
		}
	}
	return dora.Succeeded
}

// tell tells a round, once, by the event of a member that decided it.
func (s *spreading) tell(r *round, e *dora.Event, outcome dora.Outcome) {
	if r.as != nil {
		return
	}
	told := s.plain(e)
	told.StartedAt, told.Outcome, told.Previous = r.started, outcome, plainPredecessor(r.first.Previous)
	told.Success, told.IsRollback, told.Exposed = new(outcome == dora.Succeeded), new(outcome == dora.RolledBack), nil
	if outcome == dora.Unknown {
		told.Success = nil
	}
	if outcome == dora.RolledBack {
		told.Version, told.Exposed = &dora.Version{Images: []string{r.version}}, new(s.met(r, e))
	}
	told.Unplanned, told.FirstCommitAt, told.LeadTimeSeconds, told.Mark = nil, nil, nil, nil
	for _, of := range r.verdicts {
		if of.Verdict() == dora.Failure {
			told.Mark = of.Mark
		}
		if is(of.Unplanned, true) {
			told.Unplanned = of.Unplanned
		}
		if of.FirstCommitAt != nil && (told.FirstCommitAt == nil || of.FirstCommitAt.Before(*told.FirstCommitAt)) {
			told.FirstCommitAt = of.FirstCommitAt
		}
	}
	r.as = told
	s.out = append(s.out, told)
}

// met tells whether users met the version somewhere: where it was stopped, or at another member.
func (s *spreading) met(r *round, stopped *dora.Event) bool {
	if !is(stopped.Exposed, false) {
		return true
	}
	for _, runs := range s.on {
		if runs == r.version {
			return true
		}
	}
	return false
}

// plain is an event of all members.
func (s *spreading) plain(e *dora.Event) *dora.Event {
	told := new(*e)
	told.Cluster, told.Subject = "", dora.Subject{Name: e.Service}
	told.Version, told.Running, told.Previous = plainVersion(e.Version), plainVersion(e.Running), plainPredecessor(e.Previous)
	return told
}

func plainVersion(v *dora.Version) *dora.Version {
	if name := nameOf(v); name != "" {
		return &dora.Version{Images: []string{name}, Tag: v.Tag, Commit: v.Commit}
	}
	return v
}

func plainPredecessor(p dora.Predecessor) dora.Predecessor {
	return dora.Predecessor{Known: p.Known, Version: plainVersion(p.Version)}
}

// told are the events, with the causes of failures as they were told.
func (s *spreading) told() []*dora.Event {
	for _, e := range s.out {
		if e.Type == dora.TypeDeploy {
			continue
		}
		e.Running = plainVersion(e.Running)
		if r := s.causes[e.CausedBy]; r != nil && r.as != nil {
			e.CausedBy = r.as.ID
		}
	}
	return s.out
}
