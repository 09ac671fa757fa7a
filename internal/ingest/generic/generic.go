// Package generic reads incidents of any product that sends JSON, by expressions that say where in the body each fact stands:
//
//	id:       body.incident.id
//	opened:   body.incident.started_at
//	resolved: has(body.incident.ended_at) ? body.incident.ended_at : null
//	severity: "P" + string(body.incident.priority)
//
// They are written in CEL (https://cel.dev) over body, the JSON object that came, in which whole numbers are integers and others doubles. What an
// expression names and the body has not is not told; only the id must be there, or be null where a message is about something else. Their
// evaluation is bounded as that of sinks' filters is.
//
// A message that tells neither when it opened nor when it was resolved, or that both are not so, is a note. A mapping without opened has no
// way to say that, and there it opens an incident when it comes.
//
// The sender proves itself by a bearer token (the Secret's key token) or by basic authentication (username and password).
//
// A message is known by its id and the digest of its body: one that is sent again byte by byte is the same. Mentions are the texts of the
// body, in the order of their keys.
package generic

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Driver understands what a mapping says.
type Driver struct{ programs map[string]cel.Program }

// New makes one. Its error names the field of the mapping, and what is wrong with the expression there.
func New(m Mapping) (*Driver, error) {
	programs, err := compile(m)
	if err != nil {
		return nil, err
	}
	return &Driver{programs}, nil
}

// Verify looks for the bearer token, or the user name and password.
func (*Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	return ingest.VerifyCredentials(r, secret)
}

// Read evaluates the expressions over a body.
func (d *Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	body, err := ingest.Decode[map[string]any](r.Body)
	if err != nil {
		return nil, err
	}
	if body == nil {
		return nil, &ingest.BadRequestError{Mend: "must be an object"}
	}
	facts := reading{d.programs, map[string]any{"body": body}, nil}
	id := facts.text("id")
	if facts.wrong != nil || id == "" {
		return nil, facts.wrong
	}
	if id, err = ingest.Name("id", id); err != nil {
		return nil, err
	}
	report := facts.report(id, r.Now)
	if facts.wrong != nil {
		return nil, facts.wrong
	}
	report.Key = id + "/" + ingest.Digest(r.Body)
	report.Incident.Mentions = append([]string{report.Incident.Title}, ingest.Texts(body)...)
	return []ingest.Report{ingest.Bounded(report)}, nil
}

// reading is of one body, up to the first thing that is wrong.
type reading struct {
	programs map[string]cel.Program
	input    map[string]any
	wrong    error
}

func (e *reading) report(id string, now time.Time) ingest.Report {
	said := e.time("when", now)
	if said.IsZero() {
		said = now.UTC()
	}
	i := &ingest.Incident{
		ID: id, OpenedAt: e.time("opened", said), ResolvedAt: e.time("resolved", said),
		Severity: e.text("severity"), Title: e.text("title"), Link: e.text("link"),
	}
	i.Note = e.programs["opened"] != nil && i.OpenedAt.IsZero() && i.ResolvedAt.IsZero()
	return ingest.Report{Source: "generic", Service: e.text("service"), Incident: i}
}

// value is what an expression gives, or nil if it tells nothing.
func (e *reading) value(name string) ref.Val {
	program := e.programs[name]
	if program == nil || e.wrong != nil {
		return nil
	}
	value, _, err := program.Eval(e.input)
	switch {
	case err == nil:
		return told(value)
	case !strings.Contains(err.Error(), "no such key"):
		e.refuse(name, "its expression cannot be evaluated over this body")
	case name == "id":
		e.refuse(name, "its expression names what this body has not: let it give null where a message is about something else")
	}
	return nil
}

// told opens an optional value, and is nil for null.
func told(value ref.Val) ref.Val {
	if optional, ok := value.(*types.Optional); ok {
		if !optional.HasValue() {
			return nil
		}
		value = optional.GetValue()
	}
	if value == types.NullValue {
		return nil
	}
	return value
}

func (e *reading) refuse(field, mend string) {
	if e.wrong == nil {
		e.wrong = &ingest.BadRequestError{Field: field, Mend: mend}
	}
}

func (e *reading) text(name string) string {
	switch value := e.value(name).(type) {
	case nil:
	case types.String:
		return string(value)
	case types.Int:
		return strconv.FormatInt(int64(value), 10)
	default:
		e.refuse(name, "its expression must give a text or a whole number over this body")
	}
	return ""
}

// time is zero where nothing is told, or false. What is only true was at the time of the message.
func (e *reading) time(name string, said time.Time) (at time.Time) {
	var err error
	switch value := e.value(name).(type) {
	case nil:
	case types.Bool:
		if value {
			at = said
		}
	case types.Timestamp:
		at, err = ingest.Within(name, value.Time)
	case types.String:
		at, err = ingest.When(name, string(value))
	case types.Int:
		at, err = seconds(name, float64(value))
	case types.Double:
		at, err = seconds(name, float64(value))
	default:
		e.refuse(name, "its expression must give a time, or true or false, over this body")
	}
	if err != nil && e.wrong == nil {
		e.wrong = err
	}
	return at
}

// seconds since 1970. A millisecond is told from the next, not a nanosecond.
func seconds(field string, since float64) (time.Time, error) {
	if math.IsNaN(since) || math.Abs(since) > 1e11 {
		since = -1 // is in 1969, and refused
	}
	return ingest.Within(field, time.UnixMilli(int64(math.Round(since*1000))))
}
