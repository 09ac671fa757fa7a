// Package lenient decodes objects that other projects own without ever rejecting one of them.
//
// A typed client decodes a list as a whole: one object with a field of an unexpected type fails the list, the informer
// retries for ever, and nothing of that kind is seen any more. Argo's CRDs leave large parts of their objects
// unvalidated, and other versions of Argo may change what we do not own. So here a field that cannot be read is
// left at its zero value, which the rest of this project takes for "Argo did not tell", and every other field of the
// object, and every other object, is read as usual. Only text that is no JSON object at all is an error.
//
// Keys match case-sensitively, as they do in the API server.
package lenient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"
)

// Decode reads a JSON object into a struct and leaves out what does not fit. The struct's own fields must not use
// types whose UnmarshalJSON can fail, such as metav1.Time: Time and Meta stand in for them.
func Decode(data []byte, into any) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '{' {
		return fmt.Errorf("cannot read %.40q as an object", data)
	}
	// Of a value of the wrong type the decoder makes a note and goes on; the note is all that it returns.
	var mismatch *json.UnmarshalTypeError
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, into); err != nil && !errors.As(err, &mismatch) {
		return fmt.Errorf("cannot read object: %w", err)
	}
	return nil
}

// Time is a point in time in whole seconds, as Argo writes it, held small: an Application has two for each entry of its history. The zero
// Time was not told.
type Time struct{ unix int64 }

// At is the Time of t, of which fractions of a second are dropped.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{unix: t.Unix()}
}

// UTC is the time, or the zero time.
func (t Time) UTC() time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.Unix(t.unix, 0).UTC()
}

// IsZero tells that there is no time.
func (t Time) IsZero() bool { return t.unix == 0 }

// Equal compares, for tests.
func (t Time) Equal(other Time) bool { return t == other }

// UnmarshalJSON never fails: anything but an RFC 3339 string reads as the zero Time, and so does one that in UTC is of a year which no such
// string can have, since no state with that in it could be kept.
func (t *Time) UnmarshalJSON(data []byte) error {
	var text string
	var parsed time.Time
	if json.Unmarshal(data, &text) == nil {
		parsed, _ = time.Parse(time.RFC3339, text)
	}
	if year := parsed.UTC().Year(); year < 0 || year > 9999 {
		parsed = time.Time{}
	}
	*t = At(parsed)
	return nil
}

// MarshalJSON writes what the API server would: seconds, or null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.UTC().Format(time.RFC3339))
}

// Meta is the part of an object's metadata that is read.
type Meta struct {
	Name              string            `json:"name"`
	Namespace         string            `json:"namespace"`
	UID               types.UID         `json:"uid"`
	ResourceVersion   string            `json:"resourceVersion"`
	Generation        int64             `json:"generation"`
	CreationTimestamp Time              `json:"creationTimestamp"`
	DeletionTimestamp Time              `json:"deletionTimestamp"`
	Labels            map[string]string `json:"labels"`
	Annotations       map[string]string `json:"annotations"`
	Finalizers        []string          `json:"finalizers"`
}

// ObjectMeta is the same as Kubernetes' own type.
func (m Meta) ObjectMeta() metav1.ObjectMeta {
	meta := metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		CreationTimestamp: metav1.Time{Time: m.CreationTimestamp.UTC()},
		Labels:            m.Labels, Annotations: m.Annotations, Finalizers: m.Finalizers,
	}
	if !m.DeletionTimestamp.IsZero() {
		meta.DeletionTimestamp = &metav1.Time{Time: m.DeletionTimestamp.UTC()}
	}
	return meta
}
