// Package recompute makes decisions again, of the evidence that a ledger keeps, by the rules of this release, and says what would have come of
// it that is not in the ledger, and what is in it that would not have.
//
// Observations are decided in the order in which they were made, those of all subjects together, since subjects of one service share what is
// known of it. A decision begins with what was known when it was made first, as long as these rules led there too; from the first difference
// on, with what these rules know. So rules that did not change find no difference, whatever was dropped in between.
//
// What receivers reported is not decided again, and it is told how many events that are: an incident was decided by its texts, and by who counted
// it at that time, and neither is kept.
//
// What no evidence is kept of is not judged: it is told how far the evidence of each subject goes back, and how many have none. An event that
// the ledger no longer keeps is neither missing nor surplus.
package recompute

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Ledger is what is read.
type Ledger interface {
	Observations(ctx context.Context, uid string) ([]ledger.Observation, error)
	Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error]
}

// Kind is what a difference is.
type Kind string

// The kinds of difference.
const (
	Missing   Kind = "missing"   // these rules find an event that the ledger does not have
	Surplus   Kind = "surplus"   // the ledger has an event that these rules do not find
	Different Kind = "different" // both have it, and it does not say the same
)

// Difference is one event about which the ledger and these rules do not agree.
type Difference struct {
	Kind    Kind       `json:"kind"`
	Event   dora.Event `json:"event"` // as these rules find it; of a surplus one, as the ledger has it
	Changes []Change   `json:"changes,omitempty"`
}

// Change is a field of an event, with what the ledger has and what these rules find.
type Change struct {
	Field string `json:"field"`
	Was   string `json:"was"`
	Is    string `json:"is"`
}

// Report is what came of making decisions again.
type Report struct {
	Differences []Difference
	// Subjects are those of which evidence is kept, Observations how many there are of them, and Without how many subjects have none.
	Subjects, Observations, Without int
	// Deployments and Incidents are how many events there are, since the time that was asked for, that receivers reported and that were not
	// decided again: deployments and changes, and beginnings and ends of failures.
	Deployments, Incidents int
	// Incomplete is of how many of them older observations were dropped, and Since is since when there is evidence of all of them.
	Incomplete int
	Since      time.Time
	// Unreadable says of which observations nothing could be made, and why. What came after them was decided from what was known then.
	Unreadable []error
}

// Run makes the decisions about some subjects again. All subjects of a service belong together.
func Run(ctx context.Context, from Ledger, subjects []ledger.Subject, since time.Time) (*Report, error) {
	r := &run{
		subjects: map[string]*thread[deploy.State]{}, services: map[[2]string]*thread[deploy.Service]{},
		found: map[string]dora.Event{}, led: map[string]bool{},
	}
	steps, err := r.gather(ctx, from, subjects)
	if err != nil {
		return nil, err
	}
	for i := range steps {
		if err := r.step(&steps[i]); err != nil {
			return nil, fmt.Errorf("cannot decide again what was seen of %s at %s: %w", steps[i].UID, steps[i].At.Format(time.RFC3339), err)
		}
	}
	known, err := r.known(ctx, from)
	if err != nil {
		return nil, err
	}
	r.compare(known, since)
	if err := r.countReported(ctx, from, subjects, since); err != nil {
		return nil, err
	}
	return &r.report, nil
}

// step is one observation with what it says.
type step struct {
	ledger.Observation

	made *evidence.Evidence
}

// thread is what these rules know of a subject or a service after the last decision.
type thread[T any] struct {
	value T
	after []byte // the same as JSON
	n     int64  // of the observation
	// differs tells that they went another way than those that decided first.
	differs bool
}

type run struct {
	subjects map[string]*thread[deploy.State]
	services map[[2]string]*thread[deploy.Service]
	found    map[string]dora.Event // by id
	led      map[string]bool       // ids of events that came of the observations when they were made
	report   Report
}

// gather reads what is kept, in the order in which it was seen.
func (r *run) gather(ctx context.Context, from Ledger, subjects []ledger.Subject) ([]step, error) {
	var steps []step
	seen := map[string]bool{}
	for i := range subjects {
		s := &subjects[i]
		if s.Kind == dora.KindReported || seen[s.UID] { // under the name of another cluster, too
			continue
		}
		seen[s.UID] = true
		kept, err := from.Observations(ctx, s.UID)
		if err != nil {
			return nil, err
		}
		r.count(kept)
		for _, o := range kept {
			read, err := evidence.Decode(o.Data)
			if err != nil {
				err = fmt.Errorf("%s %s/%s, seen at %s: %w", s.Kind, s.Namespace, s.Name, o.At.Format(time.RFC3339), err)
				r.report.Unreadable = append(r.report.Unreadable, err)
				continue
			}
			steps = append(steps, step{Observation: o, made: read})
			for _, id := range o.Events {
				r.led[id] = true
			}
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.N, b.N)) })
	return steps, nil
}

// countReported counts what receivers reported.
func (r *run) countReported(ctx context.Context, from Ledger, subjects []ledger.Subject, since time.Time) error {
	var uids []string
	for i := range subjects {
		if subjects[i].Kind == dora.KindReported {
			uids = append(uids, subjects[i].UID)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	for row, err := range from.Events(ctx, ledger.EventQuery{UIDs: uids, Since: since}) {
		switch {
		case err != nil:
			return err
		case row.Event.FailureID != "":
			r.report.Incidents++
		default:
			r.report.Deployments++
		}
	}
	return nil
}

// count tells how far the evidence of a subject goes back.
func (r *run) count(kept []ledger.Observation) {
	if len(kept) == 0 {
		r.report.Without++
		return
	}
	r.report.Subjects++
	r.report.Observations += len(kept)
	if kept[0].N > 1 {
		r.report.Incomplete++
	}
	if kept[0].At.After(r.report.Since) {
		r.report.Since = kept[0].At
	}
}

// step decides one observation again.
func (r *run) step(s *step) error {
	policy, err := s.made.Policy.Rules()
	if err != nil {
		return err
	}
	subject := at(r.subjects, s.UID)
	service := at(r.services, [2]string{policy.Service, policy.Environment})
	subject.differs = subject.differs || subject.n > 0 && subject.n+1 == s.N && !slices.Equal(subject.after, []byte(s.made.State))
	service.differs = service.differs || subject.differs
	if err := errors.Join(subject.begin(s.made.State), service.begin(s.made.Service)); err != nil {
		return err
	}
	result := deploy.Decide(subject.value, service.value, &s.made.Observation, &policy, s.made.Now)
	differs := r.find(result.Events, s.Events)
	return errors.Join(subject.end(result.State, s.N, differs), service.end(result.Service, s.N, differs))
}

func at[K comparable, T any](all map[K]*thread[T], key K) *thread[T] {
	if all[key] == nil {
		all[key] = &thread[T]{}
	}
	return all[key]
}

// begin takes what was known when it was decided first, unless these rules went another way.
func (t *thread[T]) begin(recorded []byte) error {
	if t.differs || len(recorded) == 0 {
		return nil
	}
	var before T
	if err := json.Unmarshal(recorded, &before); err != nil {
		return fmt.Errorf("cannot read what was known before: %w", err)
	}
	t.value = before
	return nil
}

func (t *thread[T]) end(value T, n int64, differs bool) (err error) {
	t.value, t.n, t.differs = value, n, t.differs || differs
	t.after, err = json.Marshal(value)
	return err
}

// find keeps the events that these rules find, and tells whether they are others than those that came of it first.
func (r *run) find(events []dora.Event, first []string) (differs bool) {
	ids := make([]string, 0, len(events))
	for _, e := range events {
		ids = append(ids, e.ID)
		if _, again := r.found[e.ID]; !again {
			r.found[e.ID] = e
		}
	}
	return !slices.Equal(ids, first)
}

// known are the events of the ledger that are compared, by id.
func (r *run) known(ctx context.Context, from Ledger) (map[string]dora.Event, error) {
	ids := slices.AppendSeq(slices.Collect(maps.Keys(r.found)), maps.Keys(r.led))
	known := map[string]dora.Event{}
	if len(ids) == 0 {
		return known, nil
	}
	for row, err := range from.Events(ctx, ledger.EventQuery{IDs: ids}) {
		if err != nil {
			return nil, err
		}
		known[row.Event.ID] = row.Event
	}
	return known, nil
}

func (r *run) compare(known map[string]dora.Event, since time.Time) {
	add := func(d Difference) {
		if verdict, said := d.verdict(); !d.Event.OccurredAt.Before(since) && (!said || verdict != d.Event.Verdict()) {
			r.report.Differences = append(r.report.Differences, d)
		}
	}
	for id, is := range r.found {
		was, there := known[id]
		if !there && !r.led[id] {
			add(Difference{Kind: Missing, Event: is})
		}
		if changes := between(&was, &is); there && len(changes) > 0 {
			is.Mark = was.Mark
			add(Difference{Kind: Different, Event: is, Changes: changes})
		}
	}
	for id := range r.led {
		if _, found := r.found[id]; !found {
			if was, there := known[id]; there {
				add(Difference{Kind: Surplus, Event: was})
			}
		}
	}
	slices.SortFunc(r.report.Differences, func(a, b Difference) int {
		return cmp.Or(a.Event.OccurredAt.Compare(b.Event.OccurredAt), cmp.Compare(a.Event.ID, b.Event.ID))
	})
}
