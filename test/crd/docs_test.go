package crd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const page = root + "/docs/doratarget.md"

// blocks are the fenced parts of a page: their language and text.
var blocks = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?\n)```$")

// documented are the fields that the page's tables tell of, by their paths below spec and status.
var documented = regexp.MustCompile(`^(?:status|spec)\.(\w+)$|^spec\.((?:images|bands|applications|bands\.overrides)\.\w+)$`)

var _ = Describe("The page docs/doratarget.md", func() {
	It("shows objects that the server admits", func() {
		shown := blocksOf("yaml")
		Expect(shown).To(HaveLen(2))
		for _, text := range shown {
			object := &unstructured.Unstructured{}
			Expect(yaml.UnmarshalStrict([]byte(text), &object.Object)).To(Succeed())
			Expect(try(object)).To(Succeed())
		}
	})

	It("prints what kubectl prints", func() {
		var printed []string
		for _, golden := range []string{"get", "get-wide"} {
			text, err := os.ReadFile("testdata/" + golden + ".golden")
			Expect(err).NotTo(HaveOccurred())
			printed = append(printed, string(text))
		}
		Expect(blocksOf("console")).To(Equal([]string{
			"$ kubectl get doratargets\n" + printed[0],
			"$ kubectl get doratargets -o wide\n" + printed[1],
		}))
	})

	It("tells of every field of the spec and the status", func() {
		text := pageText()
		for path := range fieldsOf(readSchema(), "") {
			field := documented.FindStringSubmatch(path)
			if field == nil || path == "spec.images" {
				continue // told elsewhere, or part by part
			}
			Expect(strings.Contains(text, "`"+field[1]+field[2]+"`")).To(BeTrue(), path)
		}
	})

	It("tells of every figure", func() {
		text := pageText()
		for path := range fieldsOf(readSchema(), "") {
			if rest, ok := strings.CutPrefix(path, "status.summary."); ok {
				Expect(strings.Contains(text, "`"+rest[strings.LastIndex(rest, ".")+1:]+"`")).To(BeTrue(), path)
			}
		}
	})

	It("has a part for every reason that says what to do next", func() {
		text := pageText()
		reasons := reasonsOf(root + "/api/v1alpha1/conditions.go")
		Expect(len(reasons)).To(BeNumerically(">", 5), "the walk lost its way")
		for _, reason := range reasons {
			_, part, found := strings.Cut(text, "\n### "+reason+"\n")
			Expect(found).To(BeTrue(), "%s has no part", reason)
			part, _, _ = strings.Cut(part, "\n### ")
			if reason != "Followed" {
				Expect(part).To(Or(ContainSubstring("*Next:*"), ContainSubstring("*If it stays*")), reason)
			}
		}
	})
})

func pageText() string {
	GinkgoHelper()
	text, err := os.ReadFile(page)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func blocksOf(language string) []string {
	GinkgoHelper()
	var texts []string
	for _, block := range blocks.FindAllStringSubmatch(pageText(), -1) {
		if block[1] == language {
			texts = append(texts, block[2])
		}
	}
	return texts
}

// reasonsOf reads the reasons from the code, so that a new one cannot be forgotten here.
func reasonsOf(file string) []string {
	GinkgoHelper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	Expect(err).NotTo(HaveOccurred())
	reasons := map[string]bool{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			reasons[strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)] = true
		}
		return true
	})
	return slices.Sorted(maps.Keys(reasons))
}
