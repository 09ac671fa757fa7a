// Package evidence is what a decision rests on, in a form that a ledger keeps: what was seen of a subject, by which policy it was judged and
// when, and what was known before. With it the decision can be made again, by these rules or by those of a later release.
//
// It holds what package deploy reads of Argo's objects and no more: images, times, phases, names, revisions, and the messages that Argo shows
// to whoever may read its objects. There is no field for anything that is secret.
//
// What is kept is JSON, compressed by a dictionary of the words that all of them have. A form begins with its number: a release that does not
// know it says so. What is read is bounded, since it comes from a disk.
package evidence

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// Evidence is what a decision was made of.
type Evidence struct {
	Now         time.Time          `json:"now"`
	Observation deploy.Observation `json:"observation"`
	Policy      Policy             `json:"policy"`
	// State and Service are those before the decision, as the ledger keeps them; empty before the first one.
	State   json.RawMessage `json:"state,omitempty"`
	Service json.RawMessage `json:"service,omitempty"`
}

// Policy is deploy's, with the pattern of tags as the text that was parsed.
type Policy struct {
	deploy.Policy

	Tags string `json:"tags,omitempty"`
}

// MakePolicy is a policy that can be kept.
func MakePolicy(p *deploy.Policy) Policy {
	kept := Policy{Policy: *p, Tags: p.Tags.String()}
	kept.Policy.Tags = nil
	return kept
}

// Rules is the policy as it decides.
func (p *Policy) Rules() (deploy.Policy, error) {
	tags, err := dora.ParseTagPattern(p.Tags)
	if err != nil {
		return deploy.Policy{}, fmt.Errorf("cannot read the pattern of tags: %w", err)
	}
	rules := p.Policy
	rules.Tags = tags
	return rules, nil
}

const (
	// form is the number of the one that is written.
	form = 1
	// maxSize bounds what is unpacked, which is far more than Argo lets an object be.
	maxSize = 8 << 20
)

var (
	errForm  = errors.New("it is of a form that this release does not know")
	errLarge = fmt.Errorf("it is larger than %d bytes", maxSize)
)

// writers are kept, since each holds more memory than what it writes.
var writers = sync.Pool{New: func() any {
	w, err := flate.NewWriterDict(io.Discard, flate.BestSpeed, dictionary)
	if err != nil {
		panic(err) // the level is one that there is
	}
	return w
}}

// Encode makes evidence ready to be kept.
func Encode(e *Evidence) ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("cannot encode evidence: %w", err)
	}
	var packed bytes.Buffer
	packed.WriteByte(form)
	w, _ := writers.Get().(*flate.Writer)
	defer writers.Put(w)
	w.Reset(&packed)
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("cannot pack evidence: %w", err)
	}
	return packed.Bytes(), nil
}

// Decode reads what Encode made.
func Decode(packed []byte) (*Evidence, error) {
	if len(packed) == 0 || packed[0] != form {
		return nil, errForm
	}
	r := flate.NewReaderDict(bytes.NewReader(packed[1:]), dictionary)
	defer r.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot unpack evidence: %w", err)
	}
	if len(text) > maxSize {
		return nil, errLarge
	}
	e := &Evidence{}
	if err := json.Unmarshal(text, e); err != nil {
		return nil, fmt.Errorf("cannot decode evidence: %w", err)
	}
	return e, nil
}
