// Package recording makes the files that internal/replay reads: from a cluster as it is watched, and from earlier recordings.
//
//	API server → Watch ─┐
//	FILE       → Copy  ─┴→ what decisions read, or a pseudonym of it → Writer → one line a watch event
//
// What it guarantees:
//
//   - Allowed fields only. An object is built anew from the fields that internal/argocd and internal/rollouts read; all else (specs,
//     environment variables, Helm values, other annotations and labels, managed fields, user names, messages) was never copied. Messages
//     are free text of other programs and can repeat a credential, so they stay out unless they are asked for.
//   - With a key, every name is a pseudonym: a keyed hash, or a keyed permutation where the form matters (Pseudonyms tells which). Equal
//     stays equal, and without the key nothing can be looked up. The replay decides the same, at the same times; only where names break a
//     tie, such as which of several changed images lends an event its tag, can it fall otherwise.
//   - No event twice, and none lost in silence. A watch that is dropped goes on at the version where it ended. If the server no longer knows
//     that version, what changed is found by a new list, and a line in the file says between which times events may be missing.
//   - Each line is written by itself, as soon as it is known, so that the file is whole at any moment. What is kept in memory is the last
//     state of each object, not its history.
package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/replay"
)

// keyBytes is the least that a key may have: what cannot be guessed.
const keyBytes = 16

// Options say what of an object is written.
type Options struct {
	// Key makes pseudonyms of names. Without one they stay as they are.
	Key []byte
	// Messages keeps what Argo says in words, and the row of every resource.
	Messages bool
	// Raw keeps objects as the API server has them.
	Raw bool
}

// Validate tells which options exclude each other.
func (o Options) Validate() error {
	switch {
	case o.Key != nil && o.Raw:
		return errors.New("an object is either kept as it is or redacted: leave out --raw or --redact")
	case o.Key != nil && o.Messages:
		return errors.New("messages are free text, which cannot be redacted: leave out --messages or --redact")
	case o.Key != nil && len(o.Key) < keyBytes:
		return fmt.Errorf("a key needs %d bytes or more; make one with: openssl rand -hex 32", keyBytes)
	}
	return nil
}

// line is one line of a recording. Bookmarks are those that the replay passes over; here they tell of a gap.
type line struct {
	Seen   time.Time       `json:"seen"`
	Type   replay.Type     `json:"type"`
	Object json.RawMessage `json:"object"`
	Gap    *Gap            `json:"gap,omitempty"`
}

// bookmark is the type of the lines that carry no event.
const bookmark replay.Type = "BOOKMARK"

// Gap tells that between its time and that of its line, events of a kind may be missing.
type Gap struct {
	Kind  string    `json:"kind"`
	Since time.Time `json:"since"`
}

// Summary is what was written.
type Summary struct{ Events, Objects, Gaps int }

// String is a part of a sentence.
func (s Summary) String() string {
	text := count(s.Events, "event") + " of " + count(s.Objects, "object")
	if s.Gaps > 0 {
		text += ", with " + count(s.Gaps, "gap")
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Writer appends events to a recording. It may be used by several goroutines.
type Writer struct {
	mu      sync.Mutex
	out     io.Writer
	options Options
	names   *Pseudonyms
	last    time.Time
	objects map[string]bool
	summary Summary
}

// NewWriter writes to out, each line with one call, so that nothing has to be flushed.
func NewWriter(out io.Writer, options Options) *Writer {
	w := &Writer{out: out, options: options, objects: map[string]bool{}}
	if options.Key != nil {
		w.names = NewPseudonyms(options.Key)
	}
	return w
}

// Summary is what was written so far.
func (w *Writer) Summary() Summary {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.summary
}

// event writes an object as it was seen, and counts it by the uid that it has in the cluster.
func (w *Writer) event(seen time.Time, kind replay.Type, uid string, object json.RawMessage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(line{Seen: seen, Type: kind, Object: object}); err != nil {
		return err
	}
	w.objects[uid] = true
	w.summary.Events++
	w.summary.Objects = len(w.objects)
	return nil
}

// gap says that events may be missing.
func (w *Writer) gap(seen time.Time, gap Gap) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	head, err := json.Marshal(map[string]string{"kind": gap.Kind})
	if err != nil {
		return fmt.Errorf("cannot write of a gap: %w", err)
	}
	if err := w.write(line{Seen: seen, Type: bookmark, Object: head, Gap: &gap}); err != nil {
		return err
	}
	w.summary.Gaps++
	return nil
}

// write keeps the order: whoever comes later was seen later, whatever the clock says.
func (w *Writer) write(l line) error {
	if l.Seen.Before(w.last) {
		l.Seen = w.last
	}
	w.last = l.Seen
	l.Seen = l.Seen.UTC()
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("cannot write an event: %w", err)
	}
	if _, err := w.out.Write(append(data, '\n')); err != nil {
		return &writeError{err}
	}
	return nil
}

// writeError says that no more can be written, so that there is no point in going on.
type writeError struct{ err error }

func (e *writeError) Error() string { return "cannot write the recording: " + e.err.Error() }

func (e *writeError) Unwrap() error { return e.err }
