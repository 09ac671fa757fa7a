package cloudevents

import (
	"path"
	"slices"

	"github.com/distribution/reference"
	"github.com/package-url/packageurl-go"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// purlOf is the package URL of the image that changed with a version, or of its first; empty if none can be told.
//
// It follows the type oci of the specification: the name is the last part of the repository, the version is the digest, and where the
// image is, with its tag, stands in qualifiers. An image without a digest has no version.
func purlOf(v *dora.Version) string {
	image := imageOf(v)
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	where := map[string]string{"repository_url": named.Name()}
	if tagged, ok := named.(reference.Tagged); ok {
		where["tag"] = tagged.Tag()
	}
	digest := ""
	if digested, ok := named.(reference.Digested); ok {
		digest = digested.Digest().String()
	}
	purl := packageurl.NewPackageURL(packageurl.TypeOCI, "", path.Base(named.Name()), digest, packageurl.QualifiersFromMap(where), "")
	return purl.ToString()
}

func imageOf(v *dora.Version) string {
	if v == nil || len(v.Images) == 0 {
		return ""
	}
	changed := slices.IndexFunc(v.Images, func(image string) bool { return dora.ImageTag(image) == v.Tag })
	return v.Images[max(changed, 0)]
}
