package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/dora-controller/dora-controller/internal/commit"
)

const (
	maxManifests = 1000
	maxValue     = 2048
)

// document is an index or an image's manifest, as much of them as is needed. A few million empty layers or annotations fit into the
// bytes that are read; decoded into the library's types they would take a hundred times that, and here they take nothing.
type document struct {
	Annotations facts       `json:"annotations"`
	Config      descriptor  `json:"config"`
	Manifests   descriptors `json:"manifests"`
}

type descriptor struct {
	MediaType   types.MediaType `json:"mediaType"`
	Digest      digest.Digest   `json:"digest"`
	Size        int64           `json:"size"`
	Platform    *platform       `json:"platform"`
	Annotations struct {
		facts
		Attests text `json:"vnd.docker.reference.type"`
	} `json:"annotations"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

var (
	usual   = platform{OS: "linux", Architecture: "amd64"}
	unknown = platform{OS: "unknown", Architecture: "unknown"}
)

func (p platform) is(wanted platform) bool {
	return p.OS == wanted.OS && p.Architecture == wanted.Architecture && (wanted.Variant == "" || p.Variant == wanted.Variant)
}

// descriptors are those of an index, so many and no more.
type descriptors []descriptor

// UnmarshalJSON implements json.Unmarshaler.
func (all *descriptors) UnmarshalJSON(raw []byte) error {
	from := json.NewDecoder(bytes.NewReader(raw))
	switch open, err := from.Token(); {
	case err != nil:
		return err
	case open == nil:
		return nil // null is as good as absent
	case open != json.Delim('['):
		return errors.New("manifests are no list")
	}
	*all = descriptors{}
	for from.More() {
		if len(*all) == maxManifests {
			return commit.ErrTooLarge
		}
		var one descriptor
		if err := from.Decode(&one); err != nil {
			return err
		}
		*all = append(*all, one)
	}
	return nil
}

// choose finds the image that speaks for an index.
func choose(all descriptors, wanted platform) (descriptor, bool) {
	images := slices.DeleteFunc(slices.Clone(all), func(d descriptor) bool { return !d.isImage() })
	for _, p := range []platform{wanted, usual} {
		if i := slices.IndexFunc(images, func(d descriptor) bool { return d.Platform != nil && d.Platform.is(p) }); i >= 0 {
			return images[i], true
		}
	}
	if len(images) > 0 {
		return images[0], true
	}
	return descriptor{}, false
}

func (d descriptor) isImage() bool {
	return (d.MediaType.IsImage() || d.MediaType == "") && d.Annotations.Attests == "" &&
		(d.Platform == nil || !d.Platform.is(unknown)) && d.Digest.Validate() == nil
}

// facts are the two that matter, out of annotations or labels.
type facts struct {
	Revision text `json:"org.opencontainers.image.revision"`
	Source   text `json:"org.opencontainers.image.source"`
}

func (f facts) complete() bool { return f.Revision != "" && f.Source != "" }

// orElse fills in what is not said.
func (f facts) orElse(other facts) facts {
	if f.Revision == "" {
		f.Revision = other.Revision
	}
	if f.Source == "" {
		f.Source = other.Source
	}
	return f
}

// agreed is what neither of two contradicts.
func (f facts) agreed(other facts) facts {
	both := f.orElse(other)
	if other.Revision != "" && !sameRevision(f.Revision, other.Revision) {
		both.Revision = ""
	}
	if other.Source != "" && !sameSource(f.Source, other.Source) {
		both.Source = ""
	}
	return both
}

func sameRevision(a, b text) bool { return a == "" || strings.EqualFold(string(a), string(b)) }

func sameSource(a, b text) bool {
	if a == "" || a == b {
		return true
	}
	left, err := commit.NormalizeURL(string(a))
	if err != nil {
		return false
	}
	right, err := commit.NormalizeURL(string(b))
	return err == nil && left == right
}

// text is a value that should be a string. If it is something else, or longer than an address ever is, the image says nothing.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(raw []byte) error {
	var value string
	if err := json.Unmarshal(raw, &value); err != nil || len(value) > maxValue {
		*t = ""
		return nil //nolint:nilerr // the other values of the document still count
	}
	*t = text(strings.TrimSpace(value))
	return nil
}
