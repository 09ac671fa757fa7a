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
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"

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

// Read implements ingest.Driver. Of a batch those are read that can be, and the error is that of the first that cannot: a sender that gives up on
// it loses that one alone, and one that sends all of it again tells nothing twice.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/cloudevents-batch+json":
		return readBatch(r.Body, r.Now)
	case err == nil && kind == "application/cloudevents+json":
		return readStructured(r.Body, r.Now)
	case r.Header.Get("Ce-Specversion") != "":
		data := bytes.TrimSpace(r.Body)
		said := func(attribute string) string { return r.Header.Get("Ce-" + attribute) }
		return (&envelope{SpecVersion: said("Specversion"), ID: said("Id"), Source: said("Source"), Type: said("Type"), Data: data}).read(r.Now)
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
	DataBase64  string          `json:"data_base64"`
}

// data is in one of two forms.
func (e *envelope) data() ([]byte, error) {
	if e.DataBase64 == "" {
		return e.Data, nil
	}
	data, err := base64.StdEncoding.DecodeString(e.DataBase64)
	if err != nil || len(e.Data) > 0 {
		return nil, &ingest.BadRequestError{Field: "data_base64", Mend: "must be in base64, and in the place of data"}
	}
	return data, nil
}

func readStructured(body []byte, now time.Time) ([]ingest.Report, error) {
	e, err := ingest.Decode[envelope](body)
	if err != nil {
		return nil, err
	}
	return e.read(now)
}

func readBatch(body []byte, now time.Time) (reports []ingest.Report, refused error) {
	events, err := ingest.Decode[[]json.RawMessage](body)
	if err != nil {
		return nil, err
	}
	if events == nil || len(events) > mostEvents {
		return nil, &ingest.BadRequestError{Mend: fmt.Sprintf("must be a list of %d events at most", mostEvents)}
	}
	for i, event := range events {
		read, err := readStructured(event, now)
		reports = append(reports, read...)
		if bad, ok := errors.AsType[*ingest.BadRequestError](err); ok && refused == nil {
			refused = &ingest.BadRequestError{Field: strings.TrimSuffix(fmt.Sprintf("%d.%s", i, bad.Field), "."), Mend: bad.Mend}
		}
	}
	return reports, refused
}

// read reads one event.
func (e *envelope) read(now time.Time) ([]ingest.Report, error) {
	if e.SpecVersion != "1.0" {
		return nil, &ingest.BadRequestError{Field: "specversion", Mend: "must be 1.0"}
	}
	for field, text := range map[string]string{"id": e.ID, "type": e.Type, "source": e.Source} {
		if _, err := ingest.Name(field, text); err != nil {
			return nil, err
		}
	}
	if readerOf(e.Type) == nil {
		return nil, nil // whose data may be anything, or nothing
	}
	text, err := e.data()
	if err != nil {
		return nil, err
	}
	data, err := ingest.Decode[cdEvent](text)
	if bad, ok := errors.AsType[*ingest.BadRequestError](err); ok {
		return nil, &ingest.BadRequestError{Field: strings.TrimSuffix("data."+bad.Field, "."), Mend: bad.Mend}
	}
	report, err := data.report(e.Type, now)
	if err != nil || report == nil {
		return nil, err
	}
	report.Source, report.Key = "cloudevents", e.Source+"#"+e.ID
	return []ingest.Report{ingest.Bounded(*report)}, nil
}
