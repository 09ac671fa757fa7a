// Package statuspage reads what Atlassian Statuspage sends to subscribers by webhook.
//
// Statuspage signs nothing, and sends no header of one's own. What its users do is to put a secret into the address that they subscribe:
// https://.../hooks/NAMESPACE/NAME?token=TOKEN, and here that is the Secret's key token. Whoever sees the address, in the list of the page's
// subscribers for one, can send in its name: a page of one's own is meant, not that of somebody else.
//
// An incident of the page is one, opened at started_at, or else created_at, and over at resolved_at once its status is resolved or postmortem. The
// severity is its impact: none, minor, major or critical. The service is the first component that its newest update affects, or else the first
// of its components. Scheduled maintenance is no incident, and the status of a component tells nothing that counts. A message is known by the incident
// and its updated_at.
//
// After support.atlassian.com/statuspage, Enable webhook notifications, and an answer of its vendor that shows started_at and the status
// postmortem (community.atlassian.com, question 2711908).
package statuspage

import (
	"cmp"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Driver understands Statuspage.
type Driver struct{}

// New makes one.
func New() Driver { return Driver{} }

// Verify looks for the token in the address.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	token, err := ingest.Value(secret, ingest.KeyToken)
	if err != nil {
		return err
	}
	if !ingest.Same([]byte(r.Query.Get("token")), token) {
		return ingest.ErrNotSender
	}
	return nil
}

type message struct {
	Incident *incident `json:"incident"`
}

type incident struct {
	ID           string      `json:"id"`
	Name         string      `json:"name"`
	Status       string      `json:"status"`
	Impact       string      `json:"impact"`
	Link         string      `json:"shortlink"`
	CreatedAt    string      `json:"created_at"`
	StartedAt    string      `json:"started_at"`
	UpdatedAt    string      `json:"updated_at"`
	ResolvedAt   string      `json:"resolved_at"`
	ScheduledFor string      `json:"scheduled_for"`
	Updates      []update    `json:"incident_updates"`
	Components   []component `json:"components"`
}

type update struct {
	Body       string      `json:"body"`
	Components []component `json:"affected_components"`
}

type component struct {
	Name string `json:"name"`
}

// Read reads what is known of one incident.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	m, err := ingest.Decode[message](r.Body)
	if err != nil || m.Incident == nil || m.Incident.planned() {
		return nil, err
	}
	in := m.Incident
	id, err := ingest.Name("incident.id", in.ID)
	if err != nil {
		return nil, err
	}
	i := &ingest.Incident{ID: id, Title: in.Name, Severity: in.Impact, Link: in.Link, Mentions: in.mentions()}
	updated, err := in.times(i)
	if err != nil {
		return nil, err
	}
	key := id + "/" + ingest.Digest(r.Body)
	if !updated.IsZero() {
		key = id + "/" + updated.Format(time.RFC3339Nano)
	}
	return []ingest.Report{ingest.Bounded(ingest.Report{Source: "statuspage", Key: key, Service: in.service(), Incident: i})}, nil
}

// planned tells whether it is maintenance, which has states of its own.
func (in *incident) planned() bool {
	return in.ScheduledFor != "" || slices.Contains([]string{"scheduled", "in_progress", "verifying", "completed"}, in.Status)
}

func (in *incident) times(i *ingest.Incident) (updated time.Time, err error) {
	if i.OpenedAt, err = ingest.When("incident.created_at", cmp.Or(in.StartedAt, in.CreatedAt)); err != nil {
		return updated, err
	}
	if updated, err = ingest.When("incident.updated_at", in.UpdatedAt); err != nil {
		return updated, err
	}
	resolved, err := ingest.When("incident.resolved_at", in.ResolvedAt)
	if in.Status == "resolved" || in.Status == "postmortem" {
		i.ResolvedAt = cmp.Or(resolved, updated)
	}
	return updated, err
}

// service: updates come newest first.
func (in *incident) service() string {
	components := in.Components
	if len(in.Updates) > 0 && len(in.Updates[0].Components) > 0 {
		components = in.Updates[0].Components
	}
	if len(components) == 0 {
		return ""
	}
	return components[0].Name
}

func (in *incident) mentions() []string {
	texts := []string{in.Name}
	for _, u := range in.Updates {
		texts = append(texts, u.Body)
	}
	return texts
}
