package kube

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// Whatever an object holds, the cache keeps it under its own name and labels, keeps no more the second time, and finds it by the same indexes as before.
func FuzzTrim(f *testing.F) {
	kinds := []func() client.Object{
		func() client.Object { return &argocd.Application{} }, func() client.Object { return &rollouts.Rollout{} },
		func() client.Object { return &appsv1.ReplicaSet{} }, func() client.Object { return &dorav1alpha1.DoraTarget{} },
		func() client.Object { return &dorav1alpha1.DoraSink{} },
	}
	const meta = `"metadata":{"name":"cart","namespace":"argocd","uid":"1","labels":{"team":"shop"},"managedFields":[{"manager":"argocd"}],`
	f.Add(uint8(0), []byte(`{`+meta+`"annotations":{"a":"b"}},"status":{"resources":[{"group":"argoproj.io","kind":"Rollout","namespace":"shop","name":"cart"}]}}`))
	f.Add(uint8(1), []byte(`{`+meta+`"annotations":{"argocd.argoproj.io/tracking-id":"cart:argoproj.io/Rollout:argocd/cart"}}}`))
	f.Add(uint8(2), []byte(`{`+meta+`"ownerReferences":[{"controller":true,"uid":"2"}]},"spec":{"template":{"spec":{"containers":[{"image":"a:1"}]}}}}`))
	f.Add(uint8(3), []byte(`{`+meta+`"annotations":{"dora-controller.io/backfill":"now"}},"spec":{"applications":{}}}`))
	f.Add(uint8(4), []byte(`{"spec":{"type":"Port"}}`))
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		object := kinds[int(kind)%len(kinds)]()
		if json.Unmarshal(raw, object) != nil {
			return
		}
		before, indexed := object.DeepCopyObject().(client.Object), indexedBy(object)
		if kept, err := Trim(object); err != nil || kept != any(object) {
			t.Fatalf("%T: %v", kept, err)
		}
		if object.GetUID() != before.GetUID() || client.ObjectKeyFromObject(object) != client.ObjectKeyFromObject(before) || len(object.GetManagedFields()) > 0 {
			t.Errorf("%v became %v", before, object)
		}
		if _, isSet := object.(*appsv1.ReplicaSet); !isSet && len(object.GetLabels())+len(before.GetLabels()) > 0 && !reflect.DeepEqual(object.GetLabels(), before.GetLabels()) {
			t.Errorf("the labels %v became %v", before.GetLabels(), object.GetLabels())
		}
		if after := indexedBy(object); !reflect.DeepEqual(after, indexed) {
			t.Errorf("it was found by %v, and is by %v", indexed, after)
		}
		once := object.DeepCopyObject()
		if _, err := Trim(object); err != nil || !reflect.DeepEqual(object, once) {
			t.Errorf("trimmed again it differs, %v", err)
		}
	})
}

// indexedBy is what the indexes of an object's kind say of it.
func indexedBy(object client.Object) map[string][]string {
	found := map[string][]string{}
	for _, kind := range []dora.Kind{dora.KindApplication, dora.KindRollout} {
		for _, index := range indexes(kind) {
			if reflect.TypeOf(index.of) == reflect.TypeOf(object) {
				found[index.name] = index.values(object)
			}
		}
	}
	return found
}

// Whatever a target's spec says, one whose namespace nobody trusts selects nothing outside of it, one that is refused selects nothing at all, and each says
// the same whenever it is asked.
func FuzzTarget(f *testing.F) {
	f.Add([]byte(`{"applications":{"matchLabels":{"team":"shop"},"namespaces":["argocd","shop"]},"rollouts":{}}`), true, "shop", "team", "shop")
	f.Add([]byte(`{"applications":{"namespaces":["argocd"]},"source":{"repository":{"url":"https://git.example.com/a"},"hosts":["other"]}}`), false, "argocd", "", "")
	f.Add([]byte(`{"rollouts":{"matchExpressions":[{"key":"a/b/c","operator":"Exists"}]},"window":"30 days"}`), false, "other", "a", "b")
	f.Add([]byte(`{"applications":{},"source":{"tagPattern":"(?P<sha>"}}`), true, "", "", "")
	f.Fuzz(func(t *testing.T, raw []byte, trusted bool, namespace, key, value string) {
		const own = "argocd"
		var spec dorav1alpha1.DoraTargetSpec
		if json.Unmarshal(raw, &spec) != nil {
			return
		}
		object := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: own, Name: "production"}, Spec: spec}
		have := map[string]string{key: value}
		one, other := compile(object, trusted), compile(object.DeepCopy(), trusted)
		for _, kind := range []dora.Kind{dora.KindApplication, dora.KindRollout} {
			selects := one.Selects(kind, namespace, have)
			if selects && (!trusted && namespace != own || one.Refused != nil || !one.Asks(kind)) {
				t.Errorf("%s selects the %s in %q, refused: %v", raw, kind, namespace, one.Refused)
			}
			if selects != other.Selects(kind, namespace, have) {
				t.Errorf("%s selects the %s in %q, and does not", raw, kind, namespace)
			}
			if _, namespaces := one.Selector(kind); selects && len(namespaces) > 0 && !slices.Contains(namespaces, namespace) {
				t.Errorf("%s selects in %q, and lists %v", raw, namespace, namespaces)
			}
		}
		if refused := one.Refused; refused != nil && (refused.Status != metav1.ConditionFalse || refused.Reason == "" || len(refused.Message) > 32768) {
			t.Errorf("%s: %+v", raw, refused)
		}
	})
}

// Whatever an object is called and labelled, a template's address leads to the host that the template names, to which alone credentials may be sent, and to
// as deep a path.
func FuzzTemplate(f *testing.F) {
	f.Add("https://github.com/acme/{service}", "services/{labels.team}", "cart", "registry.example.com/shop/cart:1", "shop")
	f.Add("git@github.com:{labels.team}/{image}.git", "{image}", "..", "a@sha256:00", "a/b")
	f.Add("https://git.example.com:8443/{name}-{namespace}", "", "cart.git", "evil.com:1", "x@evil.com")
	f.Add("file:///srv/{image}", "a", "-oProxy", "", "%2e%2e")
	f.Fuzz(func(t *testing.T, template, path, service, image, label string) {
		source, err := readSource(&dorav1alpha1.Source{Repository: dorav1alpha1.Repository{Template: template}, Path: path})
		if err != nil {
			return
		}
		if first := strings.IndexByte(template, '{'); first >= 0 && !strings.Contains(strings.TrimPrefix(template[:first], strings.Split(template, "://")[0]+"://"), "/") &&
			!strings.Contains(template[:first], ":") {
			return // the schema has placeholders behind the host alone
		}
		object := &described{service, "shop", service, image, map[string]string{"team": label}}
		address, err := fillAddress(object, template)
		if err != nil {
			return
		}
		if host := commit.HostOf(address); host != "" && !slices.Equal(source.hosts, []string{host}) {
			t.Errorf("%q leads to %q, and credentials to %q", template, host, source.hosts)
		}
		plain, err := commit.NormalizeURL(placeholder.ReplaceAllString(template, "x"))
		if err != nil || strings.Count(commit.PathOf(address), "/") > strings.Count(commit.PathOf(plain), "/") {
			t.Errorf("%q leads to %q, and with plain names to %q, %v", template, address, plain, err)
		}
		folder, err := object.fill(path)
		if err == nil && strings.Count(folder, "/") != strings.Count(placeholder.ReplaceAllString(path, "x"), "/") {
			t.Errorf("the folder %q is %q", path, folder)
		}
	})
}
