package commit

import (
	"slices"
	"strings"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Kind names a provider.
type Kind string

// The kinds of provider. Auto chooses by host.
const (
	Auto   Kind = "Auto"
	Git    Kind = "Git"
	GitHub Kind = "GitHub"
	GitLab Kind = "GitLab"
	Gitea  Kind = "Gitea"
)

// Source is where a service's commits are found.
type Source struct {
	// Repository is NormalizeURL's form; empty if the image's label is to tell. Untold says why it is not known, if the image is not to.
	Repository, Untold string
	// Foreign: not the target itself wrote the repository, but an annotation. An image is foreign always.
	Foreign bool
	// Hosts are those that the credentials may be sent to. Of foreign repositories only these are asked, if there are any.
	Hosts       []string
	Kind        Kind
	Credentials Credentials
	Pull        PullSecrets
	// Image is a glob over the images that carry a commit; empty is all. Tags says where in the tag it stands.
	Image string
	Tags  *dora.TagPattern
	RangeOptions
}

// Carrier is the image of a deployment that carries its commit: of those that changed the first whose tag tells one, else the first by
// name. An image that is new beside others carries it only if none of them took the place of another. It is empty if Image lets none of
// them carry it, and if it is not known which of several changed.
func (s *Source) Carrier(e *dora.Event) string {
	if e.Version == nil {
		return ""
	}
	var changed []string
	for _, ref := range e.Version.Images {
		if s.carries(ref) && (e.Previous.Version == nil || !slices.Contains(e.Previous.Version.Images, ref)) {
			changed = append(changed, ref)
		}
	}
	if !e.Previous.Known && len(changed) > 1 {
		changed = slices.DeleteFunc(changed, func(ref string) bool { return e.Version.Tag == "" || dora.ImageTag(ref) != e.Version.Tag })
	}
	if e.Previous.Version != nil {
		isNew := func(ref string) bool { return Counterpart(ref, e.Version.Images, e.Previous.Version.Images) == "" }
		if successors := slices.DeleteFunc(slices.Clone(changed), isNew); len(successors) > 0 {
			changed = successors
		}
	}
	for _, ref := range changed {
		if _, tag, _ := dora.SplitImage(ref); s.Tags.Commit(tag) != "" {
			return ref
		}
	}
	if len(changed) == 0 {
		return ""
	}
	return changed[0]
}

func (s *Source) carries(ref string) bool { return s.Image == "" || dora.GlobImage(s.Image, ref) }

// Counterpart is the image of another version that takes the place of one of a version's images: of the same repository, else of the same
// name in another registry, else, where each version has one image alone, that. It is empty if there is none.
func Counterpart(image string, images, others []string) string {
	repository, _, _ := dora.SplitImage(image)
	if i := slices.IndexFunc(others, func(ref string) bool { other, _, _ := dora.SplitImage(ref); return other == repository }); i >= 0 {
		return others[i]
	}
	if i := slices.IndexFunc(others, func(ref string) bool {
		other, _, _ := dora.SplitImage(ref)
		return lastPart(other) == lastPart(repository)
	}); i >= 0 {
		return others[i]
	}
	if len(images) == 1 && len(others) == 1 {
		return others[0]
	}
	return ""
}

// lastPart is the name of an image without its registry and path.
func lastPart(repository string) string {
	return repository[strings.LastIndexByte(repository, '/')+1:]
}
