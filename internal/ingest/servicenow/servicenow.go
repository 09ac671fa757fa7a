// Package servicenow reads incidents that a business rule of ServiceNow posts. ServiceNow has no webhooks of a form of its own: a rule on the table
// incident sends what its script says, and docs/receivers-incidents.md has the script for this form, one flat object with the table's own names:
//
//	sys_id, number, state, priority, short_description, description, close_notes, comments, business_service, cmdb_ci,
//	opened_at, resolved_at, closed_at, reopened_time, sys_updated_on, link
//
// All are texts, or null; only sys_id and state must be there. Times are as the table keeps them, 2026-03-01 10:15:30 in UTC. The state is one of
// the product's numbers: 6 and 7, resolved and closed, end the incident at resolved_at, or else closed_at; 8, canceled, ends it and says nothing of
// when it began; with any other it lasts, and was opened again if reopened_time is there. The service is business_service, or else cmdb_ci,
// each as it is displayed.
//
// Nothing is signed. The script sends an Authorization along: a bearer token, which is the Secret's key token, or the keys username and password.
// A message is known by the incident and the digest of its body.
//
// The table's names and states are ServiceNow's own; that script was never run on an instance of it here.
package servicenow

import (
	"cmp"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Driver understands that form.
type Driver struct{}

// New makes one.
func New() Driver { return Driver{} }

// Verify looks for the bearer token, or the user name and password.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	return ingest.VerifyCredentials(r, secret)
}

type record struct {
	ID          string `json:"sys_id"`
	Number      string `json:"number"`
	State       string `json:"state"`
	Priority    string `json:"priority"`
	Title       string `json:"short_description"`
	Description string `json:"description"`
	CloseNotes  string `json:"close_notes"`
	Comments    string `json:"comments"`
	Service     string `json:"business_service"`
	Item        string `json:"cmdb_ci"`
	OpenedAt    string `json:"opened_at"`
	ResolvedAt  string `json:"resolved_at"`
	ClosedAt    string `json:"closed_at"`
	ReopenedAt  string `json:"reopened_time"`
	UpdatedAt   string `json:"sys_updated_on"`
	Link        string `json:"link"`
}

// Read reads one record.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	in, err := ingest.Decode[record](r.Body)
	if err != nil {
		return nil, err
	}
	id, err := ingest.Name("sys_id", in.ID)
	if err != nil {
		return nil, err
	}
	if in.State == "" {
		return nil, &ingest.BadRequestError{Field: "state", Mend: "must be there: the number of the incident's state, as a text"}
	}
	i := &ingest.Incident{
		ID: id, Title: cmp.Or(in.Title, in.Number), Link: in.Link, Severity: in.Priority,
		Mentions: []string{in.Title, in.Description, in.CloseNotes, in.Comments},
	}
	if err := in.times(i); err != nil {
		return nil, err
	}
	return []ingest.Report{ingest.Bounded(ingest.Report{
		Source: "servicenow", Key: id + "/" + ingest.Digest(r.Body), Service: cmp.Or(in.Service, in.Item), Incident: i,
	})}, nil
}

// The states that end an incident.
const (
	resolved = "6"
	closed   = "7"
	canceled = "8"
)

func (in *record) times(i *ingest.Incident) error {
	at := map[string]time.Time{}
	for field, text := range map[string]string{
		"opened_at": in.OpenedAt, "resolved_at": in.ResolvedAt, "closed_at": in.ClosedAt, "reopened_time": in.ReopenedAt, "sys_updated_on": in.UpdatedAt,
	} {
		when, err := ingest.When(field, text, time.DateTime)
		if err != nil {
			return err
		}
		at[field] = when
	}
	i.OpenedAt = at["opened_at"]
	switch again := at["reopened_time"]; {
	case in.State == canceled:
		i.OpenedAt, i.ResolvedAt = time.Time{}, cmp.Or(at["closed_at"], at["resolved_at"], at["sys_updated_on"])
	case in.State == resolved || in.State == closed:
		i.ResolvedAt = cmp.Or(at["resolved_at"], at["closed_at"], at["sys_updated_on"])
	case !again.IsZero():
		i.OpenedAt, i.Reopened = again, true
	}
	return nil
}
