package deploy_test

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

// rolloutFact changes one thing about a Rollout.
func rolloutFact(r *deploy.Rollout, word string, a *args) {
	switch word {
	case "revision":
		r.Revision = a.number()
	case "hash":
		r.CurrentHash = a.next("a hash")
	case "stable":
		r.StableHash = a.next("a hash")
	case "active":
		r.ActiveHash = a.next("a hash")
	case "phase":
		r.Phase = deploy.RolloutPhase(a.next("a phase"))
	case "observed":
		r.Observed = a.oneOf("yes", "no") == "yes"
	case "message":
		r.Message = strings.Join(a.all(), " ")
	case "strategy":
		strategy := a.oneOf("canary", "routed-canary", "blue-green")
		r.BlueGreen, r.TrafficRouted = strategy == "blue-green", strategy == "routed-canary"
	case "weight":
		r.Weight = a.number()
	case "desired":
		r.Desired = a.number()
	case "template":
		r.TemplateImages = images(a.all())
	case "abort":
		r.Aborted = a.oneOf("asked", "done", "removed") != "removed"
		r.AbortedAt = a.timeAfter("at", r.AbortedAt)
		if !r.Aborted {
			r.AbortedAt = time.Time{}
		}
	case "replicaset":
		replicaSet(r, a)
	case "pods":
		pods(r, a)
	default:
		condition(r, word, a)
	}
}

// condition: `progressing True [reason] [since T]`. Its time moves only when the status does, as Argo Rollouts writes it.
func condition(r *deploy.Rollout, word string, a *args) {
	conditions := map[string]*deploy.Condition{
		"progressing": &r.Progressing, "completed": &r.CompletedCond, "healthy": &r.HealthyCond, "available": &r.Available, "paused": &r.PausedCond,
	}
	c := conditions[word]
	if c == nil {
		a.failf("unknown fact of a Rollout")
		return
	}
	status := deploy.ConditionStatus(a.oneOf("True", "False", "Unknown"))
	if status != c.Status {
		c.Since = a.now
	}
	c.Status, c.Reason = status, ""
	if len(a.words) > 0 && a.words[0] != "since" {
		c.Reason = a.next("a reason")
	}
	c.Since = a.timeAfter("since", c.Since)
	if word == "progressing" {
		r.TimedOut = status == deploy.False && c.Reason == "ProgressDeadlineExceeded"
	}
}

// replicaSet: `replicaset HASH revision N [image I] [created T] [reused]`. Without an image it is the one that is called like the hash.
func replicaSet(r *deploy.Rollout, a *args) {
	hash := a.next("a hash")
	set := findSet(r, hash)
	if set == nil {
		r.ReplicaSets = append(slices.Clip(r.ReplicaSets), deploy.ReplicaSet{Hash: hash, CreatedAt: a.now, Images: images([]string{hash})})
		set = findSet(r, hash)
	} else {
		set.Reused = true
	}
	if a.accept("removed") {
		r.ReplicaSets = slices.DeleteFunc(r.ReplicaSets, func(s deploy.ReplicaSet) bool { return s.Hash == hash })
		return
	}
	if !a.accept("revision") {
		a.failf("revision is missing")
	}
	set.Revision = a.number()
	for first := true; a.accept("image"); first = false {
		if first {
			set.Images = nil
		}
		set.Images = append(set.Images, image(a.next("an image")))
	}
	set.CreatedAt = a.timeAfter("created", set.CreatedAt)
	set.Reused = a.accept("reused") || set.Reused
	slices.SortFunc(r.ReplicaSets, func(a, b deploy.ReplicaSet) int { return a.Revision - b.Revision })
}

func findSet(r *deploy.Rollout, hash string) *deploy.ReplicaSet {
	for i := range r.ReplicaSets {
		if r.ReplicaSets[i].Hash == hash {
			return &r.ReplicaSets[i]
		}
	}
	return nil
}

// pods: `HASH exist/available`.
func pods(r *deploy.Rollout, a *args) {
	hash := a.next("a hash")
	set := findSet(r, hash)
	exist, ready, _ := strings.Cut(a.next("how many"), "/")
	n, errN := strconv.Atoi(exist)
	m, errM := strconv.Atoi(ready)
	if set == nil || errN != nil || errM != nil {
		a.failf("no such ReplicaSet, or no numbers")
		return
	}
	set.Replicas, set.Available = n, m
}
