package dora

import "slices"

// IsNamed says that a version can be told from others: by its images, or, where nobody knows those, as of one that was reported, by its
// commit or its tag.
func (v *Version) IsNamed() bool {
	return v != nil && (len(v.Images) > 0 || v.Commit != "" || v.Tag != "")
}

// Same says that both are known to be the same version: the same images, or, where neither tells any, the same commit, or, where neither
// tells that, the same tag.
func (v *Version) Same(other *Version) bool {
	switch {
	case !v.IsNamed() || !other.IsNamed():
		return false
	case len(v.Images) > 0 || len(other.Images) > 0:
		return slices.Equal(v.Images, other.Images)
	case v.Commit != "" || other.Commit != "":
		return v.Commit == other.Commit
	}
	return v.Tag == other.Tag
}
