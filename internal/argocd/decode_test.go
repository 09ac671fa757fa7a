package argocd

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

func TestOneOddApplicationHidesNoOther(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for name, odd := range map[string]string{
		"no times":                `{"metadata":{"name":"odd","creationTimestamp":"x"},"status":{"reconciledAt":"soon","health":{"lastTransitionTime":1}}}`,
		"a status of another age": `{"metadata":{"name":"odd"},"status":"unknown","operation":[]}`,
		"odd lists":               `{"metadata":{"name":"odd"},"status":{"history":{"0":{}},"resources":[null,1,"x",{"kind":7}],"summary":{"images":"web:v1"}}}`,
		"odd scalars":             `{"metadata":{"name":"odd"},"status":{"history":[{"id":"4","revision":5}],"health":{"status":true}}}`,
		"odd spec":                `{"metadata":{"name":"odd"},"spec":{"destination":"here"}}`,
		"nothing":                 `{"metadata":{"name":"odd"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			text := `{"apiVersion":"argoproj.io/v1alpha1","kind":"ApplicationList","items":[` + odd +
				`,{"metadata":{"name":"fine"},"status":{"health":{"status":"Healthy"}}}]}`
			decoded, err := runtime.Decode(serializer.NewCodecFactory(scheme).UniversalDeserializer(), []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			list, ok := decoded.(*ApplicationList)
			if !ok || len(list.Items) != 2 {
				t.Fatalf("got %T %+v, want a list of two", decoded, decoded)
			}
			Observe(&list.Items[0], "", nil)
			if list.Items[0].Name != "odd" || list.Items[1].Status.Health.Status != "Healthy" {
				t.Errorf("got %+v", list.Items)
			}
		})
	}
}

func TestNullsAreNothing(t *testing.T) {
	app := decode(t, []byte(`{"metadata":null,"spec":null,"operation":null,"status":{"history":null,"operationState":null,"health":null}}`))
	if !reflect.DeepEqual(*app, Application{}) {
		t.Errorf("got %+v, want nothing", app)
	}
}

func TestWhatIsNoObjectIsAnError(t *testing.T) {
	for _, text := range []string{`"app"`, `[]`, `1`, `true`} {
		if err := new(Application).UnmarshalJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), "as an object") {
			t.Errorf("%s: got error %v", text, err)
		}
	}
}
