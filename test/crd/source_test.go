package crd_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/kube"
)

const (
	sayURL        = "url is the address of a git repository, without credentials, such as https://github.com/acme/checkout or git@github.com:acme/checkout.git"
	sayTemplate   = "template is an address with placeholders after its host: {name}, {namespace}, {service}, {image} or {labels.KEY}, such as https://github.com/acme/{service}"
	sayOneOf      = "set one of url, template and fromAnnotation"
	sayAnnotation = "the key of an annotation is letters, digits, '-', '_' and '.', after an optional prefix and '/', such as example.com/repository"
	sayPath       = "path is a folder within the repository, without a slash at its ends and without blanks, such as services/checkout or services/{service}; it may hold {name}, {namespace}, {service}, {image} and {labels.KEY}"
	saySecret     = "the name of a Secret is lower-case letters, digits, '-' and '.'"
	sayHosts      = "secretRef needs hosts: the repository is told by an annotation or an image, so say which hosts the credentials may be sent to"
	sayHost       = "a host is a name in lower-case letters, and a port if it is not the usual one, such as github.com or git.example.com:8443"
	sayNoGroup    = "tagPattern has no group named sha: write (?P<sha>[0-9a-f]{7,40}) where the commit stands"
	sayPattern    = "tagPattern is no regular expression in the syntax of RE2"
)

var _ = Describe("spec.source", func() {
	It("has defaults that are not there without it", func() {
		given := target(`{applications: {}, source: {}}`)
		Expect(try(given)).To(Succeed())
		Expect(given.Object["spec"]).To(HaveKeyWithValue("source", Equal(map[string]any{"provider": "Auto", "time": "committer"})))
	})

	DescribeTable("is refused without repeating an address that may have a password in it",
		func(repository string) {
			err := try(target(`{applications: {}, source: {repository: ` + repository + `}}`))
			Expect(err).To(MatchError(ContainSubstring("Invalid value")))
			Expect(err.Error()).NotTo(ContainSubstring("hunter2"))
		},
		Entry("in a url", `{url: "https://me:hunter2@github.com/acme/checkout"}`),
		Entry("in a template", `{template: "https://me:hunter2@github.com/acme/{service}"}`),
	)

	It("says where a pattern goes wrong", func() {
		err := try(target(`{applications: {}, source: {tagPattern: "^(?P<sha>[0-9a-f]{7,40}$"}}`))
		Expect(err).To(MatchError(ContainSubstring("missing closing )")))
	})

	// The schema and the controller read addresses, hosts and patterns each for themselves.
	It("is understood by the controller wherever the server admits it", func() {
		for _, spec := range acceptableSources() {
			given := &dorav1alpha1.DoraTarget{}
			Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(target(spec).Object, given)).To(Succeed())
			Expect(kube.NewTargets(nil, nil).Read(given).Refused).To(BeNil(), spec)
		}
	})

	It("is explained by kubectl", func() {
		Expect(unwrapped(kubectl("explain", "dt.spec.source"))).To(
			ContainSubstring("source says where the commits of a deployment are found, for the lead time for changes."))
		Expect(unwrapped(kubectl("explain", "dt.spec.source.repository.template"))).To(
			ContainSubstring("{name} and {namespace} of the object, {service}, {image} (the last part of the image's name) and {labels.KEY}"))
	})
})

// acceptableSources stand at, or within, the edge of a rule of spec.source.
func acceptableSources() []string {
	sources := []string{
		`{}`,
		`{repository: {url: "https://github.com/acme/checkout"}, secretRef: {name: github}}`,
		`{repository: {template: "https://github.com/acme/{service}"}, secretRef: {name: github-app.v2}}`,
		`{repository: {fromAnnotation: example.com/repository}, secretRef: {name: git}, hosts: [git.example.com]}`,
		`{repository: {fromAnnotation: repository}}`,
		`{secretRef: {name: git}, hosts: [github.com, "git.example.com:8443", "10.0.0.1", "[2001:db8::1]", "[::ffff:10.0.0.1]:8443", a, git_lab.internal]}`,
		fmt.Sprintf(`{hosts: [%s]}`, list(16, "h%d.example.com")),
		`{pullSecrets: []}`,
		fmt.Sprintf(`{pullSecrets: [%s]}`, list(8, "{name: s%d}")),
		fmt.Sprintf(`{secretRef: {name: %s}, hosts: [a]}`, strings.Repeat("s", 253)),
		`{provider: Git}`, `{provider: GitHub}`, `{provider: GitLab}`, `{provider: Gitea}`, `{provider: Auto}`,
		`{time: author}`, `{time: committer}`, `{squash: true}`, `{backfill: true}`, `{image: "*/checkout"}`,
		fmt.Sprintf(`{path: %s}`, strings.Repeat("p", 512)),
		fmt.Sprintf(`{repository: {url: "https://github.com/%s"}}`, strings.Repeat("u", 493)),
		fmt.Sprintf(`{tagPattern: "(?P<sha>[0-9a-f]{7,40})%s"}`, strings.Repeat("x", 233)),
	}
	for format, texts := range map[string][]string{
		`{repository: {url: %q}}`: {
			"https://github.com/acme/checkout.git", "https://git.example.com:8443/acme/checkout/", "http://git.internal/x", "https://GitHub.com/Acme/Checkout",
			"https://gitlab.com/acme/shop/checkout/web", "https://dev.azure.com/acme/My%20Shop/_git/checkout", "https://git.example.com/~me/checkout",
			"https://192.0.2.1/x", "https://[2001:db8::1]:8443/x", "ssh://git@github.com/acme/checkout", "ssh://git@git.example.com:2222/acme/checkout.git",
			"ssh://git.example.com/checkout", "git@github.com:acme/checkout.git", "git@[2001:db8::1]:checkout", "git@git.example.com:/srv/git/checkout.git",
			"deploy.bot-1@git.example.com:checkout", "file:///srv/git/checkout.git",
		},
		`{repository: {template: %q}}`: {
			"https://github.com/acme/{service}", "https://github.com/{labels.team}/{image}", "https://git.example.com:8443/{labels.example.com/team}/{name}.git",
			"ssh://git@git.example.com:2222/{namespace}/{name}", "git@github.com:acme/{service}.git", "git@github.com:{labels.app.kubernetes.io/part-of}/{image}",
			"https://[2001:db8::1]/{namespace}-{name}", "https://github.com/acme/the-same-for-all",
		},
		`{path: %q}`: {
			"services/checkout", "a", "services/{service}", "{labels.example.com/team}/{service}/api", "{namespace}-{name}", "x/{image}.d", ".github", "..a/b..", "päth",
		},
		`{tagPattern: %q}`: {
			"^main-(?P<sha>[0-9a-f]{7,40})-[0-9]+$", `^v[0-9.]+-[0-9]+-g(?P<sha>[0-9a-f]{7,40})$`, "(?i)(?P<sha>[0-9A-F]{40})", "(?P<branch>.*)-(?P<sha>.{7})",
		},
	} {
		for _, text := range texts {
			sources = append(sources, fmt.Sprintf(format, text))
		}
	}
	specs := make([]string, len(sources))
	for i, source := range sources {
		specs[i] = `{applications: {}, source: ` + source + `}`
	}
	return specs
}

func sourceRefusals() []refusal {
	all := []refusal{
		{"squash over git's own protocol", `{squash: true, provider: Git}`, "", "squash needs a provider that knows pull requests: Auto, GitHub, GitLab or Gitea"},
		{"an empty repository", `{repository: {}}`, ".repository", sayOneOf},
		{"url and template", `{repository: {url: "https://github.com/a/b", template: "https://github.com/a/{service}"}}`, ".repository", sayOneOf},
		{"url and annotation", `{repository: {url: "https://github.com/a/b", fromAnnotation: repo}}`, ".repository", sayOneOf},
		{"template and annotation", `{repository: {template: "https://github.com/a/{service}", fromAnnotation: repo}}`, ".repository", sayOneOf},
		{"all three", `{repository: {url: "https://github.com/a/b", template: "https://github.com/a/{service}", fromAnnotation: repo}}`, ".repository", sayOneOf},
		{"an unknown field", `{repository: {URL: "https://github.com/a/b"}}`, "", `unknown field "spec.source.repository.URL"`},
		{"an annotation with a blank", `{repository: {fromAnnotation: "a b"}}`, ".repository.fromAnnotation", sayAnnotation},
		{"an empty annotation", `{repository: {fromAnnotation: ""}}`, ".repository.fromAnnotation", sayAnnotation},
		{"an address for an annotation", `{repository: {fromAnnotation: "https://github.com/a/b"}}`, ".repository.fromAnnotation", sayAnnotation},
		{"an annotation that is too long", fmt.Sprintf(`{repository: {fromAnnotation: %s}}`, strings.Repeat("a", 318)), ".repository.fromAnnotation", "may not be more than 317"},
		{"a url that is too long", fmt.Sprintf(`{repository: {url: "https://github.com/%s"}}`, strings.Repeat("u", 494)), ".repository.url", "may not be more than 512"},
		{"a template that is too long", fmt.Sprintf(`{repository: {template: "https://github.com/%s"}}`, strings.Repeat("u", 494)), ".repository.template", "may not be more than 512"},
		{"a path that is too long", fmt.Sprintf(`{path: %s}`, strings.Repeat("p", 513)), ".path", "may not be more than 512"},
		{"a path that is empty", `{path: ""}`, ".path", "should be at least 1 chars long"},
		{"an unknown provider", `{provider: Bitbucket}`, ".provider", `supported values: "Auto", "Git", "GitHub", "GitLab", "Gitea"`},
		{"a provider in lower case", `{provider: github}`, ".provider", `supported values: "Auto", "Git", "GitHub", "GitLab", "Gitea"`},
		{"a time of neither", `{time: merged}`, ".time", `supported values: "committer", "author"`},
		{"squash in words", `{squash: "yes"}`, ".squash", "must be of type boolean"},
		{"backfill in words", `{backfill: once}`, ".backfill", "must be of type boolean"},
		{"an image with a blank", `{image: "a b"}`, ".image", sayGlob},
		{"an image that is too long", fmt.Sprintf(`{image: %s}`, strings.Repeat("i", 256)), ".image", "may not be more than 255"},
		{"no host at all", `{hosts: []}`, ".hosts", "should have at least 1 items"},
		{"a host twice", `{hosts: [a, a]}`, ".hosts[1]", "Duplicate value"},
		{"too many hosts", fmt.Sprintf(`{hosts: [%s]}`, list(17, "h%d")), ".hosts", "must have at most 16 items"},
		{"a host that is too long", fmt.Sprintf(`{hosts: [%s]}`, strings.Repeat("h", 260)), ".hosts[0]", "may not be more than 259"},
		{"too many pull secrets", fmt.Sprintf(`{pullSecrets: [%s]}`, list(9, "{name: s%d}")), ".pullSecrets", "must have at most 8 items"},
		{"a pull secret twice", `{pullSecrets: [{name: a}, {name: a}]}`, ".pullSecrets[1]", "Duplicate value"},
		{"a pull secret without a name", `{pullSecrets: [{}]}`, ".pullSecrets[0].name", "Required value"},
		{"a pull secret with an empty name", `{pullSecrets: [{name: ""}]}`, ".pullSecrets[0].name", "should be at least 1 chars long"},
		{"a pull secret in another namespace", `{pullSecrets: [{name: other/pull}]}`, ".pullSecrets[0].name", saySecret},
		{"a pull secret whose name is too long", fmt.Sprintf(`{pullSecrets: [{name: %s}]}`, strings.Repeat("s", 254)), ".pullSecrets[0].name", "may not be more than 253"},
		{"a tagPattern that is empty", `{tagPattern: ""}`, ".tagPattern", "should be at least 1 chars long"},
		{"a tagPattern that is too long", fmt.Sprintf(`{tagPattern: "(?P<sha>[0-9a-f]{7,40})%s"}`, strings.Repeat("x", 234)), ".tagPattern", "may not be more than 256"},
		{"credentials without hosts for whatever an image tells", `{secretRef: {name: git}}`, "", sayHosts},
		{"credentials without hosts for whatever an annotation tells", `{secretRef: {name: git}, repository: {fromAnnotation: repo}}`, "", sayHosts},
	}
	all = append(all, secretRefusals()...)
	for _, group := range []struct {
		format, field, message string
		texts                  []string
	}{
		{`{repository: {url: %q}}`, ".repository.url", sayURL, append(badURLs("checkout"), "https://github.com/acme/{service}")},
		{`{repository: {template: %q}}`, ".repository.template", sayTemplate, append(badURLs("{service}"), badTemplates...)},
		{`{path: %q}`, ".path", sayPath, badPaths},
		{`{hosts: [%q]}`, ".hosts[0]", sayHost, badHosts},
		{`{tagPattern: %q}`, ".tagPattern", sayNoGroup, []string{"^main-([0-9a-f]{7,40})$", "sha", "(?P<commit>[0-9a-f]{7})", "(?P<SHA>[0-9a-f]{7})", `\(?P<sha>[0-9a-f]+\)`, `x\\\(?P<sha>a)`}},
		{`{tagPattern: %q}`, ".tagPattern", sayPattern, []string{"(?P<sha>[0-9a-f", "(?P<sha>a", "(?P<sha>a)(?P<sha>b)(", "(?=main)(?P<sha>a)", "(?P<sha>a{1001})", "*(?P<sha>a)", `(?P<sha>\d{7})\`}},
	} {
		for _, text := range group.texts {
			all = append(all, refusal{fmt.Sprintf("%s %q", group.field[1:], text), fmt.Sprintf(group.format, text), group.field, group.message})
		}
	}
	for i, r := range all {
		all[i] = refusal{"a source with " + r.why, `{applications: {}, source: ` + r.spec + `}`, "spec.source" + r.field, r.message}
		if strings.HasPrefix(r.message, "unknown field") {
			all[i].field = "strict decoding error"
		}
	}
	return all
}

func secretRefusals() []refusal {
	var all []refusal
	for _, c := range []refusal{
		{"without a name", `{}`, ".name", "Required value"},
		{"with an empty name", `{name: ""}`, ".name", "should be at least 1 chars long"},
		{"in another namespace", `{name: other/git}`, ".name", saySecret},
		{"in capitals", `{name: Git}`, ".name", saySecret},
		{"with a name that is too long", fmt.Sprintf(`{name: %s}`, strings.Repeat("s", 254)), ".name", "may not be more than 253"},
	} {
		all = append(all, refusal{"a secret " + c.why, `{hosts: [github.com], secretRef: ` + c.spec + `}`, ".secretRef" + c.field, c.message})
	}
	return all
}

// badURLs are wrong up to their last part, whatever that is.
func badURLs(last string) []string {
	urls := []string{""}
	for _, prefix := range []string{
		"", "github.com/acme/", "github.com:acme/", "//github.com/", "git://github.com/", "ftp://github.com/", "HTTPS://github.com/", "https:/github.com/",
		"https:///", "https://github.com//", "https://github.com:/", "https://github.com:https/", "https://github.com:123456/", "https://-oProxyCommand=x/",
		"https://me@github.com/", "https://me:pass@github.com/", "https://:pass@github.com/", "https://me%3Apass@github.com/", "ssh://git:pass@github.com/",
		"me:pass@github.com:", "git@me@github.com:", "-oProxyCommand=x@github.com:", "ssh://-oProxyCommand=x/", "git@:", "git@github.com/",
		"https://github.com\\@evil.example.com/", "https://github.com?x/", "https://github.com#x/", "https://bücher.example/", "https://[::1/", "https://{service}/",
		"https://{labels.host}/acme/", "https://git.{namespace}.example.com/", "https://git.example.com:{labels.port}/", "ssh://{labels.user}@github.com/", "git@{labels.host}:",
		" https://github.com/", "https://git hub.com/", "file://host/srv/", "file:", "-u", "ext::sh -c x ",
	} {
		urls = append(urls, prefix+last)
	}
	for _, suffix := range []string{"?token=x", "?", "#main", " ", "\n", "\t", "/a b", "\x7f", "\\x", "{", "}"} {
		urls = append(urls, "https://github.com/acme/"+last+suffix)
	}
	return append(urls, "https://github.com", "https://github.com/", "git@github.com:", "file:///", "https://")
}

var badTemplates = []string{
	"https://github.com/{foo}", "https://github.com/{labels}", "https://github.com/{labels.}", "https://github.com/{labels.a b}", "https://github.com/{}",
	"https://github.com/{Service}", "https://github.com/{{service}}", "https://github.com/{service.name}", "https://github.com/{annotations.repo}", "https://github.com/${service}x{",
	"{service}", "{labels.repository}", "file:///srv/git/{service}", "https://github.com{service}/x",
}

var badPaths = []string{
	"/services", "services/", "/", "a//b", ".", "..", "./a", "a/..", "../a", "a/../b", "a/./b", "a b", " a", "a\n", `a\b`, "a\x00b", "{foo}", "{labels}", "{labels.}",
	"{Service}", "services/{service", "services/}", "{labels.a/../b}", "{}",
}

var badHosts = []string{
	"", "https://github.com", "github.com/acme", "GitHub.com", "*.example.com", "*", "git@github.com", "github.com:", "github.com:https", "github.com:123456", "-github.com",
	"a b", "bücher.example", "[::1", "{labels.host}", "10.0.0.0/8", "2001:db8::1",
}
