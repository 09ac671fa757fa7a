package deploy

import (
	"cmp"
	"slices"
	"time"
)

// readOperations merges what history and operationState tell into the operations already known. Operations
// that share their start are one. History proves a full sync that succeeded, but lists it before operationState
// says so.
func (d *decider) readOperations() {
	if d.app == nil {
		return
	}
	horizon := d.oldestKept()
	for i := range d.s.Ops {
		if o := &d.s.Ops[i]; o.ended() {
			d.ended = append(d.ended, o.Start)
		}
	}
	for i := range d.app.History {
		if h := &d.app.History[i]; !h.StartedAt.IsZero() && h.StartedAt.After(horizon) {
			d.readEntry(h)
		}
	}
	if o := d.app.Operation; o != nil && !o.StartedAt.IsZero() && o.StartedAt.After(horizon) {
		d.readCurrent(o)
	}
	slices.SortStableFunc(d.s.Ops, func(a, b Op) int { return a.Start.Compare(b.Start) })
	d.endReplaced()
	d.noteMoving()
	d.noteMissed()
}

// oldestKept is the start of the newest operation that may have been forgotten: history can still list it.
func (d *decider) oldestKept() time.Time {
	if len(d.s.Ops) < keptOps {
		return time.Time{}
	}
	return d.s.Ops[0].Start.Add(-time.Nanosecond)
}

func (d *decider) op(start time.Time) *Op {
	for i := range d.s.Ops {
		if d.s.Ops[i].Start.Equal(start) {
			return &d.s.Ops[i]
		}
	}
	return nil
}

func (d *decider) addOp(start time.Time) *Op {
	if o := d.op(start); o != nil {
		return o
	}
	d.appended = append(d.appended, start)
	d.s.Ops = append(d.s.Ops, Op{Start: start})
	return &d.s.Ops[len(d.s.Ops)-1]
}

func (d *decider) readEntry(h *HistoryEntry) {
	o := d.addOp(h.StartedAt)
	o.Listed, o.Partial, o.DryRun, o.SelfHeal = true, false, false, false
	o.Deployed, o.Revisions = h.DeployedAt, h.Revisions
	if len(o.Images) == 0 {
		o.Images = d.policy.Counted(h.Images)
	}
	current := d.app.Operation
	if o.End.IsZero() && (current == nil || !current.StartedAt.Equal(h.StartedAt)) {
		o.End = h.DeployedAt
	}
}

// readCurrent reads operationState. While it runs, its result and its own copy of the request may be the
// previous operation's, so the request is read from the top-level operation, and the result not at all.
func (d *decider) readCurrent(c *Operation) {
	o := d.addOp(c.StartedAt)
	over := c.Phase == Completed || c.Phase == PhaseFailed || c.Phase == PhaseError
	d.readRequest(o, c, over)
	if !over {
		o.Moving, o.End = true, time.Time{}
		d.noteComparison(o)
		return
	}
	if o.End = c.FinishedAt; o.End.IsZero() {
		o.End = cmp.Or(o.Deployed, c.StartedAt) // known corruption: Succeeded without finishedAt
	}
	o.Failed, o.Message = c.Phase != Completed, c.Message
	if len(c.Revisions) > 0 {
		o.Revisions = c.Revisions
	}
	d.noteComparison(o)
	d.readRows(o, c.Rows)
}

// readRequest: the top-level operation is the request itself. Argo CD writes its copy in operationState by merge patch, so that the
// previous request's fields can linger there; it is trusted only where neither the request nor history was seen.
func (d *decider) readRequest(o *Op, c *Operation, over bool) {
	var r Request
	switch asked := d.app.Requested; {
	case o.Listed, over && o.Asked:
		return
	case !over && asked != nil:
		r, o.Asked = *asked, true
	default:
		r = c.Request
	}
	o.Partial, o.DryRun, o.SelfHeal = r.Partial, r.DryRun, r.SelfHeal
}

// noteComparison remembers whether the comparison before the operation found a difference.
func (d *decider) noteComparison(o *Op) {
	if !o.Closed && d.app.OutOfSync && !d.app.ReconciledAt.After(o.Start) {
		o.OutOfSync = true
	}
}

func (d *decider) readRows(o *Op, rows []Row) {
	if len(rows) == 0 {
		return
	}
	o.RowsSeen = true
	var images []string
	var plain, changed int
	for i := range rows {
		r := &rows[i]
		if !r.Applied {
			continue
		}
		o.Touched = o.Touched || !r.Unchanged
		if !r.Workload {
			continue
		}
		o.Applied = true
		visible := d.visibleRollout(r)
		if !visible {
			images = append(images, r.Images...)
		}
		if !r.Unchanged {
			changed++
			if !visible {
				plain++
			}
		}
	}
	o.Plain, o.Several = o.Plain || plain > 0, o.Several || changed > 1
	if len(images) > 0 {
		o.Images = d.policy.Counted(images)
	}
}

func (d *decider) visibleRollout(r *Row) bool {
	return r.Kind == "Rollout" && slices.ContainsFunc(d.obs.Rollouts, func(ro Rollout) bool {
		return ro.Name == r.Name && (r.Namespace == "" || ro.Namespace == r.Namespace)
	})
}

// endReplaced ends operations whose end nobody saw: the next one had started by then.
func (d *decider) endReplaced() {
	for i := 0; i+1 < len(d.s.Ops); i++ {
		if o := &d.s.Ops[i]; !o.ended() {
			o.End = d.s.Ops[i+1].Start
			o.Unseen = !o.Listed
		}
	}
}

// noteMoving marks the newest operation as seen before it was over.
func (d *decider) noteMoving() {
	if o := d.newest(); o != nil && (!o.ended() || d.app.Health != Healthy) {
		o.Moving = true
	}
	d.noteGap()
	for i := range d.s.Ops {
		if o := &d.s.Ops[i]; o.DryRun && o.ended() && !o.Closed {
			o.Closed, o.Idle = true, true
			d.decidef(ReasonDryRun, attemptOf(o), "a dry run changes nothing")
		}
	}
}

// noteGap marks operations whose end was first seen together with a later transition of health, or during which health
// came back unseen.
func (d *decider) noteGap() {
	for i := range d.s.Ops {
		o := &d.s.Ops[i]
		if !o.ended() || o.Closed {
			continue
		}
		justEnded := !slices.Contains(d.ended, o.Start)
		if d.cameBack || justEnded && d.since().Sub(o.End) > time.Second {
			o.Gap = true
		}
	}
}

// noteMissed counts the history entries that came and went while nobody looked, and whose images nothing tells (rule 10).
// The newest is judged like any other; so is the one before it if the newest is still running.
func (d *decider) noteMissed() {
	last := len(d.s.Ops) - 1
	for last >= 0 && (!d.s.Ops[last].ended() || d.s.Ops[last].SelfHeal) { // a repair is no later deployment
		last--
	}
	d.noteDropped()
	for i := range max(last, 0) {
		switch o := &d.s.Ops[i]; {
		case o.Closed || !d.cameAndWent(o):
		case d.baseline:
			o.Closed = true
		default:
			d.missed(o)
		}
	}
}

// noteDropped counts entries that history dropped before anybody saw them: their ids are missing. Ids that start over tell nothing.
func (d *decider) noteDropped() {
	h := d.app.History
	if len(h) == 0 {
		return
	}
	first, last := h[0].ID, h[0].ID
	for i := range h {
		first, last = min(first, h[i].ID), max(last, h[i].ID)
	}
	dropped := d.s.LastID > 0 && first > d.s.LastID || d.s.LastID == 0 && !d.s.Based && first > 0
	d.s.LastID = last + 1
	if !dropped || d.baseline {
		return
	}
	d.s.PreviousKnown = false
	if d.s.Imported && !d.s.Based {
		return // what it dropped was before the subject was followed
	}
	d.s.Gaps++
	d.decidef(ReasonGap, "", "history has dropped entries that nobody saw (ids up to %d)", first-1)
}

// cameAndWent: it was first seen when a later one had started.
func (d *decider) cameAndWent(o *Op) bool { return !o.Moving && slices.Contains(d.appended, o.Start) }

// newest is the newest operation that is no dry run.
func (d *decider) newest() *Op {
	for i := len(d.s.Ops) - 1; i >= 0; i-- {
		if !d.s.Ops[i].DryRun {
			return &d.s.Ops[i]
		}
	}
	return nil
}

// attemptOf is the identity of an operation's attempt within its subject.
func attemptOf(o *Op) string { return attemptAt(o.Start) }

func attemptAt(start time.Time) string { return start.UTC().Format(time.RFC3339) }
