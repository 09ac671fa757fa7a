package kube

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Trigger is a source by which other goroutines ask for a reconcile. What is asked for before the controller starts is not lost.
type Trigger struct {
	mu      sync.Mutex
	queue   workqueue.TypedRateLimitingInterface[reconcile.Request]
	waiting map[types.NamespacedName]bool
}

var _ source.Source = (*Trigger)(nil)

// NewTrigger makes one for one controller.
func NewTrigger() *Trigger { return &Trigger{waiting: map[types.NamespacedName]bool{}} }

// Start implements source.Source.
func (t *Trigger) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = queue
	for name := range t.waiting {
		queue.Add(reconcile.Request{NamespacedName: name})
	}
	clear(t.waiting)
	return nil
}

// String names the source in logs.
func (t *Trigger) String() string { return "trigger" }

// Ask asks for a reconcile of these objects after a while. Several askings in that time lead to one reconcile.
func (t *Trigger) Ask(after time.Duration, names ...types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		if t.queue == nil {
			t.waiting[name] = true
			continue
		}
		t.queue.AddAfter(reconcile.Request{NamespacedName: name}, after)
	}
}
