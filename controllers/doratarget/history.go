package doratarget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// margin is how long before the window events are read too: a failed attempt can heal much later, and then counts when it did.
const margin = 30 * 24 * time.Hour

// Figures move with the window even if nothing happens: an event leaves it, or it covers more of the time followed.
const (
	soonest = 10 * time.Second
	latest  = time.Hour
)

// impatience is how soon a target is looked at again that has objects nobody looked at yet.
const impatience = 2 * time.Second

// history is what the ledger knows of a target's subjects.
type history struct {
	window fourkeys.Window
	kinds  []dora.ChangeKind
	events []dora.Event
	// services are those that figures are about: that are followed now, or have an event in the window.
	services map[fourkeys.Service]time.Time
	// last is the latest deployment ever. Nil if there is none.
	last     *dora.Event
	measured *fourkeys.Fleet
	// commits says what is known of the commits of the window's deployments.
	commits ledger.Resolutions
}

// fleet is the figures of the services.
func (h *history) fleet() *fourkeys.Fleet {
	if h.measured == nil {
		h.measured = new(fourkeys.Aggregate(h.events, h.window, h.services, h.kinds...))
	}
	return h.measured
}

// read reads the events that a target's figures need.
func (r *Reconciler) read(ctx context.Context, s *scope) (*history, error) {
	if err := r.Memory.Check(ctx); err != nil {
		return nil, err
	}
	h := &history{
		window: fourkeys.Last(s.target.Timings.Window, s.now, time.Time{}),
		kinds:  kindsOf(&s.target.Object.Spec),
	}
	from := h.window.From.Add(-margin)
	of := ledger.EventQuery{Cluster: r.Cluster, UIDs: append([]string{}, s.uids...)}

	recent, before := of, of
	recent.Since = from
	before.Until, before.Types = from, []dora.Type{dora.TypeDegraded, dora.TypeRecovered} // failures can be open for longer
	for _, q := range []ledger.EventQuery{before, recent} {
		for row, err := range r.Events.Events(ctx, q) {
			if err != nil {
				return nil, fmt.Errorf("cannot read events: %w", err)
			}
			h.events = append(h.events, row.Event)
		}
	}
	h.stretch()
	h.about(s)
	return h, errors.Join(r.readCommits(ctx, s, of.UIDs, h), r.readLast(ctx, of, h))
}

// readCommits counts what is known of the window's commits, and all that is still looked for, however old.
func (r *Reconciler) readCommits(ctx context.Context, s *scope, uids []string, h *history) error {
	sourced := s.target.Object.Spec.Source != nil
	queued, err := r.Events.Resolutions(ctx, ledger.ResolutionQuery{Cluster: r.Cluster, UIDs: uids, Queued: true})
	if err != nil {
		return fmt.Errorf("cannot count commits: %w", err)
	}
	if sourced { // what was found is shown by nobody else
		q := ledger.ResolutionQuery{Cluster: r.Cluster, UIDs: uids, Since: h.window.From}
		if h.commits, err = r.Events.Resolutions(ctx, q); err != nil {
			return fmt.Errorf("cannot count commits: %w", err)
		}
	}
	h.commits.Pending, h.commits.Failing = queued.Pending, queued.Failing
	return nil
}

// stretch lets the window end after the newest event: Argo's clock may be ahead of ours, and what has happened counts.
func (h *history) stretch() {
	for i := range h.events {
		if at := h.events[i].OccurredAt; !at.Before(h.window.To) {
			h.window.To = at.Add(time.Nanosecond)
		}
	}
}

// readLast finds the latest deployment, however long ago it was.
func (r *Reconciler) readLast(ctx context.Context, q ledger.EventQuery, h *history) error {
	q.Types, q.Newest = []dora.Type{dora.TypeDeploy}, true
	for row, err := range r.Events.Events(ctx, q) {
		if err != nil {
			return fmt.Errorf("cannot read the latest deployment: %w", err)
		}
		if slices.Contains(h.kinds, row.Event.Change) {
			h.last = &row.Event
			return nil
		}
	}
	return nil
}

// about finds the services, and drops the events of those that have none in the window and are followed no more.
func (h *history) about(s *scope) {
	h.services = maps.Clone(s.followed)
	for i := range h.events {
		if e := &h.events[i]; !e.OccurredAt.Before(h.window.From) {
			since := s.known[e.Subject.UID].FollowedSince
			if known, ok := h.services[serviceOf(e)]; !ok || since.Before(known) {
				h.services[serviceOf(e)] = since
			}
		}
	}
	h.events = slices.DeleteFunc(h.events, func(e dora.Event) bool {
		_, kept := h.services[serviceOf(&e)]
		return !kept
	})
}

func serviceOf(e *dora.Event) fourkeys.Service {
	return fourkeys.Service{Name: e.Service, Environment: e.Environment}
}

func kindsOf(spec *dorav1alpha1.DoraTargetSpec) []dora.ChangeKind {
	kinds := []dora.ChangeKind{dora.ChangeImage}
	if spec.Counts(dorav1alpha1.ChangeConfig) {
		kinds = append(kinds, dora.ChangeConfig)
	}
	return kinds
}

// next is when the figures may change though nothing happens.
func next(s *scope, h *history) time.Duration {
	if s.waiting > 0 {
		return impatience
	}
	wait := latest
	for i := range h.events {
		if leaves := h.events[i].OccurredAt.Sub(h.window.From); leaves >= 0 {
			wait = min(wait, leaves+time.Millisecond)
		}
	}
	return max(wait, soonest)
}
