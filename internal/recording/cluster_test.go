package recording_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/dora-controller/dora-controller/internal/recording"
)

// cluster is what matters here of an API server: one count of versions, a history that is forgotten up to some version, watches that end, and
// times at which nobody answers.
type cluster struct {
	mu        sync.Mutex
	version   int
	objects   []*unstructured.Unstructured
	history   []change
	forgotten int // the version up to which the history is gone
	watches   map[*watching]bool
	down      error // what every question is answered with
	kinds     []string
	plainly   bool   // a version that is gone is told by the answer itself, not by an event
	between   func() // what happens once, after the first page of the next list
}

// change is one event, of one version.
type change struct {
	version int
	watch.Event
}

// watching is an open watch.
type watching struct {
	of      resource
	options metav1.ListOptions
	events  chan watch.Event
	once    sync.Once
	ended   chan struct{}
}

func (w *watching) ResultChan() <-chan watch.Event { return w.events }

func (w *watching) Stop() { w.once.Do(func() { close(w.ended) }) }

func newCluster(kinds ...string) *cluster {
	return &cluster{kinds: kinds, watches: map[*watching]bool{}}
}

// source is the way to it; what is told is collected.
func (c *cluster) source(told func(string)) recording.Source {
	return recording.Source{
		Discovery: c, Objects: c, Now: time.Now, Tell: func(format string, args ...any) { told(fmt.Sprintf(format, args...)) },
	}
}

func (c *cluster) ServerResourcesForGroupVersionWithContext(context.Context, string) (*metav1.APIResourceList, error) {
	list := &metav1.APIResourceList{}
	for _, kind := range c.kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind})
	}
	if len(c.kinds) == 0 {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, "argoproj.io/v1alpha1")
	}
	return list, c.down
}

func (c *cluster) Resource(of schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return resource{cluster: c, name: of.Resource}
}

// resource is a kind, in a namespace or all.
type resource struct {
	dynamic.NamespaceableResourceInterface

	cluster         *cluster
	name, namespace string
}

func (r resource) Namespace(namespace string) dynamic.ResourceInterface {
	r.namespace = namespace
	return r
}

func (r resource) selects(o *unstructured.Unstructured, options metav1.ListOptions) bool {
	byLabel, _ := labels.Parse(options.LabelSelector)
	byField, _ := fields.ParseSelector(options.FieldSelector)
	return strings.EqualFold(o.GetKind()+"s", r.name) && (r.namespace == "" || r.namespace == o.GetNamespace()) &&
		byLabel.Matches(labels.Set(o.GetLabels())) && byField.Matches(fields.Set{"metadata.name": o.GetName()})
}

// List gives out a few objects a page; its continue token is the version of the list and a place in it.
func (r resource) List(_ context.Context, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	c := r.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return nil, c.down
	}
	version, from := c.version, 0
	if options.Continue != "" {
		_, _ = fmt.Sscanf(options.Continue, "%d %d", &version, &from)
	}
	if version != c.version { // this one keeps no old lists
		return nil, apierrors.NewResourceExpired("the provided continue parameter is too old")
	}
	list := &unstructured.UnstructuredList{}
	list.SetResourceVersion(strconv.Itoa(version))
	for i, o := range c.objects {
		if i < from || !r.selects(o, options) {
			continue
		}
		if len(list.Items) == 3 {
			list.SetContinue(fmt.Sprintf("%d %d", version, i))
			c.turn()
			break
		}
		list.Items = append(list.Items, *o.DeepCopy())
	}
	return list, nil
}

// turn of the page.
func (c *cluster) turn() {
	if happens := c.between; happens != nil {
		c.between = nil
		happens()
	}
}

func (r resource) Watch(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
	c := r.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return nil, c.down
	}
	from, err := strconv.Atoi(options.ResourceVersion)
	if err != nil {
		return nil, errors.New("from which version?")
	}
	w := &watching{of: r, options: options, events: make(chan watch.Event, 1000), ended: make(chan struct{})}
	if from < c.forgotten && c.plainly {
		return nil, apierrors.NewResourceExpired("too old resource version")
	}
	if from < c.forgotten {
		w.events <- watch.Event{Type: watch.Error, Object: &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusGone, Reason: metav1.StatusReasonExpired}}
		close(w.events)
		return w, nil
	}
	for _, change := range c.history {
		if change.version > from {
			w.offer(change.Event)
		}
	}
	c.watches[w] = true
	return w, nil
}

func (w *watching) offer(e watch.Event) {
	if o, ok := e.Object.(*unstructured.Unstructured); ok && w.of.selects(o, w.options) {
		w.events <- watch.Event{Type: e.Type, Object: o.DeepCopy()}
	}
}

// set makes or changes an object.
func (c *cluster) set(o *unstructured.Unstructured) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := watch.Modified
	at := slices.IndexFunc(c.objects, func(other *unstructured.Unstructured) bool { return other.GetUID() == o.GetUID() })
	if at < 0 {
		kind, at = watch.Added, len(c.objects)
		c.objects = append(c.objects, nil)
	}
	c.objects[at] = o
	c.happens(kind, o)
}

func (c *cluster) remove(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(uid)
}

func (c *cluster) removeLocked(uid types.UID) {
	at := slices.IndexFunc(c.objects, func(other *unstructured.Unstructured) bool { return other.GetUID() == uid })
	if at < 0 {
		return
	}
	o := c.objects[at].DeepCopy()
	c.objects = slices.Delete(c.objects, at, at+1)
	c.happens(watch.Deleted, o)
}

func (c *cluster) happens(kind watch.EventType, o *unstructured.Unstructured) {
	c.version++
	o.SetResourceVersion(strconv.Itoa(c.version))
	e := change{c.version, watch.Event{Type: kind, Object: o.DeepCopy()}}
	c.history = append(c.history, e)
	for w := range c.watches {
		w.offer(e.Event)
	}
}

// drop ends all watches.
func (c *cluster) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.watches {
		close(w.events)
	}
	clear(c.watches)
}

// forget is what a server does that compacts its history.
func (c *cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten = c.version
}

// goes answers every question with an error from now on, or as usual.
func (c *cluster) goes(down error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}
