package demo

import (
	"maps"
	"reflect"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Written through the API server, every recorded object stands as it was recorded, but for what the server sets itself.
func TestTheAPIServerHoldsWhatWasRecorded(t *testing.T) {
	t.Parallel() // with a test that waits
	p := testPlane(t)
	defer func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}()
	api, err := client.New(p.config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(api)
	last := map[types.UID]*unstructured.Unstructured{}
	for _, l := range told(t) {
		if err := w.write(t.Context(), &l); err != nil {
			t.Fatal(err)
		}
		last[l.object.GetUID()] = l.object
	}
	uids := map[types.UID]types.UID{}
	for uid := range last {
		uids[uid] = w.written[uid].served.GetUID()
	}
	for uid, recorded := range last {
		served := recorded.DeepCopy()
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(recorded), served); err != nil {
			t.Fatal(err)
		}
		compareObjects(t, recorded, served)
		if served.GetUID() != uids[uid] {
			t.Errorf("%s was made anew", served.GetName())
		}
		for i, owner := range recorded.GetOwnerReferences() {
			if got := served.GetOwnerReferences()[i]; got.UID != uids[owner.UID] || !*metav1.GetControllerOf(served).Controller {
				t.Errorf("%s is owned by %s, want %s", served.GetName(), got.UID, uids[owner.UID])
			}
		}
	}
}

func compareObjects(t *testing.T, recorded, served *unstructured.Unstructured) {
	t.Helper()
	name := served.GetKind() + " " + served.GetName()
	for _, field := range []string{"spec", "operation", "status"} {
		want, got := recorded.DeepCopy().Object[field], served.Object[field]
		if status, ok := want.(map[string]any); ok && status["observedGeneration"] != nil {
			if behind(recorded) != behind(served) {
				t.Errorf("%s: observedGeneration is %d behind, want %d", name, behind(served), behind(recorded))
			}
			status["observedGeneration"] = got.(map[string]any)["observedGeneration"]
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s: %s is\n%v\nwant\n%v", name, field, got, want)
		}
	}
	if !maps.Equal(recorded.GetAnnotations(), served.GetAnnotations()) || !maps.Equal(recorded.GetLabels(), served.GetLabels()) {
		t.Errorf("%s: labels or annotations differ", name)
	}
}

// behind is by how many generations the status lags behind the object.
func behind(o *unstructured.Unstructured) int64 {
	observed, _, _ := unstructured.NestedFieldNoCopy(o.Object, "status", "observedGeneration")
	if text, ok := observed.(string); ok {
		n, _ := strconv.ParseInt(text, 10, 64)
		return o.GetGeneration() - n
	}
	n, _ := observed.(int64)
	return o.GetGeneration() - n
}
