package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dora-controller/dora-controller/internal/doctor"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// ourCRD is one of the kinds' definitions as this checkout has it.
func ourCRD(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	plural, group, _ := strings.Cut(name, ".")
	data, err := os.ReadFile(filepath.Join(root, "config", "crd", "bases", group+"_"+plural+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var o unstructured.Unstructured
	if err := yaml.Unmarshal(data, &o.Object); err != nil {
		t.Fatal(err)
	}
	return &o
}

// fieldsIn are the paths of all fields of a schema.
func fieldsIn(schema map[string]any, path string) (all []string) {
	for _, within := range []string{"items", "additionalProperties"} {
		if inner, ok := schema[within].(map[string]any); ok {
			all = append(all, fieldsIn(inner, path)...)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, inner := range properties {
		at := strings.TrimPrefix(path+"."+name, ".")
		all = append(append(all, at), fieldsIn(inner.(map[string]any), at)...)
	}
	return all
}

// Each field of the kinds is asked for, and found in the kinds of this checkout.
func TestEveryFieldOfTheKindsIsAskedFor(t *testing.T) {
	for _, name := range []string{doctor.TargetCRD, doctor.SinkCRD, doctor.ReceiverCRD} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o := ourCRD(t, name)
			versions, _, err := unstructured.NestedSlice(o.Object, "spec", "versions")
			g.Expect(err).NotTo(HaveOccurred())
			schema, _, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema")
			g.Expect(err).NotTo(HaveOccurred())
			there := slices.DeleteFunc(fieldsIn(schema, ""), func(field string) bool { return !strings.Contains(field, ".") }) // spec, kind and their like
			g.Expect(len(there)).To(BeNumerically(">", 10))
			g.Expect(doctor.FieldsOf[name]).To(ConsistOf(there))
			read := crdOf(o, doctor.FieldsOf[name])
			g.Expect(slices.Collect(maps.Values(read.Fields))).NotTo(ContainElement(false))
			g.Expect(read.Release).To(BeEmpty())
		})
	}
}

// Whatever field an older schema lacks, on its way or below a list, is missed.
func TestAFieldThatAnOlderSchemaLacksIsMissed(t *testing.T) {
	fields := doctor.FieldsOf[doctor.TargetCRD]
	for lacks, path := range map[string][]string{
		"spec.reported":             {"spec", "properties", "reported"},
		"spec.statusInterval":       {"spec", "properties", "statusInterval"},
		"spec.spread":               {"spec", "properties", "spread"},
		"status.services.band":      {"status", "properties", "services", "items", "properties", "band"},
		"spec.incidents.severities": {"spec", "properties", "incidents", "properties", "severities"},
	} {
		o := ourCRD(t, doctor.TargetCRD)
		o.SetAnnotations(map[string]string{"meta.helm.sh/release-name": "dora", "meta.helm.sh/release-namespace": "dora-system"})
		version := o.Object["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
		unstructured.RemoveNestedField(version, append([]string{"schema", "openAPIV3Schema", "properties"}, path...)...)
		read := crdOf(o, fields)
		g := NewWithT(t)
		g.Expect(fields).To(ContainElement(lacks))
		g.Expect(read.Fields[lacks]).To(BeFalse(), lacks)
		g.Expect(read.Fields["spec.sinks"]).To(BeTrue())
		g.Expect(read.Release).To(Equal("dora-system/dora"))
	}
}

// Of each service the newest incident that a receiver was told of tells whether it is counted. What Argo shows is none.
func TestTheNewestIncidentOfAServiceTells(t *testing.T) {
	g := NewWithT(t)
	told := func(service, environment, reason string, minutes int) dora.Event {
		return dora.Event{
			Type: dora.TypeDegraded, Service: service, Environment: environment, Reason: reason, Receiver: "pager",
			Subject:    dora.Subject{Kind: dora.KindReported, Namespace: "argocd", Name: service},
			ObservedAt: time.Date(2026, 11, 3, 9, minutes, 0, 0, time.UTC),
		}
	}
	argo := told("cart", "prod", "", 0)
	argo.Receiver = ""
	at := func(minutes int) time.Time { return time.Date(2026, 11, 3, 9, minutes, 0, 0, time.UTC) }
	g.Expect(newestIncidents([]dora.Event{
		told("checkout", "prod", "NoDeployment", 5), told("checkout", "production", "NotCounted", 1), told("Search UI", "prod", "NotCounted", 2), argo,
	})).To(Equal([]doctor.Incident{
		{Namespace: "argocd", Receiver: "pager", Service: "checkout", Environment: "prod", At: at(5), Counted: true},
		{Namespace: "argocd", Receiver: "pager", Service: "Search UI", Environment: "prod", At: at(2)},
	}))
}
