package argocd

import (
	"slices"
	"strings"
	"unique"

	"github.com/dora-controller/dora-controller/internal/redact"
)

// messageBytes is how much of an operation's message is kept.
const messageBytes = 1024

// Trim is a cache transform: what no decision reads never stays in memory. Most of an Application is gone before it comes here, since
// decoding reads known fields only; Trim drops rows by what they say. Observe tells the same before and after.
func Trim(obj any) (any, error) {
	app, ok := obj.(*Application)
	if !ok {
		return obj, nil // a tombstone, or another kind
	}
	app.trimMeta()
	app.Spec.Destination.trim()
	app.Status.trim()
	return app, nil
}

func (a *Application) trimMeta() {
	a.APIVersion, a.Kind = shared(a.APIVersion), shared(a.Kind)
	a.ManagedFields, a.Finalizers, a.OwnerReferences = nil, nil, nil
	skip, found := a.Annotations[skipReconcile]
	a.Annotations = nil
	if found {
		a.Annotations = map[string]string{skipReconcile: skip}
	}
	a.Namespace, a.Name = shared(a.Namespace), shared(a.Name)
	labels := make(map[string]string, len(a.Labels))
	for key, value := range a.Labels {
		labels[shared(key)] = shared(value)
	}
	a.Labels = labels
}

func (d *Destination) trim() {
	d.Server, d.Name, d.Namespace = shared(d.Server), shared(d.Name), shared(d.Namespace)
}

func (s *Status) trim() {
	s.Resources = keep(s.Resources, (*Resource).needed, (*Resource).trim)
	s.Conditions = keep(s.Conditions, (*Condition).stale, (*Condition).trim)
	s.History = keep(s.History, always, (*Revision).trim)
	s.Summary.Images = slices.Clone(s.Summary.Images)
	s.Health.Status, s.Sync.Status = shared(s.Health.Status), shared(s.Sync.Status)
	if s.OperationState != nil {
		s.OperationState.trim()
	}
}

// trim lets go of sources that name no image, as most do.
func (r *Revision) trim() {
	if len(sourceImages(r.Source, r.Sources)) == 0 {
		r.Source, r.Sources = Source{}, nil
	}
}

func (o *OperationState) trim() {
	o.Phase, o.Message = shared(o.Phase), shared(quotable(o.Message))
	if o.SyncResult == nil {
		return
	}
	needed := neededRows(o.SyncResult.Resources)
	rows := make([]ResourceResult, len(needed))
	for i, r := range needed {
		rows[i] = *r
		rows[i].trim()
	}
	o.SyncResult.Resources = rows
}

// neededRows are the workloads, and one other that the operation changed: decisions ask whether there is one. If it changed none, one
// of the rest stays, since that is not the same as a result that Argo CD did not tell.
func neededRows(rows []ResourceResult) []*ResourceResult {
	var kept []*ResourceResult
	changed := false
	for i := range rows {
		switch r := &rows[i]; {
		case r.workload():
			kept = append(kept, r)
		case r.changed() && !changed:
			kept, changed = append(kept, r), true
		}
	}
	if len(kept) == 0 && len(rows) > 0 {
		kept = append(kept, &rows[0])
	}
	return kept
}

func (r *ResourceResult) trim() {
	message := ""
	if r.unchanged() {
		message = unchanged
	}
	r.Message = message
	r.Group, r.Kind, r.Namespace = shared(r.Group), shared(r.Kind), shared(r.Namespace)
	r.Status, r.SyncPhase = shared(r.Status), shared(r.SyncPhase)
}

func (r *Resource) trim() {
	r.Group, r.Kind, r.Namespace = shared(r.Group), shared(r.Kind), shared(r.Namespace)
	if r.Health != nil {
		r.Health.Status = shared(r.Health.Status)
	}
}

func (c *Condition) trim() { c.Message = tooLarge }

// keep copies what is needed into memory of its own size, so that nothing holds on to the rest, and trims the copies.
func keep[T any](all []T, needed func(*T) bool, trim func(*T)) []T {
	var chosen []*T
	for i := range all {
		if needed(&all[i]) {
			chosen = append(chosen, &all[i])
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	kept := make([]T, len(chosen))
	for i, one := range chosen {
		kept[i] = *one
		trim(&kept[i])
	}
	return kept
}

func always[T any](*T) bool { return true }

// shared is the same text held once for all objects: kinds, phases and namespaces repeat in every Application.
func shared(text string) string { return unique.Make(text).Value() }

// wentWell is the message of nearly all operations.
const wentWell = "successfully synced (all tasks run)"

// quotable is a message as it may be kept and shown: Argo's quote what failed, such as the address of a repository with a password in it.
func quotable(message string) string {
	if message == wentWell {
		return message
	}
	return cut(redact.Text(message))
}

// cut keeps whole characters.
func cut(message string) string {
	if len(message) <= messageBytes {
		return message
	}
	return strings.ToValidUTF8(message[:messageBytes], "")
}
