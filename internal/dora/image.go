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

// GlobImage says whether a glob matches an image reference, or all of it but the tag or digest.
func GlobImage(glob, ref string) bool {
	repository, _, _ := SplitImage(ref)
	return Glob(glob, ref) || Glob(glob, repository)
}

// Glob says whether a pattern matches all of a text. `*` stands for any run of characters, `/` included,
// and `?` for any one; nothing else is special.
func Glob(pattern, text string) bool {
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
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
