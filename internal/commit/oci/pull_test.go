package oci

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// config is a docker config whose entries have their own name as a password.
func config(t *testing.T, entries ...string) []byte {
	t.Helper()
	auths := map[string]authn.AuthConfig{}
	for _, entry := range entries {
		auths[entry] = authn.AuthConfig{Username: "robot", Password: entry}
	}
	text, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func passwords(t *testing.T, image string, pull ...[]byte) []string {
	t.Helper()
	at, err := parseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := matching(pull, at)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, key := range keys {
		c, err := key.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, c.Password)
	}
	return found
}

// The rows about my-registry.example are those of https://kubernetes.io/docs/concepts/containers/images/#config-json; the others follow
// the kubelet's own tests in pkg/credentialprovider.
func TestCredentialsMatchAsTheKubeletMatchesThem(t *testing.T) {
	for _, c := range []struct {
		entry, image string
		want         bool
	}{
		{"my-registry.example/images", "my-registry.example/images", true},
		{"my-registry.example/images", "my-registry.example/images/my-image", true},
		{"my-registry.example/images", "my-registry.example/images/another-image", true},
		{"my-registry.example/images", "sub.my-registry.example/images/my-image", false},
		{"*.my-registry.example/images", "sub.my-registry.example/images/my-image", true},
		{"*.my-registry.example/images", "my-registry.example/images/my-image", false},
		{"*.my-registry.example/images", "a.sub.my-registry.example/images/my-image", false},
		{"*.my-registry.example/images", "a.b.sub.my-registry.example/images/my-image", false},
		{"*.my-registry.example/images", "sub.my-registry.example/other/my-image", false},

		{"*.kubernetes.io", "prefix.kubernetes.io/app", true},
		{"prefix.*.io", "prefix.kubernetes.io/app", true},
		{"pre*.kubernetes.io", "prefix.kubernetes.io/app", true},
		{"*.*.kubernetes.io", "prefix.kubernetes.io/app", false},
		{"*", "kubernetes.io/app", false},
		{"*.kubernetes.io", "kubernetes.io/app", false},
		{"kubernetes.io:1111", "kubernetes.io:1111/app", true},
		{"*.io:1111", "kubernetes.io:1111/app", true},
		{"kubernetes.io:1111", "kubernetes.io/app", false},
		{"kubernetes.io", "kubernetes.io:1111/app", false},
		{"kubernetes.io:*", "kubernetes.io:1111/app", false},
		{"*.kubernetes.io/path", "prefix.kubernetes.io/path/app", true},
		{"kubernetes.io/path/", "kubernetes.io/path/app", true},
		{"kubernetes.io/path/", "kubernetes.io/pathology/app", false},
		{"https://registry.example.com", "registry.example.com/app", true},
		{"http://registry.example.com", "registry.example.com/app", true},
		{"https://registry.example.com/", "registry.example.com/app", true},
		{"https://registry.example.com/v1/", "registry.example.com/app", true},
		{"https://registry.example.com/v2/", "registry.example.com/app", true},
		{"https://registry.example.com/v2/team", "registry.example.com/team/app", true},
		{"https://registry.example.com/v2/team", "registry.example.com/other/app", false},
		{"registry.example.com/v10", "registry.example.com/app", false},

		{"https://index.docker.io/v1/", "nginx", true},
		{"https://index.docker.io/v1/", "team/app:v1", true},
		{"https://index.docker.io/v1/", "docker.io/team/app", true},
		{"https://index.docker.io/v1/", "registry.example.com/team/app", false},
		{"index.docker.io", "nginx@sha256:" + strings.Repeat("0", 64), true},
		{"docker.io", "nginx", true},
		{"docker.io/library", "nginx", true},
		{"docker.io/team", "nginx", false},
		{"index.docker.io/team", "team/app", true},

		{"registry.example.com", "evil-registry.example.com/app", false},
		{"registry.example.com", "registry.example.com.evil.example/app", false},
		{"registry.example.com/team", "evil.example/registry.example.com/team", false},
		{"user@registry.example.com", "registry.example.com/app", false},
		{"[", "registry.example.com/app", false},
		{"", "registry.example.com/app", false},
		{"/", "nginx", false},
	} {
		if got := passwords(t, c.image, config(t, c.entry)); (len(got) == 1) != c.want {
			t.Errorf("%s for %s: %v, want %v", c.entry, c.image, got, c.want)
		}
	}
}

func TestTheMostSpecificCredentialsComeFirst(t *testing.T) {
	other := []byte(`{"auths":{"my-registry.example/images":{"username":"robot","password":"of the second"}}}`)
	got := passwords(t, "my-registry.example/images/subpath/app:v1", config(t, "my-registry.example", "my-registry.example/images", "elsewhere.example"), other)
	if want := []string{"my-registry.example/images", "of the second", "my-registry.example"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReferencesAreReadAsPodsWriteThem(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for image, want := range map[string][4]string{
		"nginx":                              {"index.docker.io", "docker.io", "library/nginx", "latest"},
		"nginx:1.27":                         {"index.docker.io", "docker.io", "library/nginx", "1.27"},
		"team/app:v1":                        {"index.docker.io", "docker.io", "team/app", "v1"},
		"docker.io/nginx":                    {"index.docker.io", "docker.io", "library/nginx", "latest"},
		"index.docker.io/team/app":           {"index.docker.io", "docker.io", "team/app", "latest"},
		"localhost/app":                      {"localhost", "localhost", "app", "latest"},
		"ghcr.io/team/app":                   {"ghcr.io", "ghcr.io", "team/app", "latest"},
		"registry.example.com:5000/a/b/c:v1": {"registry.example.com:5000", "registry.example.com:5000", "a/b/c", "v1"},
		"registry.example.com:5000/app@" + digest: {"registry.example.com:5000", "registry.example.com:5000", "app", digest},
		"ghcr.io/team/app:v1@" + digest:           {"ghcr.io", "ghcr.io", "team/app", digest},
		"[2001:db8::1]:5000/app:v1":               {"[2001:db8::1]:5000", "[2001:db8::1]:5000", "app", "v1"},
	} {
		at, err := parseReference(image)
		if got := [4]string{at.registry.RegistryStr(), at.domain, at.path, at.which}; err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", image, got, err, want)
		}
	}
}

func FuzzPullSecrets(f *testing.F) {
	f.Add([]byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"cm9ib3Q6Y2FuYXJ5"}}}`), "nginx:1.27")
	f.Add([]byte(`{"auths":{"*.example.com:5000/team":{"username":"robot","password":"canary"}},"credsStore":"x"}`), "a.example.com:5000/team/app")
	f.Add([]byte(`{"auths":{"[::1]/a":{"identitytoken":"canary"},"":{"registrytoken":"canary"}}}`), "[::1]/a:b")
	f.Add([]byte(`{"auths":{"[a-":{"auth":"canary"}}}`), "a/b")
	f.Add([]byte(`{"auths":null}`), "a")
	f.Fuzz(func(t *testing.T, secret []byte, image string) {
		at, err := parseReference(image)
		if err != nil {
			return
		}
		if strings.ContainsAny(at.path, "?#%\\ ") || strings.Contains("/"+at.path+"/", "/../") || strings.Contains("/"+at.path+"/", "/./") {
			t.Errorf("%q becomes the path %q", image, at.path)
		}
		keys, err := matching(commit.PullSecrets{secret}, at)
		if err != nil && err.Error() != commit.ErrSecret.Error()+": pull secret 1 of 1 is no docker config in JSON with auths by registry" {
			t.Errorf("the error is not ours: %v", err)
		}
		if len(keys) > maxKeys {
			t.Errorf("%d credentials", len(keys))
		}
	})
}
