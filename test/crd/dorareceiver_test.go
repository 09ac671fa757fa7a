package crd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/receive"
)

const (
	sayGeneric = "a receiver of type Generic needs the settings under generic, and no other type has them"
	sayBegin   = "opened or resolved has to be there: they say when an incident began and ended"
)

// generically is a spec of type Generic with these expressions.
func generically(expressions string) string {
	return `{type: Generic, secretRef: {name: a}, generic: {` + expressions + `}}`
}

var _ = Describe("Admission of a DoraReceiver", func() {
	types := readSchema(senders).Properties["spec"].Properties["type"].Enum

	It("accepts each type", func() {
		Expect(types).To(HaveLen(14))
		for _, value := range types {
			var name string
			Expect(json.Unmarshal(value.Raw, &name)).To(Succeed())
			spec := `{type: ` + name + `, secretRef: {name: a}}`
			if name == "Generic" {
				spec = generically(`id: body.id, opened: body.at`)
			}
			Expect(try(dorareceiver(spec))).To(Succeed(), name)
		}
	})

	It("accepts what stands at the edge of a rule", func() {
		long := strings.Repeat("a", 253)
		for _, spec := range []string{
			`{type: Events, secretRef: {name: a.b-c}, rateLimit: 1, suspend: true}`,
			`{type: Events, secretRef: {name: a}, rateLimit: 60000, environment: ` + long[:63] + `}`,
			`{type: GitHub, secretRef: {name: a}, services: {"Acme / Checkout": checkout, b: ` + long + `}, defaultService: ` + long + `}`,
			generically(`id: ` + strings.Repeat("a", 2048) + `, resolved: body.at, when: a, service: a, severity: a, link: a, title: a`),
		} {
			Expect(try(dorareceiver(spec))).To(Succeed(), spec)
		}
	})

	refusals := []refusal{
		{"no settings of a Generic one", `{type: Generic, secretRef: {name: a}}`, "spec", sayGeneric},
		{"settings of another type", `{type: Events, secretRef: {name: a}, generic: {id: a, opened: b}}`, "spec", sayGeneric},
		{"an incident without a beginning and an end", generically(`id: body.id`), "spec.generic", sayBegin},
		{"a Secret elsewhere", `{type: Events, secretRef: {name: other/a}}`, "spec.secretRef.name", saySecret},
		{"another type", `{type: Nagios, secretRef: {name: a}}`, "spec.type", "Unsupported value"},
		{"no Secret", `{type: Events}`, "spec.secretRef", "Required value"},
		{"no request at all", `{type: Events, secretRef: {name: a}, rateLimit: 0}`, "spec.rateLimit", "greater than or equal to 1"},
		{"too many requests", `{type: Events, secretRef: {name: a}, rateLimit: 60001}`, "spec.rateLimit", "less than or equal to 60000"},
		{"a service without a name", `{type: Events, secretRef: {name: a}, defaultService: ""}`, "spec.defaultService", "at least 1 char"},
		{"an expression without an end", generically(`id: ` + strings.Repeat("a", 2049) + `, opened: b`), "spec.generic.id", "Too long"},
	}
	for _, r := range refusals {
		It("refuses "+r.why, func() {
			err := try(dorareceiver(r.spec))
			Expect(err).To(MatchError(ContainSubstring(r.message)))
			Expect(err).To(MatchError(ContainSubstring(r.field + ":")))
			Expect(err.Error()).NotTo(ContainSubstring("rule error"), "a rule broke instead of answering")
		})
	}

	It("has a refused spec for every rule of the schema", func() {
		expectAllTried(senders, refusals, 2)
	})

	It("fills in every default", func() {
		given := dorareceiver(`{type: Events, secretRef: {name: a}}`)
		Expect(try(given)).To(Succeed())
		Expect(string(must(yaml.Marshal(given.Object["spec"])))).To(MatchYAML(`{type: Events, secretRef: {name: a}, environment: production, rateLimit: 600}`))
	})
})

var _ = Describe("Columns of receivers", Ordered, func() {
	const namespace = "reported"

	BeforeAll(func() {
		makeNamespace(namespace, nil)
		showReceiver(namespace, "ci", dorav1alpha1.ReceiverEvents, func(s *dorav1alpha1.DoraReceiverStatus) {
			s.Accepted, s.LastAccepted = 1204, ago(9*time.Hour)
			s.SetConditions(1, dorav1alpha1.Receiving())
		})
		showReceiver(namespace, "pagerduty", dorav1alpha1.ReceiverPagerDuty, func(s *dorav1alpha1.DoraReceiverStatus) {
			s.Accepted, s.Refused, s.LastAccepted, s.LastRefused, s.LastRefusal = 31, 2, ago(26*time.Hour), ago(10*time.Hour), string(receive.NotSender)
			s.SetConditions(1, dorav1alpha1.Receiving())
		})
		showReceiver(namespace, "github", dorav1alpha1.ReceiverGitHub, func(s *dorav1alpha1.DoraReceiverStatus) {
			s.SetConditions(1, dorav1alpha1.SecretMissing("There is no Secret reported/github: create it, or change spec.secretRef"))
		})
	})

	It("answers in one line whether reports arrive", func() {
		printed := kubectl("get", "dorareceivers", "-n", namespace)
		expectGolden("get-receivers.golden", trimmed(ages.ReplaceAllString(printed, "5d$1")))
		for line := range strings.Lines(printed) {
			Expect(utf8.RuneCountInString(line)).To(BeNumerically("<=", 100), line)
		}
	})

	It("adds where to send, and the next step, when asked for more", func() {
		expectGolden("get-receivers-wide.golden", trimmed(ages.ReplaceAllString(kubectl("get", "drecv", "-n", namespace, "-o", "wide"), "5d$1")))
	})

	It("is explained by kubectl", func() {
		Expect(unwrapped(kubectl("explain", "drecv.spec.rateLimit"))).To(ContainSubstring("rateLimit is how many requests are accepted in a minute."))
	})
})

// showReceiver creates a receiver with the status that a controller would give it.
func showReceiver(namespace, name string, kind dorav1alpha1.ReceiverType, fill func(*dorav1alpha1.DoraReceiverStatus)) {
	GinkgoHelper()
	r := &dorav1alpha1.DoraReceiver{Spec: dorav1alpha1.DoraReceiverSpec{Type: kind, SecretRef: dorav1alpha1.SecretReference{Name: name}}}
	r.Namespace, r.Name = namespace, name
	Expect(api.Create(context.Background(), r)).To(Succeed())
	r.Status.Path = r.Path()
	fill(&r.Status)
	Expect(api.Status().Update(context.Background(), r)).To(Succeed())
}

var _ = Describe("The page docs/dorareceiver.md", func() {
	It("shows objects that the server admits", func() {
		shown := 0
		for _, text := range blocksOf(senderPage, "yaml") {
			if strings.HasPrefix(text, "# values.yaml") {
				continue
			}
			object := &unstructured.Unstructured{}
			Expect(yaml.UnmarshalStrict([]byte(text), &object.Object)).To(Succeed())
			Expect(try(object)).To(Succeed())
			shown++
		}
		Expect(shown).To(Equal(3))
	})

	It("prints what kubectl prints", func() {
		Expect(blocksOf(senderPage, "console")).To(Equal([]string{
			"$ kubectl get dorareceivers\n" + string(must(os.ReadFile("testdata/get-receivers.golden"))),
			"$ kubectl get dorareceivers -o wide\n" + string(must(os.ReadFile("testdata/get-receivers-wide.golden"))),
		}))
	})

	It("tells of every field, every default and all there is to choose from, in a table", func() {
		_, text, _ := strings.Cut(pageText(senderPage), "\n## Fields\n")
		told := 0
		for path, schema := range fieldsOf(readSchema(senders), "") {
			field := regexp.MustCompile(`^(?:spec|status)\.((?:generic\.)?\w+)$`).FindStringSubmatch(path)
			if len(field) == 0 {
				continue
			}
			row := rowOf(text, field[1])
			Expect(row).NotTo(BeEmpty(), path)
			for _, value := range schema.Enum {
				Expect(row).To(ContainSubstring("`"+plain(value.Raw)+"`"), path)
			}
			if schema.Default != nil {
				Expect(strings.Split(row, "|")[2]).To(ContainSubstring("`"+plain(schema.Default.Raw)+"`"), path)
			}
			told++
		}
		Expect(told).To(BeNumerically(">", 15), "the walk lost its way")
	})

	It("tells of every reason, column and type", func() {
		text := pageText(senderPage)
		refused := reasonsOf(root+"/internal/receive/answer.go", "", "The reasons")
		Expect(refused).To(ContainElements("NotSender", "LedgerFailing"), "the walk lost its way")
		for _, reason := range refused {
			if reason != "" {
				Expect(text).To(MatchRegexp("(?m)^\\| `[0-9].*`"+reason+"`.*\\|"), reason)
			}
		}
		own := reasonsOf(root+"/api/v1alpha1/dorareceiver_conditions.go", "Reason", "")
		Expect(own).To(ContainElements("Receiving", "TokenTaken"), "the walk lost its way")
		for _, reason := range append(own, dorav1alpha1.ReasonSuspended, dorav1alpha1.ReasonInvalidSpec) {
			part := partOf(text, reason)
			if reason != dorav1alpha1.ReasonReceiving {
				Expect(part).To(ContainSubstring("*Next:*"), reason)
			}
		}
		for _, column := range readCRD(senders).Spec.Versions[0].AdditionalPrinterColumns {
			if column.Priority == 0 && column.Name != "Age" {
				Expect(rowOf(text, strings.ToUpper(column.Name))).NotTo(BeEmpty(), column.Name)
			}
		}
	})

	It("says what a Secret needs as the samples have it", func() {
		for _, sample := range []string{"events", "github", "pagerduty"} {
			file := fmt.Sprintf("%s/config/samples/receiver_%s.yaml", root, sample)
			secret, object, found := strings.Cut(string(must(os.ReadFile(file))), "\n---\n")
			Expect(found).To(BeTrue())
			Expect(secret).To(MatchRegexp(`(?m)^  (token|signingSecret): REPLACE-ME$`))
			name := regexp.MustCompile(`(?m)^ {2}name: (\S+)$`).FindStringSubmatch(secret)
			Expect(object).To(ContainSubstring("secretRef: {name: " + name[1] + "}"))
		}
	})
})
