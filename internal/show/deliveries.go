package show

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// longAnswer is how much of an answer a table has room for.
const longAnswer = 80

// The states of an event at a sink.
const (
	StateDelivered = "delivered" // the sink took it
	StatePending   = "pending"   // the sink is owed it
	StateParked    = "parked"    // the sink refused it for good
)

// Standing is how one event stands with one sink now.
type Standing struct {
	Sink     string       `json:"sink"`
	EventSeq int64        `json:"event_seq"`
	EventID  string       `json:"event_id"`
	Service  string       `json:"service"`
	Type     dora.Type    `json:"type"`
	Outcome  dora.Outcome `json:"outcome,omitempty"`
	State    string       `json:"state"`
	// Since is since when it is owed, or when it was delivered.
	Since time.Time `json:"since"`
	// Failed counts the attempts that failed while it was owed.
	Failed int `json:"failed"`
	// NextAt is when the next attempt is due; zero unless it is pending.
	NextAt time.Time `json:"next_at,omitzero"`
	// WaitsFor is the event of the same service that has to arrive before.
	WaitsFor string `json:"waits_for,omitempty"`
	// DeliveredAt is when it was delivered before it was owed again.
	DeliveredAt time.Time `json:"delivered_at,omitzero"`
	// SinkGoneAt is since when there is no such DoraSink.
	SinkGoneAt time.Time `json:"sink_gone_at,omitzero"`
	// Answer is the last one.
	Answer string `json:"answer,omitempty"`
}

// Standings is a table of how events stand with sinks.
type Standings struct {
	Grid

	now time.Time
}

// NewStandings returns an empty table of what is so at that time.
func NewStandings(now time.Time) *Standings {
	return &Standings{*NewGrid("SINK", "EVENT", "TYPE", "SERVICE", "RESULT", "SINCE", "FAILED", "NEXT", "ANSWER"), now}
}

// Standing adds a row.
func (t *Standings) Standing(s *Standing) {
	t.Add(s.Sink, s.EventID, kind(s.Type, s.Outcome), s.Service, s.State, clock(s.Since), strconv.Itoa(s.Failed), t.next(s), short(s.answer()))
}

func (t *Standings) next(s *Standing) string {
	switch {
	case s.State != StatePending:
		return Nothing
	case s.NextAt.After(t.now):
		return clock(s.NextAt)
	}
	return "now"
}

// answer is the last answer, after what explains why there is no newer one.
func (s *Standing) answer() string {
	var parts []string
	if !s.SinkGoneAt.IsZero() {
		parts = append(parts, "no such DoraSink since "+clock(s.SinkGoneAt))
	}
	if s.WaitsFor != "" {
		parts = append(parts, "waits for event "+s.WaitsFor)
	}
	if !s.DeliveredAt.IsZero() {
		parts = append(parts, "delivered before, at "+clock(s.DeliveredAt))
	}
	if s.Answer != "" {
		parts = append(parts, s.Answer)
	}
	return orNothing(strings.Join(parts, "; "))
}

// Attempts is a table of attempts to deliver.
type Attempts struct{ Grid }

// NewAttempts returns an empty table.
func NewAttempts() *Attempts {
	return &Attempts{*NewGrid("TIME", "SINK", "EVENT", "TYPE", "SERVICE", "RESULT", "TOOK", "ANSWER")}
}

// Attempt adds a row.
func (t *Attempts) Attempt(r *ledger.DeliveryRecord) {
	t.Add(clock(r.At), r.Sink, r.EventID, kind(r.Type, r.Outcome), r.Service, string(r.Fate), took(r.Took), short(orNothing(r.Answer)))
}

// Delivery writes an attempt, or how an event stands with a sink, as one line; if there is an event, it is beside that.
func (j *JSON) Delivery(line any, event *dora.Event) error {
	text, err := json.Marshal(line)
	if err == nil && event != nil {
		var beside []byte
		beside, err = json.Marshal(event)
		text = append(append(append(text[:len(text)-1], `,"event":`...), beside...), '}')
	}
	if err == nil {
		err = j.encoder.Encode(json.RawMessage(text))
	}
	if err != nil {
		return fmt.Errorf("cannot write a delivery: %w", err)
	}
	return nil
}

func kind(t dora.Type, outcome dora.Outcome) string {
	return strings.TrimSpace(string(t) + " " + string(outcome))
}

// took is how long an answer took: below ten seconds in milliseconds.
func took(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return Duration(d)
}

func short(text string) string {
	if utf8.RuneCountInString(text) <= longAnswer {
		return text
	}
	return string([]rune(text)[:longAnswer-1]) + "…"
}
