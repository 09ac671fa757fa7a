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

// Earlier are the versions that had run in a service's environment before a deployment, newest by rank first, each by the image that takes
// the place of the given one. events are those of the service, in any order.
//
// What a version's rank is follows docs/concepts.md, and events tell it (Version.SettledAt), so nothing depends on how far back they go. Of
// events that do not tell it, it is derived: when the version was first settled; of an attempt that ended unknown, and of a version that
// is only known as what another one replaced, its first sight. A version that only failed, or was stopped, has none.
func Earlier(events []dora.Event, of *dora.Event, image string) []commit.Version {
	r := ranking{of: of}
	for _, e := range slices.SortedFunc(slices.Values(events), func(a, b dora.Event) int { return a.OccurredAt.Compare(b.OccurredAt) }) {
		if e.Environment == of.Environment && e.Cluster == of.Cluster && e.ID != of.ID {
			r.hear(&e)
		}
	}
	r.replaced(of, true)
	found := r.images(image)
	if len(events) >= remembered { // of what was settled before the oldest of them not all is known
		oldest := slices.MinFunc(events, func(a, b dora.Event) int { return a.OccurredAt.Compare(b.OccurredAt) })
		found = append(found, delivery{at: oldest.OccurredAt})
		slices.SortStableFunc(found, newest)
	}
	var versions []commit.Version
	if !r.succeeds(image) {
		versions = append(versions, commit.Version{})
	}
	for _, first := range found {
		if first.Image == image && !first.own {
			continue // it is being spread over the service's subjects, and is delivered to this one only now
		}
		versions = append(versions, first.Version)
	}
	return versions
}

// ranking collects the ranks of the versions that ran before a deployment.
type ranking struct {
	of    *dora.Event
	ranks []rank
}

// delivery is when an image was first settled.
type delivery struct {
	commit.Version
	at  time.Time
	own bool
}

// images are those that take the place of an image, the newest first. An image has the rank of the first version that had it: what came
// with it was delivered then, whatever ran beside it later. Versions without such an image count as one that nobody knows.
func (r *ranking) images(image string) []delivery {
	var found []delivery
	slices.Reverse(r.ranks) // of two that were settled in the same second the one that was heard of later is newer
	slices.SortStableFunc(r.ranks, func(a, b rank) int { return b.at.Compare(a.at) })
	for _, ranked := range r.ranks {
		v := r.counterpart(ranked.version, image)
		i := slices.IndexFunc(found, func(known delivery) bool { return known.Image == v.Image })
		if i < 0 {
			found = append(found, delivery{v, ranked.at, ranked.own})
			continue
		}
		known := &found[i]
		known.own = known.own || ranked.own
		known.Commit = cmp.Or(known.Commit, v.Commit)
		if v.Image != "" {
			known.at = ranked.at
		}
	}
	slices.SortStableFunc(found, newest)
	return found
}

func newest(a, b delivery) int { return b.at.Compare(a.at) }

// succeeds: it is known what ran just before the deployment, and an image of that gave its place to this one. Of what nobody knows any of
// it may have been delivered before; a new image has nothing to be counted from.
func (r *ranking) succeeds(image string) bool {
	before := r.of.Previous
	return before.Known && (before.Version == nil || r.counterpart(before.Version, image).Image != "")
}

// hear takes in what an event tells of versions that ran before. Events are heard in their order.
func (r *ranking) hear(e *dora.Event) {
	if !e.OccurredAt.Before(r.of.OccurredAt) {
		return
	}
	own := e.Subject.UID == r.of.Subject.UID || e.Subject.Kind == r.of.Subject.Kind &&
		e.Subject.Namespace == r.of.Subject.Namespace && e.Subject.Name == r.of.Subject.Name
	r.replaced(e, own)
	switch {
	case e.Type == dora.TypeRecovered:
		r.add(e.Running, e.OccurredAt, own)
	case e.Outcome == dora.Succeeded:
		r.add(e.Version, e.OccurredAt, own)
	case e.Outcome == dora.Unknown:
		r.add(e.Version, e.StartedAt, own)
	case e.Outcome == dora.RolledBack && e.Success != nil && *e.Success:
		r.add(e.Version, r.rankOf(e.Version), own)
	case settled(e.Version): // it failed, and ran Healthy all the same; or it was settled before, perhaps by another subject
		r.add(e.Version, *e.Version.SettledAt, own && !e.Version.SettledAt.Before(e.StartedAt))
	}
}

// replaced takes in the version before a deployment: a settled one, but where an operation brings an earlier version back. That leaves any.
func (r *ranking) replaced(e *dora.Event, own bool) {
	back := e.Outcome == dora.Failed && e.Unplanned == nil || e.Outcome == dora.RolledBack && e.Success != nil && *e.Success
	if !back || settled(e.Previous.Version) {
		r.add(e.Previous.Version, e.StartedAt, own)
	}
}

func settled(v *dora.Version) bool { return v != nil && v.SettledAt != nil }

// add gives a version its rank: what the event tells, else the earliest time that is known of it.
func (r *ranking) add(v *dora.Version, at time.Time, own bool) {
	if v == nil || len(v.Images) == 0 {
		return
	}
	if settled(v) {
		at = *v.SettledAt
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

// counterpart is the image of a version that takes the place of the deployment's; without an image if it has none.
func (r *ranking) counterpart(v *dora.Version, image string) commit.Version {
	found := commit.Version{Image: commit.Counterpart(image, r.of.Version.Images, v.Images)}
	if found.Image != "" && dora.ImageTag(found.Image) == v.Tag && isFull(v.Commit) {
		found.Commit = v.Commit
	}
	return found
}

// isFull tells a whole SHA from the first digits of one.
func isFull(sha string) bool { return len(sha) == 40 || len(sha) == 64 }
