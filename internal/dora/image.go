package dora

import (
	"regexp"
	"strings"
)

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

// commitInTag finds a commit SHA of 7 to 40 hex digits at the end of a tag: the whole of it, or after
// `-`, `_` or `.`, with an optional `g` (git describe) or `sha-` before it.
var commitInTag = regexp.MustCompile(`(?:^|[-_.])(?:g|sha-?)?([0-9a-f]{7,40})$`)

// CommitFromTag reads the commit that a tag carries. Tags of digits alone (dates, build numbers) carry none.
func CommitFromTag(tag string) string {
	m := commitInTag.FindStringSubmatch(tag)
	if len(m) < 2 || !strings.ContainsAny(m[1], "abcdef") {
		return ""
	}
	return m[1]
}

// Label fills Tag and Commit of a version from the images that changed: of several, the first that
// carries a commit, else the first by name. Without changed images it looks at all of them.
func (v *Version) Label(changed []string) {
	if len(changed) == 0 {
		changed = v.Images
	}
	if len(changed) == 0 {
		return
	}
	v.Tag = ImageTag(changed[0])
	for _, ref := range changed {
		_, tag, _ := SplitImage(ref)
		if commit := CommitFromTag(tag); commit != "" {
			v.Tag, v.Commit = tag, commit
			return
		}
	}
}
