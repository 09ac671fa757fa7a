package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/progress"
)

// Discovery asks the API server which resources of a group and version it serves. client-go's discovery client does.
type Discovery interface {
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
}

// Kinds knows which of Argo's kinds are installed, and starts what needs one when it appears. That one of them is missing
// is normal: not everybody has Argo Rollouts, and a cluster is set up in any order.
//
// A kind that was removed is reported as missing again; what was started for it stays, and works when it comes back.
type Kinds struct {
	// Board gets what the controllers that are prepared with it look at; nobody if nil.
	Board *progress.Board

	discovery Discovery
	every     time.Duration

	prepare func(ctx context.Context, kind dora.Kind) error
	starts  []func(kind dora.Kind) error
	changed []func(kind dora.Kind)
	done    map[dora.Kind]int // how many of prepare and starts were called for a kind
	asking  sync.Mutex        // held while any of the above is used

	mu     sync.RWMutex
	served map[dora.Kind]bool
}

// NewKinds asks every so often. Prepare is called once for a kind that is installed, before it is said to be served and before anything
// that waits for it is started.
func NewKinds(discovery Discovery, every time.Duration, prepare func(ctx context.Context, kind dora.Kind) error) *Kinds {
	return &Kinds{
		discovery: discovery, every: every, prepare: prepare,
		done: make(map[dora.Kind]int, 2), served: make(map[dora.Kind]bool, 2),
	}
}

// Served says whether a kind is installed and can be read, as far as was asked.
func (k *Kinds) Served(kind dora.Kind) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.served[kind]
}

// OnFirst has a function called once for each kind, when it is next asked about and installed.
func (k *Kinds) OnFirst(start func(kind dora.Kind) error) {
	k.asking.Lock()
	defer k.asking.Unlock()
	k.starts = append(k.starts, start)
}

// OnChange has a function called whenever a kind has appeared or was removed.
func (k *Kinds) OnChange(changed func(kind dora.Kind)) {
	k.asking.Lock()
	defer k.asking.Unlock()
	k.changed = append(k.changed, changed)
}

// Ask looks once, and starts what waits for a kind that has appeared.
func (k *Kinds) Ask(ctx context.Context) error {
	k.asking.Lock()
	defer k.asking.Unlock()
	found, err := k.find(ctx)
	if err != nil {
		return err
	}
	for _, kind := range []dora.Kind{dora.KindRollout, dora.KindApplication} { // Rollouts first: they are evidence for Applications
		if err := k.settle(ctx, kind, found[kind]); err != nil {
			return fmt.Errorf("cannot follow %ss: %w", kind, err)
		}
	}
	return nil
}

func (k *Kinds) settle(ctx context.Context, kind dora.Kind, installed bool) error {
	before := k.Served(kind)
	if installed {
		if err := k.start(ctx, kind); err != nil {
			return err
		}
	}
	k.set(kind, installed)
	if before == installed {
		return nil
	}
	log.FromContext(ctx).WithName("kinds").Info("Kind installed or removed", "kind", kind, "installed", installed)
	for _, changed := range k.changed {
		changed(kind)
	}
	return nil
}

// start goes on where an error stopped it the last time. The kind is served before its watches start, or their first objects would
// be taken for objects of a kind that is missing.
func (k *Kinds) start(ctx context.Context, kind dora.Kind) error {
	if k.done[kind] == 0 {
		if err := k.prepare(ctx, kind); err != nil {
			return err
		}
		k.done[kind] = 1
	}
	k.set(kind, true)
	for ; k.done[kind] <= len(k.starts); k.done[kind]++ {
		if err := k.starts[k.done[kind]-1](kind); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kinds) set(kind dora.Kind, served bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.served[kind] = served
}

func (k *Kinds) find(ctx context.Context) (map[dora.Kind]bool, error) {
	found := make(map[dora.Kind]bool, 2)
	list, err := k.discovery.ServerResourcesForGroupVersionWithContext(ctx, argocd.GroupVersion.String())
	if apierrors.IsNotFound(err) {
		return found, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot discover %s: %w", argocd.GroupVersion, err)
	}
	for _, resource := range list.APIResources {
		if kind := dora.Kind(resource.Kind); kind == dora.KindApplication || kind == dora.KindRollout {
			found[kind] = true
		}
	}
	return found, nil
}

// NeedLeaderElection says no: whoever stands by fills its cache already.
func (k *Kinds) NeedLeaderElection() bool { return false }

// Start asks until the context ends. An error is logged and the question asked again.
func (k *Kinds) Start(ctx context.Context) error {
	for {
		if err := k.Ask(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).WithName("kinds").Error(err, "Cannot ask which of Argo's kinds are installed")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(k.every):
		}
	}
}
