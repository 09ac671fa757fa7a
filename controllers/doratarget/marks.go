package doratarget

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/mark"
)

// Marks keeps what people say of events. A ledger does.
type Marks interface {
	Marks(ctx context.Context, q ledger.MarkQuery) ([]ledger.Marked, error)
	Commit(ctx context.Context, change ledger.Change) error
}

// said is how many marks are committed at once. Changes that wait meanwhile are committed between two of them.
const said = 200

// refusedListed is how many refused annotations the status lists.
const refusedListed = 50

// speaker begins the source of each mark that a target made.
const speaker = "DoraTarget "

// sourceOf is what marks of a target name as their source.
func sourceOf(name types.NamespacedName) string { return speaker + name.String() }

// hear appends what a target says of events and does not stand yet, and counts it.
func (r *Reconciler) hear(ctx context.Context, object *dorav1alpha1.DoraTarget, s *scope) error {
	d := mark.Declared{
		Source: sourceOf(client.ObjectKeyFromObject(object)), Said: mark.IDs(object.Annotations), Freezes: freezesOf(&object.Spec),
		Owner: s.speaks, Abandoned: s.abandoned, Now: s.now,
	}
	var err error
	if d.Standing, err = r.standing(ctx, d.Source, s); err != nil {
		return err
	}
	if len(d.Said)+len(d.Freezes)+len(d.Standing) == 0 {
		return nil
	}
	if d.Events, err = r.spokenOf(ctx, &d, s); err != nil {
		return err
	}
	plan := mark.Make(d)
	if err := r.say(ctx, s, plan.Marks, subjectsOf(&d)); err != nil {
		return err
	}
	if len(d.Said)+len(d.Freezes) > 0 {
		s.refused = plan.Refused
		s.marks = &dorav1alpha1.MarkCounts{
			Said: int64(plan.Said), Frozen: int64(plan.Frozen), Refused: int64(len(plan.Refused)), Observed: mark.Hash(object.Annotations),
		}
		for _, refusal := range plan.Refused[:min(len(plan.Refused), refusedListed)] {
			s.marks.RefusedEvents = append(s.marks.RefusedEvents, strings.TrimPrefix(refusal.Key, mark.Prefix))
		}
	}
	return nil
}

// subjectsOf are the uids of the subjects of events, by the ids of these.
func subjectsOf(d *mark.Declared) map[string]string {
	subjects := map[string]string{}
	for i := range d.Events {
		subjects[d.Events[i].ID] = d.Events[i].Subject.UID
	}
	for i := range d.Standing {
		subjects[d.Standing[i].EventID] = d.Standing[i].UID
	}
	return subjects
}

func freezesOf(spec *dorav1alpha1.DoraTargetSpec) []mark.Freeze {
	freezes := make([]mark.Freeze, 0, len(spec.Freezes))
	for _, f := range spec.Freezes {
		freezes = append(freezes, mark.Freeze{Name: f.Name, Reason: f.Reason, From: f.From.UTC(), To: f.To.UTC()})
	}
	return freezes
}

// standing are the newest marks of the target's subjects, and those that it made of others when they were still its own.
func (r *Reconciler) standing(ctx context.Context, source string, s *scope) ([]mark.Standing, error) {
	var all []mark.Standing
	for _, q := range []ledger.MarkQuery{{UIDs: append([]string{}, s.all()...), Standing: true}, {Source: source, Standing: true}} {
		marks, err := r.Marks.Marks(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("cannot read marks: %w", err)
		}
		for _, m := range marks {
			all = append(all, mark.Standing{Mark: m.Mark, UID: m.UID})
		}
	}
	return all, nil
}

// spokenOf reads the events that a target says something of: those that it counts alone.
func (r *Reconciler) spokenOf(ctx context.Context, d *mark.Declared, s *scope) ([]dora.Event, error) {
	queries := []ledger.EventQuery{{IDs: slices.Sorted(maps.Keys(d.Said)), UIDs: append([]string{}, s.all()...)}}
	if len(d.Said) == 0 {
		queries = nil
	}
	own := slices.DeleteFunc(append([]string{}, s.all()...), func(uid string) bool { return s.speaks(uid) != "" })
	for _, f := range d.Freezes {
		queries = append(queries, ledger.EventQuery{
			UIDs: own, Since: f.From, Until: f.To, Types: []dora.Type{dora.TypeDeploy, dora.TypeDegraded},
		})
	}
	var events []dora.Event
	for _, q := range queries {
		q.Cluster = r.Cluster
		for row, err := range r.Events.Events(ctx, q) {
			if err != nil {
				return nil, fmt.Errorf("cannot read the events of marks: %w", err)
			}
			events = append(events, row.Event)
		}
	}
	return events, nil
}

// speaks names the target whose word counts for a subject; empty if it is this one's.
func (s *scope) speaks(uid string) string {
	row, known := s.known[uid]
	if !known {
		row, known = s.heard[uid]
	}
	if !known {
		return "another DoraTarget"
	}
	targets := slices.DeleteFunc(selection(s.view, &row), func(t *kube.Target) bool { return s.mute(t, &row) })
	if len(targets) == 0 || targets[0].Object.UID == s.target.Object.UID {
		return ""
	}
	return sourceOf(client.ObjectKeyFromObject(targets[0].Object))
}

// mute says that a target has no word about a reported service: it counts incidents, but no deployment of that service, as far as its status tells.
func (s *scope) mute(t *kube.Target, row *ledger.Subject) bool {
	return row.Kind == dora.KindReported && t.Object.UID != s.target.Object.UID && !t.Reports(row) && !t.Object.Status.Has(row.Service, row.Environment)
}

// abandoned tells whether the target that made a mark is gone.
func (s *scope) abandoned(source string) bool {
	if !strings.HasPrefix(source, speaker) {
		return false
	}
	return !slices.ContainsFunc(s.view, func(t *kube.Target) bool { return sourceOf(client.ObjectKeyFromObject(t.Object)) == source })
}

// say appends marks, and owes their events to the sinks of all targets that count them. The subjects are told by the ids of events.
func (r *Reconciler) say(ctx context.Context, s *scope, marks []dora.Mark, subjects map[string]string) error {
	bySinks, targets := map[string][]dora.Mark{}, map[types.NamespacedName]bool{}
	for _, m := range marks {
		selection := r.counting(s, subjects[m.EventID])
		key := strings.Join(s.sinks.OfEvents(selection), " ")
		bySinks[key] = append(bySinks[key], m)
		for _, name := range selection.Names() {
			targets[name] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(bySinks)) {
		sinks := strings.Fields(key)
		for some := range slices.Chunk(bySinks[key], said) {
			if err := r.Marks.Commit(ctx, ledger.Change{Marks: some, Sinks: sinks}); err != nil {
				return fmt.Errorf("cannot write marks: %w", err)
			}
		}
		r.Owed(sinks)
	}
	delete(targets, client.ObjectKeyFromObject(s.target.Object))
	r.Look(slices.Collect(maps.Keys(targets))...)
	return nil
}

// counting are the targets that count a subject's events, as far as it is remembered.
func (r *Reconciler) counting(s *scope, uid string) kube.Selection {
	row, known := s.known[uid]
	if !known {
		row, known = r.Memory.Lookup(uid)
	}
	if !known {
		return nil
	}
	return selection(s.view, &row)
}
