package demo

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// withStatus are the kinds whose status is written by itself. Argo CD's Application has no such subresource.
var withStatus = map[string]bool{"Rollout": true, "ReplicaSet": true}

// serverFields are the metadata that the API server sets.
var serverFields = []string{
	"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "deletionTimestamp",
	"deletionGracePeriodSeconds", "finalizers",
}

// writer writes recorded objects through the API, as Argo's own controllers once did. The server gives them new uids, so
// owner references are rewritten.
type writer struct {
	api client.Client
	// written are the objects as they were last recorded and as the server last returned them, by recorded uid.
	written    map[types.UID]written
	namespaces map[string]bool
}

type written struct {
	recorded, served *unstructured.Unstructured
}

func newWriter(api client.Client) *writer {
	return &writer{api: api, written: map[types.UID]written{}, namespaces: map[string]bool{"default": true}}
}

// write brings one object to its recorded state.
func (w *writer) write(ctx context.Context, l *line) error {
	recorded := l.object
	before, exists := w.written[recorded.GetUID()]
	var served *unstructured.Unstructured
	var err error
	switch {
	case l.kind == "DELETED":
		delete(w.written, recorded.GetUID())
		err = client.IgnoreNotFound(w.api.Delete(ctx, recorded.DeepCopy()))
	case exists:
		served, err = w.update(ctx, recorded, before)
	default:
		served, err = w.create(ctx, recorded)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s %s/%s: %w", recorded.GetKind(), recorded.GetNamespace(), recorded.GetName(), err)
	}
	if served != nil {
		w.written[recorded.GetUID()] = written{recorded, served}
	}
	return nil
}

func (w *writer) create(ctx context.Context, recorded *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if err := w.ensureNamespace(ctx, recorded.GetNamespace()); err != nil {
		return nil, err
	}
	served := w.desired(recorded)
	if err := w.api.Create(ctx, served); err != nil {
		return nil, err
	}
	if _, has := recorded.Object["status"]; !has || !withStatus[recorded.GetKind()] {
		return served, nil
	}
	return w.updateStatus(ctx, recorded, served)
}

func (w *writer) update(ctx context.Context, recorded *unstructured.Unstructured, before written) (*unstructured.Unstructured, error) {
	served := before.served
	if !withStatus[recorded.GetKind()] || !reflect.DeepEqual(w.desired(recorded).Object, w.desired(before.recorded).Object) {
		next := w.desired(recorded)
		next.SetResourceVersion(served.GetResourceVersion())
		if err := w.api.Update(ctx, next); err != nil {
			return nil, err
		}
		served = next
	}
	if !withStatus[recorded.GetKind()] || reflect.DeepEqual(recorded.Object["status"], before.recorded.Object["status"]) {
		return served, nil
	}
	return w.updateStatus(ctx, recorded, served)
}

// updateStatus writes the status. Its observedGeneration is as far behind the object's generation as it was.
func (w *writer) updateStatus(ctx context.Context, recorded, served *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	next := served.DeepCopy()
	status, _, err := unstructured.NestedMap(recorded.Object, "status")
	if err != nil {
		return nil, err
	}
	switch observed := status["observedGeneration"].(type) {
	case string: // a Rollout's
		if n, err := strconv.ParseInt(observed, 10, 64); err == nil {
			status["observedGeneration"] = strconv.FormatInt(n+served.GetGeneration()-recorded.GetGeneration(), 10)
		}
	case int64:
		status["observedGeneration"] = observed + served.GetGeneration() - recorded.GetGeneration()
	}
	next.Object["status"] = status
	return next, w.api.Status().Update(ctx, next)
}

// desired is what to ask the server for.
func (w *writer) desired(recorded *unstructured.Unstructured) *unstructured.Unstructured {
	object := recorded.DeepCopy()
	for _, field := range serverFields {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	if withStatus[object.GetKind()] {
		unstructured.RemoveNestedField(object.Object, "status")
	}
	owners := object.GetOwnerReferences()
	for i := range owners {
		if owner, known := w.written[owners[i].UID]; known {
			owners[i].UID = owner.served.GetUID()
		}
	}
	if len(owners) > 0 {
		object.SetOwnerReferences(owners)
	}
	return object
}

func (w *writer) ensureNamespace(ctx context.Context, name string) error {
	if w.namespaces[name] {
		return nil
	}
	namespace := &unstructured.Unstructured{}
	namespace.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("Namespace"))
	namespace.SetAPIVersion("v1")
	namespace.SetName(name)
	if err := w.api.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	w.namespaces[name] = true
	return nil
}
