package replay

import (
	"encoding/json"
	"time"
)

// newest finds the latest time that an object's metadata and status mention, not before the clock. Watch events that kubectl
// prints carry no arrival time, and Argo stamps each change of a status. The spec is left out: it can name times to come.
func newest(object json.RawMessage, clock time.Time) time.Time {
	var parts struct {
		Metadata any `json:"metadata"`
		Status   any `json:"status"`
	}
	if json.Unmarshal(object, &parts) != nil {
		return clock
	}
	return latest(parts.Status, latest(parts.Metadata, clock))
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
