// Package incident decides what messages about an incident mean: when production was down, and which deployment had brought it down. It is
// a pure function of its arguments: no clock, no store, no log.
//
// Products that know incidents tell them in any order, repeat themselves, and say more or less each time. So a message is taken for what it
// says of the incident's own times, and not for its place in the order:
//
//	              opening                resolution                   opening after that
//	nothing ─────────────────▶ open ─────────────────▶ resolved ─────────────────────────▶ open, for the next time
//	   │ resolution               │ reopening
//	   ▼                          ▼
//	waits for the opening      waits for the resolution, which has to be between
//
// A note may come before the opening, too. It never opens an incident: when that began, its sender tells in another message.
//
// Each time that it opened has a number, from 1. What was told about an opening stays: a second message about the same one changes the
// incident's severity, title and link for those events that are still to come, and nothing else.
//
// A resolution from before its opening is kept as it was told: nobody knows which of the two times is wrong. It is in no recovery time.
//
// What is told to happen later than now happens now: a sender's clock, or its time zone, may be ahead. A time that was bounded like that is
// remembered as it was told, so that it is the same one when it is told again, however late.
package incident

import (
	"cmp"
	"slices"
	"time"
)

// Message is what one message says about an incident. OpenedAt and ResolvedAt are zero where it does not tell.
type Message struct {
	OpenedAt, ResolvedAt time.Time
	// Reopened tells that the incident, which had been resolved, is open again since OpenedAt.
	Reopened bool
	// Note tells that it adds to what is known of an incident, and says nothing of whether it is open.
	Note                  bool
	Severity, Title, Link string
}

// State is what is known of one incident.
type State struct {
	// Opening is how often it opened. OpenedAt is when it did last, and ResolvedAt when that ended; zero while it is open.
	Opening    int       `json:"opening"`
	OpenedAt   time.Time `json:"opened_at,omitzero"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
	// Waiting is a resolution without its opening, and Reopened an opening again without the resolution before it.
	Waiting  time.Time `json:"waiting,omitzero"`
	Reopened time.Time `json:"reopened,omitzero"`
	// Ahead are the newest times that were told to lie in the future.
	Ahead []Ahead `json:"ahead,omitempty"`

	Severity string `json:"severity,omitempty"`
	Title    string `json:"title,omitempty"`
	Link     string `json:"link,omitempty"`
}

// Ahead is a time that was told before it had come, and the one that it was taken for.
type Ahead struct {
	Told  time.Time `json:"told"`
	Taken time.Time `json:"taken"`
}

// mostAhead bounds how many of them are remembered.
const mostAhead = 16

// Step is something that happened to production.
type Step struct {
	// Opening is the number of the opening that begins or ends.
	Opening  int
	Resolved bool
	At       time.Time
	// Since is when that opening began.
	Since time.Time
}

// Hear takes in a message that came at a time, and returns what follows from it.
func (s State) Hear(m Message, now time.Time) (State, []Step) {
	s.Severity, s.Title, s.Link = cmp.Or(m.Severity, s.Severity), cmp.Or(m.Title, s.Title), cmp.Or(m.Link, s.Link)
	if m.Note {
		return s, nil
	}
	h := hearing{State: s}
	if m.OpenedAt.IsZero() && m.ResolvedAt.IsZero() {
		m.OpenedAt = now
		if s.Opening > 0 && !m.Reopened {
			return s, nil // an incident that is known, and nothing new of it
		}
	}
	if !m.OpenedAt.IsZero() {
		h.open(h.bounded(m.OpenedAt, now), m.Reopened)
	}
	if !m.ResolvedAt.IsZero() {
		h.resolve(h.bounded(m.ResolvedAt, now))
	}
	return h.State, h.steps
}

// About is the number of the opening that a message is about, where nothing followed from it.
func (s State) About() int { return max(s.Opening, 1) }

type hearing struct {
	State
	steps []Step
}

// bounded takes what is told to happen later than now to happen now; what was told before, for what it was taken for then; and what is
// told to happen before that, not to happen after it.
func (h *hearing) bounded(told, now time.Time) time.Time {
	if at := slices.IndexFunc(h.Ahead, func(a Ahead) bool { return a.Told.Equal(told) }); at >= 0 {
		return h.Ahead[at].Taken
	}
	if !told.After(now) {
		return told
	}
	taken := now
	for _, a := range h.Ahead {
		if told.Before(a.Told) && a.Taken.Before(taken) {
			taken = a.Taken
		}
	}
	h.Ahead = append(slices.Clone(h.Ahead), Ahead{told, taken})
	h.Ahead = h.Ahead[max(0, len(h.Ahead)-mostAhead):]
	return taken
}

func (h *hearing) open(at time.Time, again bool) {
	switch {
	case h.Opening == 0:
		if again && !h.Waiting.After(at) {
			h.Waiting = time.Time{} // it ended what was before
		}
		h.begin(at)
	case !at.After(h.OpenedAt): // told before
	case h.ResolvedAt.IsZero():
		if again {
			h.Reopened = at
		}
	case at.After(h.ResolvedAt) || again && at.Equal(h.ResolvedAt):
		if !h.Waiting.After(at) {
			h.Waiting = time.Time{}
		}
		h.begin(at)
	}
}

// begin opens it once more, until a resolution that was told before.
func (h *hearing) begin(at time.Time) {
	h.Opening++
	h.OpenedAt, h.ResolvedAt, h.Reopened = at, time.Time{}, time.Time{}
	h.steps = append(h.steps, Step{Opening: h.Opening, At: at, Since: at})
	if waiting := h.Waiting; !waiting.IsZero() {
		h.Waiting = time.Time{}
		h.resolve(waiting)
	}
}

func (h *hearing) resolve(at time.Time) {
	switch {
	case h.Opening == 0:
		if h.Waiting.IsZero() {
			h.Waiting = at
		}
	case h.ResolvedAt.IsZero():
		if h.Opening > 1 && !at.After(h.OpenedAt) {
			return // the end of an opening before this one, told again
		}
		h.end(at)
	case at.After(h.ResolvedAt):
		h.Waiting = at // of an opening that was not told yet
	}
}

func (h *hearing) end(at time.Time) {
	h.ResolvedAt = at
	h.steps = append(h.steps, Step{Opening: h.Opening, Resolved: true, At: at, Since: h.OpenedAt})
	if again := h.Reopened; !again.IsZero() && !again.Before(at) {
		h.begin(again)
	}
	h.Reopened = time.Time{}
}
