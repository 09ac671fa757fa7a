package replay

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
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
)

// The types that carry none.
const (
	bookmark Type = "BOOKMARK"
	failed   Type = "ERROR"
)

// Event is one recorded watch event. At most one of the objects is set; none for kinds that nobody follows.
type Event struct {
	Seen        time.Time
	Type        Type
	Application *argocd.Application
	Rollout     *rollouts.Rollout
	ReplicaSet  *appsv1.ReplicaSet
}

// LineError is a bad line of a recording.
type LineError struct {
	File string
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// Read decodes a recording and calls each for every event, in order. It takes
//   - {"seen","type","object"}, one a line: the recordings of this project;
//   - {"type","object"}: `kubectl get KIND --watch --output-watch-events -o json`, several kinds one after the other;
//   - bare objects and lists: `kubectl get KIND -o json`, each one look at its objects.
//
// Events without an arrival time are ordered by resourceVersion, which one API server counts for all kinds, and the newest time that
// an object mentions stands in for the arrival. Every value that cannot be read is reported with its line; the rest is still read.
func Read(file string, r io.Reader, each func(Event)) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	rec := recording{file: file, known: map[string]bool{}}
	rec.scan(data)
	rec.order()
	clock := time.Time{}
	for _, e := range rec.entries {
		if e.Seen.IsZero() {
			e.Seen = newest(e.raw, clock)
		}
		if e.Seen.Before(clock) {
			e.Seen = clock // events arrive in order, whatever their clocks say
		}
		clock = e.Seen
		each(e.Event)
	}
	return errors.Join(rec.bad...)
}

// recording collects the events of one input.
type recording struct {
	file    string
	entries []entry
	known   map[string]bool // uids of bare objects
	bad     []error
}

type entry struct {
	Event
	version uint64
	raw     json.RawMessage
}

// value is a watch event, a list, or an object.
type value struct {
	Seen   *time.Time        `json:"seen"`
	Type   Type              `json:"type"`
	Object json.RawMessage   `json:"object"`
	Kind   string            `json:"kind"`
	Items  []json.RawMessage `json:"items"`
}

type head struct {
	Kind     string `json:"kind"`
	Message  string `json:"message"`
	Metadata struct {
		UID             string `json:"uid"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
}

// scan splits the input into values. After one that is no JSON it goes on at the next line.
func (r *recording) scan(data []byte) {
	line, counted := 1, 0
	for offset := 0; ; {
		rest := bytes.TrimLeft(data[offset:], " \t\r\n")
		if len(rest) == 0 {
			return
		}
		start := len(data) - len(rest)
		line, counted = line+bytes.Count(data[counted:start], []byte("\n")), start
		var raw json.RawMessage
		dec := json.NewDecoder(bytes.NewReader(rest))
		if err := dec.Decode(&raw); err != nil {
			r.report(line, fmt.Errorf("not JSON: %w", err))
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				return
			}
			offset = start + end
			continue
		}
		offset = start + int(dec.InputOffset())
		if err := r.read(raw); err != nil {
			r.report(line, err)
		}
	}
}

func (r *recording) report(line int, err error) { r.bad = append(r.bad, &LineError{r.file, line, err}) }

func (r *recording) read(raw json.RawMessage) error {
	var v value
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("not a watch event: %w", err)
	}
	switch {
	case v.Type != "":
		return r.readEvent(v)
	case strings.HasSuffix(v.Kind, "List"):
		var bad []error
		for _, item := range v.Items {
			bad = append(bad, r.readObject(item))
		}
		return errors.Join(bad...)
	case v.Kind != "":
		return r.readObject(raw)
	default:
		return errors.New(`neither a watch event (no "type") nor an object (no "kind")`)
	}
}

func (r *recording) readEvent(v value) error {
	e := Event{Type: v.Type}
	if v.Seen != nil {
		e.Seen = v.Seen.UTC()
	}
	var h head
	headErr := json.Unmarshal(v.Object, &h)
	switch v.Type {
	case bookmark:
		return nil
	case failed:
		return fmt.Errorf("the watch ended with an error: %s", h.Message)
	case Added, Modified, Deleted:
	default:
		return fmt.Errorf("type is %q, not ADDED, MODIFIED, DELETED, BOOKMARK or ERROR", v.Type)
	}
	if headErr != nil || h.Kind == "" {
		return errors.New("object is missing or has no kind")
	}
	return r.keep(e, h, v.Object)
}

// readObject takes a bare object as one look at it.
func (r *recording) readObject(raw json.RawMessage) error {
	var h head
	if err := json.Unmarshal(raw, &h); err != nil || h.Kind == "" {
		return errors.New("an item of the list has no kind")
	}
	e := Event{Type: Added}
	if r.known[h.Metadata.UID] {
		e.Type = Modified
	}
	r.known[h.Metadata.UID] = true
	return r.keep(e, h, raw)
}

func (r *recording) keep(e Event, h head, object json.RawMessage) error {
	if h.Metadata.UID == "" {
		return fmt.Errorf("the %s has no metadata.uid", h.Kind)
	}
	if err := decode(&e, h.Kind, object); err != nil {
		return fmt.Errorf("the %s cannot be read: %w", h.Kind, err)
	}
	version, err := strconv.ParseUint(h.Metadata.ResourceVersion, 10, 64)
	if err != nil {
		version = 0
	}
	kept := entry{Event: e, version: version}
	if e.Seen.IsZero() {
		kept.raw = object
	}
	r.entries = append(r.entries, kept)
	return nil
}

// order sorts events that carry no arrival time, if every one of them tells its version.
func (r *recording) order() {
	if slices.ContainsFunc(r.entries, func(e entry) bool { return !e.Seen.IsZero() || e.version == 0 }) {
		return
	}
	slices.SortStableFunc(r.entries, func(a, b entry) int { return cmp.Compare(a.version, b.version) })
}

func decode(e *Event, kind string, object json.RawMessage) error {
	switch kind {
	case "Application":
		e.Application = &argocd.Application{}
		return json.Unmarshal(object, e.Application)
	case "Rollout":
		e.Rollout = &rollouts.Rollout{}
		return json.Unmarshal(object, e.Rollout)
	case "ReplicaSet":
		e.ReplicaSet = &appsv1.ReplicaSet{}
		return json.Unmarshal(object, e.ReplicaSet)
	}
	return nil
}
