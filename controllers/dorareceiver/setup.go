// Package dorareceiver keeps a place at the desk for each DoraReceiver, and shows what became of the requests for it.
//
// # What it does for a receiver
//
//	its spec or its Secret has changed ──▶ requests are judged by what they say now
//	it cannot be used, or it is gone ────▶ requests for it are refused, and the status says why
//	it was sent something ───────────────▶ the status tells, some seconds later; however much comes, not more often
//
// Secrets are never watched. They are read by name every half a minute, so a new one counts without a restart, and no request makes the
// API server work.
package dorareceiver

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
)

// Settling is how long the status of a receiver waits for more news.
const Settling = 5 * time.Second

// +kubebuilder:rbac:groups=dora-controller.io,resources=dorareceivers,verbs=list;watch
// +kubebuilder:rbac:groups=dora-controller.io,resources=dorareceivers/status,verbs=patch

// Setup prepares the controller. The trigger asks for looks at receivers.
func Setup(mgr manager.Manager, kinds *kube.Kinds, r *Reconciler, trigger *kube.Trigger) (controller.Controller, error) {
	return kube.Controller{
		Name: "dorareceiver", Reconciler: r, Workers: 1,
		Always: []source.Source{trigger, own(mgr.GetCache())},
		Of:     func(dora.Kind) []source.Source { return nil },
	}.Prepare(mgr, kinds)
}

func own(of cache.Cache) source.Source {
	self := &handler.TypedEnqueueRequestForObject[*dorav1alpha1.DoraReceiver]{}
	changed := predicate.TypedGenerationChangedPredicate[*dorav1alpha1.DoraReceiver]{}
	replaced := predicate.TypedFuncs[*dorav1alpha1.DoraReceiver]{
		UpdateFunc: func(e event.TypedUpdateEvent[*dorav1alpha1.DoraReceiver]) bool {
			return e.ObjectOld.UID != e.ObjectNew.UID
		},
	}
	return source.Kind(of, &dorav1alpha1.DoraReceiver{}, self, predicate.Or(changed, replaced))
}
