// Package grafana reads two things that Grafana sends: alerts, from a contact point of type webhook of Grafana Alerting, and alert groups, from an
// outgoing webhook of Grafana OnCall or IRM.
//
// Grafana Alerting can sign, from version 12 on: X-Grafana-Alerting-Signature is the HMAC-SHA256 of the body in hexadecimal, by the secret of the
// contact point's HMAC signature, which is the Secret's key signingSecret. If a timestamp header is set there, it has to be
// X-Grafana-Alerting-Signature-Timestamp: then the time and a colon are signed before the body, and what was signed more than five minutes before
// or after it comes in is refused. OnCall signs nothing. Either can send an Authorization along: a bearer token (the key token), or a user name and
// password (the keys username and password). Of what the Secret has, one is enough.
//
// Alerts are read as those of Alertmanager, whose format this is but for its version. Of alert groups it is read
//
//	alert group created, escalation  opened, at created_at
//	resolve                          resolved, at resolved_at
//	unresolve                        opened again, when it came in: it has no time of its own
//
// and nothing else. The service of an alert group is the label service (or app_kubernetes_io_name, or app) of its first alert, or else the
// name of the integration; the severity is the label severity. Incidents that people declare in IRM have another form, which is the user's own
// template: the package generic reads them.
//
// After Grafana's documentation of the webhook notifier and grafana/alerting (http/hmac.go), and grafana/oncall (docs/sources/configure/outgoing-webhooks and
// engine/apps/webhooks). OnCall's repository is archived; that IRM still sends the same is what its documentation says, and was not tried.
package grafana

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/internal/alerts"
)

// Driver understands Grafana.
type Driver struct{}

// New makes one.
func New() Driver { return Driver{} }

// Verify looks for a signature, or for the bearer token, or the user name and password.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	key, unsigned := ingest.Value(secret, ingest.KeySigningSecret)
	if unsigned == nil && signed(r, key) == nil {
		return nil
	}
	err := ingest.VerifyCredentials(r, secret)
	if !errors.Is(err, ingest.ErrNoSecret) {
		return err
	}
	if unsigned == nil {
		return ingest.ErrNotSender
	}
	return fmt.Errorf("%w: put the secret of the contact point's HMAC signature under the key %s, or a bearer token under %s, or %s and %s",
		ingest.ErrNoSecret, ingest.KeySigningSecret, ingest.KeyToken, ingest.KeyUsername, ingest.KeyPassword)
}

func signed(r *ingest.Request, key []byte) error {
	signature, err := hex.DecodeString(r.Header.Get("X-Grafana-Alerting-Signature"))
	if err != nil {
		return ingest.ErrNotSender
	}
	var before []byte
	if at := r.Header.Values("X-Grafana-Alerting-Signature-Timestamp"); len(at) > 0 {
		if err := ingest.VerifyRecent(at[0], r.Now); err != nil {
			return err
		}
		before = []byte(at[0] + ":")
	}
	return ingest.VerifyHMAC(key, [][]byte{signature}, before, r.Body)
}

type message struct {
	alerts.Group

	Event struct {
		Type string `json:"type"`
		Time string `json:"time"`
	} `json:"event"`
	AlertGroup *alertGroup     `json:"alert_group"`
	Payload    json.RawMessage `json:"alert_payload"`
	Integrator struct {
		Name string `json:"name"`
	} `json:"integration"`
}

type alertGroup struct {
	ID         string `json:"id"`
	Title      string `json:"title"`
	CreatedAt  string `json:"created_at"`
	ResolvedAt string `json:"resolved_at"`
	Links      struct {
		Web string `json:"web"`
	} `json:"permalinks"`
}

const source = "grafana"

// Read reads alerts, or an alert group.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	m, err := ingest.Decode[message](r.Body)
	switch {
	case err != nil:
		return nil, err
	case m.AlertGroup != nil:
		return m.group(r)
	case m.Alerts != nil:
		return alerts.Reports(source, m.Group, r.Now)
	}
	return nil, &ingest.BadRequestError{Mend: "must have alerts, as a contact point sends them, or alert_group, as OnCall and IRM do with all data"}
}

func (m *message) group(r *ingest.Request) ([]ingest.Report, error) {
	g := m.AlertGroup
	switch m.Event.Type {
	case "alert group created", "escalation", "resolve", "unresolve":
	default:
		return nil, nil
	}
	id, err := ingest.Name("alert_group.id", g.ID)
	if err != nil {
		return nil, err
	}
	labels := labels(m.Payload)
	i := &ingest.Incident{
		ID: id, Title: g.Title, Link: g.Links.Web, Severity: labels["severity"], Mentions: append([]string{g.Title}, ingest.Texts(m.Payload)...),
	}
	if err := m.times(i, r); err != nil {
		return nil, err
	}
	return []ingest.Report{ingest.Bounded(ingest.Report{
		Source: source, Key: id + "/" + ingest.Digest(r.Body), Incident: i,
		Service: cmp.Or(alerts.Service(labels), m.Integrator.Name), Environment: alerts.Environment(labels),
	})}, nil
}

func (m *message) times(i *ingest.Incident, r *ingest.Request) (err error) {
	if i.OpenedAt, err = ingest.When("alert_group.created_at", m.AlertGroup.CreatedAt); err != nil {
		return err
	}
	resolved, err := ingest.When("alert_group.resolved_at", m.AlertGroup.ResolvedAt)
	if err != nil {
		return err
	}
	at, err := ingest.When("event.time", m.Event.Time)
	if err != nil {
		return err
	}
	switch m.Event.Type {
	case "resolve":
		i.ResolvedAt = cmp.Or(resolved, at, r.Now.UTC())
	case "unresolve":
		i.OpenedAt, i.Reopened = cmp.Or(at, r.Now.UTC()), true
	}
	return nil
}

// labels are those of an alert, or what the alerts of a group have in common. Other integrations send other things.
func labels(payload json.RawMessage) map[string]string {
	var p struct {
		Labels       map[string]string `json:"labels"`
		CommonLabels map[string]string `json:"commonLabels"`
	}
	if json.Unmarshal(payload, &p) != nil {
		return nil
	}
	if len(p.Labels) == 0 {
		return p.CommonLabels
	}
	return p.Labels
}
