// Package rows is what drivers of the ledger do alike with rows, whatever database keeps them: an event is read with its facts, a change is
// encoded, and what is due is picked.
package rows

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Decode reads an event and joins its facts and its newest mark, if it has any.
func Decode(seq int64, payload, facts, mark []byte) (dora.Event, error) {
	var event dora.Event
	if err := json.Unmarshal(payload, &event); err != nil {
		return dora.Event{}, fmt.Errorf("cannot decode event %d: %w", seq, err)
	}
	if facts != nil {
		var known dora.CommitFacts
		if err := json.Unmarshal(facts, &known); err != nil {
			return dora.Event{}, fmt.Errorf("cannot decode the facts of event %d: %w", seq, err)
		}
		event.Enrich(known)
	}
	if mark != nil {
		said, err := DecodeMark(seq, mark)
		if err != nil {
			return dora.Event{}, err
		}
		event.Say(said)
	}
	return event, nil
}

// DecodeMark reads a mark of an event.
func DecodeMark(seq int64, text []byte) (mark dora.Mark, err error) {
	if err := json.Unmarshal(text, &mark); err != nil {
		return dora.Mark{}, fmt.Errorf("cannot decode a mark of event %d: %w", seq, err)
	}
	return mark, nil
}

// Says tells whether the newest mark of an event, nil if it has none, says already what another one would.
func Says(newest *dora.Mark, mark dora.Mark) bool {
	if newest == nil || newest.Verdict == dora.Withdrawn {
		return mark.Verdict == dora.Withdrawn
	}
	return newest.Says(&mark)
}

// Complete joins facts to an event, and tells whether it reads differently now.
func Complete(before dora.Event, facts dora.CommitFacts) (after dora.Event, changed bool, err error) {
	after = before
	after.Enrich(facts)
	was, errWas := json.Marshal(before)
	is, errIs := json.Marshal(after)
	if err := errors.Join(errWas, errIs); err != nil {
		return after, false, fmt.Errorf("cannot complete event %s: %w", facts.EventID, err)
	}
	return after, !bytes.Equal(was, is), nil
}

// Record is a change made ready for a writer, so that encoding happens in the caller's goroutine.
type Record struct {
	ledger.Change

	Payloads []string // of the events
	Encoded  []string // the facts
	Said     []string // the marks
	Led      string   // to which events the observation led, as JSON
	Labels   any      // of the subject: JSON, or nil
}

// Empty tells whether a change writes nothing.
func Empty(change ledger.Change) bool {
	return len(change.States)+len(change.Events)+len(change.Facts)+len(change.Marks)+len(change.Decisions) == 0 &&
		change.Subject == nil && change.Observation == nil
}

// Encode makes a change ready.
func Encode(change ledger.Change) (Record, error) {
	rec := Record{Change: change, Payloads: make([]string, 0, len(change.Events))}
	for _, event := range change.Events {
		payload, err := json.Marshal(event)
		if err != nil {
			return Record{}, fmt.Errorf("cannot encode event %s: %w", event.ID, err)
		}
		rec.Payloads = append(rec.Payloads, string(payload))
	}
	for _, facts := range change.Facts {
		text, err := json.Marshal(facts)
		if err != nil {
			return Record{}, fmt.Errorf("cannot encode the facts of event %s: %w", facts.EventID, err)
		}
		rec.Encoded = append(rec.Encoded, string(text))
	}
	for _, mark := range change.Marks {
		text, err := encodeMark(mark)
		if err != nil {
			return Record{}, err
		}
		rec.Said = append(rec.Said, text)
	}
	if change.Observation != nil {
		led := make([]string, 0, len(change.Events))
		for _, event := range change.Events {
			led = append(led, event.ID)
		}
		text, err := json.Marshal(led)
		if err != nil {
			return Record{}, fmt.Errorf("cannot encode what an observation led to: %w", err)
		}
		rec.Led = string(text)
	}
	if change.Subject != nil && len(change.Subject.Labels) > 0 {
		labels, err := json.Marshal(change.Subject.Labels)
		if err != nil {
			return Record{}, fmt.Errorf("cannot encode the labels of %s: %w", change.Subject.Name, err)
		}
		rec.Labels = string(labels)
	}
	return rec, nil
}

func encodeMark(mark dora.Mark) (string, error) {
	if !mark.Verdict.Known() {
		return "", fmt.Errorf("the mark of event %s has the unknown verdict %q", mark.EventID, mark.Verdict)
	}
	text, err := json.Marshal(mark)
	if err != nil {
		return "", fmt.Errorf("cannot encode the mark of event %s: %w", mark.EventID, err)
	}
	return string(text), nil
}

// PrunedObservations is how many observations one transaction drops.
const PrunedObservations = 500

// Contents are those that a caller tells of rows, by sequence: the newest of one that is told twice.
func Contents(told []ledger.Delivery) map[int64]int64 {
	contents := make(map[int64]int64, len(told))
	for _, d := range told {
		if known, twice := contents[d.Seq]; !twice || known < d.Content {
			contents[d.Seq] = d.Content
		}
	}
	return contents
}

// Candidate is a pending row, in the order of which they are shown to Picked.
type Candidate struct {
	Seq, Next int64 // Next in microseconds
	Attempts  int
}

// Picked are rows that never failed, and those that did and lead their service. It leaves out every service from its first row on that
// must wait.
type Picked struct {
	Fresh []int64

	failed  []Candidate
	waiting map[string]bool
}

// Show picks a row unless something before it holds it up.
func (p *Picked) Show(row Candidate, service string, now time.Time) {
	if p.waiting == nil {
		p.waiting = map[string]bool{}
	}
	if held, seen := p.waiting[service]; !held {
		p.waiting[service] = p.take(row, !seen, now)
	}
}

// take picks a row of a service that nothing before it holds up, and says whether those behind it have to wait.
func (p *Picked) take(row Candidate, first bool, now time.Time) (holds bool) {
	switch {
	case row.Attempts == 0:
		p.Fresh = append(p.Fresh, row.Seq)
		return false
	case first && (row.Next <= now.UnixMicro() || row.Next > now.Add(ledger.FarAhead).UnixMicro()):
		p.failed = append(p.failed, row)
	}
	return true
}

// Seqs are those that are due, of the failed ones those that have been due longest.
func (p *Picked) Seqs(limit int) []int64 {
	slices.SortFunc(p.failed, func(a, b Candidate) int { return cmp.Or(cmp.Compare(a.Next, b.Next), cmp.Compare(a.Seq, b.Seq)) })
	seqs := p.Fresh
	for _, row := range p.failed[:min(len(p.failed), limit)] {
		seqs = append(seqs, row.Seq)
	}
	return seqs
}

// The states of a search for commits, as they are stored.
const (
	Resolved = string(ledger.SearchResolved)
	Unknown  = string(ledger.SearchUnknown)
)

// Group is some searches in the same state, for the same reason.
type Group struct {
	ledger.ReasonCount

	State  string
	Failed bool
}

// Sum adds groups up, which come sorted by reason.
func Sum(groups []Group) (sum ledger.Resolutions) {
	for _, g := range groups {
		g.addTo(&sum)
	}
	return sum
}

func (g Group) addTo(sum *ledger.Resolutions) {
	switch g.State {
	case Resolved:
		sum.Resolved += g.Count
	case Unknown:
		sum.Unknown = append(sum.Unknown, g.ReasonCount)
	default:
		sum.Pending += g.Count
		if g.Failed {
			sum.Failing = append(sum.Failing, g.ReasonCount)
		}
	}
}
