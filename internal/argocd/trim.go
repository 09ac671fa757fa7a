package argocd

import (
	"strings"
	"unique"
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
	app.Spec.Destination = app.Spec.Destination.trimmed()
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

func (d Destination) trimmed() Destination {
	return Destination{Server: shared(d.Server), Name: shared(d.Name), Namespace: shared(d.Namespace)}
}

func (s *Status) trim() {
	s.Resources = keep(s.Resources, Resource.needed, Resource.trimmed)
	s.Conditions = keep(s.Conditions, Condition.stale, Condition.trimmed)
	s.Health.Status, s.Sync.Status = shared(s.Health.Status), shared(s.Sync.Status)
	s.History = keep(s.History, always, Revision.trimmed)
	s.Summary.Images = keep(s.Summary.Images, always, asIs)
	if s.OperationState != nil {
		s.OperationState.trim()
	}
}

// trimmed lets go of sources that name no image, as most do.
func (r Revision) trimmed() Revision {
	if len(sourceImages(r.Source, r.Sources)) == 0 {
		r.Source, r.Sources = Source{}, nil
	}
	return r
}

func (o *OperationState) trim() {
	o.Phase, o.Message = shared(o.Phase), shared(cut(o.Message))
	if o.SyncResult != nil {
		o.SyncResult.Resources = keep(neededRows(o.SyncResult.Resources), always, ResourceResult.trimmed)
	}
}

// neededRows are the workloads, and one other that the operation changed: decisions ask whether there is one. If it changed none, one
// of the rest stays, since that is not the same as a result that Argo CD did not tell.
func neededRows(rows []ResourceResult) []ResourceResult {
	var kept []ResourceResult
	changed := false
	for _, r := range rows {
		switch {
		case r.workload():
			kept = append(kept, r)
		case r.changed() && !changed:
			kept, changed = append(kept, r), true
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
	count := 0
	for _, one := range all {
		if needed(one) {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	kept := make([]T, 0, count)
	for _, one := range all {
		if needed(one) {
			kept = append(kept, trimmed(one))
		}
	}
	return kept
}

func always[T any](T) bool { return true }

func asIs[T any](one T) T { return one }

// shared is the same text held once for all objects: kinds, phases and namespaces repeat in every Application.
func shared(text string) string { return unique.Make(text).Value() }

// cut keeps whole characters.
func cut(message string) string {
	if len(message) <= messageBytes {
		return message
	}
	return strings.ToValidUTF8(message[:messageBytes], "")
}
