package app

import (
	"context"
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// lacking is a cache in a cluster that does not know a kind.
type lacking struct {
	cache.Cache

	knows func(client.Object) bool
}

// noInformer is the informer of what is never read.
type noInformer struct{ cache.Informer }

// cached is a manager that has such a cache.
type cached struct {
	manager.Manager

	cache lacking
}

func (c cached) GetCache() cache.Cache { return c.cache }

func (l lacking) GetInformer(_ context.Context, kind client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	if l.knows(kind) {
		return noInformer{}, nil
	}
	return nil, errors.New("no matches")
}

// The kind is called by the name that people know, and what is told mends it.
func TestAKindThatIsNotInstalledIsNamed(t *testing.T) {
	g := NewWithT(t)
	for name, missing := range map[string]func(client.Object) bool{
		"DoraTargets":   func(o client.Object) bool { _, it := o.(*dorav1alpha1.DoraTarget); return it },
		"DoraSinks":     func(o client.Object) bool { _, it := o.(*dorav1alpha1.DoraSink); return it },
		"DoraReceivers": func(o client.Object) bool { _, it := o.(*dorav1alpha1.DoraReceiver); return it },
	} {
		err := warmUp{cached{cache: lacking{knows: func(o client.Object) bool { return !missing(o) }}}}.Start(t.Context())
		g.Expect(err).To(MatchError("cannot watch " + name + ": no matches; install the kinds of this release: upgrade its Helm chart, or " +
			"kubectl apply --server-side --force-conflicts -k config/crd"))
	}
	g.Expect(warmUp{cached{cache: lacking{knows: func(client.Object) bool { return true }}}}.Start(t.Context())).To(Succeed())
}

// TestWhoWasToldToStopBlamesNoKind: nobody waits for the caches then.
func TestWhoWasToldToStopBlamesNoKind(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	none := warmUp{cached{cache: lacking{knows: func(client.Object) bool { return false }}}}
	NewWithT(t).Expect(none.Start(ctx)).To(Succeed())
}
