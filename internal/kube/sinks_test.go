package kube

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

func doraSink(t *testing.T, name, spec string) *dorav1alpha1.DoraSink {
	t.Helper()
	namespace, name, _ := strings.Cut(name, "/")
	object := &dorav1alpha1.DoraSink{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name)}}
	if err := yaml.UnmarshalStrict([]byte(spec), &object.Spec); err != nil {
		t.Fatal(err)
	}
	return object
}

// TestWhichSinks: the namespace platform is trusted, shop and other are not.
func TestWhichSinks(t *testing.T) {
	sinks := []client.Object{
		doraSink(t, "shop/port", `{type: Stdout}`),
		doraSink(t, "shop/fallback", `{type: Stdout, default: true}`),
		doraSink(t, "shop/metrics", `{type: Stdout, default: true, sends: [Metrics]}`),
		doraSink(t, "shop/odd", `{type: Stdout, filter: "nonsense"}`),
		doraSink(t, "other/boast", `{type: Stdout, shared: true}`),
		doraSink(t, "platform/shared", `{type: Stdout, shared: true}`),
		doraSink(t, "platform/private", `{type: Stdout, default: true}`),
	}
	for name, story := range map[string]struct {
		targets []string // specs of targets of shop
		events  string
		missing string
	}{
		"a target without sinks has the defaults of its namespace": {[]string{`{}`}, "shop/fallback stdout", ""},
		"a target that names some has those alone":                 {[]string{`{sinks: [port]}`}, "shop/port stdout", ""},
		"one that takes metrics alone is owed no event":            {[]string{`{sinks: [port, metrics]}`}, "shop/port stdout", ""},
		"one whose filter cannot be read is owed all the same":     {[]string{`{sinks: [odd]}`}, "shop/odd stdout", ""},
		"one that is not there yet is owed what it will get":       {[]string{`{sinks: [late]}`}, "shop/late stdout", "late"},
		"its own namespace may be spelt out":                       {[]string{`{sinks: [shop/port, shop/late]}`}, "shop/late shop/port stdout", "shop/late"},
		"one that is shared in a trusted namespace":                {[]string{`{sinks: [platform/shared]}`}, "platform/shared stdout", ""},
		"one of a trusted namespace that is not shared":            {[]string{`{sinks: [platform/private]}`}, "stdout", "platform/private"},
		"one that calls itself shared where nobody trusts it":      {[]string{`{sinks: [other/boast]}`}, "stdout", "other/boast"},
		"one of another namespace that is not there":               {[]string{`{sinks: [platform/late]}`}, "stdout", "platform/late"},
		"several targets send to each sink once":                   {[]string{`{sinks: [port]}`, `{sinks: [port, platform/shared]}`, `{}`}, "platform/shared shop/fallback shop/port stdout", ""},
		"a target that is suspended sends to none":                 {[]string{`{suspend: true, sinks: [port]}`, `{}`}, "shop/fallback stdout", ""},
		"without a target there are those of flags alone":          {nil, "stdout", ""},
	} {
		t.Run(name, func(t *testing.T) {
			scheme, err := NewScheme()
			if err != nil {
				t.Fatal(err)
			}
			reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(sinks...).Build()
			view, err := NewSinks(reader, []string{"platform"}, "stdout").View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var selection Selection
			for _, spec := range story.targets {
				object := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all"}}
				if err := yaml.UnmarshalStrict([]byte(spec), &object.Spec); err != nil {
					t.Fatal(err)
				}
				selection = append(selection, &Target{Object: object})
			}
			if diff := cmp.Diff(story.events, strings.Join(view.OfEvents(selection), " ")); diff != "" {
				t.Error(diff)
			}
			if len(selection) == 1 {
				if diff := cmp.Diff(story.missing, strings.Join(view.Missing(selection[0].Object), " ")); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestAFilterIsReadAgainWhenItChanges(t *testing.T) {
	sinks := NewSinks(nil, nil)
	object := doraSink(t, "shop/port", `{type: Stdout, filter: "nonsense"}`)
	if _, err := sinks.Filter(object); err == nil {
		t.Error("nonsense was read")
	}
	object.Spec.Filter = "true"
	first, err := sinks.Filter(object)
	if err != nil {
		t.Error(err)
	}
	if second, _ := sinks.Filter(object); first != second {
		t.Error("the same filter was read twice")
	}
	sinks.drop(SinkView{})
	if len(sinks.filters) != 0 {
		t.Error("the filter of a sink that is gone is kept")
	}
}
