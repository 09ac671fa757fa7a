package cloudevents

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cdevents/sdk-go/pkg/api"
	cdevents04 "github.com/cdevents/sdk-go/pkg/api/v04"
	cdevents05 "github.com/cdevents/sdk-go/pkg/api/v05"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// cdEvent is what the events of CDEvents that we send have in common.
type cdEvent interface {
	api.CDEventV04
	SetSubjectEnvironment(environment *api.Reference)
	SetSubjectArtifactId(purl string)
}

// incident is one of incident.detected and incident.resolved.
type incident interface {
	cdEvent
	SetSubjectService(service *api.Reference)
	SetSubjectDescription(description string)
}

// vocabulary makes the events of one version of CDEvents.
type vocabulary struct {
	deployed, upgraded, rolledback, detected, resolved func() (cdEvent, error)
}

var vocabularies = map[string]vocabulary{
	FormatCDEvents: {
		empty(cdevents05.NewServiceDeployedEvent), empty(cdevents05.NewServiceUpgradedEvent), empty(cdevents05.NewServiceRolledbackEvent),
		empty(cdevents05.NewIncidentDetectedEvent), empty(cdevents05.NewIncidentResolvedEvent),
	},
	FormatCDEvents04: {
		empty(cdevents04.NewServiceDeployedEvent), empty(cdevents04.NewServiceUpgradedEvent), empty(cdevents04.NewServiceRolledbackEvent),
		empty(cdevents04.NewIncidentDetectedEvent), empty(cdevents04.NewIncidentResolvedEvent),
	},
}

func empty[E cdEvent](create func() (E, error)) func() (cdEvent, error) {
	return func() (cdEvent, error) { return create() }
}

// asCDEvent is an event of CDEvents, or nil for what it has none for. data is the JSON of the event.
func (v vocabulary) asCDEvent(source string, e dora.Event, data json.RawMessage) (*event.Event, error) {
	if _, err := typeOf(e); err != nil {
		return nil, err
	}
	create := v.choose(e)
	if create == nil {
		return nil, nil
	}
	ce, err := create()
	if err != nil {
		return nil, err
	}
	ce.SetId(e.ID)
	ce.SetSource(source)
	ce.SetTimestamp(e.OccurredAt.UTC()) // the SDK's is that of now
	ce.SetSubjectEnvironment(&api.Reference{Id: e.Environment, Source: source})
	if err := ce.SetCustomData(event.ApplicationJSON, data); err != nil {
		return nil, err
	}
	if failure, ok := ce.(incident); ok {
		describeIncident(failure, source, e)
	} else if err := describeService(ce, e); err != nil {
		return nil, err
	}
	return envelope(ce, revision(data))
}

// choose picks the event that says what happened, or nil. Nothing says that a deployment failed or how it ended is not known. An attempt
// that was stopped before it took traffic is nothing either: production was never on its version, so it was not rolled back from it. A change
// of code is told by who keeps the code.
func (v vocabulary) choose(e dora.Event) func() (cdEvent, error) {
	switch {
	case e.Type == dora.TypeChange:
		return nil
	case e.Type == dora.TypeDegraded:
		return v.detected
	case e.Type == dora.TypeRecovered:
		return v.resolved
	case e.Outcome == dora.Succeeded && e.Previous.Known && e.Previous.Version == nil:
		return v.deployed
	case e.Outcome == dora.Succeeded: // also when the version before is not known: that it is the first is only said of what is
		return v.upgraded
	case e.Outcome == dora.RolledBack && (e.Exposed == nil || *e.Exposed):
		return v.rolledback
	}
	return nil
}

// describeService says which artifact serves after the event: what was deployed, or what production went back to.
func describeService(ce cdEvent, e dora.Event) error {
	ce.SetSubjectId(subjectOf(e))
	artifact := e.Version
	if stopped := e.Success != nil && !*e.Success; stopped {
		artifact = cmp.Or(e.Running, e.Previous.Version)
	}
	purl := purlOf(artifact)
	if purl == "" {
		return errors.New("nobody knows an image of it, and CDEvents wants one")
	}
	ce.SetSubjectArtifactId(purl)
	return nil
}

// describeIncident says what failed. Both events of a failure have its id as their subject.
func describeIncident(ce incident, source string, e dora.Event) {
	ce.SetSubjectId(e.FailureID)
	ce.SetSubjectService(&api.Reference{Id: subjectOf(e), Source: source})
	ce.SetSubjectDescription(cmp.Or(e.Title, e.Message, e.Reason))
	ce.SetSubjectArtifactId(purlOf(e.Running)) // optional: a first version that fails leaves none that serves
	if e.CausedBy == "" {
		return
	}
	cause := api.NewEmbeddedLinkRelation()
	cause.SetLinkKind("causedBy")
	cause.SetTarget(api.EventReference{ContextId: e.CausedBy})
	cause.SetTags(api.Tags{}) // null is against the schema
	ce.SetLinks(api.EmbeddedLinksArray{cause})
}

// envelope is a CDEvent as a CloudEvent. The SDK's AsCloudEvent sets no time, and refuses an incident without an artifact, which the schema allows.
func envelope(e cdEvent, revision string) (*event.Event, error) {
	if err := conforms(e); err != nil {
		return nil, fmt.Errorf("it is no CDEvent: %s", sink.Quote(err.Error()))
	}
	ce := event.New()
	ce.SetID(e.GetId())
	ce.SetSource(e.GetSource())
	ce.SetType(e.GetType().String())
	ce.SetSubject(e.GetSubjectId())
	ce.SetTime(e.GetTimestamp())
	ce.SetExtension(revisionAttribute, revision)
	return &ce, ce.SetData(event.ApplicationJSON, e)
}

// conforms fails if an event breaks the schema that CDEvents publishes for it.
func conforms(e cdEvent) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	_, schema, err := e.GetSchema()
	if err != nil {
		return err
	}
	return schema.Validate(value)
}
