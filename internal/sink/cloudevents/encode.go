package cloudevents

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
)

const (
	// The types of FormatDora: typePrefix and what happened.
	typePrefix  = "io.dora-controller."
	typeMetrics = typePrefix + "metrics"

	// Where the schemas are published. A schema stays what it is; one that is incompatible gets another name.
	schemas       = "https://raw.githubusercontent.com/dora-controller/dora-controller/main/docs/schema/"
	eventSchema   = schemas + "dora-event-v1.json"
	metricsSchema = schemas + "dora-metrics-v1.json"

	// revisionAttribute tells forms of one event apart.
	revisionAttribute = "dorarevision"
)

// asDora is an event in FormatDora. data is its JSON.
func asDora(source string, e dora.Event, data json.RawMessage) (*event.Event, error) {
	kind, err := typeOf(e)
	if err != nil {
		return nil, err
	}
	ce := event.New()
	ce.SetID(e.ID)
	ce.SetSource(source)
	ce.SetType(kind)
	setSubject(&ce, subjectOf(e))
	ce.SetTime(e.OccurredAt)
	ce.SetDataSchema(eventSchema)
	ce.SetExtension(revisionAttribute, revision(data))
	return &ce, ce.SetData(event.ApplicationJSON, data)
}

// typeOf is the type of an event in FormatDora. It fails for what this release does not know, and for an id that would arrive as another: the SDK
// takes blanks away.
func typeOf(e dora.Event) (string, error) {
	if strings.TrimSpace(e.ID) != e.ID {
		return "", fmt.Errorf("the id %q begins or ends with a blank", e.ID)
	}
	switch e.Type {
	case dora.TypeDegraded, dora.TypeRecovered, dora.TypeChange:
		return typePrefix + string(e.Type), nil
	case dora.TypeDeploy:
		switch e.Outcome {
		case dora.Succeeded, dora.Failed, dora.RolledBack, dora.Unknown:
			return typePrefix + "deployment." + string(e.Outcome), nil
		}
		return "", fmt.Errorf("the outcome %q is not known", e.Outcome)
	}
	return "", fmt.Errorf("the type %q is not known", e.Type)
}

// subjectOf is what an event is about: a service, or without a name of one the object that is followed.
func subjectOf(e dora.Event) string {
	if e.Service == "" && e.Subject.Name != "" {
		return e.Subject.Namespace + "/" + e.Subject.Name
	}
	return e.Service
}

// setSubject leaves out a subject that is empty, which the specification forbids.
func setSubject(ce *event.Event, subject string) {
	if subject != "" {
		ce.SetSubject(subject)
	}
}

// revision is the same for the same content.
func revision(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// ofFigures are figures in FormatDora. Figures of another moment are another event, since they are another measurement.
func ofFigures(source string, f sink.Figures) (*event.Event, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	ce := event.New()
	ce.SetID(dora.ID("metrics", f.Cluster, f.Target, string(f.Scope), f.Environment, f.Team, f.Service, f.To.UTC().Format(time.RFC3339Nano)))
	ce.SetSource(source)
	ce.SetType(typeMetrics)
	setSubject(&ce, map[sink.Scope]string{sink.ScopeService: f.Service, sink.ScopeTeam: f.Team, sink.ScopeTarget: f.Target}[f.Scope])
	ce.SetTime(f.To)
	ce.SetDataSchema(metricsSchema)
	ce.SetExtension(revisionAttribute, revision(data))
	return &ce, ce.SetData(event.ApplicationJSON, json.RawMessage(data))
}

// valid fails if an event breaks a rule of CloudEvents. The SDK does not look at the characters of attributes.
func valid(ce *event.Event) error {
	for name, value := range map[string]string{"id": ce.ID(), "subject": ce.Subject()} {
		if !utf8.ValidString(value) {
			return fmt.Errorf("its %s is no UTF-8", name)
		}
		for _, r := range value {
			if unicode.IsControl(r) || unicode.Is(unicode.Noncharacter_Code_Point, r) {
				return fmt.Errorf("its %s holds %U, which no attribute of a CloudEvent may", name, r)
			}
		}
	}
	if err := ce.Validate(); err != nil {
		return fmt.Errorf("it is no CloudEvent: %s", sink.Quote(err.Error()))
	}
	return nil
}
