package oci_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/oci"
)

var told = commit.Labels{Revision: sha, Source: home}

func TestWhatAnImageSays(t *testing.T) {
	both, base := keyed{revision: sha, source: home}, keyed{revision: foreign, source: "https://git.example.com/base"}
	labelled, silent := image(t, both, nil), image(t, nil, nil)
	docker := imageOf(t, types.DockerManifestSchema2, types.DockerConfigJSON, both, nil)
	list := index(t, nil, part{labelled, "linux/amd64", nil})
	list.kind = types.DockerManifestList
	for story, c := range map[string]struct {
		pushed made
		want   commit.Labels
	}{
		"labels in the config":                   {labelled, told},
		"labels in the config of a Docker image": {docker, told},
		"annotations of the manifest":            {image(t, nil, both), told},
		"both, and they agree":                   {image(t, both, both), told},
		"both, in another spelling":              {image(t, keyed{revision: "5F0C2A8D9BE14C7D0A3B6F1E2D4C5B6A79808182", source: home + ".git"}, both), told},
		"one each":                               {image(t, keyed{revision: sha}, keyed{source: home}), told},
		"neither":                                {silent, commit.Labels{}},
		"only a revision":                        {image(t, keyed{revision: sha}, nil), commit.Labels{Revision: sha}},
		"only a source":                          {image(t, keyed{source: home}, nil), commit.Labels{Source: home}},
		"an abbreviated revision is left to who reads it": {image(t, keyed{revision: "5f0c2a8"}, nil), commit.Labels{Revision: "5f0c2a8"}},
		"space around them":             {image(t, keyed{revision: " " + sha + "\n", source: home + " "}, nil), told},
		"an unreasonably long one":      {image(t, keyed{revision: string(make([]byte, 4000)), source: home}, nil), commit.Labels{Source: home}},
		"the older labels are not read": {image(t, keyed{"org.label-schema.vcs-ref": sha, "org.label-schema.vcs-url": home}, nil), commit.Labels{}},

		"BuildKit kept the base image's labels":     {image(t, base, both), commit.Labels{}},
		"Buildah kept the base image's annotations": {image(t, both, base), commit.Labels{}},
		"the base image's source alone contradicts": {image(t, keyed{source: "https://git.example.com/base"}, both), commit.Labels{Revision: sha}},

		"annotations of an index":                          {index(t, both, part{silent, "linux/amd64", nil}), told},
		"an index overrules the base image's labels":       {index(t, both, part{image(t, base, base), "linux/amd64", nil}), told},
		"annotations of a descriptor in an index":          {index(t, nil, part{silent, "linux/amd64", both}), told},
		"an index overrules its descriptor":                {index(t, both, part{silent, "linux/amd64", base}), told},
		"annotations of a manifest in an index":            {index(t, nil, part{image(t, nil, both), "linux/amd64", nil}), told},
		"labels of an image in an index":                   {index(t, nil, part{labelled, "linux/amd64", nil}), told},
		"an index tells one and the labels another":        {index(t, keyed{revision: sha}, part{image(t, keyed{revision: foreign, source: home}, nil), "linux/amd64", nil}), told},
		"linux/amd64 speaks for an index":                  {index(t, nil, part{image(t, base, nil), "linux/arm64", nil}, part{labelled, "linux/amd64", nil}), told},
		"the first speaks for one without linux/amd64":     {index(t, nil, part{labelled, "linux/arm64/v8", nil}, part{image(t, base, nil), "windows/amd64", nil}), told},
		"an image without a platform":                      {index(t, nil, part{labelled, "", nil}), told},
		"an attestation does not speak":                    {index(t, nil, attestation(t, labelled), part{labelled, "linux/arm64", nil}), told},
		"an attestation by its platform alone":             {index(t, nil, part{image(t, base, nil), "unknown/unknown", nil}, part{labelled, "linux/arm64", nil}), told},
		"an attestation by its annotation alone":           {index(t, nil, part{image(t, base, nil), "", keyed{"vnd.docker.reference.type": "attestation-manifest"}}, part{labelled, "linux/s390x", nil}), told},
		"nothing but attestations":                         {index(t, nil, attestation(t, labelled)), commit.Labels{}},
		"an empty index":                                   {index(t, nil), commit.Labels{}},
		"an artifact that is no image":                     {imageOf(t, types.OCIManifestSchema1, "application/vnd.cncf.helm.config.v1+json", base, both), told},
		"an index of Docker's type":                        {list, told},
		"a manifest whose annotations are not all strings": {raw(`{"schemaVersion":2,"annotations":{"` + revision + `":5,"` + source + `":"` + home + `"}}`), commit.Labels{Source: home}},
		"a manifest of schema 1":                           {raw(`{"schemaVersion":1,"name":"team/app","fsLayers":[],"history":[]}`), commit.Labels{}},
	} {
		t.Run(story, func(t *testing.T) {
			h := newHub(t, nil)
			got, err := h.labels(t, h.push(t, "team/app", "v1", c.pushed))
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

// raw is a manifest as some builder wrote it.
func raw(text string) made { return made{kind: types.OCIManifestSchema1, manifest: []byte(text)} }

func TestThePlatformThatSpeaksCanBeChosen(t *testing.T) {
	h := newHub(t, nil)
	ref := h.push(t, "team/app", "v1", index(t, nil, part{image(t, keyed{revision: foreign}, nil), "linux/amd64", nil},
		part{image(t, keyed{revision: sha}, nil), "linux/arm64/v8", nil}))
	for platform, want := range map[string]string{"": foreign, "linux/arm64": sha, "linux/arm64/v8": sha, "linux/arm64/v9": foreign, "plan9/386": foreign} {
		got, err := inspector(t, oci.Options{Platform: platform}).Labels(t.Context(), ref, nil)
		if err != nil || got.Revision != want {
			t.Errorf("%q: got %+v, %v, want %s", platform, got, err, want)
		}
	}
	for _, platform := range []string{"linux", "linux/", "/amd64", "linux/arm64/v8/x", "linux//v8"} {
		if _, err := oci.New(oci.Options{Platform: platform}); err == nil {
			t.Errorf("%q is a platform", platform)
		}
	}
}

func TestADigestWinsOverItsTag(t *testing.T) {
	h := newHub(t, nil)
	h.push(t, "team/app", "v1", image(t, keyed{revision: foreign}, nil))
	old := image(t, keyed{revision: sha}, nil)
	h.push(t, "team/app", "old", old)
	for _, ref := range []string{"/team/app:v1@", "/team/app@", "/team/app:gone@"} {
		got, err := h.labels(t, h.host()+ref+old.digest())
		if err != nil || got.Revision != sha {
			t.Errorf("%s: got %+v, %v", ref, got, err)
		}
	}
}

func TestNothingButManifestsAndConfigsIsAskedFor(t *testing.T) {
	h := newTLSHub(t, nil)
	speaks := image(t, keyed{revision: sha}, nil)
	ref := h.push(t, "team/app", "v1", index(t, nil, part{speaks, "linux/amd64", nil}, part{image(t, nil, nil), "linux/arm64", nil}))
	if _, err := h.labels(t, ref); err != nil {
		t.Fatal(err)
	}
	want := []string{"/v2/", "/v2/team/app/manifests/v1", "/v2/team/app/manifests/" + speaks.digest(), "/v2/team/app/blobs/" + hash(speaks.config).String()}
	asked := h.requests()
	if len(asked) != len(want) {
		t.Fatalf("%d requests, want %d", len(asked), len(want))
	}
	for i, r := range asked {
		if r.Method != http.MethodGet || r.URL.Path != want[i] {
			t.Errorf("asked for %s %s, want %s", r.Method, r.URL.Path, want[i])
		}
	}
}

func TestAReferenceThatNoPodCanHaveIsOfNoImage(t *testing.T) {
	for _, ref := range []string{
		"", " ", "Team/App:v1", "https://registry.example.com/app:v1", "registry.example.com/../admin:v1", "registry.example.com/a/./b:v1",
		"registry.example.com/a?b=c", "registry.example.com/a#b", "user:canary@registry.example.com/app:v1", "registry.example.com/app@sha256:short",
		"registry.example.com/app:" + string(make([]byte, 200)), "registry.example.com/app:v1\r\nX: y", "registry.example.com/a%2fb:v1",
		"registry.example.com/app@md5:d41d8cd98f00b204e9800998ecf8427e",
	} {
		if _, err := inspector(t, oci.Options{}).Labels(t.Context(), ref, nil); !errors.Is(err, commit.ErrNotFound) {
			t.Errorf("%q: %v", ref, err)
		}
	}
}
