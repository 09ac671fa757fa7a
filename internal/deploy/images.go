package deploy

import (
	"slices"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Counted returns the references that the globs let through, sorted, without duplicates.
func (p *Policy) Counted(refs []string) []string {
	kept := make([]string, 0, len(refs))
	for _, ref := range refs {
		if ref != "" && p.counts(ref) {
			kept = append(kept, ref)
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}

func (p *Policy) counts(ref string) bool {
	match := func(glob string) bool { return dora.GlobImage(glob, ref) }
	if len(p.Include) > 0 && !slices.ContainsFunc(p.Include, match) {
		return false
	}
	return !slices.ContainsFunc(p.Exclude, match)
}

// commitOf reads the commit that an image's tag carries, if that image is one that may carry it.
func (p *Policy) commitOf(ref string) string {
	if p.CommitImage != "" && !dora.GlobImage(p.CommitImage, ref) {
		return ""
	}
	_, tag, _ := dora.SplitImage(ref)
	return p.Tags.Commit(tag)
}

func repository(ref string) string {
	repo, _, _ := dora.SplitImage(ref)
	return repo
}

// union, minus and sameRepositories treat their arguments as sets; results are sorted.

func union(sets ...[]string) []string {
	all := slices.Concat(sets...)
	slices.Sort(all)
	return slices.Compact(all)
}

func minus(a, b []string) []string {
	var rest []string
	for _, ref := range a {
		if !slices.Contains(b, ref) {
			rest = append(rest, ref)
		}
	}
	return rest
}

// overlay replaces, in base, each repository that over names.
func overlay(base, over []string) []string {
	kept := slices.Clone(over)
	for _, ref := range base {
		if !hasRepository(over, repository(ref)) {
			kept = append(kept, ref)
		}
	}
	return union(kept)
}

func hasRepository(refs []string, repo string) bool {
	return slices.ContainsFunc(refs, func(ref string) bool { return repository(ref) == repo })
}

// onlyThese says that of the repositories in version, no other image is live.
func onlyThese(version, live []string) bool {
	return !slices.ContainsFunc(live, func(ref string) bool {
		return hasRepository(version, repository(ref)) && !slices.Contains(version, ref)
	})
}

// anyLive says that at least one of these images is live.
func anyLive(images, live []string) bool {
	return slices.ContainsFunc(images, func(ref string) bool { return slices.Contains(live, ref) })
}

// allLive says that each of these images is live.
func allLive(images, live []string) bool {
	return !slices.ContainsFunc(images, func(ref string) bool { return !slices.Contains(live, ref) })
}
