package chart_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

var update = flag.Bool("update", false, "write the types of Kubernetes into the schema of the chart's values")

// passedOn are the types of Kubernetes that values are handed to. The API server drops a field that it does not know and only warns of it, and a
// rule of a NetworkPolicy without what was meant to narrow it lets everything through. So the schema has to know their fields.
var passedOn = []any{
	corev1.EnvVar{},
	corev1.EnvFromSource{},
	corev1.Volume{},
	corev1.VolumeMount{},
	corev1.Container{},
	corev1.ResourceClaim{},
	corev1.PodSecurityContext{},
	corev1.SecurityContext{},
	corev1.Toleration{},
	corev1.TopologySpreadConstraint{},
	corev1.HostAlias{},
	corev1.NodeAffinity{},
	corev1.PodAffinity{},
	corev1.PodAntiAffinity{},
	networkingv1.NetworkPolicyPeer{},
	networkingv1.NetworkPolicyEgressRule{},
	networkingv1.NetworkPolicyIngressRule{},
}

// writtenAsText are types that have fields, and are no objects in YAML.
var writtenAsText = []string{"FieldsV1", "IntOrString", "Quantity", "Time"}

// definitions says of each type, and of those in its fields, which fields there are. What is in them the API server checks.
type definitions map[string]any

func (d definitions) of(t reflect.Type) object {
	switch {
	case t.Kind() == reflect.Pointer:
		return d.of(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return object{"type": "array", "items": d.of(t.Elem())}
	case t.Kind() != reflect.Struct || slices.Contains(writtenAsText, t.Name()):
		return object{}
	}
	if d[t.Name()] == nil {
		fields := object{}
		d[t.Name()] = object{"type": "object", "additionalProperties": false, "properties": fields}
		d.fields(t, fields)
	}
	return object{"$ref": "#/$defs/kubernetes/" + t.Name()}
}

func (d definitions) fields(t reflect.Type, into object) {
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			d.fields(field.Type, into) // it is inlined
			continue
		}
		into[name] = d.of(field.Type)
	}
}

// TestTheSchemaKnowsWhatKubernetesDoes: a new version of its types has fields that users may want to set.
func TestTheSchemaKnowsWhatKubernetesDoes(t *testing.T) {
	g := NewWithT(t)
	d := definitions{}
	for _, value := range passedOn {
		d.of(reflect.TypeOf(value))
	}
	g.Expect(d).To(And(HaveKey("ContainerPort"), HaveKey("LabelSelectorRequirement"), Not(HaveKey("Quantity"))))
	var want bytes.Buffer
	for i, name := range slices.Sorted(maps.Keys(d)) {
		text, err := json.Marshal(d[name])
		g.Expect(err).NotTo(HaveOccurred())
		if i > 0 {
			want.WriteString(",\n")
		}
		fmt.Fprintf(&want, "      %q: %s", name, text)
	}
	const begins, ends = "\n    \"kubernetes\": {\n", "\n    }\n  }\n}\n"
	file := chart + "/values.schema.json"
	was, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	ours, _, found := strings.Cut(string(was), begins)
	g.Expect(found).To(BeTrue())
	is := ours + begins + want.String() + ends
	if *update {
		g.Expect(os.WriteFile(file, []byte(is), 0o600)).To(Succeed())
		return
	}
	if string(was) != is {
		t.Fatal("the schema differs; write it with go test ./test/chart -run TestTheSchemaKnowsWhatKubernetesDoes -update")
	}
}
