package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// Targets reads DoraTargets from the cache and understands each generation of one once.
type Targets struct {
	reader  client.Reader
	trusted []string

	mu       sync.Mutex
	compiled map[types.UID]*Target
}

// NewTargets reads from a cache. Targets in trusted namespaces see all namespaces.
func NewTargets(reader client.Reader, trusted []string) *Targets {
	return &Targets{reader: reader, trusted: trusted, compiled: map[types.UID]*Target{}}
}

// View is all targets at one moment, in the order in which they decide.
type View []*Target

// View reads all targets that are not being deleted.
func (t *Targets) View(ctx context.Context) (View, error) {
	var list dorav1alpha1.DoraTargetList
	if err := t.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("cannot list DoraTargets: %w", err)
	}
	view := make(View, 0, len(list.Items))
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp.IsZero() {
			view = append(view, t.Understand(&list.Items[i]))
		}
	}
	t.keep(view)
	slices.SortFunc(view, func(a, b *Target) int {
		switch {
		case a.Object.Before(b.Object):
			return -1
		case b.Object.Before(a.Object):
			return 1
		}
		return 0
	})
	return view, nil
}

// Understand reads the spec of a target, unless this generation of it was read before.
func (t *Targets) Understand(object *dorav1alpha1.DoraTarget) *Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.compiled[object.UID]
	if known == nil || known.Object.Generation != object.Generation {
		known = t.Read(object)
		t.compiled[object.UID] = known
	}
	return known
}

// Read reads the spec of a target as it was at some time.
func (t *Targets) Read(object *dorav1alpha1.DoraTarget) *Target {
	return compile(object, slices.Contains(t.trusted, object.Namespace))
}

// keep forgets targets that are gone.
func (t *Targets) keep(view View) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.compiled) <= len(view) {
		return
	}
	clear(t.compiled)
	for _, target := range view {
		t.compiled[target.Object.UID] = target
	}
}

// Selecting returns the targets that select an object.
func (v View) Selecting(kind dora.Kind, object client.Object) Selection {
	return v.Remembering(kind, object.GetNamespace(), object.GetLabels())
}

// Remembering returns the targets that select objects of that kind and namespace with these labels, as one had that is gone.
func (v View) Remembering(kind dora.Kind, namespace string, have map[string]string) Selection {
	var selection Selection
	for _, t := range v {
		if t.Selects(kind, namespace, have) {
			selection = append(selection, t)
		}
	}
	return selection
}

// Follows says that some target counts the object's deployments.
func (v View) Follows(kind dora.Kind, object client.Object) bool {
	return slices.ContainsFunc(v, func(t *Target) bool {
		return !t.Object.Spec.Suspend && t.Selects(kind, object.GetNamespace(), object.GetLabels())
	})
}

// Names are the names of all targets.
func (v View) Names() []types.NamespacedName { return Selection(v).Names() }

// Names are the names of the targets.
func (s Selection) Names() []types.NamespacedName {
	names := make([]types.NamespacedName, len(s))
	for i, t := range s {
		names[i] = client.ObjectKeyFromObject(t.Object)
	}
	return names
}
