package argocd

import (
	"strings"
	"unique"
)

// changedRows is how many rows of other kinds than workloads are kept. Decisions ask whether there is one; a few more make a
// readable explanation.
const changedRows = 8

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
	app.Status.trim()
	return app, nil
}

func (a *Application) trimMeta() {
	a.ManagedFields, a.Finalizers, a.OwnerReferences = nil, nil, nil
	skip, found := a.Annotations[skipReconcile]
	a.Annotations = nil
	if found {
		a.Annotations = map[string]string{skipReconcile: skip}
	}
	a.Namespace = shared(a.Namespace)
	labels := make(map[string]string, len(a.Labels))
	for key, value := range a.Labels {
		labels[shared(key)] = shared(value)
	}
	a.Labels = labels
}

func (s *Status) trim() {
	s.Resources = keep(s.Resources, Resource.needed, Resource.trimmed)
	s.Conditions = keep(s.Conditions, Condition.stale, Condition.trimmed)
	s.Health.Status, s.Sync.Status = shared(s.Health.Status), shared(s.Sync.Status)
	for i := range s.History {
		s.History[i].trim()
	}
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
	o.Phase, o.Message = shared(o.Phase), cut(o.Message)
	if o.SyncResult != nil {
		rows := neededRows(o.SyncResult.Resources)
		o.SyncResult.Resources = make([]ResourceResult, len(rows))
		for i, r := range rows {
			o.SyncResult.Resources[i] = r.trimmed()
		}
	}
}

// neededRows are the workloads, and the first few others that an operation changed. If there is no such row, one of the rest stays: a result
// that changed nothing is not the same as one that Argo CD did not tell.
func neededRows(rows []ResourceResult) []ResourceResult {
	var kept []ResourceResult
	others := 0
	for _, r := range rows {
		other := !r.workload() && r.changed()
		if other {
			others++
		}
		if r.workload() || (other && others <= changedRows) {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		kept = rows[:min(1, len(rows))]
	}
	return kept
}

func (r ResourceResult) trimmed() ResourceResult {
	message := ""
	if r.unchanged() {
		message = unchanged
	}
	r.Message = message
	r.Group, r.Kind, r.Namespace = shared(r.Group), shared(r.Kind), shared(r.Namespace)
	r.Status, r.SyncPhase = shared(r.Status), shared(r.SyncPhase)
	return r
}

func (r Resource) trimmed() Resource {
	r.Group, r.Kind, r.Namespace = shared(r.Group), shared(r.Kind), shared(r.Namespace)
	if r.Health != nil {
		r.Health.Status = shared(r.Health.Status)
	}
	return r
}

func (c Condition) trimmed() Condition {
	c.Message = tooLarge
	return c
}

// keep copies what is needed into memory of its own size, so that nothing holds on to the rest.
func keep[T any](all []T, needed func(T) bool, trimmed func(T) T) []T {
	var kept []T
	for _, one := range all {
		if needed(one) {
			kept = append(kept, trimmed(one))
		}
	}
	return append([]T(nil), kept...)
}

// shared is the same text held once for all objects: kinds, phases and namespaces repeat in every Application.
func shared(text string) string { return unique.Make(text).Value() }

// cut keeps whole characters.
func cut(message string) string {
	if len(message) <= messageBytes {
		return message
	}
	return strings.ToValidUTF8(message[:messageBytes], "")
}
