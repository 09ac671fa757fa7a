package enrich

import (
	"cmp"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// rank is when a version of a service was first settled.
type rank struct {
	version *dora.Version
	at      time.Time
	// own: the subject asked about ran it; others of its service may have.
	own bool
}

// earlier are the versions that had run in a service's environment before a deployment, newest by rank first, each by the image that takes
// the place of the given one. events are those of the service, in any order.
//
// What a version's rank is follows docs/concepts.md: when it was first settled; of an attempt that ended unknown, and of a version that is
// only known as what another one replaced, its first sight. A version that only failed, or was stopped, has none.
func earlier(events []dora.Event, of *dora.Event, image string) []commit.Version {
	r := ranking{of: of}
	for _, e := range slices.SortedFunc(slices.Values(events), func(a, b dora.Event) int { return a.OccurredAt.Compare(b.OccurredAt) }) {
		if e.Environment == of.Environment && e.Cluster == of.Cluster && e.ID != of.ID {
			r.hear(&e)
		}
	}
	r.add(of.Previous.Version, of.StartedAt, true)
	slices.SortStableFunc(r.ranks, func(a, b rank) int { return b.at.Compare(a.at) })
	var versions []commit.Version
	for _, ranked := range r.ranks {
		v := counterpart(ranked.version, image)
		if slices.ContainsFunc(versions, func(known commit.Version) bool { return known.Image == v.Image }) {
			continue
		}
		if v.Image == image && !ranked.own {
			continue // it is being spread over the service's subjects, and is delivered to this one only now
		}
		versions = append(versions, v)
	}
	return versions
}

type ranking struct {
	of    *dora.Event
	ranks []rank
}

// hear takes in what an event tells of versions that ran before. Events are heard in their order.
func (r *ranking) hear(e *dora.Event) {
	if !e.OccurredAt.Before(r.of.OccurredAt) {
		return
	}
	own := e.Subject.UID == r.of.Subject.UID || e.Subject.Kind == r.of.Subject.Kind &&
		e.Subject.Namespace == r.of.Subject.Namespace && e.Subject.Name == r.of.Subject.Name
	switch {
	case e.Type == dora.TypeRecovered:
		r.add(e.Running, e.OccurredAt, own)
	case e.Outcome == dora.Succeeded:
		r.add(e.Previous.Version, e.StartedAt, own)
		r.add(e.Version, e.OccurredAt, own)
	case e.Outcome == dora.Unknown:
		r.add(e.Previous.Version, e.StartedAt, own)
		r.add(e.Version, e.StartedAt, own)
	case e.Outcome == dora.RolledBack && e.Success != nil && *e.Success:
		r.add(e.Version, r.rankOf(e.Version), own)
	case e.Outcome == dora.RolledBack:
		r.add(e.Previous.Version, e.StartedAt, own)
	}
}

// add gives a version its rank: the earliest time that is known of it.
func (r *ranking) add(v *dora.Version, at time.Time, own bool) {
	if v == nil || len(v.Images) == 0 {
		return
	}
	i := slices.IndexFunc(r.ranks, func(known rank) bool { return slices.Equal(known.version.Images, v.Images) })
	if i < 0 {
		r.ranks = append(r.ranks, rank{v, at, own})
		return
	}
	known := &r.ranks[i]
	if known.own = known.own || own; v.Commit != "" && len(known.version.Commit) < len(v.Commit) {
		known.version = v
	}
	if at.Before(known.at) {
		known.at = at
	}
}

// rankOf is the rank of a version that was brought back: what is known of it, else before everything that is.
func (r *ranking) rankOf(v *dora.Version) time.Time {
	for _, known := range r.ranks {
		if v != nil && slices.Equal(known.version.Images, v.Images) {
			return known.at
		}
	}
	return time.Time{}
}

// counterpart is the image of a version that takes the place of another version's image: of the same repository, else of the same name in
// another registry, else its only one.
func counterpart(v *dora.Version, image string) commit.Version {
	repository, _, _ := dora.SplitImage(image)
	best, score := "", 0
	for _, ref := range v.Images {
		own, _, _ := dora.SplitImage(ref)
		likeness := 0
		switch {
		case own == repository:
			likeness = 3
		case lastPart(own) == lastPart(repository):
			likeness = 2
		case len(v.Images) == 1:
			likeness = 1
		}
		if cmp.Compare(likeness, score) > 0 {
			best, score = ref, likeness
		}
	}
	found := commit.Version{Image: best}
	if best != "" && dora.ImageTag(best) == v.Tag && isFull(v.Commit) {
		found.Commit = v.Commit
	}
	return found
}

// isFull tells a whole SHA from the first digits of one.
func isFull(sha string) bool { return len(sha) == 40 || len(sha) == 64 }
