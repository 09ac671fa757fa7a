package drift

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	"github.com/dora-controller/dora-controller/internal/argocd/lenient"
)

// generated is how many objects of each type are filled at random, always the same ones.
const generated = 300

// filler fills objects with what JSON can carry: whole seconds, and valid values where a type checks its own.
func filler() *randfill.Filler {
	return randfill.NewWithSeed(1).NilChance(0.2).NumElements(0, 3).MaxDepth(14).Funcs(
		func(t *time.Time, c randfill.Continue) { *t = moment(c) },
		func(t *metav1.Time, c randfill.Continue) { t.Time = moment(c) },
		func(t *metav1.MicroTime, c randfill.Continue) { t.Time = moment(c) },
		func(t *lenient.Time, c randfill.Continue) { *t = lenient.At(moment(c)) },
		func(d *metav1.Duration, c randfill.Continue) { d.Duration = time.Duration(c.Intn(1e6)) * time.Second },
		func(f *metav1.FieldsV1, _ randfill.Continue) { f.Raw = []byte(`{}`) },
		func(r *runtime.RawExtension, _ randfill.Continue) { r.Raw = []byte(`{"a":1}`) },
		func(j *apiextensionsv1.JSON, _ randfill.Continue) { j.Raw = []byte(`{"a":1}`) },
		func(r *json.RawMessage, _ randfill.Continue) { *r = []byte(`{"a":1}`) },
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(int64(c.Intn(1e6)), resource.DecimalSI)
		},
		func(v *intstr.IntOrString, c randfill.Continue) { *v = intstr.FromInt32(int32(c.Intn(100))) },
	)
}

func moment(c randfill.Continue) time.Time {
	return time.Unix(1_700_000_000+int64(c.Intn(1e9)), 0).UTC()
}

// same compares without regard to whether a list is absent or empty.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s: Argo's own type (-) and ours (+) differ:\n%s", what, diff)
	}
}

// known decodes our JSON and fails for a field that Argo's type does not have.
func known(t *testing.T, raw []byte, into any) {
	t.Helper()
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(into); err != nil {
		t.Fatalf("%T does not know what we name: %v\n%s", into, err, strings.TrimSpace(string(raw)))
	}
}
