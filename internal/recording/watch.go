package recording

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/replay"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// askTimeout is when a question to the API server is given up.
const askTimeout = time.Minute

// resources are what the kinds are asked for by.
var resources = map[string]schema.GroupVersionResource{
	kindApplication: argocd.GroupVersion.WithResource("applications"),
	kindRollout:     rollouts.GroupVersion.WithResource("rollouts"),
	kindReplicaSet:  appsv1.SchemeGroupVersion.WithResource("replicasets"),
}

// Discovery asks the API server which resources of a group and version it serves. client-go's discovery client does.
type Discovery interface {
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
}

// Source is a cluster.
type Source struct {
	Discovery Discovery
	Objects   dynamic.Interface
	Now       func() time.Time
	// Tell says on the side what a person should know.
	Tell func(format string, args ...any)
}

// Scope is what of a cluster is recorded.
type Scope struct {
	// Namespaces are all, if none is named. With Applications, they are where those are.
	Namespaces []string
	// Applications are recorded with the Rollouts that they manage, wherever those are. If none is named, all that there is.
	Applications []string
}

// Watch records until the context ends, which is no error. It begins with every object as it is: ReplicaSets, Rollouts and Applications, in
// that order, since the latter are judged by the former. Only the rights to list and to watch are needed.
func Watch(ctx context.Context, source Source, scope Scope, lines *Writer) error {
	// client-go would log by itself what is told here in one line for each outage.
	group, ctx := errgroup.WithContext(klog.NewContext(ctx, logr.Discard()))
	w := &watcher{Source: source, scope: scope, lines: lines, group: group, followed: map[types.NamespacedName]bool{}}
	group.Go(func() error { return w.start(ctx) })
	return group.Wait()
}

type watcher struct {
	Source

	scope Scope
	lines *Writer
	group *errgroup.Group
	// rolloutsServed tells whether there are Rollouts to follow.
	rolloutsServed bool

	mu       sync.Mutex
	followed map[types.NamespacedName]bool // Rollouts, by name
}

// start lists everything once, and follows it from there.
func (w *watcher) start(ctx context.Context) error {
	kinds, err := w.kinds(ctx)
	if err != nil {
		return orEnd(ctx, err)
	}
	for _, f := range w.followers(kinds) {
		version, err := f.list(ctx)
		if err != nil {
			return orEnd(ctx, f.inPlainWords("list", err))
		}
		w.group.Go(func() error { return f.follow(ctx, version) })
	}
	return nil
}

// orEnd is no error if it is the end that was asked for.
func orEnd(ctx context.Context, err error) error {
	if over(ctx) {
		return nil
	}
	return err
}

// kinds are those to follow from the beginning, in the order in which they are written first.
func (w *watcher) kinds(ctx context.Context) ([]string, error) {
	served, err := w.served(ctx)
	switch {
	case err != nil:
		return nil, err
	case !served[kindApplication] && !served[kindRollout]:
		return nil, errors.New("this cluster serves neither Applications nor Rollouts (argoproj.io/v1alpha1): there is nothing to record; " +
			"name another one with --kubeconfig")
	case !served[kindApplication] && len(w.scope.Applications) > 0:
		return nil, errors.New("this cluster serves no Applications: leave out --application")
	}
	for _, kind := range []string{kindApplication, kindRollout} {
		if !served[kind] {
			w.Tell("this cluster serves no %ss: they are left out", kind)
		}
	}
	w.rolloutsServed = served[kindRollout]
	if len(w.scope.Applications) > 0 {
		return []string{kindApplication}, nil
	}
	return slices.DeleteFunc([]string{kindReplicaSet, kindRollout, kindApplication}, func(kind string) bool {
		return !served[kind] && (kind != kindReplicaSet || !w.rolloutsServed)
	}), nil
}

func (w *watcher) served(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list, err := w.Discovery.ServerResourcesForGroupVersionWithContext(ctx, argocd.GroupVersion.String())
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot ask the cluster which kinds it serves: %w; see whether it is up, or name another one with --kubeconfig", err)
	}
	served := map[string]bool{}
	for _, resource := range list.APIResources {
		served[resource.Kind] = true
	}
	return served, nil
}

// followers are one for each kind and namespace, and for each Application if some are named.
func (w *watcher) followers(kinds []string) []*follower {
	namespaces := w.scope.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var all []*follower
	for _, kind := range kinds {
		for _, namespace := range namespaces {
			if len(w.scope.Applications) == 0 {
				all = append(all, w.follower(kind, namespace, ""))
			}
			for _, name := range w.scope.Applications {
				f := w.follower(kind, namespace, name)
				f.saw = w.managed
				all = append(all, f)
			}
		}
	}
	return all
}

// follower follows the objects of a kind, in a namespace or all, of a name or all.
func (w *watcher) follower(kind, namespace, name string) *follower {
	f := &follower{
		kind: kind, objects: w.Objects.Resource(resources[kind]), lines: w.lines, now: w.Now, tell: w.Tell,
		what: kind + "s", known: map[types.UID]known{}, saw: func(context.Context, *replay.Event) {},
		wants: func(*unstructured.Unstructured) bool { return true },
	}
	if name != "" {
		f.what = kind + " " + name
		f.options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
	if namespace != metav1.NamespaceAll {
		f.what += " of namespace " + namespace
		f.objects = w.Objects.Resource(resources[kind]).Namespace(namespace)
	}
	if kind == kindReplicaSet {
		f.options.LabelSelector = rollouts.HashLabel
	}
	return f
}

// managed follows the Rollouts that an Application lists, from when it lists them.
func (w *watcher) managed(ctx context.Context, e *replay.Event) {
	if !w.rolloutsServed || e.Application == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range argocd.ManagedRollouts(e.Application) {
		if w.followed[name] {
			continue
		}
		w.followed[name] = true
		sets := w.follower(kindReplicaSet, name.Namespace, "")
		sets.what = "ReplicaSets of Rollout " + name.String()
		sets.wants = func(o *unstructured.Unstructured) bool {
			owner := metav1.GetControllerOf(o)
			return owner != nil && owner.Kind == kindRollout && owner.Name == name.Name
		}
		for _, f := range []*follower{sets, w.follower(kindRollout, name.Namespace, name.Name)} {
			w.group.Go(func() error { return f.follow(ctx, "") })
		}
	}
}
