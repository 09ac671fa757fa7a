package crd_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/filter"
)

var _ = Describe("The page docs/dorasink.md", func() {
	It("shows objects that the server admits, of each type", func() {
		var types []any
		for _, text := range blocksOf(sinkPage, "yaml") {
			shown := &unstructured.Unstructured{}
			Expect(yaml.UnmarshalStrict([]byte(text), &shown.Object)).To(Succeed())
			Expect(try(shown)).To(Succeed())
			if shown.GetKind() == "DoraSink" {
				types = append(types, shown.Object["spec"].(map[string]any)["type"])
			}
		}
		Expect(types).To(ConsistOf("Port", "Postgres", "CloudEvents", "Stdout"))
	})

	It("prints what kubectl prints", func() {
		Expect(blocksOf(sinkPage, "console")).To(Equal([]string{
			"$ kubectl get dorasinks\n" + string(must(os.ReadFile("testdata/get-sinks.golden"))),
			"$ kubectl get dorasinks -o wide\n" + string(must(os.ReadFile("testdata/get-sinks-wide.golden"))),
		}))
	})

	It("tells of every field of the spec and the status, in a table", func() {
		text, told := pageText(sinkPage), 0
		for path := range fieldsOf(readSchema(sinks), "") {
			field := ownField.FindStringSubmatch(path)
			if len(field) == 0 || slices.Contains([]string{"port", "postgres", "cloudEvents"}, field[1]) {
				continue // parts of these are told one by one
			}
			Expect(rowOf(text, field[1])).NotTo(BeEmpty(), path)
			told++
		}
		Expect(told).To(BeNumerically(">", 45), "the walk lost its way")
	})

	It("tells of every default, and of all there is to choose from", func() {
		text, told := pageText(sinkPage), 0
		for path, schema := range fieldsOf(readSchema(sinks), "") {
			field := ownField.FindStringSubmatch(path)
			if len(field) == 0 || !strings.HasPrefix(path, "spec.") {
				continue
			}
			row := rowOf(text, field[1])
			for _, value := range schema.Enum {
				Expect(row).To(ContainSubstring("`"+plain(value.Raw)+"`"), path)
			}
			if schema.Default != nil && string(schema.Default.Raw) != "{}" {
				Expect(strings.Split(row, "|")[2]).To(ContainSubstring("`"+plain(schema.Default.Raw)+"`"), path)
				told++
			}
		}
		Expect(told).To(BeNumerically(">", 15), "the walk lost its way")
	})

	It("says of every reason what it means and what to do next", func() {
		text := pageText(sinkPage)
		waiting := reasonsOf(root+"/internal/sink/reason.go", "", "The reasons")
		Expect(waiting).To(ContainElements("CredentialsMissing", "Refused"), "the walk lost its way")
		own := reasonsOf(root+"/api/v1alpha1/dorasink_conditions.go", "Reason", "")
		Expect(own).To(ContainElements("Delivering", "SinkNotFound"), "the walk lost its way")
		shared := []string{dorav1alpha1.ReasonStarting, dorav1alpha1.ReasonSuspended, dorav1alpha1.ReasonInvalidSpec}
		for _, reason := range slices.Concat(waiting, own, shared) {
			part := partOf(text, reason)
			if reason != dorav1alpha1.ReasonDelivering {
				Expect(part).To(Or(ContainSubstring("*Next:*"), ContainSubstring("*If it stays*")), reason)
			}
		}
		for _, reason := range append(waiting, dorav1alpha1.ReasonInvalidSpec, dorav1alpha1.ReasonInvalidFilter) {
			var s dorav1alpha1.DoraSinkStatus
			s.SetConditions(1, dorav1alpha1.SinkFailing(reason, "any"))
			Expect(partOf(text, reason)).To(HavePrefix("`Ready` is `False`, with `"+s.Conditions[1].Type+"`: "), reason)
		}
	})

	It("tells of every condition, column and annotation", func() {
		text := pageText(sinkPage)
		for _, condition := range []string{
			dorav1alpha1.ConditionReady, dorav1alpha1.ConditionReconciling, dorav1alpha1.ConditionStalled, dorav1alpha1.ConditionParked,
		} {
			Expect(rowOf(text, condition)).NotTo(BeEmpty(), condition)
		}
		for _, column := range readCRD(sinks).Spec.Versions[0].AdditionalPrinterColumns {
			if column.Priority == 0 && column.Name != "Age" {
				Expect(rowOf(text, strings.ToUpper(column.Name))).NotTo(BeEmpty(), column.Name)
			}
		}
		for _, said := range []string{dorav1alpha1.AnnotationRetry, dorav1alpha1.AnnotationResend, dorav1alpha1.ConditionSinksMissing} {
			Expect(text).To(ContainSubstring("`" + said + "`"))
		}
	})
})

var _ = Describe("What the page docs/dorasink.md says of filters", func() {
	It("can be read", func() {
		shown := blocksOf(sinkPage, "cel")
		Expect(shown).To(HaveLen(1))
		for line := range strings.Lines(shown[0]) {
			_, err := filter.New(strings.TrimSpace(line))
			Expect(err).NotTo(HaveOccurred(), line)
			Expect(try(dorasink(string(must(json.Marshal(map[string]any{"type": "Stdout", "filter": line})))))).To(Succeed())
		}
	})

	It("leaves out no variable and no value", func() {
		text := pageText(sinkPage)
		_, err := filter.New("event.nothing")
		_, names, found := strings.Cut(err.Error(), "there are ")
		Expect(found).To(BeTrue(), err.Error())
		for name := range strings.SplitSeq(names, ", ") {
			Expect(rowOf(text, name)).NotTo(BeEmpty(), name)
		}
		for name, values := range map[string][]string{
			"event.type":    {string(dora.TypeDeploy), string(dora.TypeDegraded), string(dora.TypeRecovered)},
			"event.outcome": {string(dora.Succeeded), string(dora.Failed), string(dora.RolledBack), string(dora.Unknown)},
			"event.change":  {string(dora.ChangeImage), string(dora.ChangeConfig)},
			"event.basis":   {string(dora.BasisLive), string(dora.BasisHistory), string(dora.BasisPartialSync), string(dora.BasisAPI)},
		} {
			for _, value := range values {
				Expect(rowOf(text, name)).To(ContainSubstring("`"+value+"`"), name)
			}
		}
	})
})

var _ = Describe("What the page docs/dorasink.md says of Secrets", Ordered, func() {
	It("makes Secrets with keys that it tells of", func() {
		text, folder, made := pageText(sinkPage), GinkgoT().TempDir(), []string{}
		for _, command := range commandsOf(sinkPage, "kubectl create secret generic ") {
			args := withFiles(folder, strings.Fields(command)[1:])
			var secret corev1.Secret
			Expect(yaml.Unmarshal([]byte(kubectl(append(args, "--dry-run=client", "-o", "yaml")...)), &secret)).To(Succeed())
			for key := range secret.Data {
				Expect(text).To(MatchRegexp("(?m)^\\|.*`"+key+"`.*\\|$"), key)
			}
			made = append(made, secret.Name)
		}
		Expect(made).To(ConsistOf("port", "warehouse", "events"))
		for _, block := range blocksOf(sinkPage, "yaml") {
			for _, named := range regexp.MustCompile(`secretRef: {name: (\w+)}`).FindAllStringSubmatch(block, -1) {
				Expect(made).To(ContainElement(named[1]), block)
			}
		}
	})

	It("lets them be read, all of a namespace or some", func() {
		kubectl("apply", "--server-side", "--force-conflicts", "-k", root+"/config/default")
		makeNamespace("all-secrets", nil)
		makeNamespace("some-secrets", nil)
		bind := commandsOf(sinkPage, "kubectl create rolebinding ")
		Expect(bind).To(HaveLen(2))
		role := commandsOf(sinkPage, "kubectl create role ")
		Expect(role).To(HaveLen(1))
		for command, namespace := range map[string]string{bind[0]: "all-secrets", role[0]: "some-secrets", bind[1]: "some-secrets"} {
			kubectl(strings.Fields(strings.ReplaceAll(command, "NAMESPACE", namespace))[1:]...)
		}
		Expect(allowed("get core secrets any", "all-secrets")).To(BeTrue())
		Expect(allowed("get core secrets port", "some-secrets")).To(BeTrue())
		Expect(allowed("get core secrets warehouse", "some-secrets")).To(BeTrue())
		Expect(allowed("get core secrets any", "some-secrets")).To(BeFalse())
		Expect(allowed("list core secrets", "all-secrets")).To(BeFalse())
		Expect(allowed("get core secrets port", "default")).To(BeFalse())
	})
})

// ownField are the fields that the page's tables tell of: those of the spec and of the status, without what a reference or a condition consists of.
var ownField = regexp.MustCompile(`^(?:spec|status)\.((?:(?:port|postgres|cloudEvents|requests|port\.blueprints|port\.deploymentStatus)\.)?\w+)$`)

// rowOf is the row of a table whose first cell names something; empty if there is none.
func rowOf(text, name string) string {
	return regexp.MustCompile("(?m)^\\| (?:[^|]*, )?`" + regexp.QuoteMeta(name) + "`(?:, [^|]*)? \\|.*$").FindString(text)
}

// partOf is what stands below a heading.
func partOf(text, heading string) string {
	GinkgoHelper()
	_, part, found := strings.Cut(text, "\n### "+heading+"\n\n")
	Expect(found).To(BeTrue(), "%s has no part", heading)
	part, _, _ = strings.Cut(part, "\n#")
	return part
}

// plain is a value of a schema as the page writes it.
func plain(raw []byte) string {
	return strings.ReplaceAll(strings.ReplaceAll(string(raw), `"`, ""), ",", ", ")
}

// withFiles makes the files that a command reads keys from, and names them instead.
func withFiles(folder string, args []string) []string {
	GinkgoHelper()
	for i, arg := range args {
		if key, file, ok := strings.Cut(strings.TrimPrefix(arg, "--from-file="), "="); ok && strings.HasPrefix(arg, "--from-file=") {
			Expect(os.WriteFile(folder+"/"+file, []byte("said by "+file), 0o600)).To(Succeed())
			args[i] = "--from-file=" + key + "=" + folder + "/" + file
		}
	}
	return args
}
