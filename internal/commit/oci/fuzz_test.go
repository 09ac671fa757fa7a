package oci

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// shelf is a registry of one image: what is asked for by a digest has it, and the rest is what the tag leads to.
type shelf struct {
	top   []byte
	all   map[string][]byte
	asked int
}

func (s *shelf) RoundTrip(req *http.Request) (*http.Response, error) {
	s.asked++
	body, status := s.top, http.StatusOK
	if which := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]; which != "v1" {
		body = s.all[which]
	}
	if body == nil {
		status, body = http.StatusNotFound, []byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"canary-7d1f3b"}]}`)
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body))), Request: req}, nil
}

// Whatever an index, a manifest and a config say, what is taken for a commit and a source is a short text that stands in one of them, the answer is
// the same each time, and no error repeats them. $M and $C are the digests of the manifest and of the config.
func FuzzDocuments(f *testing.F) {
	const (
		labels   = `{"config":{"Labels":{"org.opencontainers.image.revision":"4f5e6d7","org.opencontainers.image.source":" https://git.example.com/a/b "}}}`
		manifest = `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"$C","size":7},"annotations":{"org.opencontainers.image.revision":"4F5E6D7"}}`
		index    = `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"$M","platform":{"os":"linux","architecture":"amd64"}},` +
			`{"digest":"$M","platform":{"os":"unknown","architecture":"unknown"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"}}]}`
	)
	f.Add(index, manifest, labels)
	f.Add(manifest, manifest, labels)
	f.Add(`{"manifests":null,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"$C","size":99999999}}`, "", `{}`)
	f.Add(`{"manifests":[{"digest":"$M"},{}, null]}`, `{"annotations":{"org.opencontainers.image.source":7}}`, `canary-7d1f3b`)
	f.Add(`{"manifests":"canary-7d1f3b"}`, `[]`, `{"config":{"Labels":["x"]}}`)
	f.Fuzz(func(t *testing.T, top, manifest, config string) {
		sum := func(text string) string { return digest.FromString(text).String() }
		manifest = strings.ReplaceAll(manifest, "$C", sum(config))
		top = strings.NewReplacer("$M", sum(manifest), "$C", sum(config)).Replace(top)
		at, err := parseReference("registry.example.com/shop/cart:v1")
		if err != nil {
			t.Fatal(err)
		}
		served := &shelf{top: []byte(top), all: map[string][]byte{sum(manifest): []byte(manifest), sum(config): []byte(config)}}
		s := &session{at: at, client: &http.Client{Transport: served}}
		got, err := s.facts(t.Context(), usual)
		if again, errAgain := s.facts(t.Context(), usual); again != got || (err == nil) != (errAgain == nil) {
			t.Errorf("%+v, %v, and then %+v, %v", got, err, again, errAgain)
		}
		if served.asked > 6 {
			t.Errorf("asked %d times for one image", served.asked)
		}
		if err != nil {
			_, known := errors.AsType[*problem](err)
			if text := err.Error(); !known || strings.Contains(text, "canary") || len(text) > 300 {
				t.Errorf("not fit to be shown: %v", err)
			}
			return
		}
		for _, fact := range []text{got.Revision, got.Source} {
			if len(fact) > maxValue || strings.TrimSpace(string(fact)) != string(fact) {
				t.Errorf("took %q for a fact", fact)
			}
		}
	})
}

// A reference that is read leads to a place of its registry and no other, says the same when it is read again, and an error does not repeat it.
func FuzzReference(f *testing.F) {
	for _, image := range []string{
		"nginx", "ghcr.io/team/app:v1", "registry.example.com:5000/a/b@sha256:" + strings.Repeat("a", 64), "[2001:db8::1]:5000/app:v1", "localhost/app",
		"docker.io/../x", "a/b?c=canary", "http://canary/x:1", "127.0.0.1:5000/a:b", "index.docker.io/library/nginx:latest",
	} {
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, image string) {
		at, err := parseReference(image)
		if err != nil {
			if !errors.Is(err, commit.ErrNotFound) || strings.Contains(image, "canary") && strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: %v", image, err)
			}
			return
		}
		if again, err := parseReference(at.text); err != nil || again != at {
			t.Errorf("%q is %+v, and that %+v, %v", image, at, again, err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+at.registry.RegistryStr()+"/v2/"+at.path+"/manifests/"+at.which, http.NoBody)
		if err != nil || req.URL.Host != at.registry.RegistryStr() || req.URL.Path != "/v2/"+at.path+"/manifests/"+at.which || req.URL.RawQuery != "" {
			t.Errorf("%q leads to %v, %v", image, req.URL, err)
		}
		if at.domain == "" || at.path == "" || at.which == "" {
			t.Errorf("%q is %+v", image, at)
		}
	})
}
