// Package pagerduty reads the webhooks of PagerDuty, version 3.
//
// Each is signed: X-PagerDuty-Signature has one or more v1=HEX, separated by commas, each the HMAC-SHA256 of the body with one of the
// subscription's secrets; there are two while a secret is rotated. The Secret's key signingSecret has the one that PagerDuty showed when
// the subscription was made.
//
// A message is about one event, and event.id is its key: PagerDuty delivers at least once, and repeats it. Of incidents it is read
//
//	incident.triggered                     opened, at the incident's created_at
//	incident.reopened                      opened again, at reopened_at, or else when the event occurred
//	incident.resolved                      resolved, when the event occurred: an incident has no resolved_at of its own
//	incident.priority_updated,
//	incident.service_updated               what it is called and where it belongs by now
//	incident.annotated,
//	incident.status_update_published,
//	incident.custom_field_values.updated   texts that may name a deployment
//
// Any other event tells nothing that counts. The severity is the priority, such as P1, and without one the urgency, high or low.
//
// After PagerDuty's own documentation of webhooks (developer-docs, docs/webhooks, of August 2026).
package pagerduty

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Driver understands PagerDuty.
type Driver struct{}

// New makes one.
func New() Driver { return Driver{} }

// Verify looks for a signature made with the signing secret.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	key, err := ingest.Value(secret, ingest.KeySigningSecret)
	if err != nil {
		return err
	}
	var signatures [][]byte
	for one := range strings.SplitSeq(r.Header.Get("X-Pagerduty-Signature"), ",") {
		encoded, v1 := strings.CutPrefix(strings.TrimSpace(one), "v1=")
		if signature, err := hex.DecodeString(encoded); v1 && err == nil {
			signatures = append(signatures, signature)
		}
	}
	return ingest.VerifyHMAC(key, signatures, r.Body)
}

// kind is read first: events of other types have data of other forms.
type kind struct {
	Event struct {
		Type string `json:"event_type"`
	} `json:"event"`
}

type message struct {
	Event struct {
		ID         string `json:"id"`
		Type       string `json:"event_type"`
		OccurredAt string `json:"occurred_at"`
		Data       data   `json:"data"`
	} `json:"event"`
}

// data is an incident, or something that belongs to one and names it.
type data struct {
	ID         string     `json:"id"`
	Link       string     `json:"html_url"`
	Title      string     `json:"title"`
	Key        string     `json:"incident_key"`
	CreatedAt  string     `json:"created_at"`
	ReopenedAt string     `json:"reopened_at"`
	Service    *reference `json:"service"`
	Priority   *reference `json:"priority"`
	Urgency    string     `json:"urgency"`

	Incident *reference `json:"incident"`
	Content  string     `json:"content"`
	Message  string     `json:"message"`
	Fields   []struct {
		Value json.RawMessage `json:"value"`
	} `json:"custom_fields"`
}

type reference struct {
	ID      string `json:"id"`
	Link    string `json:"html_url"`
	Summary string `json:"summary"`
}

// Read reads one event.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	k, err := ingest.Decode[kind](r.Body)
	if err != nil {
		return nil, err
	}
	about := subjects[k.Event.Type]
	if about == nil {
		return nil, nil
	}
	m, err := ingest.Decode[message](r.Body)
	if err != nil {
		return nil, err
	}
	key, err := ingest.Name("event.id", m.Event.ID)
	if err != nil {
		return nil, err
	}
	report := ingest.Report{Source: "pagerduty", Key: key, Incident: &ingest.Incident{}}
	if err := about(&m, &report); err != nil {
		return nil, err
	}
	return []ingest.Report{ingest.Bounded(report)}, nil
}

// subjects says what an event is about.
var subjects = map[string]func(*message, *ingest.Report) error{
	"incident.triggered":                   incident,
	"incident.reopened":                    incident,
	"incident.resolved":                    incident,
	"incident.priority_updated":            incident,
	"incident.service_updated":             incident,
	"incident.annotated":                   part,
	"incident.status_update_published":     part,
	"incident.custom_field_values.updated": part,
}

func incident(m *message, report *ingest.Report) (err error) {
	d, i := &m.Event.Data, report.Incident
	if i.ID, err = ingest.Name("event.data.id", d.ID); err != nil {
		return err
	}
	i.Title, i.Link, i.Severity = d.Title, d.Link, d.Urgency
	i.Mentions = []string{d.Title, d.Key}
	if d.Priority != nil {
		i.Severity = cmp.Or(d.Priority.Summary, d.Urgency)
	}
	if d.Service != nil {
		report.Service = d.Service.Summary
	}
	return times(m, i)
}

func times(m *message, i *ingest.Incident) (err error) {
	if i.OpenedAt, err = ingest.When("event.data.created_at", m.Event.Data.CreatedAt); err != nil {
		return err
	}
	at, err := ingest.When("event.occurred_at", m.Event.OccurredAt)
	if err != nil {
		return err
	}
	if at.IsZero() {
		return &ingest.BadRequestError{Field: "event.occurred_at", Mend: "must be there: it is when the incident changed"}
	}
	switch m.Event.Type {
	case "incident.resolved":
		i.ResolvedAt = at
	case "incident.reopened":
		again, err := ingest.When("event.data.reopened_at", m.Event.Data.ReopenedAt)
		i.OpenedAt, i.Reopened = cmp.Or(again, at), true
		return err
	}
	return nil
}

// part is a note, an update or fields of an incident.
func part(m *message, report *ingest.Report) (err error) {
	d, i := &m.Event.Data, report.Incident
	if d.Incident == nil {
		return &ingest.BadRequestError{Field: "event.data.incident", Mend: "must name the incident"}
	}
	if i.ID, err = ingest.Name("event.data.incident.id", d.Incident.ID); err != nil {
		return err
	}
	i.Title, i.Link, i.Note = d.Incident.Summary, d.Incident.Link, true
	i.Mentions = []string{d.Content, d.Message}
	for _, field := range d.Fields {
		i.Mentions = append(i.Mentions, ingest.Texts(field.Value)...)
	}
	return nil
}
