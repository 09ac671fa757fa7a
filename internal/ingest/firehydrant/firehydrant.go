// Package firehydrant reads the webhooks of FireHydrant for incidents.
//
// Each is signed: fh-signature is the HMAC-SHA256 of the body in hexadecimal, by the webhook's secret, which is the Secret's key signingSecret.
//
// A message tells all of an incident whenever something of it changes, and is known by the incident and the digest of its body, since it has no
// id of its own. The incident was opened at its milestone started, and else at started_at; it is resolved at its milestone resolved, unless it
// has gone back to an earlier one, of which mitigated is the last. The severity is severity.slug, such as SEV2. Events of changes and of Signals tell
// nothing that counts.
//
// After docs.firehydrant.com/docs/webhooks. The sample there has no link, and its lists of impacts, labels and tags are empty. In which form these come
// could not be confirmed: the service is the first of impacts that has type service and impact.name, which is how it is in the product's API as far as is
// known here, and nothing where that is otherwise; texts of labels and tags are taken in any form.
package firehydrant

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// clock is how FireHydrant writes times: in UTC.
const clock = "2006-01-02 15:04:05 UTC"

// Driver understands FireHydrant.
type Driver struct{}

// New makes one.
func New() Driver { return Driver{} }

// Verify looks for the signature.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	key, err := ingest.Value(secret, ingest.KeySigningSecret)
	if err != nil {
		return err
	}
	signature, err := hex.DecodeString(r.Header.Get("Fh-Signature"))
	if err != nil {
		return ingest.ErrNotSender
	}
	return ingest.VerifyHMAC(key, [][]byte{signature}, r.Body)
}

// kind is read first: what is not an incident has data of another form.
type kind struct {
	Event struct {
		Operation string `json:"operation"`
		Resource  string `json:"resource_type"`
	} `json:"event"`
}

type message struct {
	Data data `json:"data"`
}

type data struct {
	Incident struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		Description string `json:"description"`
		Summary     string `json:"summary"`
		Impact      string `json:"customer_impact_summary"`
		StartedAt   string `json:"started_at"`
		CreatedAt   string `json:"created_at"`
		Severity    struct {
			Slug string `json:"slug"`
		} `json:"severity"`
		Milestone  string `json:"current_milestone"`
		Milestones []struct {
			Type       string `json:"type"`
			OccurredAt string `json:"occurred_at"`
		} `json:"milestones"`
		Impacts json.RawMessage `json:"impacts"`
		Labels  json.RawMessage `json:"labels"`
		Tags    json.RawMessage `json:"tags"`
	} `json:"incident"`
}

// Read reads what is known of one incident.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	k, err := ingest.Decode[kind](r.Body)
	if err != nil || k.Event.Resource != "incident" || !slices.Contains([]string{"created", "updated"}, strings.ToLower(k.Event.Operation)) {
		return nil, err
	}
	m, err := ingest.Decode[message](r.Body)
	if err != nil {
		return nil, err
	}
	d := &m.Data
	id, err := ingest.Name("data.incident.id", d.Incident.ID)
	if err != nil {
		return nil, err
	}
	i := &ingest.Incident{ID: id, Title: d.Incident.Name, Severity: d.Incident.Severity.Slug, Mentions: d.mentions()}
	if err := d.times(i); err != nil {
		return nil, err
	}
	return []ingest.Report{ingest.Bounded(ingest.Report{
		Source: "firehydrant", Key: id + "/" + ingest.Digest(r.Body), Service: d.service(), Incident: i,
	})}, nil
}

// open are the milestones of an incident that lasts.
var open = []string{"started", "detected", "acknowledged", "investigating", "identified", "mitigated"}

func (d *data) times(i *ingest.Incident) (err error) {
	in := &d.Incident
	at := map[string]time.Time{}
	for _, milestone := range in.Milestones {
		if at[milestone.Type], err = ingest.When("data.incident.milestones.occurred_at", milestone.OccurredAt, clock); err != nil {
			return err
		}
	}
	if at["started_at"], err = ingest.When("data.incident.started_at", cmp.Or(in.StartedAt, in.CreatedAt), clock); err != nil {
		return err
	}
	i.OpenedAt = cmp.Or(at["started"], at["started_at"])
	if !slices.Contains(open, in.Milestone) {
		i.ResolvedAt = at["resolved"]
	}
	return nil
}

// service is the first of those that the incident is said to impact.
func (d *data) service() string {
	var impacts []struct {
		Type   string `json:"type"`
		Impact struct {
			Name string `json:"name"`
		} `json:"impact"`
	}
	if json.Unmarshal(d.Incident.Impacts, &impacts) != nil {
		return ""
	}
	for _, impact := range impacts {
		if impact.Type == "service" {
			return impact.Impact.Name
		}
	}
	return ""
}

func (d *data) mentions() []string {
	in := &d.Incident
	return slices.Concat([]string{in.Name, in.Description, in.Summary, in.Impact}, ingest.Texts(in.Labels), ingest.Texts(in.Tags))
}
