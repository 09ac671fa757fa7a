package replay

import (
	"encoding/json"
	"time"
)

// stamps are the times that the API server and Argo write into an object. Annotations, labels and the spec are left out: they can
// name times to come.
type stamps struct {
	Metadata struct {
		CreationTimestamp any `json:"creationTimestamp"`
		DeletionTimestamp any `json:"deletionTimestamp"`
		ManagedFields     []struct {
			Time any `json:"time"`
		} `json:"managedFields"`
	} `json:"metadata"`
	Status any `json:"status"`
}

// newest is the latest time that was stamped on an object, not before the clock. It stands in for the arrival of an event that
// kubectl printed.
func newest(object json.RawMessage, clock time.Time) time.Time {
	var s stamps
	if json.Unmarshal(object, &s) != nil {
		return clock
	}
	clock = latest([]any{s.Metadata.CreationTimestamp, s.Metadata.DeletionTimestamp, s.Status}, clock)
	for _, field := range s.Metadata.ManagedFields {
		clock = latest(field.Time, clock)
	}
	return clock
}

func latest(value any, at time.Time) time.Time {
	switch v := value.(type) {
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil && t.After(at) {
			return t.UTC()
		}
	case []any:
		for _, e := range v {
			at = latest(e, at)
		}
	case map[string]any:
		for _, e := range v {
			at = latest(e, at)
		}
	}
	return at
}
