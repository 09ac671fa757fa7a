package crd_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

var _ = Describe("Schema", func() {
	It("fills in every default", func() {
		given := target(`{applications: {}}`)
		Expect(try(given)).To(Succeed())
		spec, err := yaml.Marshal(given.Object["spec"])
		Expect(err).NotTo(HaveOccurred())
		Expect(string(spec)).To(MatchYAML(`
applications: {}
changes: [Image]
degradedFor: 60s
failureWindow: 1h
spread: Each
verdictTimeout: 24h
window: 30d
statusInterval: 10s
bands: {preset: Port}
`))
	})

	It("fills in the preset when only thresholds are given", func() {
		given := target(`{applications: {}, bands: {overrides: {leadTime: {elite: 1h}}}}`)
		Expect(try(given)).To(Succeed())
		Expect(given.Object["spec"]).To(HaveKeyWithValue("bands", HaveKeyWithValue("preset", "Port")))
	})

	It("fills in by how much a median must worsen where alerts are asked for", func() {
		given := target(`{applications: {}, alerts: {}}`)
		Expect(try(given)).To(Succeed())
		Expect(given.Object["spec"]).To(HaveKeyWithValue("alerts", HaveKeyWithValue("worsening", dorav1alpha1.DefaultWorsening)))
	})

	It("means the same to Go without a server as with one", func() {
		var bare dorav1alpha1.DoraTargetSpec
		admitted := &dorav1alpha1.DoraTarget{Spec: dorav1alpha1.DoraTargetSpec{Applications: &dorav1alpha1.SubjectSelector{}}}
		admitted.Namespace, admitted.GenerateName = "default", "try-"
		Expect(try(admitted)).To(Succeed())

		Expect(bare.Timings()).To(Equal(must(admitted.Spec.Timings())))
		Expect(bare.Bands.PresetOrDefault()).To(Equal(admitted.Spec.Bands.Preset))
		Expect(bare.Counts(dorav1alpha1.ChangeConfig)).To(Equal(admitted.Spec.Counts(dorav1alpha1.ChangeConfig)))
		Expect(admitted.Spec.PolicyDiffers(&bare, "any", nil)).To(BeEmpty())
	})

	It("keeps status apart from spec", func() {
		kept := &dorav1alpha1.DoraTarget{Spec: dorav1alpha1.DoraTargetSpec{Rollouts: &dorav1alpha1.SubjectSelector{}}}
		kept.Namespace, kept.GenerateName = "default", "kept-"
		kept.Status.ServiceCount = 3
		Expect(api.Create(context.Background(), kept)).To(Succeed())
		DeferCleanup(func() { Expect(api.Delete(context.Background(), kept)).To(Succeed()) })
		Expect(kept.Status.ServiceCount).To(BeZero())

		before := kept.Generation
		kept.Status.SetConditions(kept.Generation, dorav1alpha1.NothingSelected())
		Expect(api.Status().Update(context.Background(), kept)).To(Succeed())
		Expect(kept.Generation).To(Equal(before))
		Expect(api.Get(context.Background(), client.ObjectKeyFromObject(kept), kept)).To(Succeed())
		Expect(kept.Status.Conditions).To(HaveLen(2))
	})

	for _, kind := range kinds {
		It("describes every field of "+kind+", beginning with its name", func() {
			for path, field := range ownFieldsOf(kind) {
				name := path[strings.LastIndex(path, ".")+1:]
				Expect(strings.ToLower(field.Description)).To(HavePrefix(strings.ToLower(name)+" "), path)
				Expect(field.Description).To(HaveSuffix("."), path)
			}
		})

		It("bounds every text, list and map of "+kind, func() {
			for path, field := range ownFieldsOf(kind) {
				expectBounded(path, field)
			}
		})

		It("lets no reference of "+kind+" leave its namespace for a Secret", func() {
			found := 0
			for path, field := range ownFieldsOf(kind) {
				if field.Items != nil {
					field = *field.Items.Schema
				}
				if name := path[strings.LastIndex(path, ".")+1:]; strings.Contains(strings.ToLower(name), "secret") {
					found++
					Expect(slices.Collect(maps.Keys(field.Properties))).To(ConsistOf("name"), path)
					Expect(field.Properties["name"].XValidations).NotTo(BeEmpty(), "%s may hold a slash", path)
				}
				Expect(path).NotTo(MatchRegexp(`(?i)ref(erence)?s?(\[\])?\.namespace$`))
			}
			Expect(found).To(BeNumerically(">=", 1), "the walk lost its way")
		})

		It("keeps "+kind+" small enough for kubectl apply to remember", func() {
			file, err := os.ReadFile(crdFile(kind))
			Expect(err).NotTo(HaveOccurred())
			Expect(len(file)).To(BeNumerically("<", 256<<10))
		})
	}

	It("is explained by kubectl", func() {
		Expect(unwrapped(kubectl("explain", "doratargets.spec.degradedFor"))).To(
			ContainSubstring("degradedFor is how long production must stay Degraded before it counts as a failure"))
		Expect(unwrapped(kubectl("explain", "dt.status.summary.changeFailureRate"))).To(
			ContainSubstring("changeFailureRate is the share of deployment attempts that failed."))
		Expect(unwrapped(kubectl("explain", "doratarget.spec.alerts.worsening"))).To(
			ContainSubstring("a whole percentage from 1% to 999%, such as 25%."))
		Expect(unwrapped(kubectl("explain", "dorasink.spec.port"))).To(
			ContainSubstring("secretRef names a Secret of the sink's own namespace with the keys clientId and clientSecret of a machine credential."))
		Expect(unwrapped(kubectl("explain", "dsink.spec.postgres.tls"))).To(
			ContainSubstring("tls says how the connection is encrypted: VerifyFull, with a certificate for that host;"))
	})

	It("has no short name that is another's", func() {
		owner := map[string]string{}
		for line := range strings.Lines(kubectl("api-resources", "--no-headers")) {
			words := strings.Fields(line)
			if len(words) < 5 {
				continue // it has no short name
			}
			for name := range strings.SplitSeq(words[1], ",") {
				Expect(owner[name]).To(BeElementOf("", words[0]), "%s, of %s", name, words[0]) // events are there twice
				owner[name] = words[0]
			}
		}
		Expect(owner).To(HaveKeyWithValue("ds", "daemonsets"))
	})

	It("answers to its short names and its category", func() {
		resources := kubectl("api-resources", "--categories=dora", "--no-headers", "--sort-by=name")
		Expect(strings.Fields(resources)).To(Equal([]string{
			senders, "drecv", "dora-controller.io/v1alpha1", "true", "DoraReceiver",
			sinks, "dsink", "dora-controller.io/v1alpha1", "true", "DoraSink", targets, "dt", "dora-controller.io/v1alpha1", "true", "DoraTarget",
		}))
	})
})

// unwrapped undoes the line breaks that kubectl makes.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

func must[T any](value T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return value
}

// crdFile is the definition of a kind.
func crdFile(kind string) string {
	return root + "/config/crd/bases/dora-controller.io_" + kind + ".yaml"
}

// readCRD reads the definition of a kind that is installed.
func readCRD(kind string) *apiextensionsv1.CustomResourceDefinition {
	GinkgoHelper()
	file, err := os.ReadFile(crdFile(kind))
	Expect(err).NotTo(HaveOccurred())
	definition := &apiextensionsv1.CustomResourceDefinition{}
	Expect(yaml.UnmarshalStrict(file, definition)).To(Succeed())
	return definition
}

func readSchema(kind string) *apiextensionsv1.JSONSchemaProps {
	GinkgoHelper()
	return readCRD(kind).Spec.Versions[0].Schema.OpenAPIV3Schema
}

// ownFieldsOf lists the fields of a kind but those that Kubernetes describes.
func ownFieldsOf(kind string) map[string]apiextensionsv1.JSONSchemaProps {
	GinkgoHelper()
	fields := fieldsOf(readSchema(kind), "")
	for _, path := range []string{"apiVersion", "kind", "metadata"} {
		delete(fields, path)
	}
	Expect(len(fields)).To(BeNumerically(">", 30), "the walk lost its way")
	return fields
}

// fieldsOf lists every property below a schema by its path; [] is an item of a list, {} a value of a map.
func fieldsOf(schema *apiextensionsv1.JSONSchemaProps, path string) map[string]apiextensionsv1.JSONSchemaProps {
	fields := map[string]apiextensionsv1.JSONSchemaProps{}
	for name, property := range schema.Properties {
		fields[strings.TrimPrefix(path+"."+name, ".")] = property
		maps.Copy(fields, fieldsOf(&property, strings.TrimPrefix(path+"."+name, ".")))
	}
	if schema.Items != nil {
		maps.Copy(fields, fieldsOf(schema.Items.Schema, path+"[]"))
	}
	return fields
}

// rulesOf lists every CEL rule below a schema as the path that its answer points to and its message.
func rulesOf(schema *apiextensionsv1.JSONSchemaProps, path string) []string {
	var rules []string
	for _, rule := range schema.XValidations {
		rules = append(rules, path+rule.FieldPath+": "+rule.Message)
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		property := schema.Properties[name]
		rules = append(rules, rulesOf(&property, strings.TrimPrefix(path+"."+name, "."))...)
	}
	if schema.Items != nil {
		rules = append(rules, rulesOf(schema.Items.Schema, path+"[]")...)
	}
	if schema.AdditionalProperties != nil {
		rules = append(rules, rulesOf(schema.AdditionalProperties.Schema, path+"{}")...)
	}
	return rules
}

func expectBounded(path string, schema apiextensionsv1.JSONSchemaProps) {
	GinkgoHelper()
	switch schema.Type {
	case "string":
		bounded := schema.MaxLength != nil || len(schema.Enum) > 0 || schema.Format == "date-time"
		Expect(bounded).To(BeTrue(), "%s has no maxLength", path)
	case "array":
		Expect(schema.MaxItems).NotTo(BeNil(), "%s has no maxItems", path)
		expectBounded(path+"[]", *schema.Items.Schema)
	case "object":
		if schema.AdditionalProperties != nil {
			Expect(schema.MaxProperties).NotTo(BeNil(), "%s has no maxProperties", path)
			expectBounded(path+"{}", *schema.AdditionalProperties.Schema)
		}
	case "integer", "boolean":
	default:
		Fail(fmt.Sprintf("%s has type %q", path, schema.Type))
	}
}
