// Package opsgenie reads what Opsgenie's outgoing webhook integration sends. Atlassian no longer sells Opsgenie, and ends it in April 2027; its
// alerts move to Jira Service Management or Compass, whose webhooks are not read here but by the package generic.
//
// Opsgenie signs nothing. It sends along the headers that its integration is given: an Authorization with a bearer token, which is the Secret's
// key token, or of basic authentication, the keys username and password.
//
// An alert is an incident. Of what is done to it is read
//
//	Create          opened, at createdAt
//	Close           resolved, at updatedAt
//	AddNote         the note may name a deployment
//	UpdatePriority  the severity
//
// and nothing else; an alert that is deleted was none, and stays as it was. The service is alert.details.service, or else alert.entity. The
// option to send details and descriptions along holds for Create alone.
//
// After docs.opsgenie.com, Webhook Integration and Alert Action Data: createdAt is in milliseconds there and updatedAt in nanoseconds, and
// both are told apart by their size. The name UpdatePriority and the form of priority, "P1" or 1, are from samples of others; a close has no
// time of its own, so updatedAt is taken for it.
package opsgenie

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Driver understands Opsgenie.
type Driver struct{}

// New makes one.
func New() Driver { return Driver{} }

// Verify looks for the bearer token, or the user name and password.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	return ingest.VerifyCredentials(r, secret)
}

// action is read first: of other actions it is not known what they send.
type action struct {
	Action string `json:"action"`
}

type message struct {
	Alert struct {
		ID          string            `json:"alertId"`
		Message     string            `json:"message"`
		Description string            `json:"description"`
		Note        string            `json:"note"`
		Entity      string            `json:"entity"`
		Priority    any               `json:"priority"`
		Tags        []string          `json:"tags"`
		Details     map[string]string `json:"details"`
		CreatedAt   int64             `json:"createdAt"`
		UpdatedAt   int64             `json:"updatedAt"`
	} `json:"alert"`
}

// Read reads what was done to one alert.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	done, err := ingest.Decode[action](r.Body)
	if err != nil || !slices.Contains([]string{"Create", "Close", "AddNote", "UpdatePriority"}, done.Action) {
		return nil, err
	}
	m, err := ingest.Decode[message](r.Body)
	if err != nil {
		return nil, err
	}
	id, err := ingest.Name("alert.alertId", m.Alert.ID)
	if err != nil {
		return nil, err
	}
	i := &ingest.Incident{ID: id, Title: m.Alert.Message, Severity: priority(m.Alert.Priority), Mentions: m.mentions()}
	if i.OpenedAt, err = instant("alert.createdAt", m.Alert.CreatedAt); err != nil {
		return nil, err
	}
	updated, err := instant("alert.updatedAt", m.Alert.UpdatedAt)
	if err != nil {
		return nil, err
	}
	key := id + "/" + done.Action
	switch done.Action {
	case "Create":
	case "Close":
		if i.ResolvedAt = updated; updated.IsZero() {
			i.ResolvedAt = r.Now.UTC()
		}
	default:
		key += "/" + ingest.Digest(r.Body)
	}
	return []ingest.Report{ingest.Bounded(ingest.Report{Source: "opsgenie", Key: key, Service: m.service(), Incident: i})}, nil
}

func (m *message) service() string {
	if service := m.Alert.Details["service"]; service != "" {
		return service
	}
	return m.Alert.Entity
}

func (m *message) mentions() []string {
	texts := append([]string{m.Alert.Message, m.Alert.Description, m.Alert.Note}, m.Alert.Tags...)
	for _, key := range slices.Sorted(maps.Keys(m.Alert.Details)) {
		texts = append(texts, m.Alert.Details[key])
	}
	return texts
}

// priority is P1 to P5, however it is written.
func priority(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case int64:
		return "P" + strconv.FormatInt(value, 10)
	}
	return ""
}

// instant is a time in milliseconds or nanoseconds since 1970. In this century the one is below 10^13, the other above 10^17.
func instant(field string, since int64) (time.Time, error) {
	switch {
	case since == 0:
		return time.Time{}, nil
	case since > 1e17:
		return ingest.Within(field, time.Unix(0, since))
	}
	return ingest.Within(field, time.UnixMilli(since))
}
