package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/filter"
)

// Sinks reads DoraSinks from the cache and tells which of them events go to: those that the targets name which count the subject, or
// the defaults of their namespaces, each once.
//
// A target's own namespace is its own: a sink that it names there is owed events even before it exists, so that the order in which the two
// are made does not matter. A sink of another namespace is for everybody only if it says so, in a namespace that the administrator
// trusts; what others name is owed nothing.
type Sinks struct {
	reader  client.Reader
	trusted []string
	always  []string

	mu      sync.Mutex
	filters map[types.UID]compiledFilter
}

type compiledFilter struct {
	text   string
	filter *filter.Filter
	err    error
}

// NewSinks reads from a cache. Sinks of trusted namespaces may be shared. Always are owed every event, whatever targets say.
func NewSinks(reader client.Reader, trusted []string, always ...string) *Sinks {
	return &Sinks{reader: reader, trusted: trusted, always: always, filters: map[types.UID]compiledFilter{}}
}

// Filter reads the filter of a sink, unless it was read before.
func (s *Sinks) Filter(object *dorav1alpha1.DoraSink) (*filter.Filter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.filters[object.UID]
	if !ok || known.text != object.Spec.Filter {
		known = compiledFilter{text: object.Spec.Filter}
		known.filter, known.err = filter.New(object.Spec.Filter)
		s.filters[object.UID] = known
	}
	return known.filter, known.err
}

// drop forgets what was read of sinks that are gone.
func (s *Sinks) drop(view SinkView) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.filters) <= len(view.sinks) {
		return
	}
	there := map[types.UID]bool{}
	for _, object := range view.sinks {
		there[object.UID] = true
	}
	for uid := range s.filters {
		if !there[uid] {
			delete(s.filters, uid)
		}
	}
}

// SinkView is all sinks at one moment.
type SinkView struct {
	sinks   map[types.NamespacedName]*dorav1alpha1.DoraSink
	trusted []string
	always  []string
}

// View reads all sinks. Its objects are shared with the cache and must not be modified.
func (s *Sinks) View(ctx context.Context) (SinkView, error) {
	var list dorav1alpha1.DoraSinkList
	if err := s.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return SinkView{}, fmt.Errorf("cannot list DoraSinks: %w", err)
	}
	view := SinkView{sinks: make(map[types.NamespacedName]*dorav1alpha1.DoraSink, len(list.Items)), trusted: s.trusted, always: s.always}
	for i := range list.Items {
		view.sinks[client.ObjectKeyFromObject(&list.Items[i])] = &list.Items[i]
	}
	s.drop(view)
	return view, nil
}

// Owed names the sinks that are owed the events of an object which these targets select.
func (s *Sinks) Owed(ctx context.Context, selection Selection) ([]string, error) {
	view, err := s.View(ctx)
	if err != nil {
		return nil, err
	}
	return view.OfEvents(selection), nil
}

// Has says whether there is a sink of that name.
func (v SinkView) Has(name types.NamespacedName) bool { return v.sinks[name] != nil }

// OfEvents names the sinks that the events go to of an object which these targets select.
func (v SinkView) OfEvents(selection Selection) []string {
	names := slices.Clone(v.always)
	for _, t := range selection {
		if t.Object.Spec.Suspend {
			continue
		}
		usable, _ := v.of(t.Object, dorav1alpha1.SendEvents)
		names = append(names, usable...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// OfFigures names the sinks that the figures of a target go to.
func (v SinkView) OfFigures(object *dorav1alpha1.DoraTarget) []string {
	usable, _ := v.of(object, dorav1alpha1.SendMetrics)
	return usable
}

// Missing names the sinks that a target names and that are not there for it.
func (v SinkView) Missing(object *dorav1alpha1.DoraTarget) []string {
	_, missing := v.of(object, dorav1alpha1.SendEvents)
	return missing
}

// of tells the sinks of a target that take something of this kind.
func (v SinkView) of(object *dorav1alpha1.DoraTarget, content dorav1alpha1.SinkContent) (usable, missing []string) {
	if len(object.Spec.Sinks) == 0 {
		return v.defaults(object.Namespace, content), nil
	}
	for _, named := range object.Spec.Sinks {
		name := nameOf(named, object.Namespace)
		sink, own := v.sinks[name], name.Namespace == object.Namespace
		switch {
		case sink == nil && own:
			usable, missing = append(usable, name.String()), append(missing, string(named))
		case sink == nil || !own && !v.shared(sink):
			missing = append(missing, string(named))
		case sink.Spec.Takes(content):
			usable = append(usable, name.String())
		}
	}
	return usable, missing
}

func (v SinkView) defaults(namespace string, content dorav1alpha1.SinkContent) []string {
	var names []string
	for name, sink := range v.sinks {
		if name.Namespace == namespace && sink.Spec.Default && sink.Spec.Takes(content) {
			names = append(names, name.String())
		}
	}
	slices.Sort(names)
	return names
}

func (v SinkView) shared(sink *dorav1alpha1.DoraSink) bool {
	return sink.Spec.Shared && slices.Contains(v.trusted, sink.Namespace)
}

// nameOf reads the name of a sink, which is of that namespace unless it names another.
func nameOf(named dorav1alpha1.SinkName, namespace string) types.NamespacedName {
	if other, name, ok := strings.Cut(string(named), "/"); ok {
		return types.NamespacedName{Namespace: other, Name: name}
	}
	return types.NamespacedName{Namespace: namespace, Name: string(named)}
}

// SinkKey is the name by which the ledger and the dispatcher know a sink, and SinkOf reads it. Sinks that flags ask for have no object.
func SinkKey(object *dorav1alpha1.DoraSink) string {
	return client.ObjectKeyFromObject(object).String()
}

// SinkOf is the object of a sink; false if it has none.
func SinkOf(key string) (types.NamespacedName, bool) {
	namespace, name, ok := strings.Cut(key, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}, ok
}
