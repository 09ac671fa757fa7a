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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// The pages of the kinds.
const (
	targetPage = root + "/docs/doratarget.md"
	sinkPage   = root + "/docs/dorasink.md"
	senderPage = root + "/docs/dorareceiver.md"
)

// blocks are the fenced parts of a page: their language and text.
var blocks = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?\n)```$")

// documented are the fields that the page's tables tell of, by their paths below spec and status.
var documented = regexp.MustCompile(
	`^(?:status|spec)\.(\w+)$|^spec\.((?:images|bands|applications|bands\.overrides|source|source\.repository)\.\w+)$|^status\.((?:commits|backfill)\.\w+)$`)

var _ = Describe("The page docs/doratarget.md", func() {
	It("shows objects that the server admits", func() {
		shown := blocksOf(targetPage, "yaml")
		Expect(shown).To(HaveLen(5))
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
		Expect(blocksOf(targetPage, "console")).To(Equal([]string{
			"$ kubectl get doratargets\n" + printed[0],
			"$ kubectl get doratargets -o wide\n" + printed[1],
		}))
	})

	It("tells of every field of the spec and the status", func() {
		text := pageText(targetPage)
		for path := range fieldsOf(readSchema(targets), "") {
			field := documented.FindStringSubmatch(path)
			if field == nil || path == "spec.images" {
				continue // told part by part
			}
			Expect(strings.Contains(text, "`"+field[1]+field[2]+field[3]+"`")).To(BeTrue(), path)
		}
	})

	It("tells of every figure", func() {
		text := pageText(targetPage)
		for path := range fieldsOf(readSchema(targets), "") {
			if rest, ok := strings.CutPrefix(path, "status.summary."); ok {
				Expect(strings.Contains(text, "`"+rest[strings.LastIndex(rest, ".")+1:]+"`")).To(BeTrue(), path)
			}
		}
	})

	It("has a part for every reason that says what to do next", func() {
		text := pageText(targetPage)
		reasons := append(reasonsOf(root+"/api/v1alpha1/conditions.go", "Reason", ""), dorav1alpha1.ReasonSinkNotFound)
		Expect(len(reasons)).To(BeNumerically(">", 5), "the walk lost its way")
		waiting := reasonsOf(root+"/internal/commit/reason.go", "", "it is tried again")
		Expect(waiting).To(ContainElements("Unreachable", "SecretNotUsable"), "the walk lost its way")
		reasons = append(reasons, append(waiting, string(commit.CommitNotFound))...)
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

// patterns are the lines of the page's table of tag patterns: a tag, the pattern, and the commit.
var patterns = regexp.MustCompile("(?m)^\\| .* \\| `([^`]+)` \\| `([^`]*\\(\\?P<sha>[^`]*)` \\| `([0-9a-f]+)` \\|$")

var _ = Describe("What the page docs/doratarget.md says of commits", func() {
	It("reads its tags by its patterns", func() {
		shown := patterns.FindAllStringSubmatch(pageText(targetPage), -1)
		Expect(shown).To(HaveLen(3))
		for _, line := range shown {
			Expect(try(target(`{applications: {}, source: {tagPattern: '` + line[2] + `'}}`))).To(Succeed())
			Expect(must(dora.ParseTagPattern(line[2])).Commit(line[1])).To(Equal(line[3]))
		}
		for _, tag := range []string{"3f9c2d1", "v1.42.0-3f9c2d1", "sha-3f9c2d1"} {
			Expect(pageText(targetPage)).To(ContainSubstring("`" + tag + "`"))
			Expect(dora.CommitFromTag(tag)).To(Equal("3f9c2d1"))
		}
	})

	It("tells of every key that a Secret may have", func() {
		for _, key := range commit.CredentialKeys() {
			Expect(strings.Contains(pageText(targetPage), "`"+key+"`")).To(BeTrue(), key)
		}
	})

	It("makes Secrets that can be read", func() {
		folder, made := GinkgoT().TempDir(), 0
		for _, command := range commandsOf(targetPage, "kubectl create secret generic ") {
			args := withFiles(folder, strings.Fields(command)[1:])
			var secret corev1.Secret
			Expect(yaml.Unmarshal([]byte(kubectl(append(args, "--dry-run=client", "-o", "yaml")...)), &secret)).To(Succeed())
			Expect(must(commit.ReadCredentials(secret.Data))).NotTo(BeZero(), command)
			made++
		}
		Expect(made).To(Equal(3))
	})
})

// commandsOf are the lines that begin so in what the page tells people to run.
func commandsOf(page, begin string) []string {
	GinkgoHelper()
	var commands []string
	for _, block := range blocksOf(page, "sh") {
		for line := range strings.Lines(block) {
			if strings.HasPrefix(line, begin) {
				commands = append(commands, strings.TrimSpace(line))
			}
		}
	}
	return commands
}

func pageText(page string) string {
	GinkgoHelper()
	text, err := os.ReadFile(page)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func blocksOf(page, language string) []string {
	GinkgoHelper()
	var texts []string
	for _, block := range blocks.FindAllStringSubmatch(pageText(page), -1) {
		if block[1] == language {
			texts = append(texts, block[2])
		}
	}
	return texts
}

// reasonsOf reads the reasons from the code, so that a new one cannot be forgotten here: constants whose names begin so, in groups whose
// comments say so.
func reasonsOf(file, prefix, comment string) []string {
	GinkgoHelper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	Expect(err).NotTo(HaveOccurred())
	reasons := map[string]bool{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if group, ok := node.(*ast.GenDecl); ok && group.Tok == token.CONST && !strings.Contains(group.Doc.Text(), comment) {
			return false
		}
		if spec, ok := node.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, prefix) && len(spec.Values) == 1 {
			if value, ok := spec.Values[0].(*ast.BasicLit); ok {
				reasons[strings.Trim(value.Value, `"`)] = true
			}
		}
		return true
	})
	return slices.Sorted(maps.Keys(reasons))
}
