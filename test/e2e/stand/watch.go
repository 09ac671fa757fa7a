package stand

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// The kinds whose statuses decide.
var (
	Applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	Rollouts     = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	replicaSets  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
)

// Watch holds the cluster's Applications, Rollouts and ReplicaSets as they are, and writes each change into a recording that
// `dora-controller replay` takes.
type Watch struct {
	// Recording is its file, one watch event a line.
	Recording string

	mu     sync.Mutex
	file   *os.File
	known  map[key]*unstructured.Unstructured
	closed chan struct{}
}

type key struct {
	resource        string
	namespace, name string
}

func (s *Stand) startWatch(ctx context.Context) error { return s.record(ctx, "recording.jsonl") }

func (s *Stand) record(ctx context.Context, name string) error {
	w := &Watch{Recording: s.file(name), known: map[key]*unstructured.Unstructured{}, closed: make(chan struct{})}
	var err error
	if w.file, err = os.Create(w.Recording); err != nil {
		return err
	}
	asking, err := dynamic.NewForConfig(s.Config)
	if err != nil {
		return err
	}
	s.Watch = w
	if err := w.follow(ctx, asking, "", Applications, Rollouts); err != nil {
		return err
	}
	return w.follow(ctx, asking, "rollouts-pod-template-hash", replicaSets)
}

// follow watches these kinds' objects with that label until the stand stops.
func (w *Watch) follow(ctx context.Context, asking dynamic.Interface, label string, resources ...schema.GroupVersionResource) error {
	informers := dynamicinformer.NewFilteredDynamicSharedInformerFactory(asking, 0, metav1.NamespaceAll, func(o *metav1.ListOptions) { o.LabelSelector = label })
	for _, resource := range resources {
		if _, err := informers.ForResource(resource).Informer().AddEventHandler(w.handler(resource.Resource)); err != nil {
			return err
		}
	}
	informers.Start(w.closed)
	for resource, synced := range informers.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("cannot watch %s", resource)
		}
	}
	return nil
}

func (w *Watch) stop() {
	close(w.closed)
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.file.Close() // each line is written at once
	w.file = nil
}

func (w *Watch) handler(resource string) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.saw(resource, "ADDED", o) },
		UpdateFunc: func(_, o any) { w.saw(resource, "MODIFIED", o) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			w.saw(resource, "DELETED", o)
		},
	}
}

func (w *Watch) saw(resource, change string, o any) {
	object, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	k := key{resource, object.GetNamespace(), object.GetName()}
	if before := w.known[k]; before != nil && change == "MODIFIED" && before.GetResourceVersion() == object.GetResourceVersion() {
		return // a list, not a change
	}
	w.known[k] = object
	if change == "DELETED" {
		delete(w.known, k)
	}
	w.write(change, object)
}

func (w *Watch) write(change string, object *unstructured.Unstructured) {
	slim := object.DeepCopy()
	slim.SetManagedFields(nil)
	row, err := json.Marshal(map[string]any{"seen": time.Now().UTC().Format(time.RFC3339Nano), "type": change, "object": slim.Object})
	if err == nil && w.file != nil {
		_, _ = w.file.Write(append(row, '\n')) // the recording is read by people who look for a failure
	}
}

// Note writes what was done into the recording, as a bookmark, which replay passes over.
func (w *Watch) Note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	row, err := json.Marshal(map[string]any{"seen": time.Now().UTC().Format(time.RFC3339Nano), "type": "BOOKMARK", "action": what})
	if err == nil && w.file != nil {
		_, _ = w.file.Write(append(row, '\n'))
	}
}

// Application is an Application as it is now; nil if there is none.
func (w *Watch) Application(namespace, name string) *unstructured.Unstructured {
	return w.get(Applications.Resource, namespace, name)
}

// Rollout is a Rollout as it is now; nil if there is none.
func (w *Watch) Rollout(namespace, name string) *unstructured.Unstructured {
	return w.get(Rollouts.Resource, namespace, name)
}

// ReplicaSet is the one of a Rollout with that pod template hash; nil if there is none.
func (w *Watch) ReplicaSet(namespace, hash string) *unstructured.Unstructured {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, object := range w.known {
		if k.resource == replicaSets.Resource && k.namespace == namespace && object.GetLabels()["rollouts-pod-template-hash"] == hash {
			return object
		}
	}
	return nil
}

func (w *Watch) get(resource, namespace, name string) *unstructured.Unstructured {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known[key{resource, namespace, name}]
}
