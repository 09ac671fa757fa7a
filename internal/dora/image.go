package dora

import "strings"

// SplitImage splits a container image reference into its repository, tag and digest. It keeps the
// repository as it was written: a subject names its images the same way each time.
func SplitImage(ref string) (repository, tag, digest string) {
	repository, digest, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository, tag = repository[:i], repository[i+1:]
	}
	return repository, tag, digest
}

// ImageTag is the tag of a reference, or its digest if it has no tag.
func ImageTag(ref string) string {
	_, tag, digest := SplitImage(ref)
	if tag == "" {
		return digest
	}
	return tag
}

// Label fills Tag and Commit of a version from the images that changed: of several, the first that
// carries a commit, else the first by name. Without changed images it looks at all of them. commitOf reads the commit of a
// reference, and is empty where it carries none.
func (v *Version) Label(changed []string, commitOf func(ref string) string) {
	if len(changed) == 0 {
		changed = v.Images
	}
	if len(changed) == 0 {
		return
	}
	v.Tag = ImageTag(changed[0])
	for _, ref := range changed {
		if commit := commitOf(ref); commit != "" {
			v.Tag, v.Commit = ImageTag(ref), commit
			return
		}
	}
}
