// Package cloudevents reads CloudEvents over HTTP, structured, binary or in batches, whose data are CDEvents of versions 0.4 and 0.5:
//
//	service.deployed, upgraded, published   a deployment that succeeded
//	service.rolledback                      one that brought an earlier version back
//	incident.detected, resolved             an incident, by its subject
//	change.merged                           a change
//
// Events of other types tell nothing that counts. The sender is known by a bearer token. An event is known by its source and its id, as
// CloudEvents wants it: one that is sent again has both.
//
// A deployment's image and commit are read from subject.content.artifactId, a package URL. What CDEvents has no place for may stand in
// customData, by the names of /events/deploy: commit_sha, repository, version, team, first_commit_ts, started_at, success.
package cloudevents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Driver reads them.
type Driver struct{}

var _ ingest.Driver = Driver{}

// Verify implements ingest.Driver.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	return ingest.VerifyCredentials(r, secret)
}

// mostEvents bounds a batch.
const mostEvents = 100

// Read implements ingest.Driver. A batch is read as a whole or not at all.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/cloudevents-batch+json":
		return readBatch(r.Body)
	case err == nil && kind == "application/cloudevents+json":
		return readStructured(r.Body)
	case r.Header.Get("Ce-Specversion") != "":
		data := bytes.TrimSpace(r.Body)
		said := func(attribute string) string { return r.Header.Get("Ce-" + attribute) }
		return (&envelope{SpecVersion: said("Specversion"), ID: said("Id"), Source: said("Source"), Type: said("Type"), Data: data}).read()
	}
	return nil, &ingest.BadRequestError{
		Mend: "must be a CloudEvent: with Content-Type application/cloudevents+json or application/cloudevents-batch+json, " +
			"or with the headers ce-specversion, ce-id, ce-source and ce-type",
	}
}

// envelope is a CloudEvent.
type envelope struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Data        json.RawMessage `json:"data"`
}

func readStructured(body []byte) ([]ingest.Report, error) {
	e, err := ingest.Decode[envelope](body)
	if err != nil {
		return nil, err
	}
	return e.read()
}

func readBatch(body []byte) ([]ingest.Report, error) {
	events, err := ingest.Decode[[]envelope](body)
	if err != nil {
		return nil, err
	}
	if events == nil || len(events) > mostEvents {
		return nil, &ingest.BadRequestError{Mend: fmt.Sprintf("must be a list of %d events at most", mostEvents)}
	}
	var reports []ingest.Report
	for i := range events {
		read, err := events[i].read()
		if bad, ok := errors.AsType[*ingest.BadRequestError](err); ok {
			return nil, &ingest.BadRequestError{Field: strings.TrimSuffix(fmt.Sprintf("%d.%s", i, bad.Field), "."), Mend: bad.Mend}
		}
		reports = append(reports, read...)
	}
	return reports, nil
}

// read reads one event.
func (e *envelope) read() ([]ingest.Report, error) {
	if e.SpecVersion != "1.0" {
		return nil, &ingest.BadRequestError{Field: "specversion", Mend: "must be 1.0"}
	}
	for field, text := range map[string]string{"id": e.ID, "type": e.Type, "source": e.Source} {
		if _, err := ingest.Name(field, text); err != nil {
			return nil, err
		}
	}
	data, err := ingest.Decode[cdEvent](e.Data)
	if bad, ok := errors.AsType[*ingest.BadRequestError](err); ok {
		return nil, &ingest.BadRequestError{Field: strings.TrimSuffix("data."+bad.Field, "."), Mend: bad.Mend}
	}
	report, err := data.report(e.Type)
	if err != nil || report == nil {
		return nil, err
	}
	report.Source, report.Key = "cloudevents", e.Source+"#"+e.ID
	return []ingest.Report{ingest.Bounded(*report)}, nil
}
