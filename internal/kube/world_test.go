package kube

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

const trackingID = "argocd.argoproj.io/tracking-id"

type allServed bool

func (s allServed) Served(dora.Kind) bool { return bool(s) }

// worldOf is a world of these objects, with the indexes of the cache.
func worldOf(t *testing.T, objects ...client.Object) *World {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...)
	for _, kind := range []dora.Kind{dora.KindApplication, dora.KindRollout} {
		for _, i := range indexes(kind) {
			builder = builder.WithIndex(i.of, i.name, i.values)
		}
	}
	return NewWorld(builder.Build(), allServed(true), "eu", nil)
}

// app is an Application of namespace argocd that deploys to namespace prod of that server and lists these Rollouts.
func app(name, server string, lists ...string) *argocd.Application {
	a := &argocd.Application{ObjectMeta: metav1.ObjectMeta{
		Namespace: "argocd", Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"followed": "yes"},
	}}
	a.Spec.Destination = argocd.Destination{Server: server, Namespace: "prod"}
	for _, rollout := range lists {
		a.Status.Resources = append(a.Status.Resources, argocd.Resource{
			Group: "argoproj.io", Kind: "Rollout", Namespace: "prod", Name: rollout,
		})
	}
	return a
}

func unfollowed(a *argocd.Application) *argocd.Application {
	a.Labels = nil
	return a
}

func rollout(namespace, name, tracking string) *rollouts.Rollout {
	ro := &rollouts.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("ro-" + name)}}
	if tracking != "" {
		ro.Annotations = map[string]string{trackingID: tracking}
	}
	return ro
}

func TestWhoARolloutBelongsTo(t *testing.T) {
	const here, elsewhere = "https://kubernetes.default.svc", "https://us.example.com"
	for name, test := range map[string]struct {
		rollout *rollouts.Rollout
		apps    []client.Object
		want    string
	}{
		"nobody": {
			rollout: rollout("prod", "cart", ""), apps: []client.Object{app("shop", here, "search")},
		},
		"the Application that lists it": {
			rollout: rollout("prod", "cart", ""), apps: []client.Object{app("shop", here, "search", "cart")}, want: "shop",
		},
		"the Application that its tracking id names, before that lists it": {
			rollout: rollout("prod", "cart", "shop:argoproj.io/Rollout:prod/cart"), apps: []client.Object{app("shop", here)}, want: "shop",
		},
		"nobody, if the tracking id was copied from another object": {
			rollout: rollout("prod", "cart", "shop:argoproj.io/Rollout:prod/search"), apps: []client.Object{app("shop", here)},
		},
		"nobody, if the Application that the tracking id names deploys to another namespace": {
			rollout: rollout("blue", "cart", "shop:argoproj.io/Rollout:blue/cart"), apps: []client.Object{app("shop", here)},
		},
		"nobody, if the tracking id names an Application of another namespace": {
			rollout: rollout("prod", "cart", "green_shop:argoproj.io/Rollout:prod/cart"), apps: []client.Object{app("shop", here)},
		},
		"nobody, if no target follows the Application": {
			rollout: rollout("prod", "cart", ""), apps: []client.Object{unfollowed(app("shop", here, "cart"))},
		},
		"the followed one of two": {
			rollout: rollout("prod", "cart", ""), want: "b",
			apps: []client.Object{unfollowed(app("a", here, "cart")), app("b", here, "cart")},
		},
		"the one that deploys to this cluster, of two that list a Rollout of that name": {
			rollout: rollout("prod", "cart", ""), want: "eu",
			apps: []client.Object{app("au", elsewhere, "cart"), app("eu", here, "cart"), app("us", elsewhere, "cart")},
		},
		"the one that its tracking id names, of two that list it": {
			rollout: rollout("prod", "cart", "us:argoproj.io/Rollout:prod/cart"), want: "us",
			apps: []client.Object{app("eu", here, "cart"), app("us", elsewhere, "cart")},
		},
		"the first by uid, if nothing else tells": {
			rollout: rollout("prod", "cart", ""), want: "a",
			apps: []client.Object{app("b", here, "cart"), app("a", here, "cart")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := worldOf(t, append(test.apps, test.rollout)...)
			view := View{compile(target(t, "argocd/all", `{applications: {matchLabels: {followed: "yes"}}}`, 0), true)}
			manager, err := w.Manager(t.Context(), view, test.rollout)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if manager != nil {
				got = manager.Name
			}
			if got != test.want {
				t.Errorf("it belongs to %q, want %q", got, test.want)
			}
			for _, a := range test.apps { // an Application observes the Rollouts that belong to it, and no others
				observation, err := w.ObserveApplication(t.Context(), view, a.(*argocd.Application))
				if err != nil {
					t.Fatal(err)
				}
				if has := len(observation.Rollouts) == 1; has != (a.GetName() == test.want) {
					t.Errorf("Application %s observes %d Rollouts", a.GetName(), len(observation.Rollouts))
				}
			}
		})
	}
}

func TestAStandaloneRolloutIsObservedWithItsReplicaSets(t *testing.T) {
	ro := rollout("prod", "cart", "")
	set := func(name string, owner types.UID) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "prod", Name: name, Labels: map[string]string{rollouts.HashLabel: name},
				OwnerReferences: []metav1.OwnerReference{{Kind: "Rollout", Name: "cart", UID: owner, Controller: new(true)}},
			},
			Spec: appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "cart:" + name}}}}},
		}
	}
	w := worldOf(t, ro, set("1a", ro.UID), set("2b", ro.UID), set("other", "an-earlier-cart"))
	observation, err := w.ObserveRollout(t.Context(), ro)
	if err != nil {
		t.Fatal(err)
	}
	var images []string
	for _, rs := range observation.Rollouts[0].ReplicaSets {
		images = append(images, rs.Images...)
	}
	if diff := cmp.Diff([]string{"cart:1a", "cart:2b"}, images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	want := dora.Subject{Kind: dora.KindRollout, Namespace: "prod", Name: "cart", UID: "ro-cart"}
	if observation.Subject != want || observation.Cluster != "eu" || observation.Destination != "prod" {
		t.Errorf("observed %+v in %s to %s", observation.Subject, observation.Cluster, observation.Destination)
	}
}

func TestNothingIsReadOfKindsThatAreMissing(t *testing.T) {
	w := NewWorld(nil, allServed(false), "eu", nil) // it would panic
	ctx, key := context.Background(), types.NamespacedName{Namespace: "prod", Name: "cart"}
	view := View{compile(target(t, "argocd/all", `{applications: {}, rollouts: {}}`, 0), true)}
	if app, err := w.Application(ctx, key); app != nil || err != nil {
		t.Error(app, err)
	}
	if ro, err := w.Rollout(ctx, key); ro != nil || err != nil {
		t.Error(ro, err)
	}
	if manager, err := w.Manager(ctx, view, rollout("prod", "cart", "shop:argoproj.io/Rollout:prod/cart")); manager != nil || err != nil {
		t.Error(manager, err)
	}
	if all, err := w.Applications(ctx, view[0]); len(all) != 0 || err != nil {
		t.Error(all, err)
	}
	if observation, err := w.ObserveApplication(ctx, view, app("shop", "", "cart")); len(observation.Rollouts) != 0 || err != nil {
		t.Error(observation, err)
	}
}

func TestNothingIsReadOfNamespacesThatAreNotWatched(t *testing.T) {
	w := worldOf(t, app("shop", ""), rollout("prod", "cart", ""))
	w.namespaces = []string{"prod"}
	view := View{compile(target(t, "prod/all", `{applications: {namespaces: [argocd]}, rollouts: {namespaces: [prod]}}`, 0), true)}
	apps, err := w.Applications(t.Context(), view[0])
	if err != nil || len(apps) != 0 {
		t.Error(apps, err)
	}
	ros, err := w.Rollouts(t.Context(), view[0])
	if err != nil || len(ros) != 1 {
		t.Error(ros, err)
	}
}
