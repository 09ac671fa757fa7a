package kube

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// installed answers as an API server with these kinds would.
type installed struct {
	kinds []string
	err   error
}

func (i *installed) ServerResourcesForGroupVersionWithContext(context.Context, string) (*metav1.APIResourceList, error) {
	if i.err != nil {
		return nil, i.err
	}
	if len(i.kinds) == 0 {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, "argoproj.io/v1alpha1")
	}
	list := &metav1.APIResourceList{}
	for _, kind := range i.kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind})
	}
	return list, nil
}

func TestKindsStartWhatWaitsForThemOnce(t *testing.T) {
	var happened []string
	note := func(what string) { happened = append(happened, what) }
	server := &installed{}
	kinds := NewKinds(server, time.Hour, func(_ context.Context, kind dora.Kind) error {
		note("prepare " + string(kind))
		return nil
	})
	failing := true
	kinds.OnFirst(func(kind dora.Kind) error {
		if !kinds.Served(kind) {
			t.Errorf("a watch of %s starts before the kind is said to be served", kind)
		}
		note("start " + string(kind))
		return nil
	})
	kinds.OnFirst(func(kind dora.Kind) error {
		if kind == dora.KindRollout && failing {
			failing = false
			return errors.New("cannot watch")
		}
		note("start another " + string(kind))
		return nil
	})
	kinds.OnChange(func(kind dora.Kind) { note("changed " + string(kind)) })
	ask := func(wantErr bool, want ...string) {
		t.Helper()
		happened = nil
		if err := kinds.Ask(t.Context()); (err != nil) != wantErr {
			t.Errorf("error %v", err)
		}
		if !slices.Equal(happened, want) {
			t.Errorf("happened %q, want %q", happened, want)
		}
	}

	ask(false)
	server.kinds = []string{"Application", "AppProject"}
	ask(false, "prepare Application", "start Application", "start another Application", "changed Application")
	ask(false)
	server.err = errors.New("server is down")
	ask(true)
	if !kinds.Served(dora.KindApplication) {
		t.Error("no answer is not the answer that a kind is missing")
	}
	server.err, server.kinds = nil, []string{"Application", "Rollout"}
	ask(true, "prepare Rollout", "start Rollout")
	ask(false, "start another Rollout")
	server.kinds = nil
	ask(false, "changed Rollout", "changed Application")
	if kinds.Served(dora.KindApplication) {
		t.Error("the kind was removed")
	}
	server.kinds = []string{"Application"}
	ask(false, "changed Application") // its watches are still there
}

func TestKindsAskUntilTheyAreStopped(t *testing.T) {
	server := &installed{kinds: []string{"Rollout"}}
	ctx, stop := context.WithCancel(t.Context())
	kinds := NewKinds(server, time.Millisecond, func(context.Context, dora.Kind) error { return nil })
	kinds.OnChange(func(dora.Kind) { stop() })
	if err := kinds.Start(ctx); err != nil || !kinds.Served(dora.KindRollout) || kinds.NeedLeaderElection() {
		t.Error(err)
	}
}

func TestTriggersKeepWhatIsAskedBeforeTheStart(t *testing.T) {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer queue.ShutDown()
	trigger := NewTrigger()
	early, late := types.NamespacedName{Name: "early"}, types.NamespacedName{Name: "late"}
	trigger.Ask(time.Hour, early, early)
	if err := trigger.Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	trigger.Ask(0, late)
	var got []types.NamespacedName
	for queue.Len() > 0 {
		request, _ := queue.Get()
		got = append(got, request.NamespacedName)
		queue.Done(request)
	}
	if !slices.Equal(got, []types.NamespacedName{early, late}) {
		t.Errorf("asked for %v", got)
	}
}
