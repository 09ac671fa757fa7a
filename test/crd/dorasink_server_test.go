package crd_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

var _ = Describe("The schema of DoraSink", func() {
	DescribeTable("fills in every default", func(given, want string) {
		sink := dorasink(given)
		Expect(try(sink)).To(Succeed())
		Expect(string(must(yaml.Marshal(sink.Object["spec"])))).To(MatchYAML(want))
	},
		Entry("of a portal", `{type: Port, port: {secretRef: {name: a}}}`, `
type: Port
sends: [Events, Metrics]
port:
  secretRef: {name: a}
  region: EU
  serviceBy: $identifier
  teamBy: $identifier
  metricsEnvironment: production
  blueprints: {deployment: deployment, service: service, team: _team, incident: doraIncident, pullRequest: "-"}
  deploymentStatus: {succeeded: Success, failed: Failed}
`),
		Entry("of a portal beside what is given", `{type: Port, port: {secretRef: {name: a}, blueprints: {team: "-"}, deploymentStatus: {succeeded: Successful}}}`, `
type: Port
sends: [Events, Metrics]
port:
  secretRef: {name: a}
  region: EU
  serviceBy: $identifier
  teamBy: $identifier
  metricsEnvironment: production
  blueprints: {deployment: deployment, service: service, team: "-", incident: doraIncident, pullRequest: "-"}
  deploymentStatus: {succeeded: Successful, failed: Failed}
`),
		Entry("of a database", `{type: Postgres, postgres: {secretRef: {name: a}}}`,
			`{type: Postgres, sends: [Events, Metrics], postgres: {secretRef: {name: a}, schema: public, tls: VerifyFull, migrations: Run}}`),
		Entry("of a receiver", `{type: CloudEvents, sends: [Events], cloudEvents: {url: "https://events.example.com"}}`,
			`{type: CloudEvents, sends: [Events], cloudEvents: {url: "https://events.example.com", format: dora, mode: structured, signatureHeader: X-Dora-Signature-256}}`),
		Entry("of standard output", `{type: Stdout}`, `{type: Stdout, sends: [Events, Metrics]}`),
	)

	It("keeps status apart from spec", func() {
		kept := keep()
		before := kept.Generation
		kept.Status.Delivered = 3
		kept.Status.SetConditions(kept.Generation, dorav1alpha1.SinkFailing("Unreachable", "No answer"), dorav1alpha1.EventsParked(2, "422"))
		Expect(api.Status().Update(context.Background(), kept)).To(Succeed())
		Expect(kept.Generation).To(Equal(before))

		kept.Spec.Suspend, kept.Status.Delivered = true, 7
		Expect(api.Update(context.Background(), kept)).To(Succeed())
		Expect(kept.Status.Delivered).To(BeEquivalentTo(3), "a writer of the spec wrote the status")
		Expect(kept.Generation).To(Equal(before + 1))
		Expect(kept.Status.Conditions).To(HaveLen(3))
	})

	It("tells conditions apart by their types", func() {
		kept := keep()
		kept.Status.SetConditions(kept.Generation, dorav1alpha1.Delivering())
		kept.Status.Conditions = append(kept.Status.Conditions, kept.Status.Conditions[0])
		Expect(api.Status().Update(context.Background(), kept)).To(MatchError(And(ContainSubstring("status.conditions[1]"), ContainSubstring("Duplicate value"))))

		for _, kind := range []string{dorav1alpha1.ConditionReady, dorav1alpha1.ConditionParked} {
			applied := dorasink(`{type: Stdout}`)
			delete(applied.Object, "spec")
			applied.Object["metadata"] = map[string]any{"name": kept.Name, "namespace": kept.Namespace}
			applied.Object["status"] = map[string]any{"conditions": []any{map[string]any{
				"type": kind, "status": "True", "reason": "Said", "message": "by " + kind, "lastTransitionTime": "2026-11-20T14:03:09Z",
			}}}
			by := client.FieldOwner(kind)
			Expect(api.Status().Apply(context.Background(), client.ApplyConfigurationFromUnstructured(applied), by)).To(Succeed())
		}
		Expect(api.Get(context.Background(), client.ObjectKeyFromObject(kept), kept)).To(Succeed())
		Expect(kept.Status.Conditions).To(HaveLen(2), "who writes one condition takes the others away")
	})

	It("takes the whole of a status, and no more of an answer than it can keep", func() {
		kept := keep()
		kept.Status.LastError, kept.Status.MetricsError = rand.String(1024), rand.String(1024)
		kept.Status.Requests = &dorav1alpha1.SinkRequests{
			BackfillSince: kept.CreationTimestamp.DeepCopy(), Backfilled: 1, Retry: rand.String(256), Retried: 2, Resend: rand.String(1024), Resent: 3, Error: rand.String(1024),
		}
		Expect(api.Status().Update(context.Background(), kept)).To(Succeed())
		kept.Status.LastError += "x"
		Expect(api.Status().Update(context.Background(), kept)).To(MatchError(ContainSubstring("status.lastError: Too long")))
	})
})

// keep makes a sink that is there until the end of the spec.
func keep() *dorav1alpha1.DoraSink {
	GinkgoHelper()
	kept := &dorav1alpha1.DoraSink{Spec: dorav1alpha1.DoraSinkSpec{Type: dorav1alpha1.SinkStdout}}
	kept.Namespace, kept.GenerateName = "default", "kept-"
	Expect(api.Create(context.Background(), kept)).To(Succeed())
	DeferCleanup(func() { Expect(api.Delete(context.Background(), kept)).To(Succeed()) })
	return kept
}

// patience is how long a server may take to heed a definition.
const patience = 20 * time.Second

// An older definition is this one with fewer rules. It is installed as a kind of another group, lets objects in, and is then upgraded.
var _ = Describe("An upgrade of the definition", func() {
	for kind, spec := range map[string]string{
		sinks: `{type: Port, filter: "", sends: [], former: {field: true}, postgres: {secretRef: {}},
			port: {secretRef: {name: Not/A/Secret}, region: AP, baseURL: "https://me:pass@port", teamBy: "", blueprints: {team: "a b"}}}`,
		targets: `{former: true, window: "", sinks: ["*"], applications: {namespaces: []}, changes: []}`,
	} {
		It("keeps "+kind+" readable that it would no longer admit, and lets their status be written", func() {
			definition := olderCRD(kind)
			strictly := definition.Spec.DeepCopy()
			loosen(definition.Spec.Versions[0].Schema.OpenAPIV3Schema)
			Expect(install(definition)).To(Succeed())

			old := object(definition.Spec.Names.Kind, spec)
			old.SetAPIVersion(definition.Spec.Group + "/v1alpha1")
			Eventually(func() error { return api.Create(context.Background(), old.DeepCopy()) }).WithTimeout(patience).Should(Succeed())
			var list unstructured.UnstructuredList
			list.SetAPIVersion(old.GetAPIVersion())
			list.SetKind(definition.Spec.Names.ListKind)
			Expect(api.List(context.Background(), &list)).To(Succeed())
			Expect(list.Items).To(HaveLen(1))
			kept := &list.Items[0]

			Expect(api.Get(context.Background(), client.ObjectKeyFromObject(definition), definition)).To(Succeed())
			definition.Spec = *strictly
			Expect(api.Update(context.Background(), definition)).To(Succeed())
			Eventually(func() error { return api.Create(context.Background(), old.DeepCopy(), client.DryRunAll) }).WithTimeout(patience).
				Should(MatchError(ContainSubstring("Invalid value")), "the new rules do not hold")

			Expect(api.Get(context.Background(), client.ObjectKeyFromObject(kept), kept)).To(Succeed())
			expectTyped(kept)
			kept.SetAnnotations(map[string]string{dorav1alpha1.AnnotationRetry: "1"})
			Expect(api.Update(context.Background(), kept)).To(Succeed(), "nobody can write an annotation any more")
			kept.Object["status"] = map[string]any{"observedGeneration": int64(1)}
			Expect(api.Status().Update(context.Background(), kept)).To(Succeed(), "nobody can say any more what is wrong")
			Expect(unstructured.SetNestedField(kept.Object, []any{"*", "**"}, "spec", map[string]string{sinks: "sends", targets: "sinks"}[kind])).To(Succeed())
			Expect(api.Update(context.Background(), kept)).NotTo(Succeed(), "what is changed must keep the new rules")
		})
	}
})

// olderCRD is the definition of a kind in another group, without the names that would be taken.
func olderCRD(kind string) *apiextensionsv1.CustomResourceDefinition {
	GinkgoHelper()
	definition := readCRD(kind)
	definition.Spec.Group = "older.example.com"
	definition.Name = kind + "." + definition.Spec.Group
	definition.Spec.Names.ShortNames, definition.Spec.Names.Categories = nil, nil
	return definition
}

func install(definition *apiextensionsv1.CustomResourceDefinition) error {
	GinkgoHelper()
	DeferCleanup(func() { Expect(api.Delete(context.Background(), definition)).To(Succeed()) })
	return api.Create(context.Background(), definition)
}

// loosen takes the rules out of a schema, and leaves the types.
func loosen(schema *apiextensionsv1.JSONSchemaProps) {
	keep := true
	*schema = apiextensionsv1.JSONSchemaProps{
		Type: schema.Type, Properties: schema.Properties, Items: schema.Items, AdditionalProperties: schema.AdditionalProperties,
	}
	if schema.Properties != nil {
		schema.XPreserveUnknownFields = &keep
	}
	for name, property := range schema.Properties {
		loosen(&property)
		schema.Properties[name] = property
	}
	if schema.Items != nil {
		loosen(schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil {
		loosen(schema.AdditionalProperties.Schema)
	}
}

// expectTyped reads an object as the controller does.
func expectTyped(object *unstructured.Unstructured) {
	GinkgoHelper()
	var into runtime.Object = &dorav1alpha1.DoraSink{}
	if object.GetKind() == "DoraTarget" {
		into = &dorav1alpha1.DoraTarget{}
	}
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)).To(Succeed())
	Expect(into.(metav1.Object).GetName()).To(Equal(object.GetName()))
}
