package dora

import "time"

// Verdict is what a person says about an event, whatever Argo said.
type Verdict string

// The verdicts. An event of which the newest mark has none is as it was recorded.
const (
	NotAFailure Verdict = "not-a-failure" // a deployment that is a plain success, a degraded production that was none
	Failure     Verdict = "failure"       // it was one
	Ignore      Verdict = "ignore"        // it belongs into no figure
	Withdrawn   Verdict = ""
)

// Known tells whether there is such a verdict.
func (v Verdict) Known() bool {
	switch v {
	case NotAFailure, Failure, Ignore, Withdrawn:
		return true
	}
	return false
}

// Mark is what somebody says about an event after it was recorded. The event stays as it is; the newest mark is read with it.
type Mark struct {
	EventID string  `json:"-"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
	// By is who says so, as the place tells where it was said: a name, a freeze, a release of this program.
	By string `json:"by,omitempty"`
	// At is when it was said.
	At time.Time `json:"at"`
	// Source is where it was said, such as the DoraTarget that has it.
	Source string `json:"source,omitempty"`
}

// Says tells whether two marks say the same, whenever they were made.
func (m *Mark) Says(other *Mark) bool {
	return m.Verdict == other.Verdict && m.Reason == other.Reason && m.By == other.By && m.Source == other.Source
}

// Say joins the newest mark of an event to it, in place of an earlier one. One that was withdrawn leaves nothing.
func (e *Event) Say(m Mark) {
	e.Mark = nil
	if m.Verdict == Withdrawn || !writable(m.At) {
		return
	}
	m.EventID, m.At = e.ID, m.At.UTC()
	e.Mark = &m
}

// Verdict is that of the event's mark; Withdrawn if it has none.
func (e *Event) Verdict() Verdict {
	if e.Mark == nil {
		return Withdrawn
	}
	return e.Mark.Verdict
}

// Counts tells whether the event is in any figure, as far as people say. A production that was not degraded is in none.
func (e *Event) Counts() bool {
	return e.Verdict() != Ignore && (e.Verdict() != NotAFailure || e.Type == TypeDeploy)
}

// Judged is the event with the flags that its mark gives it, for those who read nothing but the flags. The outcome stays what Argo told.
func (e *Event) Judged() Event {
	judged := *e
	if e.Type != TypeDeploy {
		return judged
	}
	switch e.Verdict() {
	case NotAFailure:
		judged.Success, judged.IsRollback = new(true), new(false)
	case Failure:
		judged.Success = new(false)
	case Ignore:
		judged.Success, judged.IsRollback = nil, nil
	case Withdrawn:
	}
	return judged
}
