package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// Type is the type of a watch event.
type Type string

// The types that carry an object.
const (
	Added    Type = "ADDED"
	Modified Type = "MODIFIED"
	Deleted  Type = "DELETED"
	Bookmark Type = "BOOKMARK"
)

// Event is one recorded watch event. At most one of the objects is set; none for kinds that nobody follows.
type Event struct {
	Seen        time.Time
	Type        Type
	Application *argocd.Application
	Rollout     *rollouts.Rollout
	ReplicaSet  *appsv1.ReplicaSet
}

// line is one watch event as it is stored: {"seen","type","object"}, or without seen as kubectl prints it.
type line struct {
	Seen   *time.Time      `json:"seen"`
	Type   Type            `json:"type"`
	Object json.RawMessage `json:"object"`
}

type head struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Metadata   struct {
		UID string `json:"uid"`
	} `json:"metadata"`
}

// LineError is a bad line of a recording.
type LineError struct {
	File string
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// Read decodes a recording and calls each for every event. It takes one event a line as well as the indented stream of
// `kubectl get --watch --output-watch-events -o json`, whose events have no arrival time: there the newest time in the object
// stands in. A value that cannot be read is reported with its line, and reading goes on behind it if it was a line of its own.
func Read(file string, r io.Reader, each func(Event)) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	var bad []error
	clock := time.Time{}
	for offset := 0; ; {
		rest := bytes.TrimLeft(data[offset:], " \t\r\n")
		if len(rest) == 0 {
			return errors.Join(bad...)
		}
		start := len(data) - len(rest)
		number := 1 + bytes.Count(data[:start], []byte("\n"))
		var raw json.RawMessage
		dec := json.NewDecoder(bytes.NewReader(rest))
		if err := dec.Decode(&raw); err != nil {
			bad = append(bad, &LineError{file, number, fmt.Errorf("not a watch event: %w", err)})
			next := bytes.IndexByte(rest, '\n')
			if next < 0 {
				return errors.Join(bad...)
			}
			offset = start + next
			continue
		}
		offset = start + int(dec.InputOffset())
		e, err := parse(raw, clock)
		if err != nil {
			bad = append(bad, &LineError{file, number, err})
			continue
		}
		clock = e.Seen
		if e.Type != Bookmark {
			each(e)
		}
	}
}

// parse reads one event. Its time is never before the clock: events arrive in order, whatever their clocks say.
func parse(raw json.RawMessage, clock time.Time) (Event, error) {
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return Event{}, fmt.Errorf("not a watch event: %w", err)
	}
	e := Event{Type: l.Type, Seen: clock}
	if l.Seen == nil {
		e.Seen = newest(l.Object, clock)
	} else if l.Seen.After(clock) {
		e.Seen = l.Seen.UTC()
	}
	switch l.Type {
	case Added, Modified, Deleted:
	case Bookmark:
		return e, nil
	default:
		return Event{}, fmt.Errorf("type is %q, not ADDED, MODIFIED, DELETED or BOOKMARK", l.Type)
	}
	var h head
	if err := json.Unmarshal(l.Object, &h); err != nil || h.Kind == "" {
		return Event{}, errors.New("object is missing or has no kind")
	}
	if h.Metadata.UID == "" {
		return Event{}, fmt.Errorf("the %s has no metadata.uid", h.Kind)
	}
	return e, decode(&e, h, l.Object)
}

func decode(e *Event, h head, object json.RawMessage) error {
	var into any
	switch h.Kind {
	case "Application":
		e.Application = &argocd.Application{}
		into = e.Application
	case "Rollout":
		e.Rollout = &rollouts.Rollout{}
		into = e.Rollout
	case "ReplicaSet":
		e.ReplicaSet = &appsv1.ReplicaSet{}
		into = e.ReplicaSet
	default:
		return nil
	}
	if err := json.Unmarshal(object, into); err != nil {
		return fmt.Errorf("the %s cannot be read: %w", h.Kind, err)
	}
	return nil
}
