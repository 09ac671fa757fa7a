package oci

import (
	"net/netip"
	"net/url"

	named "github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// reference is an image as a pod names it, in its parts.
type reference struct {
	registry name.Registry
	domain   string // the registry as users write it: docker.io, not the host that serves it
	path     string
	which    string // a tag or a digest
	text     string // all of it, for errors
}

// parseReference reads a reference by the same grammar as the kubelet, which knows no dots, no upper case and no odd characters in a
// path: it becomes part of an address.
func parseReference(image string) (reference, error) {
	bad := &problem{"the image's reference cannot be read: write it as registry/path:tag or registry/path@sha256:digest", commit.ErrNotFound}
	parsed, err := named.ParseNormalizedNamed(image)
	if err != nil {
		return reference{}, bad // the library's text repeats the image, which may be anything
	}
	at := reference{domain: named.Domain(parsed), path: named.Path(parsed)}
	switch it := named.TagNameOnly(parsed).(type) {
	case named.Digested:
		at.which, at.text = it.Digest().String(), at.domain+"/"+at.path+"@"+it.Digest().String()
	case named.Tagged:
		at.which, at.text = it.Tag(), at.domain+"/"+at.path+":"+it.Tag()
	}
	at.registry, err = name.NewRegistry(at.domain)
	if err != nil || at.domain == "" { // a_b.io/c: no host has that name, and without one it would be Docker Hub
		return reference{}, bad
	}
	return at, nil
}

// here tells whether a host, with or without a port, is this machine by name. What the name resolves to is for the guard to see.
func here(host string) bool {
	h := (&url.URL{Host: host}).Hostname()
	if h == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(h)
	return err == nil && ip.IsLoopback()
}
