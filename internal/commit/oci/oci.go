// Package oci reads what an image says about its source, org.opencontainers.image.revision and org.opencontainers.image.source, from
// the registry that holds it.
//
// # Guarantees
//
//   - Manifests (4 MiB at most) and configs (8 MiB at most) are asked for, never a layer. One answer takes a few requests, four to
//     six as a rule, and stops at twenty. What a registry sends beyond these bounds is not read.
//   - What is asked for by digest has that digest, or is refused.
//   - Every connection goes through an egress.Guard: to the registry, to the token server that it names, and to wherever it redirects.
//     Credentials go to the registry and to its token server, by https, and nowhere else. http is for a registry on this machine, if
//     its network is allowed.
//   - No error repeats what a server or a Secret said. An error names the registry and the image, never a host that the registry chose.
//
// # Where the facts are, and which of them count
//
// A builder can write them in four places, and a base image can leave its own in two of these:
//
//	index                  docker/metadata-action (level index), Docker's official images   never from a base image
//	descriptor in an index docker/metadata-action (level index-descriptor and the like)     never from a base image
//	manifest               docker/metadata-action (level manifest, its default)             Buildah keeps those of the base image
//	config label           docker/metadata-action, Dockerfiles, BuildKit's git labels       every builder keeps those of the base image
//
// So an index speaks first, and its descriptor second. Manifest and config label are asked together: where only one speaks it counts,
// and where they contradict each other one of them is a base image's and nobody can tell which, so neither counts. (BuildKit makes the
// label the foreign one, Buildah the annotation.) Revision and source are judged apart. An image whose only facts are its base image's
// cannot be told from one that speaks for itself: a target that names its repository is safe from that, since the base image's commit
// is not in there. The labels of org.label-schema are not read; they are deprecated since 2019.
//
// Of an index the image of one platform is read, since all of them are built from one commit: the one that Options name, else
// linux/amd64, else the first. Attestations, which BuildKit files under the platform unknown/unknown, are passed over.
package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// Options say how registries are reached and read.
type Options struct {
	Guard egress.Guard
	// Platform is the one whose image counts in an index, as os/architecture or os/architecture/variant. Empty is linux/amd64.
	Platform string
	// CA are certificates, in PEM form, to trust beside the system's.
	CA []byte
}

// Inspector is a commit.Inspector that asks registries.
type Inspector struct {
	guard     egress.Guard
	platform  platform
	transport http.RoundTripper
}

var _ commit.Inspector = (*Inspector)(nil)

// New makes an inspector. It reaches nothing.
func New(o Options) (*Inspector, error) {
	wanted, err := parsePlatform(o.Platform)
	if err != nil {
		return nil, err
	}
	transport, err := o.Guard.Transport(o.CA)
	if err != nil {
		return nil, err
	}
	return &Inspector{guard: o.Guard, platform: wanted, transport: transport}, nil
}

// Labels implements commit.Inspector. As the kubelet does, it tries the credentials that match the image one after the other, those of
// the longest path first, and goes without any if none matches.
func (i *Inspector) Labels(ctx context.Context, image string, pull commit.PullSecrets) (commit.Labels, error) {
	at, err := parseReference(image)
	if err != nil {
		return commit.Labels{}, err
	}
	keys, err := matching(pull, at)
	if err != nil {
		return commit.Labels{}, err
	}
	if len(keys) == 0 {
		keys = []authn.Authenticator{authn.Anonymous}
	}
	door := newGate(i.transport, i.guard, at)
	var found commit.Labels
	for _, key := range keys {
		found, err = i.read(ctx, door, at, key)
		if !errors.Is(err, commit.ErrUnauthorized) {
			break
		}
	}
	return found, err
}

func (i *Inspector) read(ctx context.Context, door *gate, at reference, key authn.Authenticator) (commit.Labels, error) {
	s, err := open(ctx, door, at, key)
	if err != nil {
		return commit.Labels{}, err
	}
	found, err := s.facts(ctx, i.platform)
	if err != nil {
		return commit.Labels{}, err
	}
	return commit.Labels{Revision: string(found.Revision), Source: string(found.Source)}, nil
}

func parsePlatform(text string) (platform, error) {
	if text == "" {
		return usual, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || strings.Contains("/"+text+"/", "//") {
		return platform{}, fmt.Errorf("platform %q: write it as os/architecture, such as linux/arm64", text)
	}
	wanted := platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		wanted.Variant = parts[2]
	}
	return wanted, nil
}
