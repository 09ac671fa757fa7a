// Package replay runs recorded watch events through the same adapters and the same core as the controller.
//
// A World is one cluster as its watch events tell it: each event is the newest state of one object. The only
// clock is the arrival time of the events: between two of them the world stands still, but a decision that was
// due in the meantime (a Degraded that lasted, a timeout) is taken at its time, as the running controller would.
package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// PolicyFor says how a subject is judged.
type PolicyFor func(labels map[string]string, name string) deploy.Policy

// Step is what came of one event, for one subject.
type Step struct {
	At        time.Time
	Subject   dora.Subject
	Events    []dora.Event
	Decisions []deploy.Decision
}

// World holds the newest state of every object and what was decided about each subject.
type World struct {
	cluster  string
	policy   PolicyFor
	now      time.Time
	apps     map[string]*argocd.Application
	rollouts map[string]*rollouts.Rollout
	sets     map[string]*appsv1.ReplicaSet
	gone     map[string]departed
	states   map[string]deploy.State
	services map[string]deploy.Service
	policies map[string]deploy.Policy
}

// departed is what an object showed last.
type departed struct {
	obs    deploy.Observation
	labels map[string]string
}

// NewWorld returns an empty cluster.
func NewWorld(cluster string, policy PolicyFor) *World {
	return &World{
		cluster: cluster, policy: policy,
		apps: map[string]*argocd.Application{}, rollouts: map[string]*rollouts.Rollout{}, sets: map[string]*appsv1.ReplicaSet{},
		gone: map[string]departed{}, states: map[string]deploy.State{}, services: map[string]deploy.Service{},
		policies: map[string]deploy.Policy{},
	}
}

// Apply takes in one watch event and decides about every subject that it concerns.
func (w *World) Apply(e Event) []Step {
	steps := w.advance(e.Seen)
	w.now = e.Seen
	for _, uid := range w.take(e) {
		if step, ok := w.decide(uid); ok {
			steps = append(steps, step)
		}
	}
	return steps
}

// Restart is what a restarted controller does: it knows what was stored, and evaluates every subject of its first list.
func (w *World) Restart() ([]Step, error) {
	if err := errors.Join(stored(w.states), stored(w.services)); err != nil {
		return nil, err
	}
	var steps []Step
	for _, uid := range w.subjects() {
		if step, ok := w.decide(uid); ok {
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// stored replaces each value by what is left of it after it was stored and read back.
func stored[T any](values map[string]T) error {
	for key, value := range values {
		data, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("store %s: %w", key, err)
		}
		var back T
		if err := json.Unmarshal(data, &back); err != nil {
			return fmt.Errorf("read %s back: %w", key, err)
		}
		values[key] = back
	}
	return nil
}

// Finish takes the decisions that are due by then.
func (w *World) Finish(until time.Time) []Step { return w.advance(until) }

// advance takes, in order, the decisions that fall due before that moment.
func (w *World) advance(until time.Time) []Step {
	var steps []Step
	for {
		due, at := "", time.Time{}
		for _, uid := range w.subjects() {
			if t := w.states[uid].RecheckAt; !t.IsZero() && t.Before(until) && (at.IsZero() || t.Before(at)) {
				due, at = uid, t
			}
		}
		if due == "" {
			return steps
		}
		w.now = at
		step, ok := w.decide(due)
		if ok {
			steps = append(steps, step)
		}
		if again := w.states[due]; again.RecheckAt.Equal(at) {
			again.RecheckAt = time.Time{}
			w.states[due] = again
		}
	}
}

// take stores the object and returns the uids of the subjects it concerns.
func (w *World) take(e Event) []string {
	deleted := e.Type == Deleted
	switch {
	case e.Application != nil:
		return w.takeApplication(e.Application, deleted)
	case e.Rollout != nil:
		return w.takeRollout(e.Rollout, deleted)
	case e.ReplicaSet != nil:
		return w.takeReplicaSet(e.ReplicaSet, deleted)
	}
	return nil
}

func (w *World) takeApplication(app *argocd.Application, deleted bool) []string {
	uid := string(app.UID)
	before := w.apps[uid]
	w.apps[uid] = app
	if deleted {
		w.gone[uid] = departed{w.observeApp(app), app.Labels}
		delete(w.apps, uid)
	}
	concerned := []string{uid}
	for _, a := range []*argocd.Application{before, app} { // standalone Rollouts may have become managed, or the reverse
		if a == nil {
			continue
		}
		for _, name := range argocd.ManagedRollouts(a) {
			for ruid, ro := range w.rollouts {
				if ro.Namespace == name.Namespace && ro.Name == name.Name && w.manager(ro) == nil && !slices.Contains(concerned, ruid) {
					concerned = append(concerned, ruid)
				}
			}
		}
	}
	return concerned
}

func (w *World) takeRollout(ro *rollouts.Rollout, deleted bool) []string {
	uid := string(ro.UID)
	w.rollouts[uid] = ro
	manager := w.manager(ro)
	if deleted {
		delete(w.rollouts, uid)
	}
	if manager != nil {
		return []string{string(manager.UID)}
	}
	if deleted {
		w.gone[uid] = departed{w.observeRollout(ro), ro.Labels}
	}
	return []string{uid}
}

func (w *World) takeReplicaSet(rs *appsv1.ReplicaSet, deleted bool) []string {
	w.sets[string(rs.UID)] = rs
	if deleted {
		delete(w.sets, string(rs.UID))
	}
	owner := metav1.GetControllerOf(rs)
	if owner == nil {
		return nil
	}
	ro := w.rollouts[string(owner.UID)]
	if ro == nil {
		return nil
	}
	if manager := w.manager(ro); manager != nil {
		return []string{string(manager.UID)}
	}
	return []string{string(ro.UID)}
}

// manager is the Application that a Rollout belongs to: by that Application's own resources, else by a valid tracking id.
func (w *World) manager(ro *rollouts.Rollout) *argocd.Application {
	for _, uid := range sortedKeys(w.apps) {
		for _, name := range argocd.ManagedRollouts(w.apps[uid]) {
			if name.Namespace == ro.Namespace && name.Name == ro.Name {
				return w.apps[uid]
			}
		}
	}
	owner, ok := rollouts.Owner(ro)
	if !ok {
		return nil
	}
	for _, uid := range sortedKeys(w.apps) {
		if app := w.apps[uid]; app.Name == owner.Name && (owner.Namespace == "" || owner.Namespace == app.Namespace) {
			return app
		}
	}
	return nil
}

func (w *World) observeApp(app *argocd.Application) deploy.Observation {
	var managed []deploy.Rollout
	for _, uid := range sortedKeys(w.rollouts) {
		ro := w.rollouts[uid]
		if m := w.manager(ro); m != nil && m.UID == app.UID {
			managed = append(managed, rollouts.Observe(ro, w.setsOf(ro)))
		}
	}
	return argocd.Observe(app, w.cluster, managed)
}

func (w *World) observeRollout(ro *rollouts.Rollout) deploy.Observation {
	return deploy.Observation{
		Cluster:     w.cluster,
		Subject:     dora.Subject{Kind: dora.KindRollout, Namespace: ro.Namespace, Name: ro.Name, UID: string(ro.UID)},
		CreatedAt:   ro.CreationTimestamp.UTC(),
		Destination: ro.Namespace,
		Deleting:    !ro.DeletionTimestamp.IsZero(),
		Rollouts:    []deploy.Rollout{rollouts.Observe(ro, w.setsOf(ro))},
	}
}

func (w *World) setsOf(ro *rollouts.Rollout) []appsv1.ReplicaSet {
	var sets []appsv1.ReplicaSet
	for _, uid := range sortedKeys(w.sets) {
		if owner := metav1.GetControllerOf(w.sets[uid]); owner != nil && owner.UID == ro.UID {
			sets = append(sets, *w.sets[uid])
		}
	}
	return sets
}

// decide judges one subject as the world shows it now.
func (w *World) decide(uid string) (Step, bool) {
	obs, labels, ok := w.observe(uid)
	if !ok {
		return Step{}, false
	}
	policy := w.policy(labels, obs.Subject.Name)
	key := policy.Service + "\x00" + policy.Environment
	result := deploy.Decide(w.states[uid], w.services[key], &obs, &policy, w.now)
	w.states[uid], w.services[key] = result.State, result.Service
	return Step{At: w.now, Subject: obs.Subject, Events: result.Events, Decisions: result.Decisions}, true
}

func (w *World) observe(uid string) (deploy.Observation, map[string]string, bool) {
	if app := w.apps[uid]; app != nil {
		return w.observeApp(app), app.Labels, true
	}
	if ro := w.rollouts[uid]; ro != nil {
		return w.observeRollout(ro), ro.Labels, w.manager(ro) == nil
	}
	last, ok := w.gone[uid]
	delete(w.gone, uid)
	last.obs.Deleting = true
	return last.obs, last.labels, ok
}

func (w *World) subjects() []string { return append(sortedKeys(w.apps), sortedKeys(w.rollouts)...) }

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
