package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/dora-controller/dora-controller/internal/commit"
)

const (
	maxManifest = 4 << 20
	maxConfig   = 8 << 20
)

// The kinds of documents that are asked for. Manifests of schema 1 are not: no builder of the last years writes them.
var (
	manifestTypes = []types.MediaType{types.OCIImageIndex, types.DockerManifestList, types.OCIManifestSchema1, types.DockerManifestSchema2}
	configTypes   = []types.MediaType{types.OCIConfigJSON, types.DockerConfigJSON}
)

// session is logged in at a registry, for reading one image.
type session struct {
	at        reference
	anonymous bool
	client    *http.Client
}

// open logs in as the registry's challenge has it: not at all, with a password, or at a token server.
func open(ctx context.Context, door *gate, at reference, key authn.Authenticator) (*session, error) {
	s := &session{at: at, anonymous: key == authn.Anonymous}
	way, err := transport.NewWithContext(ctx, at.registry, key, transport.NewUserAgent(door, "dora-controller"),
		[]string{"repository:" + at.path + ":" + transport.PullScope})
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	s.client = &http.Client{Transport: way} // the gate looks at redirects
	return s, nil
}

// facts are what the image says in all places together.
func (s *session) facts(ctx context.Context, wanted platform) (facts, error) {
	top, err := s.manifest(ctx, s.at.which)
	if err != nil {
		return facts{}, err
	}
	if top.Manifests == nil {
		return s.own(ctx, top)
	}
	child, found := choose(top.Manifests, wanted)
	said := top.Annotations.orElse(child.Annotations.facts)
	if !found || said.complete() {
		return said, nil
	}
	image, err := s.manifest(ctx, child.Digest.String())
	if err != nil {
		return facts{}, err
	}
	own, err := s.own(ctx, image)
	return said.orElse(own), err
}

// own are what an image says in its manifest and its config.
func (s *session) own(ctx context.Context, image document) (facts, error) {
	if !slices.Contains(configTypes, image.Config.MediaType) {
		return image.Annotations, nil // a chart, a signature, or schema 1
	}
	label, err := s.labels(ctx, image.Config)
	return image.Annotations.agreed(label), err
}

func (s *session) manifest(ctx context.Context, which string) (document, error) {
	raw, err := s.get(ctx, "manifests", which, maxManifest)
	if err != nil {
		return document{}, err
	}
	if strings.Contains(which, ":") { // a digest; a tag has no colon
		err = s.verify(raw, digest.Digest(which))
	}
	var d document
	if err == nil {
		err = s.decode(raw, &d)
	}
	return d, err
}

func (s *session) labels(ctx context.Context, config descriptor) (facts, error) {
	if config.Size > maxConfig {
		return facts{}, s.tooLarge()
	}
	if config.Digest.Validate() != nil {
		return facts{}, s.malformed() // it becomes part of an address
	}
	raw, err := s.get(ctx, "blobs", config.Digest.String(), maxConfig)
	if err == nil {
		err = s.verify(raw, config.Digest)
	}
	var d struct {
		Config struct {
			Labels facts `json:"Labels"`
		} `json:"config"`
	}
	if err == nil {
		err = s.decode(raw, &d)
	}
	return d.Config.Labels, err
}

func (s *session) get(ctx context.Context, kind, which string, limit int64) ([]byte, error) {
	address := url.URL{Scheme: "https", Host: s.at.registry.RegistryStr(), Path: "/v2/" + s.at.path + "/" + kind + "/" + which}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	if kind == "manifests" {
		for _, t := range manifestTypes {
			req.Header.Add("Accept", string(t))
		}
	}
	answer, err := s.client.Do(req)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := transport.CheckError(answer, http.StatusOK); err != nil {
		return nil, s.refused(answer.StatusCode, err)
	}
	return s.body(ctx, answer.Body, limit)
}

func (s *session) body(ctx context.Context, from io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(from, limit+1))
	switch {
	case ctx.Err() != nil:
		return nil, s.explain(ctx, ctx.Err())
	case err != nil && !errors.Is(err, commit.ErrTooLarge):
		return nil, &problem{s.at.domain + ": the answer for " + s.at.text + " broke off", nil}
	case err != nil || int64(len(raw)) > limit:
		return nil, s.tooLarge()
	}
	return raw, nil
}

func (s *session) verify(raw []byte, want digest.Digest) error {
	if want.Validate() == nil {
		check := want.Verifier()
		_, _ = check.Write(raw) // a hash takes everything
		if check.Verified() {
			return nil
		}
	}
	return &problem{fmt.Sprintf("%s sent something else than %s: its digest is wrong", s.at.domain, s.at.text), nil}
}

func (s *session) decode(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	if errors.Is(err, commit.ErrTooLarge) {
		return s.tooLarge()
	}
	if err != nil {
		return s.malformed()
	}
	return nil
}

func (s *session) malformed() error {
	return &problem{s.at.domain + ": the answer for " + s.at.text + " is not as the image specification has it", nil}
}

func (s *session) tooLarge() error {
	return &problem{s.at.text + ": its manifest or config is larger than what is read", commit.ErrTooLarge}
}
