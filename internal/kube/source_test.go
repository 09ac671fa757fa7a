package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// spec is a spec.source that is written as YAML.
func spec(t *testing.T, text string) *dorav1alpha1.Source {
	t.Helper()
	source := &dorav1alpha1.Source{}
	if err := yaml.UnmarshalStrict([]byte(text), source); err != nil {
		t.Fatal(err)
	}
	return source
}

func TestNoSourceIsNone(t *testing.T) {
	source, err := readSource(nil)
	if source != nil || err != nil {
		t.Error(source, err)
	}
}

func TestHostsThatCredentialsMayBeSentTo(t *testing.T) {
	for name, test := range map[string]struct {
		source string
		want   []string
	}{
		"the url's":                      {`{repository: {url: "https://github.com/acme/checkout"}}`, []string{"github.com"}},
		"the url's, with its port":       {`{repository: {url: "https://Git.Example.com:8443/x"}}`, []string{"git.example.com:8443"}},
		"the url's, of git's short form": {`{repository: {url: "git@github.com:acme/checkout.git"}}`, []string{"github.com"}},
		"the template's":                 {`{repository: {template: "ssh://git@git.example.com:2222/{labels.team}/{service}"}}`, []string{"git.example.com:2222"}},
		"the template's, of short form":  {`{repository: {template: "git@github.com:{labels.a/b}/{image}"}}`, []string{"github.com"}},
		"those that are named": {
			`{repository: {url: "https://github.com/acme/checkout"}, hosts: [ghcr.io, github.com]}`, []string{"ghcr.io", "github.com"},
		},
		"those that are named, of an annotation":   {`{repository: {fromAnnotation: repo}, hosts: [github.com]}`, []string{"github.com"}},
		"none, where an image tells":               {`{}`, nil},
		"none, where an annotation tells":          {`{repository: {fromAnnotation: repo}}`, nil},
		"none for a folder":                        {`{repository: {url: "file:///srv/git/checkout"}}`, nil},
		"those that are named, though of a folder": {`{repository: {url: "file:///srv/git/checkout"}, hosts: [a]}`, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := readSource(spec(t, test.source))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, source.hosts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestASourceThatCannotBeReadNamesTheField(t *testing.T) {
	const url, template = "spec.source.repository.url", "spec.source.repository.template"
	for source, want := range map[string]string{
		`{tagPattern: "(?P<sha>"}`:                                                                   "spec.source.tagPattern: it is no regular expression",
		`{tagPattern: "^main-"}`:                                                                     "spec.source.tagPattern: it has no group named sha",
		`{repository: {url: "ftp://github.com/acme"}}`:                                               url + ": write it as",
		`{repository: {url: "github.com/acme/checkout"}}`:                                            url + ": write it as",
		`{repository: {url: "https://me:hunter2@/"}}`:                                                url + ": ",
		`{repository: {template: "ftp://github.com/{service}"}}`:                                     template + ": write it as",
		`{repository: {url: "https://github.com/acme/checkout"}, hosts: [gitlab.com]}`:               "spec.source.hosts: github.com, the host of repository.url, is not among them",
		`{repository: {url: "https://github.com:8443/acme/x"}, hosts: [github.com]}`:                 "spec.source.hosts: github.com:8443, the host of repository.url",
		`{repository: {template: "https://github.com/acme/{service}"}, hosts: [evil.github.com, g]}`: "spec.source.hosts: github.com, the host of repository.template",
	} {
		compiled := compile(target(t, "shop/all", `{applications: {}, source: `+source+`}`, 0), false)
		if compiled.Refused == nil || compiled.Refused.Reason != dorav1alpha1.ReasonInvalidSpec {
			t.Errorf("%s: it is not refused: %v", source, compiled.Refused)
			continue
		}
		if got := compiled.Refused.Message; !strings.HasPrefix(got, "Correct the spec: "+want) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: got %q, want %q", source, got, want)
		}
		if compiled.Source != nil || compiled.Selects("Application", "shop", nil) {
			t.Errorf("%s: it follows something", source)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	object := &described{
		name: "checkout-eu", namespace: "shop", service: "checkout", image: "registry.example.com:5000/acme/web@sha256:abc",
		labels: map[string]string{"team": "buy", "example.com/tier": "front", "empty": ""},
	}
	for text, want := range map[string]string{
		"":                                     "",
		"plain":                                "plain",
		"{name}-{namespace}/{service}/{image}": "checkout-eu-shop/checkout/web",
		"{labels.team}/{labels.example.com/tier}": "buy/front",
		"{service}{service}":                      "checkoutcheckout",
		"{labels.owner}":                          "! {labels.owner}: the object has no such label",
		"{labels.empty}":                          "! {labels.empty}: the object has no such label",
		"{labels}":                                "! {labels}: the object has no such label",
		"{service}/{foo}/{labels.owner}":          "! {foo}: there is no such placeholder",
		"{Service}":                               "! {Service}: there is no such placeholder",
		"{service.name}":                          "! {service.name}: there is no such placeholder",
		"{}":                                      "! {}: there is no such placeholder",
	} {
		got, err := object.fill(text)
		if err != nil {
			got = "! " + err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// Whoever deploys names the image, and not where the credentials of the target lead.
func TestAnImageLeadsNowhereElse(t *testing.T) {
	for image, want := range map[string]string{
		"acme/web:1.2":         "web",
		"web":                  "web",
		"localhost:5000/web_2": "web_2",
		"":                     "! {image}: no image of this version may carry the commit",
		"acme/":                "! {image}: no image of this version may carry the commit",
		"acme/..":              `! {image}: ".." cannot be a part of an address`,
		"acme/%2e%2e%2fsecret": `! {image}: "%2e%2e%2fsecret" cannot be a part of an address`,
		"acme/web?x":           `! {image}: "web?x" cannot be a part of an address`,
		"acme/web#x":           `! {image}: "web#x" cannot be a part of an address`,
		`acme/..\secret`:       `! {image}: "..\\secret" cannot be a part of an address`,
	} {
		got, err := (&described{image: image}).fill("{image}")
		if err != nil {
			got = "! " + err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", image, got, want)
		}
	}
}

// The oldest target judges, and the oldest that has a source says where commits are found, suspended or not.
func TestTheOldestTargetWithASourceDecidesWhereCommitsAreFound(t *testing.T) {
	const suspended = `{applications: {}, suspend: true, source: {image: "*/web", tagPattern: "^(?P<sha>[0-9a-f]{7})$", backfill: true}}`
	read := func(key, spec string, age time.Duration) *Target { return compile(target(t, key, spec, age), false) }
	without := read("shop/a", `{applications: {}}`, 3*time.Hour)
	first := read("shop/b", suspended, 2*time.Hour)
	second := read("shop/c", `{applications: {}, source: {image: "*/api"}}`, time.Hour)
	for name, test := range map[string]struct {
		selection Selection
		want      *Target
		image     string
	}{
		"no target":              {nil, nil, ""},
		"none has one":           {Selection{without}, nil, ""},
		"a younger one has one":  {Selection{without, second}, second, "*/api"},
		"the older of two":       {Selection{without, first, second}, first, "*/web"},
		"also if it is the last": {Selection{first}, first, "*/web"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.selection.sourced(); got != test.want {
				t.Errorf("decided by %v", got)
			}
			if len(test.selection) == 0 {
				return
			}
			policy := test.selection.Policy("checkout", nil)
			if policy.CommitImage != test.image || policy.ImportHistory != (test.want == first) {
				t.Errorf("the policy reads %q and imports history: %v", policy.CommitImage, policy.ImportHistory)
			}
			if test.want == first && policy.Tags.Commit("abcdef1") != "abcdef1" {
				t.Error("the policy does not have the pattern")
			}
		})
	}
	if trusted := (Selection{without}).commits().hosts; len(trusted) > 0 {
		t.Errorf("without a source %v are trusted", trusted)
	}
}
