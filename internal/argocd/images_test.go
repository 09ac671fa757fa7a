package argocd

import (
	"slices"
	"testing"
)

func TestImageOverrides(t *testing.T) {
	const digest = "@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
	for override, want := range map[string]string{
		"web:v2":                                     "web:v2",
		"registry.example.com/acme/web:v2":           "registry.example.com/acme/web:v2",
		"registry.example.com:5000/web:v2":           "registry.example.com:5000/web:v2",
		"web=registry.example.com/acme/web:v2":       "registry.example.com/acme/web:v2",
		"ghcr.io/acme/web=ghcr.io/acme/web:v2":       "ghcr.io/acme/web:v2",
		"web=registry.example.com/acme/web" + digest: "registry.example.com/acme/web" + digest,
		"web:v2" + digest:                            "web:v2" + digest,
		"web" + digest:                               "web" + digest,
		"web=registry.example.com/acme/web":          "", // the tag is the manifest's
		"registry.example.com:5000/web":              "",
		"web":                                        "",
		"web=*:v2":                                   "", // the name is the kustomization's
		"web=registry.example.com/web:*":             "",
		"web=:v2":                                    "",
		"WEB:v2":                                     "",
		"=":                                          "",
		"":                                           "",
	} {
		if got, full := overrideImage(override); got != want || full != (want != "") {
			t.Errorf("%q: got %q (%v), want %q", override, got, full, want)
		}
	}
}

func TestEveryKustomizeSourceNamesImages(t *testing.T) {
	app := withStatus(t, `"history":[
		{"source":{"kustomize":{"images":["web:v1","web","envoy:v1"]}}},
		{"sources":[{"helm":{"values":"x"}},{"kustomize":{"images":["web:v2"]}},{"kustomize":{"images":["web:v2","db:v3"]}}]},
		{"source":{"path":"."}}]`)
	for i, want := range [][]string{{"web:v1", "envoy:v1"}, {"web:v2", "db:v3"}, nil} {
		if got := app.History[i].Images; !slices.Equal(got, want) {
			t.Errorf("entry %d: got %q, want %q", i, got, want)
		}
	}
}
