package recording

import (
	"bytes"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/replay"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// The kinds that are recorded.
const (
	kindApplication = "Application"
	kindRollout     = "Rollout"
	kindReplicaSet  = "ReplicaSet"
)

// decode reads an object as the replay does.
func decode(kind string, raw []byte) (replay.Event, error) {
	var e replay.Event
	var into any
	switch kind {
	case kindApplication:
		e.Application = &argocd.Application{}
		into = e.Application
	case kindRollout:
		e.Rollout = &rollouts.Rollout{}
		into = e.Rollout
	case kindReplicaSet:
		e.ReplicaSet = &appsv1.ReplicaSet{}
		into = e.ReplicaSet
	default:
		return e, fmt.Errorf("no decision reads a %s", kind)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return e, fmt.Errorf("the %s cannot be read: %w", kind, err)
	}
	return e, nil
}

// object is what is written of an event's object, and nothing for kinds that nobody follows. The event is used up by it.
func (w *Writer) object(e *replay.Event) (json.RawMessage, error) {
	r := reducer{names: w.names, messages: w.options.Messages}
	switch {
	case e.Application != nil:
		return encode(r.application(e.Application), completeApplication)
	case e.Rollout != nil:
		return encode(r.rollout(e.Rollout), completeRollout)
	case e.ReplicaSet != nil:
		return encode(r.replicaSet(e.ReplicaSet), func(tree) {})
	}
	return nil, nil
}

// tree is a JSON object.
type tree = map[string]any

// encode writes an object and completes it by what an API server demands of it and no decision reads, so that a recording can be played into
// one. What is filled in is the same for everybody.
func encode(object any, complete func(tree)) (json.RawMessage, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("cannot write an object: %w", err)
	}
	var o tree
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // a version is no float
	if err := dec.Decode(&o); err != nil {
		return nil, fmt.Errorf("cannot write an object: %w", err)
	}
	complete(o)
	return json.Marshal(o)
}

// nothing is the address of every repository.
const nothing = "https://git.invalid/"

func completeApplication(o tree) {
	fill(at(o, "spec"), tree{"project": "recorded"})
	completeOperation(at(o, "operation"))
	completeOperation(at(o, "status", "operationState", "operation"))
	fill(at(o, "status", "operationState"), tree{"phase": ""})
	result := at(o, "status", "operationState", "syncResult")
	fill(result, tree{"revision": ""})
	for _, row := range list(result, "resources") {
		fill(row, tree{"group": "", "kind": "", "namespace": "", "name": "", "version": ""})
	}
	for _, entry := range list(at(o, "status"), "history") {
		fill(entry, tree{"deployedAt": nil})
		fill(at(entry, "source"), tree{"repoURL": nothing})
		for _, source := range list(entry, "sources") {
			fill(source, tree{"repoURL": nothing})
		}
	}
	for _, condition := range list(at(o, "status"), "conditions") {
		fill(condition, tree{"type": "", "message": ""})
	}
}

func completeOperation(o tree) {
	for _, selected := range list(at(o, "sync"), "resources") {
		fill(selected, tree{"kind": "", "name": ""})
	}
}

func completeRollout(o tree) {
	for _, container := range list(at(o, "spec", "template", "spec"), "containers") {
		fill(container, tree{"name": "c"})
	}
	fill(at(o, "spec", "strategy", "blueGreen"), tree{"activeService": "active"})
	fill(at(o, "status", "canary", "weights"), tree{"stable": tree{"weight": 0}})
	fill(at(o, "status", "canary", "weights", "canary"), tree{"weight": 0})
	for _, pause := range list(at(o, "status"), "pauseConditions") {
		fill(pause, tree{"reason": "", "startTime": at(o, "metadata")["creationTimestamp"]})
	}
	for _, condition := range list(at(o, "status"), "conditions") {
		fill(condition, tree{
			"reason": "", "message": "", "status": "Unknown", "lastTransitionTime": nil, "lastUpdateTime": condition["lastTransitionTime"],
		})
	}
}

// at goes down; nil where there is no such object.
func at(o tree, path ...string) tree {
	for _, key := range path {
		o, _ = o[key].(tree)
	}
	return o
}

// list are the objects in a list.
func list(o tree, key string) []tree {
	items, _ := o[key].([]any)
	var found []tree
	for _, item := range items {
		if one, ok := item.(tree); ok {
			found = append(found, one)
		}
	}
	return found
}

// fill adds what is missing to an object that is there.
func fill(o, missing tree) {
	for key, value := range missing {
		if _, found := o[key]; !found && o != nil {
			o[key] = value
		}
	}
}
