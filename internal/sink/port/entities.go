package port

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// maxText bounds what is kept of a message, in bytes: with it and all else twenty events are far from maxBody.
const maxText = 4 << 10

func (s *Sink) deploymentRelations() []string {
	names := s.incidentRelations()
	if s.o.Blueprints.PullRequest != "" {
		names = append(names, RelationPullRequest)
	}
	return names
}

func (s *Sink) incidentRelations() []string {
	if s.o.Blueprints.Service == "" {
		return nil
	}
	return []string{RelationService}
}

func (s *Sink) sendDeployments(ctx context.Context, events []dora.Event) ([]*item, error) {
	n := need{s.o.Blueprints.Deployment, DeploymentProperties(), s.deploymentRelations()}
	return s.send(ctx, n, events, func(e dora.Event, _ schema) (*item, error) {
		return s.deployment(e), nil
	})
}

func (s *Sink) sendIncidents(ctx context.Context, events []dora.Event) ([]*item, error) {
	resolved := map[string]bool{}
	for _, e := range events {
		resolved[e.FailureID] = resolved[e.FailureID] || e.Type == dora.TypeRecovered
	}
	n := need{s.o.Blueprints.Incident, IncidentProperties(), s.incidentRelations()}
	return s.send(ctx, n, events, func(e dora.Event, have schema) (*item, error) {
		known := resolved[e.FailureID] || !have.own["status"]
		if !known {
			ended, err := s.ended(ctx, e.FailureID)
			if err != nil {
				return nil, err
			}
			resolved[e.FailureID] = ended
		}
		return s.incident(e, resolved[e.FailureID]), nil
	})
}

// send makes items of events and one attempt to send them, if the blueprint has what they need.
func (s *Sink) send(ctx context.Context, n need, events []dora.Event, form func(dora.Event, schema) (*item, error)) ([]*item, error) {
	if len(events) == 0 {
		return nil, nil
	}
	have, err := s.schemas.ready(ctx, n)
	if err != nil {
		return nil, err
	}
	var items []*item
	for _, event := range events {
		made, err := form(event, have)
		if err != nil {
			return nil, err
		}
		have.trim(made)
		items = merge(items, made)
	}
	return items, s.upsert(ctx, n.blueprint, items)
}

// merge adds an item, to the one of the same entity if there is one: nobody knows in which order Port would take them.
func merge(items []*item, added *item) []*item {
	for _, known := range items {
		if known.entity.Identifier != added.entity.Identifier {
			continue
		}
		maps.Copy(known.entity.Properties, added.entity.Properties)
		for name, value := range added.entity.Relations {
			if _, ok := known.entity.Relations[name]; !ok {
				known.drop = added.drop
			}
			known.entity.Relations[name] = value
		}
		known.events = append(known.events, added.events...)
		return items
	}
	return append(items, added)
}

// deployment is the entity of a deploy event. All properties that may be found out later, or found out to be otherwise, are in it, as null if
// they are not known, so that nothing stays of what an earlier form of the event said.
func (s *Sink) deployment(e dora.Event) *item {
	version, previous, judged := known(e.Version), known(e.Previous.Version), e.Judged()
	properties := map[string]any{
		"createdAt":       moments(e.OccurredAt),
		environmentName:   orNull(s.environment(e.Environment)),
		"outcome":         orNull(string(e.Outcome)),
		"isRollback":      judged.IsRollback,
		"unplanned":       e.Unplanned,
		"exposed":         e.Exposed,
		"change":          orNull(string(e.Change)),
		"version":         orNull(version.Tag),
		"previousVersion": orNull(previous.Tag),
		"images":          version.Images,
		"commit":          orNull(version.Commit),
		"repository":      orNull(e.Repository),
		"commitCount":     e.CommitCount,
		"firstCommitAt":   nil,
		"leadTimeHours":   per(e.LeadTimeSeconds, time.Hour),
		"leadTimeSeconds": e.LeadTimeSeconds,
		"leadTimeUnknown": orNull(e.LeadTimeUnknown),
		"startedAt":       moments(e.StartedAt),
		"basis":           orNull(string(e.Basis)),
		"reason":          orNull(e.Reason),
		"message":         orNull(cut(e.Message)),
	}
	marked(properties, e.Mark)
	if e.FirstCommitAt != nil {
		properties["firstCommitAt"] = moments(*e.FirstCommitAt)
	}
	if e.Verdict() == dora.Ignore {
		properties[deploymentStatus] = nil // what an earlier form said
	}
	if judged.Success != nil {
		properties[deploymentStatus] = map[bool]string{true: s.o.Succeeded, false: s.o.Failed}[*judged.Success]
	}
	made := s.item(e, e.ID, title(e.Service, version.Tag, e.Environment), properties)
	if s.o.Blueprints.PullRequest != "" && fullCommit.MatchString(version.Commit) {
		made.relate(RelationPullRequest, search(MergeCommit, version.Commit))
	}
	s.relateService(made, e.Service)
	return made
}

// incident is the entity of the failure that an event begins or ends. Each of the two tells its own part, so that either may come again and take
// nothing back; resolved says that the end is known.
func (s *Sink) incident(e dora.Event, resolved bool) *item {
	properties := map[string]any{environmentName: orNull(s.environment(e.Environment))}
	if e.Type == dora.TypeRecovered {
		properties["resolvedAt"], properties["status"] = moments(e.OccurredAt), "resolved"
		properties["recoveryTime"] = per(e.RecoverySeconds, time.Minute)
	} else {
		properties["createdAt"], properties["isChangeFailure"] = moments(e.OccurredAt), e.CausedBy != "" && e.Counts()
		marked(properties, e.Mark)
		properties["reason"], properties["message"] = orNull(e.Reason), orNull(cut(e.Message))
		if !resolved {
			properties["status"] = "open"
		}
	}
	made := s.item(e, e.FailureID, title(e.Service, "", e.Environment), properties)
	if s.o.Blueprints.Deployment != "" && legal(e.CausedBy) {
		made.relate(RelationDeployment, e.CausedBy)
	}
	s.relateService(made, e.Service)
	return made
}

// marked adds what people say, as null if they say nothing (any more).
func marked(properties map[string]any, m *dora.Mark) {
	said := dora.Mark{}
	if m != nil {
		said = *m
	}
	properties["mark"], properties["markReason"], properties["markedBy"] = orNull(string(said.Verdict)), orNull(cut(said.Reason)), orNull(said.By)
}

// item adds what entities of both kinds have.
func (s *Sink) item(e dora.Event, identifier, title string, properties map[string]any) *item {
	properties["serviceName"] = orNull(e.Service)
	properties["teamName"] = orNull(e.Team)
	properties["cluster"] = orNull(e.Cluster)
	properties["subject"] = fmt.Sprintf("%s %s/%s", e.Subject.Kind, e.Subject.Namespace, e.Subject.Name)
	return &item{
		entity: entity{Identifier: identifier, Title: title, Properties: properties, Relations: map[string]any{}},
		events: []string{e.ID},
	}
}

// ended tells whether the portal knows of the end of an incident. A degraded event that is sent again would open it anew.
func (s *Sink) ended(ctx context.Context, failure string) (bool, error) {
	var answer struct {
		Entity struct {
			Properties struct {
				ResolvedAt any `json:"resolvedAt"`
			} `json:"properties"`
		} `json:"entity"`
	}
	path := Path("v1", "blueprints", s.o.Blueprints.Incident, "entities", failure)
	err := s.client.Do(ctx, http.MethodGet, path, nil, nil, &answer)
	if isNotFound(err) {
		return false, nil
	}
	return answer.Entity.Properties.ResolvedAt != nil, err
}

// relate adds a relation that the entity can go without.
func (i *item) relate(name string, to any) {
	i.entity.Relations[name] = to
	i.drop = append(i.drop, name)
}

// relateService comes after all other relations: it is the last to be given up.
func (s *Sink) relateService(i *item, service string) {
	switch {
	case s.o.Blueprints.Service == "" || service == "":
	case s.o.ServiceBy != byIdentifier:
		i.relate(RelationService, search(s.o.ServiceBy, service))
	case legal(service):
		i.relate(RelationService, service)
	default:
		i.loose = true
	}
}

type (
	searched struct {
		Combinator string `json:"combinator"`
		Rules      []rule `json:"rules"`
	}
	rule struct {
		Property string `json:"property"`
		Operator string `json:"operator"`
		Value    any    `json:"value"`
	}
)

// search is a relation to whichever entity has that value of a property.
func search(property, value string) searched {
	return searched{Combinator: "and", Rules: []rule{{property, "=", value}}}
}

var (
	identifiers = regexp.MustCompile(`^[\p{L}0-9@_.+:\\/=-]{1,1000}$`)
	fullCommit  = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// legal tells whether a text can be the identifier of an entity, by the pattern of Port's reference. RE2 has no look-ahead for "." and "..".
func legal(identifier string) bool {
	return identifiers.MatchString(identifier) && identifier != "." && identifier != ".."
}

func title(service, version, environment string) string {
	text := service
	if version != "" {
		text += " " + version
	}
	if environment != "" {
		text += " (" + environment + ")"
	}
	return text
}

// known is a version without anything in it if there is none.
func known(v *dora.Version) dora.Version {
	if v == nil {
		return dora.Version{}
	}
	return *v
}

// moments is a time as Port wants it; null if it is not known.
func moments(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// per is a number of seconds in another unit.
func per(seconds *float64, unit time.Duration) any {
	if seconds == nil {
		return nil
	}
	return *seconds / unit.Seconds()
}

// cut shortens a text, not within a character.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
