// Package incidentio reads the webhooks of incident.io.
//
// Each is signed in the way of Svix and Standard Webhooks: webhook-signature has one or more v1,BASE64, separated by spaces, each the HMAC-SHA256
// of webhook-id, webhook-timestamp and the body, with dots between them. The key is what follows whsec_ in the endpoint's signing secret, in base64;
// the Secret's key signingSecret has it as it is shown there. What was signed more than five minutes before or after it comes in is refused.
//
// Of public incidents it is read that they were created, updated, or have another status; of private ones only an id is sent, and it is not read.
// Tests and tutorials are no incidents. By the category of its status an incident
//
//	triage                      is not one yet
//	live, paused                lasts
//	learning, closed            is resolved
//	declined, canceled, merged  is over, and says nothing of when it began: where it was never live, there was none
//
// It was opened at the timestamp Impact started, or else Reported at, or created_at. It was resolved at Resolved at, Fixed at or Closed at, or else,
// in the message that tells so, at updated_at. Those timestamps are of an account's own naming; their case does not matter. The service is
// the first value of a custom field called Service, Services or Affected services. A message has no id in its body: it is known by the incident
// and the digest of the body, which is the same however often it is sent.
//
// After docs.incident.io/api-reference/webhooks and the objects of its API. The pages of the three events themselves could not be had: the form
// of public_incident.incident_status_updated_v2 (incident, new_status, previous_status, message) is from others' samples.
package incidentio

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Driver understands incident.io.
type Driver struct{}

// New makes one.
func New() Driver { return Driver{} }

// Verify looks for a signature that was just made.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	encoded, err := ingest.Value(secret, ingest.KeySigningSecret)
	if err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(encoded), "whsec_"))
	if err != nil || len(key) == 0 {
		return fmt.Errorf("%w: what is under the key %s must be whsec_ and base64, as incident.io shows it", ingest.ErrNoSecret, ingest.KeySigningSecret)
	}
	id, at := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
	if err := ingest.VerifyRecent(at, r.Now); err != nil {
		return err
	}
	var signatures [][]byte
	for one := range strings.FieldsSeq(r.Header.Get("Webhook-Signature")) {
		encoded, v1 := strings.CutPrefix(one, "v1,")
		if signature, err := base64.StdEncoding.DecodeString(encoded); v1 && err == nil {
			signatures = append(signatures, signature)
		}
	}
	return ingest.VerifyHMAC(key, signatures, []byte(id+"."+at+"."), r.Body)
}

// changed is an incident whose status is another.
type changed struct {
	Incident incident `json:"incident"`
	Previous status   `json:"previous_status"`
	Message  string   `json:"message"`
}

type incident struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Summary    string  `json:"summary"`
	Link       string  `json:"permalink"`
	Mode       string  `json:"mode"`
	Status     status  `json:"incident_status"`
	Severity   *named  `json:"severity"`
	CreatedAt  string  `json:"created_at"`
	UpdatedAt  string  `json:"updated_at"`
	Timestamps []stamp `json:"incident_timestamp_values"`
	Fields     []field `json:"custom_field_entries"`
}

type status struct {
	Category string `json:"category"`
}

type named struct {
	Name string `json:"name"`
}

type stamp struct {
	Timestamp named `json:"incident_timestamp"`
	Value     struct {
		Value string `json:"value"`
	} `json:"value"`
}

type field struct {
	Field  named `json:"custom_field"`
	Values []struct {
		Text    string `json:"value_text"`
		Link    string `json:"value_link"`
		Numeric string `json:"value_numeric"`
		Entry   named  `json:"value_catalog_entry"`
		Option  struct {
			Value string `json:"value"`
		} `json:"value_option"`
	} `json:"values"`
}

const prefix = "public_incident.incident_"

// Read reads what is known of one incident.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	envelope, err := ingest.Decode[map[string]json.RawMessage](r.Body)
	if err != nil {
		return nil, err
	}
	var kind string
	if json.Unmarshal(envelope["event_type"], &kind) != nil {
		return nil, &ingest.BadRequestError{Field: "event_type", Mend: "must be there, and a text"}
	}
	c, err := open(kind, envelope[kind])
	if err != nil || c == nil {
		return nil, err
	}
	report := ingest.Report{Source: "incidentio", Service: c.Incident.service()}
	if report.Incident, err = c.told(kind); err != nil {
		return nil, err
	}
	report.Key = report.Incident.ID + "/" + ingest.Digest(r.Body)
	return []ingest.Report{ingest.Bounded(report)}, nil
}

// open reads what an event is about, and is nil if that counts nothing. Where it stands has the event's own name; in errors it is called data.
func open(kind string, body []byte) (c *changed, err error) {
	c = &changed{}
	switch kind {
	case prefix + "created_v2", prefix + "updated_v2":
		c.Incident, err = ingest.Decode[incident](body)
	case prefix + "status_updated_v2":
		*c, err = ingest.Decode[changed](body)
	default:
		return nil, nil
	}
	if bad, ok := errors.AsType[*ingest.BadRequestError](err); ok {
		return nil, &ingest.BadRequestError{Field: strings.TrimSuffix("data."+bad.Field, "."), Mend: bad.Mend}
	}
	i := &c.Incident
	if i.Mode == "test" || i.Mode == "tutorial" || i.Status.Category == "triage" {
		return nil, nil
	}
	return c, nil
}

var (
	ended = []string{"learning", "closed"}
	none  = []string{"declined", "canceled", "merged"}
)

func (c *changed) told(kind string) (*ingest.Incident, error) {
	in := &c.Incident
	id, err := ingest.Name("data.id", in.ID)
	if err != nil {
		return nil, err
	}
	i := &ingest.Incident{ID: id, Title: in.Name, Link: in.Link, Mentions: append([]string{in.Name, in.Summary, c.Message}, in.values()...)}
	if in.Severity != nil {
		i.Severity = in.Severity.Name
	}
	updated, err := ingest.When("data.updated_at", in.UpdatedAt)
	if err != nil {
		return nil, err
	}
	if i.OpenedAt, err = in.at("data.created_at", in.CreatedAt, "impact started", "reported at"); err != nil {
		return nil, err
	}
	resolved, err := in.at("", "", "resolved at", "fixed at", "closed at")
	if err != nil {
		return nil, err
	}
	c.place(i, kind == prefix+"status_updated_v2", updated, resolved)
	return i, nil
}

// place puts the times where the status has them.
func (c *changed) place(i *ingest.Incident, now bool, updated, resolved time.Time) {
	was, is := c.Previous.Category, c.Incident.Status.Category
	switch {
	case slices.Contains(none, is):
		i.OpenedAt, i.ResolvedAt = time.Time{}, cmp.Or(resolved, updated)
	case !slices.Contains(ended, is):
		if now && slices.Contains(ended, was) && !updated.IsZero() {
			i.OpenedAt, i.Reopened = updated, true
		}
	case now && !slices.Contains(ended, was):
		i.ResolvedAt = cmp.Or(resolved, updated)
	default:
		i.ResolvedAt = resolved
	}
}

// at is the first of some timestamps that is there, or else a time of the incident's own.
func (in *incident) at(field, own string, names ...string) (time.Time, error) {
	for _, name := range names {
		for _, stamp := range in.Timestamps {
			if strings.EqualFold(stamp.Timestamp.Name, name) && stamp.Value.Value != "" {
				return ingest.When("data.incident_timestamp_values.value.value", stamp.Value.Value)
			}
		}
	}
	return ingest.When(field, own)
}

func (in *incident) service() string {
	for _, f := range in.Fields {
		if name := strings.ToLower(f.Field.Name); name != "service" && name != "services" && name != "affected services" {
			continue
		}
		if values := f.texts(); len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

func (in *incident) values() (texts []string) {
	for _, f := range in.Fields {
		texts = append(texts, f.texts()...)
	}
	return texts
}

func (f *field) texts() (texts []string) {
	for _, v := range f.Values {
		for _, text := range []string{v.Entry.Name, v.Option.Value, v.Text, v.Link, v.Numeric} {
			if text != "" {
				texts = append(texts, text)
			}
		}
	}
	return texts
}
