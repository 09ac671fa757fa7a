package kube

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

var created = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// target is one whose spec is written as YAML, namespace/name its identity.
func target(t *testing.T, key, spec string, age time.Duration) *dorav1alpha1.DoraTarget {
	t.Helper()
	namespace, name, _ := strings.Cut(key, "/")
	object := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(key), Generation: 1, CreationTimestamp: metav1.NewTime(created.Add(-age)),
	}}
	if err := yaml.UnmarshalStrict([]byte(spec), &object.Spec); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestWhatATargetSees(t *testing.T) {
	for name, test := range map[string]struct {
		spec    string
		trusted bool
		// "namespace labels…" of Applications that are selected
		want    []string
		refused string
	}{
		"its own namespace":                       {spec: `{applications: {}}`, want: []string{"shop team=cart", "shop team=search"}},
		"what has the labels":                     {spec: `{applications: {matchLabels: {team: cart}}}`, want: []string{"shop team=cart"}},
		"nothing without a selector":              {spec: `{rollouts: {}}`},
		"its own namespace by name":               {spec: `{applications: {namespaces: [shop]}}`, want: []string{"shop team=cart", "shop team=search"}},
		"nothing if it names another namespace":   {spec: `{applications: {namespaces: [shop, bank]}}`, refused: "NamespaceNotAllowed"},
		"nothing if it names another cluster":     {spec: `{applications: {}, clusters: [us-1]}`, refused: "ClustersNotAllowed"},
		"nothing if its rollouts name one":        {spec: `{applications: {}, rollouts: {namespaces: [bank]}}`, refused: "NamespaceNotAllowed"},
		"all namespaces if it is trusted":         {spec: `{applications: {}}`, trusted: true, want: []string{"shop team=cart", "shop team=search", "bank team=cart"}},
		"those that it names if it is trusted":    {spec: `{applications: {namespaces: [bank]}}`, trusted: true, want: []string{"bank team=cart"}},
		"nothing if its labels cannot be read":    {spec: `{applications: {matchLabels: {"a/b/c": x}}}`, refused: "InvalidSpec"},
		"nothing if its durations cannot be read": {spec: `{applications: {}, window: soon}`, refused: "InvalidSpec"},
		"what has a label at all":                 {spec: `{applications: {matchExpressions: [{key: team, operator: Exists}]}}`, want: []string{"shop team=cart", "shop team=search"}},
	} {
		t.Run(name, func(t *testing.T) {
			compiled := compile(target(t, "shop/all", test.spec, 0), test.trusted)
			var got []string
			for _, o := range []struct{ namespace, team string }{{"shop", "cart"}, {"shop", "search"}, {"bank", "cart"}} {
				if compiled.Selects(dora.KindApplication, o.namespace, map[string]string{"team": o.team}) {
					got = append(got, o.namespace+" team="+o.team)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}
			reason := ""
			if compiled.Refused != nil {
				reason = compiled.Refused.Reason
			}
			if reason != test.refused {
				t.Errorf("refused %q, want %q", reason, test.refused)
			}
		})
	}
}

func TestTheOldestTargetDecidesThenTheFirstByName(t *testing.T) {
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	gone := target(t, "shop/gone", `{applications: {}}`, 9*time.Hour)
	gone.DeletionTimestamp, gone.Finalizers = &metav1.Time{Time: created}, []string{"test"}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		target(t, "shop/young", `{applications: {}}`, 0),
		target(t, "shop/twin-b", `{applications: {}}`, time.Hour),
		target(t, "shop/twin-a", `{applications: {}}`, time.Hour),
		target(t, "bank/twin-z", `{applications: {}}`, time.Hour),
		target(t, "platform/suspended", `{applications: {}, suspend: true, service: {value: owner}, degradedFor: 5m, changes: [Image, Config],
			images: {include: ["a/*"], exclude: ["*/envoy"]}}`, 5*time.Hour),
		target(t, "platform/other", `{rollouts: {}}`, 7*time.Hour),
		gone,
	).Build()
	view, err := NewTargets(reader, []string{"platform"}).View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cart := &argocd.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", Labels: map[string]string{"team": "buy"}}}
	selection := view.Selecting(dora.KindApplication, cart)
	var order []string
	for _, name := range selection.Names() {
		order = append(order, name.String())
	}
	if want := []string{"platform/suspended", "shop/twin-a", "shop/twin-b", "shop/young"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if !selection.Followed() || !view.Follows(dora.KindApplication, cart) {
		t.Error("three targets that are not suspended follow it")
	}
	want := deploy.Policy{
		Service: "owner", Team: "buy", Environment: "production", Include: []string{"a/*"}, Exclude: []string{"*/envoy"}, CountConfig: true,
		DegradedFor: 5 * time.Minute, FailureWindow: time.Hour, VerdictTimeout: 24 * time.Hour, FollowedSince: created.Add(-5 * time.Hour),
	}
	if diff := cmp.Diff(want, selection.Policy("cart", cart.Labels)); diff != "" {
		t.Errorf("suspending a target must change nothing for others (-want +got):\n%s", diff)
	}
	if selection[:1].Followed() {
		t.Error("a suspended target alone follows nothing")
	}
}

func TestEachGenerationIsReadOnce(t *testing.T) {
	targets := NewTargets(nil, nil)
	object := target(t, "shop/all", `{applications: {}}`, 0)
	first := targets.Understand(object)
	if targets.Understand(object.DeepCopy()) != first {
		t.Error("the same generation was read twice")
	}
	changed := object.DeepCopy()
	changed.Generation++
	changed.Spec.Applications = nil
	if again := targets.Understand(changed); again == first || again.Asks(dora.KindApplication) {
		t.Error("a new generation was not read")
	}
	targets.keep(nil)
	if len(targets.compiled) != 0 {
		t.Error("targets that are gone are kept")
	}
}
