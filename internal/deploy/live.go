package deploy

import (
	"maps"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// readImages follows the live images: under which operation each of them appeared. summary.images is a union over pods, so it holds old
// and new versions during a rollout, and hooks, CronJobs and terminating pods besides.
func (d *decider) readImages() {
	if d.app == nil {
		return
	}
	d.live = nil
	if d.plainWorkloads() {
		d.live = minus(d.policy.Counted(d.app.Images), d.rolloutImages())
	}
	if p := d.s.Pending; p != nil && p.Change == dora.ChangeImage && len(minus(p.Added, d.rolloutImages())) == 0 {
		d.s.Pending = nil // its ReplicaSet was not visible when the attempt began; the Rollout's own facts tell more
	}
	pods := make(map[string]time.Time, len(d.live))
	for _, ref := range d.live {
		start, known := d.s.Pods[ref]
		if !known {
			if start = d.bringerOfNew(); start.IsZero() {
				d.joinSilently(ref)
			}
		}
		pods[ref] = start
	}
	for _, ref := range slices.Sorted(maps.Keys(d.s.Pods)) {
		if _, still := pods[ref]; !still {
			d.leaveSilently(ref)
			d.rankReplaced(ref)
		}
	}
	if !maps.EqualFunc(pods, d.s.Pods, time.Time.Equal) {
		d.s.Pods = pods
	}
}

// rolloutImages are those of every visible Rollout's ReplicaSets; their own facts tell more than a union over pods.
func (d *decider) rolloutImages() []string {
	var sets [][]string
	for i := range d.obs.Rollouts {
		ro := &d.obs.Rollouts[i]
		sets = append(sets, d.policy.Counted(ro.TemplateImages))
		for j := range ro.ReplicaSets {
			sets = append(sets, d.policy.Counted(ro.ReplicaSets[j].Images), d.policy.Counted(ro.ReplicaSets[j].InitImages))
		}
	}
	return union(sets...)
}

// plain is the part of a version that belongs to no visible Rollout.
func (d *decider) plain(images []string) []string {
	if len(d.obs.Rollouts) == 0 {
		return images
	}
	return minus(images, d.rolloutImages())
}

// bringerOfNew is the start of the operation that an image appearing now came with; zero if none can have brought it.
func (d *decider) bringerOfNew() time.Time {
	o := d.lastBringer()
	if o == nil || d.baseline {
		return time.Time{}
	}
	if !o.ended() {
		before := d.justMissed(o)
		if before == nil && o.SelfHeal {
			before = d.waiting(o)
		}
		if before != nil {
			return before.Start
		}
		return o.Start
	}
	if o.Closed && (!o.Idle || d.now.Sub(o.End) > settleFor || o.SelfHeal && !d.app.Synced) {
		return time.Time{} // what a repair left Synced, and is not any more, is new drift
	}
	if o.Closed {
		o.Closed, o.Idle = false, false // the image came late
	}
	return o.Start
}

// justMissed is the operation before a running one, if its verdict is still open and the Healthy that production shows is
// older than the running one.
func (d *decider) justMissed(running *Op) *Op {
	i := slices.IndexFunc(d.s.Ops, func(o Op) bool { return o.Start.Equal(running.Start) })
	if i < 1 || !slices.Contains(d.appended, running.Start) {
		return nil
	}
	before := &d.s.Ops[i-1]
	if !before.ended() || before.Closed || before.Unseen || d.app.Health != Healthy || d.since().After(running.Start) {
		return nil
	}
	before.Gap = true
	return before
}

// waiting is the sync before a repair whose version was not seen live yet. What appears during the repair is that: it applies the same revision.
func (d *decider) waiting(repair *Op) *Op {
	for i := len(d.s.Ops) - 1; i >= 0; i-- {
		o := &d.s.Ops[i]
		if !o.Start.Before(repair.Start) || o.SelfHeal || o.DryRun {
			continue
		}
		if o.ended() && !o.Closed && !o.Failed && d.mayBring(o) {
			return o
		}
		return nil
	}
	return nil
}

// lastBringer is the newest operation that may have brought an image. Nil if there is none.
func (d *decider) lastBringer() *Op {
	for i := len(d.s.Ops) - 1; i >= 0; i-- {
		if o := &d.s.Ops[i]; !o.DryRun && (!o.ended() || d.mayBring(o)) {
			return o
		}
	}
	return nil
}

// mayBring says that an operation changed a workload other than the visible Rollouts.
func (d *decider) mayBring(o *Op) bool {
	if o.RowsSeen {
		adopts := d.s.New && o.Start.Equal(d.s.Ops[0].Start) // what already ran may come under a new Application unchanged
		return o.Plain || adopts && o.Applied
	}
	return d.plainWorkloads()
}

// plainWorkloads: the Application runs pods that belong to no visible Rollout.
func (d *decider) plainWorkloads() bool {
	return len(d.obs.Rollouts) == 0 || slices.ContainsFunc(d.app.Resources, func(r Resource) bool {
		return slices.Contains(podKinds[:], r.Kind)
	})
}

// podKinds run pods and are no Rollouts.
var podKinds = [...]string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "CronJob", "Job"}

// joinSilently is rule 4: an image that no operation brought joins the settled version.
func (d *decider) joinSilently(ref string) {
	s := &d.s
	if !s.Based || slices.Contains(s.Current, ref) || slices.Contains(s.Settled, ref) {
		return
	}
	s.Settled, s.Current = union(s.Settled, []string{ref}), union(s.Current, []string{ref})
	s.Silent = union(s.Silent, []string{ref})
	d.decidef(ReasonSilentImage, "", "%s appeared without an operation that applied a workload", ref)
}

// rankReplaced: where the version before is not known, an image that was seen running before another of its repository was
// the version before; its first sight is its rank.
func (d *decider) rankReplaced(ref string) {
	if d.s.PreviousKnown || len(d.live) == 0 || !hasRepository(d.live, repository(ref)) {
		return
	}
	d.svc.settle(rankKey(overlay(d.live, []string{ref}), d.s.Silent), later(d.s.Pods[ref], d.s.FollowedSince))
}

// leaveSilently undoes that for drift: the image is gone and its repository still runs another.
func (d *decider) leaveSilently(ref string) {
	s := &d.s
	others := minus(s.Settled, []string{ref})
	if !slices.Contains(s.Silent, ref) || !hasRepository(others, repository(ref)) {
		return
	}
	s.Settled, s.Current, s.Silent = others, minus(s.Current, []string{ref}), minus(s.Silent, []string{ref})
}

// version reads the attempt's version from what Argo tells: the images that an operation's rows say it applied come
// first; else the live ones without those that ran before once a newer one of the repository is live. A repository whose
// pods are gone keeps its last image. added are those that were not running before, bringer the start of the operation they came with.
func (d *decider) version() (version, added []string, bringer time.Time) {
	open := d.openOp()
	version = d.newestOfEach()
	if open != nil && len(open.Images) > 0 {
		version = overlay(version, d.plain(open.Images))
	}
	version = overlay(d.plain(d.s.Current), version)
	for _, ref := range minus(version, d.s.Current) {
		if slices.Contains(d.s.Silent, ref) {
			continue
		}
		added = append(added, ref)
		start := d.s.Pods[ref]
		if o := d.op(start); o == nil || o.Closed {
			start = time.Time{}
			if open != nil {
				start = open.Start
			}
		}
		bringer = later(bringer, start)
	}
	return version, added, bringer
}

// openOp is the newest operation, if it may still bring a version.
func (d *decider) openOp() *Op {
	if o := d.lastBringer(); o != nil && !o.Closed && d.mayBring(o) {
		return o
	}
	return nil
}

// newestOfEach keeps, of each repository's live images, those that appeared under the newest operation; without
// any newer one, those that are part of the current version.
func (d *decider) newestOfEach() []string {
	var kept []string
	for _, ref := range d.live {
		start, current := d.s.Pods[ref], slices.Contains(d.s.Current, ref)
		keep := true
		for _, other := range d.live {
			if other == ref || repository(other) != repository(ref) {
				continue
			}
			newer := d.s.Pods[other].Compare(start)
			if newer > 0 || newer == 0 && !current && slices.Contains(d.s.Current, other) {
				keep = false
			}
		}
		if keep {
			kept = append(kept, ref)
		}
	}
	return kept
}
