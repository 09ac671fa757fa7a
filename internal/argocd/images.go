package argocd

import (
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// sourceImages are the full references that an entry's sources name.
func sourceImages(single Source, several []Source) []string {
	var images []string
	for _, source := range append([]Source{single}, several...) {
		if source.Kustomize == nil {
			continue
		}
		for _, override := range source.Kustomize.Images {
			if image, full := overrideImage(override); full && !slices.Contains(images, image) {
				images = append(images, image)
			}
		}
	}
	return images
}

// overrideImage reads one of kustomize's image overrides, `[name=]newname[:tag][@digest]`, and tells whether it is enough to say what runs.
// It is not without a tag or digest, nor with a `*`, which keeps what the kustomization says.
func overrideImage(override string) (image string, full bool) {
	if _, replacement, renamed := strings.Cut(override, "="); renamed {
		override = replacement
	}
	named, err := reference.Parse(override)
	if err != nil {
		return "", false
	}
	_, tagged := named.(reference.Tagged)
	_, digested := named.(reference.Digested)
	if _, hasName := named.(reference.Named); !hasName || (!tagged && !digested) {
		return "", false
	}
	return override, true
}
