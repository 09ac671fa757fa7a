package cloudevents

import (
	"testing"

	. "github.com/onsi/gomega"
	"github.com/package-url/packageurl-go"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// The specification of the type oci names the parts: https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md
func TestPackageURL(t *testing.T) {
	const digest = "sha256:244fd47e07d1004f0aed9c156aa09083c82bf8944eceb67c946ff7430510a77b"
	for image, want := range map[string]packageurl.PackageURL{
		"ghcr.io/debian:bullseye@" + digest: {
			Name: "debian", Version: digest,
			Qualifiers: packageurl.QualifiersFromMap(map[string]string{"repository_url": "ghcr.io/debian", "tag": "bullseye"}),
		},
		"debian:latest": {
			Name: "debian", Qualifiers: packageurl.QualifiersFromMap(map[string]string{"repository_url": "docker.io/library/debian", "tag": "latest"}),
		},
		"registry:5000/a/b/cart@" + digest: {
			Name: "cart", Version: digest, Qualifiers: packageurl.QualifiersFromMap(map[string]string{"repository_url": "registry:5000/a/b/cart"}),
		},
		"registry.example.com/cart": {
			Name: "cart", Qualifiers: packageurl.QualifiersFromMap(map[string]string{"repository_url": "registry.example.com/cart"}),
		},
	} {
		g := NewWithT(t)
		want.Type = "oci"
		got, err := packageurl.FromString(purlOf(&dora.Version{Images: []string{image}}))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(want), image)
	}
	for _, none := range []*dora.Version{nil, {}, {Images: []string{""}}, {Images: []string{"NO/Image:at all"}}} {
		NewWithT(t).Expect(purlOf(none)).To(BeEmpty())
	}
}

func TestPackageURLIsThatOfTheImageThatChanged(t *testing.T) {
	g := NewWithT(t)
	images := []string{"registry.example.com/cart:1", "registry.example.com/proxy:2"}
	g.Expect(purlOf(&dora.Version{Images: images, Tag: "2"})).To(HavePrefix("pkg:oci/proxy?"))
	g.Expect(purlOf(&dora.Version{Images: images})).To(HavePrefix("pkg:oci/cart?"), "the first, where nobody knows")
}
