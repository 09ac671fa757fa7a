// Package alertmanager reads what Prometheus Alertmanager sends to a receiver with webhook_configs, version 4 of that format.
//
// Alertmanager signs nothing. It proves itself by what its http_config sends along: authorization with credentials, which is a bearer token
// and the Secret's key token; or basic_auth, the keys username and password.
//
// Each alert of a group is an incident, from startsAt to endsAt; its key is made of its fingerprint, startsAt and whether it was resolved. So what
// is repeated after repeat_interval, and by a second Alertmanager, is the same. The service is the label service, or else
// app_kubernetes_io_name, or app; the environment is the label environment, or env; the severity is the label severity. Annotations and
// labels may name a deployment. An alert that is not sent with send_resolved stays open.
//
// A format of one's own, by the option payload, is for the package generic.
//
// After Alertmanager's own documentation (docs/configuration.md, webhook_config) and source (notify/webhook, template.Data) of August 2026.
package alertmanager

import (
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/internal/alerts"
)

// Driver understands Alertmanager.
type Driver struct{}

// New makes one.
func New() Driver { return Driver{} }

// Verify looks for the bearer token, or the user name and password.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	return ingest.VerifyCredentials(r, secret)
}

// Read reads a group of alerts.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	group, err := ingest.Decode[alerts.Group](r.Body)
	if err != nil {
		return nil, err
	}
	if group.Version != "4" {
		return nil, &ingest.BadRequestError{Field: "version", Mend: `must be "4", as Alertmanager has it unless the option payload is set`}
	}
	return alerts.Reports("alertmanager", group, r.Now)
}
