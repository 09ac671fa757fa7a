package oci

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// maxKeys is how many credentials are tried for one image.
const maxKeys = 3

// matching are the credentials for an image, the most specific first. They are looked up as the kubelet does it, by package
// credentialprovider of Kubernetes: the entry's host may have wildcards, its path begins the image's, the greatest entry by its text
// comes first, and Secrets keep their order. That package is in no library, and the one of go-containerregistry needs all of client-go.
func matching(pull commit.PullSecrets, at reference) ([]authn.Authenticator, error) {
	all := map[string][]authn.AuthConfig{}
	for i, secret := range pull {
		var config struct {
			Auths map[string]authn.AuthConfig `json:"auths"`
		}
		if err := json.Unmarshal(secret, &config); err != nil { // the error may quote the secret
			return nil, fmt.Errorf("%w: pull secret %d of %d is no docker config in JSON with auths by registry", commit.ErrSecret, i+1, len(pull))
		}
		for _, entry := range slices.Sorted(maps.Keys(config.Auths)) {
			key := place(entry)
			all[key] = append(all[key], config.Auths[entry])
		}
	}
	var keys []authn.Authenticator
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(all))) {
		if !covers(key, at) {
			continue
		}
		for _, config := range all[key] {
			if len(keys) < maxKeys && usable(config) {
				keys = append(keys, authn.FromConfig(config))
			}
		}
	}
	return keys, nil
}

func usable(c authn.AuthConfig) bool {
	return c.Password != "" || c.IdentityToken != "" || c.RegistryToken != ""
}

// place is the host and path of an entry: without scheme, without the version of the API, and Docker Hub under one name.
func place(entry string) string {
	entry = strings.TrimPrefix(strings.TrimPrefix(entry, "https://"), "http://")
	host, below, _ := strings.Cut(entry, "/")
	host = strings.ToLower(host)
	if host == "index.docker.io" {
		host = "docker.io"
	}
	if version, rest, _ := strings.Cut(below, "/"); version == "v1" || version == "v2" {
		below = rest
	}
	if below == "" {
		return host
	}
	return host + "/" + below
}

func covers(key string, at reference) bool {
	host, below, _ := strings.Cut(key, "/")
	return strings.HasPrefix(at.path, below) && sameHost(host, strings.ToLower(at.domain))
}

// sameHost lets a * stand for one part of a name, or for some of its letters, but not for a port.
func sameHost(pattern, host string) bool {
	if pattern == host {
		return true
	}
	p, h := &url.URL{Host: pattern}, &url.URL{Host: host}
	parts, names := strings.Split(p.Hostname(), "."), strings.Split(h.Hostname(), ".")
	if p.Port() != h.Port() || len(parts) != len(names) {
		return false
	}
	for i := range parts {
		if same, err := path.Match(parts[i], names[i]); err != nil || !same {
			return false
		}
	}
	return true
}
