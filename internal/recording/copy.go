package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dora-controller/dora-controller/internal/replay"
)

// Copy writes the events of a recording, in any form that the replay reads, as a recording of this package. What it wrote before, with the
// same key, agrees with it. A value that cannot be read is named, and the rest is written.
func Copy(name string, data []byte, w *Writer) error {
	gaps := gapsIn(data)
	var failed error
	until := func(seen time.Time) {
		for failed == nil && len(gaps) > 0 && !gaps[0].Seen.After(seen) {
			failed, gaps = w.gap(gaps[0].Seen, *gaps[0].Gap), gaps[1:]
		}
	}
	bad := replay.Read(name, bytes.NewReader(data), func(e replay.Event) {
		until(e.Seen)
		if failed == nil {
			failed = w.copied(e)
		}
	})
	if n := len(gaps); n > 0 {
		until(gaps[n-1].Seen)
	}
	return errors.Join(bad, failed)
}

func (w *Writer) copied(e replay.Event) error {
	uid := uidOf(&e)
	if uid == "" {
		return nil // nothing to know it by, so the replay would not take it; or a kind that nobody follows
	}
	object, err := w.object(&e)
	if err != nil || object == nil {
		return err
	}
	return w.event(e.Seen, e.Type, uid, object)
}

func uidOf(e *replay.Event) string {
	switch {
	case e.Application != nil:
		return string(e.Application.UID)
	case e.Rollout != nil:
		return string(e.Rollout.UID)
	case e.ReplicaSet != nil:
		return string(e.ReplicaSet.UID)
	}
	return ""
}

// Gaps says in words, one gap each, where a recording says itself that events may be missing.
func Gaps(data []byte) []string {
	var told []string
	for _, l := range gapsIn(data) {
		what := "events"
		if l.Gap.Kind != "" {
			what = "changes of a " + l.Gap.Kind
		}
		told = append(told, fmt.Sprintf("%s between %s and %s may be missing", what, l.Gap.Since.Format(time.RFC3339), l.Seen.Format(time.RFC3339)))
	}
	return told
}

// gapsIn are the lines by which an earlier recording says that events may be missing. The replay passes over them.
func gapsIn(data []byte) []line {
	var found []line
	for text := range bytes.Lines(data) {
		var l line
		if bytes.Contains(text, []byte(`"gap"`)) && json.Unmarshal(text, &l) == nil && l.Gap != nil && l.Type == bookmark {
			l.Gap.Kind = kindKnown(l.Gap.Kind)
			found = append(found, l)
		}
	}
	return found
}

// kindKnown keeps somebody's words out of a line that nothing redacts.
func kindKnown(kind string) string {
	switch kind {
	case kindApplication, kindRollout, kindReplicaSet:
		return kind
	}
	return ""
}
