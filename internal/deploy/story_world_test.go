package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// world is the cluster of one story, and the controller that watches it: what it stored, and what it told.
type world struct {
	policy   deploy.Policy
	now      time.Time
	down     bool
	names    []string
	subjects map[string]*subject
	states   map[string]deploy.State
	services map[string]deploy.Service
	got      []dora.Event
	decided  []deploy.Decision
	// restarting is set to store and read back everything before each decision.
	restarting bool
	failures   []string
}

// subject is one Application or Rollout.
type subject struct {
	name     string
	obs      deploy.Observation
	policy   deploy.Policy
	uids     int
	manager  *subject // of a Rollout that an Application manages
	changed  bool
	gone     bool // it is deleted
	finished bool // and was seen so
}

func newWorld(policy deploy.Policy) *world {
	return &world{policy: policy, subjects: map[string]*subject{}, states: map[string]deploy.State{}, services: map[string]deploy.Service{}}
}

// happen takes in one step: the due decisions before it, what it changes, and the decisions that follow.
func (w *world) happen(s step) error {
	w.passTime(s.at)
	w.now = s.at
	switch s.text {
	case "wait":
		return nil
	case "controller restarts":
		return w.restart()
	case "controller stops":
		w.down = true
		return nil
	case "controller starts":
		w.down = false
		return w.restart()
	}
	if err := w.change(s); err != nil {
		return fmt.Errorf("%s: %w", s.text, err)
	}
	for _, name := range w.names {
		if w.subjects[name].changed {
			w.subjects[name].changed = false
			w.observe(w.subjects[name])
		}
	}
	return nil
}

// change applies the facts of a step. Facts stand between bars; `name:` says whose they are, from there to the end of the line.
func (w *world) change(s step) error {
	var whose *subject
	if len(w.names) > 0 {
		whose = w.subjects[w.names[0]]
	}
	for text := range strings.SplitSeq(s.text, "|") {
		words := strings.Fields(text)
		if len(words) > 0 && strings.HasSuffix(words[0], ":") {
			name := strings.TrimSuffix(words[0], ":")
			if whose = w.subjects[name]; whose == nil {
				return fmt.Errorf("nothing is called %q", name)
			}
			words = words[1:]
		}
		if len(words) == 0 {
			return errors.New("nothing between two bars")
		}
		a := &args{words: words[1:], now: s.at}
		switch {
		case words[0] == "application" || words[0] == "rollout":
			whose = w.create(words[0], a)
		case whose == nil:
			return errors.New("there is no subject yet")
		default:
			whose.fact(words[0], a)
		}
		if err := a.done(); err != nil {
			return fmt.Errorf("%s: %w", words[0], err)
		}
		whose.changed = true
	}
	return nil
}

// create makes an object, or one of the same name again: `application NAME [created T]`, `rollout NAME [of APP] [created T]`.
func (w *world) create(kind string, a *args) *subject {
	name := a.next("a name")
	s := w.subjects[name]
	if s == nil {
		s = &subject{name: name}
		w.subjects[name] = s
		w.names = append(w.names, name)
	}
	s.uids++
	s.gone, s.finished = false, false
	uid := fmt.Sprintf("%s-%d", name, s.uids)
	s.policy = w.policy
	s.policy.Service = name
	s.obs = deploy.Observation{Cluster: "test", Destination: "in-cluster/shop"}
	if kind == "application" {
		s.obs.Subject = dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: name, UID: uid}
		s.obs.App = &deploy.App{}
	} else {
		s.obs.Subject = dora.Subject{Kind: dora.KindRollout, Namespace: "shop", Name: name, UID: uid}
		s.obs.Rollouts = []deploy.Rollout{{UID: uid, Namespace: "shop", Name: name, Observed: true, Desired: 4, Phase: deploy.RolloutProgressing}}
		if a.accept("of") {
			if s.manager = w.subjects[a.next("an application")]; s.manager == nil {
				a.failf("no such application")
			}
		}
	}
	s.obs.CreatedAt = a.timeAfter("created", a.now)
	if kind == "rollout" {
		s.obs.Rollouts[0].CreatedAt = s.obs.CreatedAt
	}
	return s
}

// observe decides about a subject, or about the Application that manages it.
func (w *world) observe(s *subject) {
	if s.manager != nil {
		s = s.manager
	}
	if w.down || s.finished {
		return
	}
	s.finished = s.gone
	obs, policy := w.look(s), s.policy
	key := policy.Service + "/" + policy.Environment
	if w.restarting {
		w.store()
	}
	uid := obs.Subject.UID
	result := deploy.Decide(w.states[uid], w.services[key], &obs, &policy, w.now)
	if !reflect.DeepEqual(obs, w.look(s)) || !reflect.DeepEqual(policy, s.policy) {
		w.complainf("the observation or the policy was modified")
	}
	if t := result.RecheckAt; !t.IsZero() && !t.After(w.now) {
		w.complainf("asks to be run again at %s, which is over", t.Format(time.TimeOnly))
	}
	if again := deploy.Decide(result.State, result.Service, &obs, &policy, w.now); again.Changed || len(again.Events)+len(again.Decisions) > 0 {
		w.complainf("a second look at the same status decides %v", transcript(again.Events, again.Decisions))
	}
	if !result.Changed && len(result.Events)+len(result.Decisions) > 0 {
		w.complainf("there are events or decisions although nothing changed")
	}
	w.states[uid], w.services[key] = result.State, result.Service
	w.got = append(w.got, result.Events...)
	w.decided = append(w.decided, result.Decisions...)
}

func (w *world) complainf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf("at %s "+format, append([]any{w.now.Format(time.TimeOnly)}, args...)...))
}

// look is what the controller sees of a subject now: a copy, with the Rollouts that it manages.
func (w *world) look(s *subject) deploy.Observation {
	obs := s.obs
	for _, name := range w.names {
		if r := w.subjects[name]; r.manager == s && !r.obs.Deleting {
			obs.Rollouts = append(slices.Clip(obs.Rollouts), r.obs.Rollouts...)
		}
	}
	return copied(obs)
}

// passTime takes the decisions that fall due before that moment, each at its time, as the running controller would.
func (w *world) passTime(until time.Time) {
	for !w.down {
		var due *subject
		var at time.Time
		for _, name := range w.names {
			s := w.subjects[name]
			t := w.states[s.obs.Subject.UID].RecheckAt
			if s.manager == nil && !s.finished && !t.IsZero() && t.Before(until) && (due == nil || t.Before(at)) {
				due, at = s, t
			}
		}
		if due == nil {
			return
		}
		w.now = at
		w.observe(due)
		if len(w.failures) > 0 {
			return
		}
	}
}

// restart: the controller knows what was stored, and evaluates every subject of its first list.
func (w *world) restart() error {
	w.store()
	for _, name := range w.names {
		if s := w.subjects[name]; s.manager == nil {
			w.observe(s)
		}
	}
	return nil
}

// store replaces what the controller keeps by what is left of it once it was written and read.
func (w *world) store() {
	for uid, state := range w.states {
		w.states[uid] = copied(state)
	}
	for key, service := range w.services {
		w.services[key] = copied(service)
	}
}

// copied takes a value through JSON. What is not stored, it loses.
func copied[T any](value T) T {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	var back T
	if err := json.Unmarshal(data, &back); err != nil {
		panic(err)
	}
	return back
}

// args are the words of a fact. Its functions remember the first thing that is wrong.
type args struct {
	words []string
	now   time.Time
	err   error
}

func (a *args) failf(format string, values ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, values...)
	}
}

func (a *args) done() error {
	if a.err == nil && len(a.words) > 0 {
		a.failf("unknown word %q", a.words[0])
	}
	return a.err
}

func (a *args) next(what string) string {
	if len(a.words) == 0 {
		a.failf("%s is missing", what)
		return ""
	}
	word := a.words[0]
	a.words = a.words[1:]
	return word
}

func (a *args) all() []string {
	words := a.words
	a.words = nil
	if len(words) == 0 {
		a.failf("words are missing")
	}
	if slices.Equal(words, []string{"none"}) {
		return nil
	}
	return words
}

// accept takes the next word if it is this one.
func (a *args) accept(word string) bool {
	if len(a.words) == 0 || a.words[0] != word {
		return false
	}
	a.words = a.words[1:]
	return true
}

// timeAfter reads `word T`, or `word never`; without that word it is the given time.
func (a *args) timeAfter(word string, otherwise time.Time) time.Time {
	if !a.accept(word) {
		return otherwise
	}
	text := a.next("a time")
	if text == "never" {
		return time.Time{}
	}
	at, err := parseClock(text)
	if err != nil {
		a.failf("%v", err)
	}
	return at
}

func (a *args) oneOf(values ...string) string {
	word := a.next("one of " + strings.Join(values, ", "))
	if a.err == nil && !slices.Contains(values, word) {
		a.failf("%q is none of %s", word, strings.Join(values, ", "))
	}
	return word
}

func (a *args) number() int {
	n := 0
	if _, err := fmt.Sscanf(a.next("a number"), "%d", &n); err != nil {
		a.failf("no number")
	}
	return n
}
