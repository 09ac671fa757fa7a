package porttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// maxEntities is the most of one call: "No more than 20 entities per request".
const maxEntities = 20

// Entity is an entity of the portal.
type Entity struct {
	Identifier string   `json:"identifier"`
	Title      string   `json:"title,omitempty"`
	Icon       string   `json:"icon,omitempty"`
	Team       any      `json:"team,omitempty"`
	Properties Document `json:"properties"`
	Relations  Document `json:"relations"`
	// By is the User-Agent that wrote it last.
	By string `json:"-"`
}

// Arrival is an entity as it was sent and taken.
type Arrival struct {
	Blueprint string
	Entity    Entity
}

// Arrivals are the entities that were taken over the API, in their order, since the last time this was asked.
func (s *Server) Arrivals() []Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.arrivals
	s.arrivals = nil
	return all
}

// PutEntity gives the portal an entity, past all checks.
func (s *Server) PutEntity(blueprint string, e Entity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Properties == nil {
		e.Properties = Document{}
	}
	if e.Relations == nil {
		e.Relations = Document{}
	}
	s.entities[blueprint] = append(s.entities[blueprint], &e)
}

// Entity is an entity of the portal, or nil.
func (s *Server) Entity(blueprint, identifier string) *Entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(blueprint, identifier); e != nil {
		same := *e
		same.Properties, same.Relations = clone(e.Properties), clone(e.Relations)
		return &same
	}
	return nil
}

// Entities are all of a blueprint.
func (s *Server) Entities(blueprint string) []Entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Entity, 0, len(s.entities[blueprint]))
	for _, e := range s.entities[blueprint] {
		same := *e
		same.Properties, same.Relations = clone(e.Properties), clone(e.Relations)
		all = append(all, same)
	}
	return all
}

// Refuse makes Port refuse an entity of that identifier, until Accept.
func (s *Server) Refuse(identifier string, p Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[identifier] = p
}

// Accept takes Refuse back.
func (s *Server) Accept(identifier string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refused, identifier)
}

func (s *Server) find(blueprint, identifier string) *Entity {
	for _, e := range s.entities[blueprint] {
		if e.Identifier == identifier {
			return e
		}
	}
	return nil
}

// options are the query of an upsert. upsert is required; the others are false without being said.
type options struct{ upsert, merge, validateOnly, createRelated bool }

func (c call) options() (options, *Problem) {
	query := c.r.URL.Query()
	for name := range query {
		if !slices.Contains([]string{"upsert", "merge", "validation_only", "create_missing_related_entities", "run_id"}, name) {
			return options{}, invalid("unknown query parameter %s", name)
		}
	}
	if !query.Has("upsert") {
		return options{}, invalid("querystring must have required property 'upsert'")
	}
	is := func(name string) bool { return query.Get(name) == "true" }
	return options{is("upsert"), is("merge"), is("validation_only"), is("create_missing_related_entities")}, nil
}

func (s *Server) answerEntities(c call) (answer, *Problem) {
	d, there := s.blueprints[c.path[2]]
	if !there {
		return answer{}, notFound("Blueprint", c.path[2])
	}
	b, problem := understand(d)
	if problem != nil {
		return answer{}, problem
	}
	switch post := c.method == http.MethodPost; {
	case post && len(c.path) == 4:
		return s.postEntity(c, b)
	case post && c.path[4] == "bulk":
		return s.postEntities(c, b)
	case post && c.path[4] == "search":
		return s.search(c, b)
	case len(c.path) == 5:
		return s.oneEntity(c, b)
	}
	return answer{}, &Problem{http.StatusNotFound, "route_not_found", "Route not found"}
}

// raw is an entity in a request.
type raw struct {
	Identifier any      `json:"identifier"`
	Title      *string  `json:"title"`
	Icon       *string  `json:"icon"`
	Team       any      `json:"team"`
	Properties Document `json:"properties"`
	Relations  Document `json:"relations"`
}

func (s *Server) postEntity(c call, b blueprint) (answer, *Problem) {
	o, problem := c.options()
	if problem != nil {
		return answer{}, problem
	}
	var sent raw
	if problem := c.decode(&sent); problem != nil {
		return answer{}, problem
	}
	if problem := matches(sent); problem != nil {
		return answer{}, problem
	}
	e, _, problem := s.upsert(c, b, o, sent)
	if problem != nil {
		return answer{}, problem
	}
	return created(Document{"ok": true, "entity": e})
}

// postEntities is the bulk call: 1 to 20 entities, 200 if all were taken and 207 if not, and for each its index. What does not match the
// schema of the route is refused as a whole.
func (s *Server) postEntities(c call, b blueprint) (answer, *Problem) {
	o, problem := c.options()
	if problem != nil {
		return answer{}, problem
	}
	var sent struct {
		Entities []raw `json:"entities"`
	}
	if problem := c.decode(&sent); problem != nil {
		return answer{}, problem
	}
	if n := len(sent.Entities); n < 1 || n > maxEntities {
		return answer{}, invalid("body/entities must have 1 to %d items, and has %d", maxEntities, n)
	}
	for _, e := range sent.Entities {
		if problem := matches(e); problem != nil {
			return answer{}, problem
		}
	}
	taken, failed := []Document{}, []Document{}
	for i, one := range sent.Entities {
		e, isNew, problem := s.upsert(c, b, o, one)
		if problem == nil {
			taken = append(taken, Document{"created": isNew, "identifier": e.Identifier, "index": i})
			continue
		}
		identifier, plain := one.Identifier.(string)
		if !plain {
			identifier = "unknown"
		}
		if s.Echo {
			problem.Message += " (authorization: " + c.r.Header.Get("Authorization") + ")"
		}
		failed = append(failed, Document{
			"identifier": identifier, "index": i, "statusCode": problem.Status, "error": problem.Code, "message": problem.Message,
		})
	}
	status := http.StatusOK
	if len(failed) > 0 {
		status = http.StatusMultiStatus
	}
	return answer{status, Document{"ok": len(failed) == 0, "entities": taken, "errors": failed}}, nil
}

// matches checks an entity against the schema of the route: the patterns of identifiers, and the forms of relations.
func matches(e raw) *Problem {
	switch identifier := e.Identifier.(type) {
	case string:
		if !named(entityName, identifier, 1000) {
			return invalid("identifier must match the pattern, and have at most 1000 characters")
		}
	case Document: // a search query
	default:
		return invalid("an entity must have an identifier")
	}
	for name, value := range e.Relations {
		if problem := matchesRelation(name, value); problem != nil {
			return problem
		}
	}
	return nil
}

func matchesRelation(name string, value any) *Problem {
	switch v := value.(type) {
	case nil:
	case string:
		if !named(entityName, v, 1000) {
			return invalid("relations/%s must match the pattern", name)
		}
	case []any:
		for _, one := range v {
			if text, isText := one.(string); !isText || !named(entityName, text, 1000) {
				return invalid("relations/%s must match the pattern", name)
			}
		}
	case Document:
		if _, err := rules(v, "=", "in", "contains", "containsAny"); err != nil {
			return invalid("relations/%s is no search query: %v", name, err)
		}
	default:
		return invalid("relations/%s must be an identifier, several, null, or a search query", name)
	}
	return nil
}

// upsert creates an entity; or, with upsert, overwrites it as a whole; or, with merge too, only what is sent of it.
func (s *Server) upsert(c call, b blueprint, o options, sent raw) (e *Entity, isNew bool, problem *Problem) {
	known, identifier, problem := s.meant(b, sent.Identifier)
	if problem != nil {
		return nil, false, problem
	}
	if problem, refused := s.refused[identifier]; refused {
		return nil, false, &problem
	}
	if known != nil && !o.upsert {
		return nil, false, &Problem{http.StatusConflict, "identifier_taken", fmt.Sprintf("Entity with identifier %q already exists", identifier)}
	}
	e = &Entity{Identifier: identifier, Properties: Document{}, Relations: Document{}}
	if known != nil && o.merge {
		*e = *known
		e.Properties, e.Relations = clone(known.Properties), clone(known.Relations)
	}
	if problem := s.apply(b, o, sent, e); problem != nil {
		return nil, false, problem
	}
	e.By = c.r.UserAgent()
	if o.validateOnly {
		return e, known == nil, nil
	}
	s.keep(b.Identifier, known, e)
	s.arrivals = append(s.arrivals, Arrival{b.Identifier, Entity{identifier, e.Title, e.Icon, e.Team, clone(sent.Properties), clone(sent.Relations), e.By}})
	return e, known == nil, nil
}

func (s *Server) keep(blueprint string, known, e *Entity) {
	if known != nil {
		*known = *e
		return
	}
	s.entities[blueprint] = append(s.entities[blueprint], e)
}

// meant is the entity that an identifier or a search query means. A query must find exactly one, and none is created by it.
func (s *Server) meant(b blueprint, identifier any) (*Entity, string, *Problem) {
	if text, plain := identifier.(string); plain {
		return s.find(b.Identifier, text), text, nil
	}
	query, _ := identifier.(Document)
	found, err := s.match(b.Identifier, query, "=", "in")
	if err != nil {
		return nil, "", invalid("identifier is no search query: %v", err)
	}
	if len(found) != 1 {
		return nil, "", &Problem{http.StatusNotFound, "not_found", fmt.Sprintf("the search query found %d entities", len(found))}
	}
	return found[0], found[0].Identifier, nil
}

// apply lays what was sent over an entity.
func (s *Server) apply(b blueprint, o options, sent raw, e *Entity) *Problem {
	if sent.Title != nil {
		e.Title = *sent.Title
	}
	if sent.Icon != nil {
		e.Icon = *sent.Icon
	}
	if sent.Team != nil {
		e.Team = sent.Team
	}
	for name, value := range sent.Properties {
		if problem := b.takes(name, value); problem != nil {
			return problem
		}
	}
	maps.Copy(e.Properties, sent.Properties)
	for _, name := range b.Schema.Required {
		if e.Properties[name] == nil {
			return invalid("must have required property '%s'", name)
		}
	}
	for name, value := range sent.Relations {
		to, problem := s.resolve(b, o, name, value)
		if problem != nil {
			return problem
		}
		e.Relations[name] = to
	}
	return nil
}

// takes checks a property against the blueprint: its name, its type, its format and its enum. null clears it.
func (b blueprint) takes(name string, value any) *Problem {
	p, known := b.Schema.Properties[name]
	_, calculated := b.Calculation[name]
	_, mirrored := b.Mirror[name]
	_, aggregated := b.Aggregation[name]
	switch {
	case calculated || mirrored || aggregated:
		return invalid("property %q of blueprint %q is computed", name, b.Identifier)
	case !named(propertyName, name, 100) || !known:
		return invalid("property %q does not exist in blueprint %q", name, b.Identifier)
	case value == nil:
		return nil
	case !p.holds(value):
		return invalid("property %q of blueprint %q must be %s %s", name, b.Identifier, p.Type, p.Format)
	case p.Enum != nil && !slices.Contains(p.Enum, value):
		return invalid("property %q of blueprint %q must be one of %v", name, b.Identifier, p.Enum)
	}
	return nil
}

func (p property) holds(value any) bool {
	switch v := value.(type) {
	case string:
		if p.Format == "date-time" {
			_, err := time.Parse(time.RFC3339, v)
			return p.Type == "string" && err == nil
		}
		return p.Type == "string"
	case float64:
		return p.Type == "number"
	case bool:
		return p.Type == "boolean"
	case []any:
		return p.Type == "array"
	case Document:
		return p.Type == "object"
	}
	return false
}

// resolve is what a relation is to be: the identifiers of entities that are there. With create_missing_related_entities those that are not are
// created, bare; without, an unknown one is answered with 404.
func (s *Server) resolve(b blueprint, o options, name string, value any) (any, *Problem) {
	r, known := b.Relations[name]
	if !known {
		return nil, invalid("relation %q does not exist in blueprint %q", name, b.Identifier)
	}
	var wanted []string
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		wanted = []string{v}
	case []any:
		if !*r.Many {
			return nil, invalid("relation %q takes one entity", name)
		}
		for _, one := range v {
			wanted = append(wanted, one.(string))
		}
	case Document:
		found, err := s.match(r.Target, v, "=", "in", "contains", "containsAny")
		if err != nil {
			return nil, invalid("relation %q: %v", name, err)
		}
		if len(found) == 0 {
			return nil, &Problem{http.StatusNotFound, "not_found", fmt.Sprintf("no entity of blueprint %q matches the query of relation %q", r.Target, name)}
		}
		for _, e := range found {
			wanted = append(wanted, e.Identifier)
		}
	}
	if !*r.Many && len(wanted) != 1 {
		return nil, invalid("relation %q takes one entity, and the query found %d", name, len(wanted))
	}
	for _, identifier := range wanted {
		if s.find(r.Target, identifier) != nil {
			continue
		}
		if !o.createRelated {
			return nil, notFound("Entity of blueprint "+r.Target, identifier)
		}
		s.entities[r.Target] = append(s.entities[r.Target], &Entity{Identifier: identifier, Properties: Document{}, Relations: Document{}})
	}
	if *r.Many {
		return wanted, nil
	}
	return wanted[0], nil
}

type rule struct {
	Property string `json:"property"`
	Operator string `json:"operator"`
	Value    any    `json:"value"`
}

// rules reads a search query of the simple kind: a combinator and rules of property, operator and value.
func rules(query Document, operators ...string) ([]rule, error) {
	var read struct {
		Combinator string `json:"combinator"`
		Rules      []rule `json:"rules"`
	}
	if err := json.Unmarshal(marshal(query), &read); err != nil {
		return nil, err
	}
	if read.Combinator != "and" || read.Rules == nil || len(query) != 2 {
		return nil, errors.New("a combinator (and is understood here) and rules are required")
	}
	for _, r := range read.Rules {
		if r.Property == "" || !slices.Contains(operators, r.Operator) {
			return nil, fmt.Errorf("the rule %+v is not supported", r)
		}
	}
	return read.Rules, nil
}

// match finds the entities that a query means.
func (s *Server) match(blueprint string, query Document, operators ...string) ([]*Entity, error) {
	all, err := rules(query, operators...)
	if err != nil {
		return nil, err
	}
	var found []*Entity
	for _, e := range s.entities[blueprint] {
		if !slices.ContainsFunc(all, func(r rule) bool { return !e.has(r) }) {
			found = append(found, e)
		}
	}
	return found, nil
}

func (e *Entity) has(r rule) bool {
	value := e.Properties[r.Property]
	switch r.Property {
	case "$identifier":
		value = e.Identifier
	case "$title":
		value = e.Title
	}
	if r.Operator == "in" || r.Operator == "containsAny" {
		many, _ := r.Value.([]any)
		return slices.Contains(many, value)
	}
	return value == r.Value
}

// search answers with the entities of a query, limit of them at most: 1 to 1000, 200 if it is not said.
func (s *Server) search(c call, b blueprint) (answer, *Problem) {
	var sent struct {
		Query   Document `json:"query"`
		Include []string `json:"include"`
		Limit   *int     `json:"limit"`
	}
	if problem := c.decode(&sent); problem != nil {
		return answer{}, problem
	}
	limit := 200
	if sent.Limit != nil {
		limit = *sent.Limit
	}
	found, err := s.match(b.Identifier, sent.Query, "=", "!=", "in", "contains", "containsAny")
	if err != nil || limit < 1 || limit > 1000 {
		return answer{}, invalid("The json provided does not match the route's schema: %v", err)
	}
	shown := []Document{}
	for _, e := range found[:min(limit, len(found))] {
		shown = append(shown, e.only(sent.Include))
	}
	return ok(Document{"ok": true, "entities": shown})
}

// only is an entity with some of its properties; with all if none are named.
func (e *Entity) only(include []string) Document {
	has := func(name string) bool { return include == nil || slices.Contains(include, name) }
	shown := Document{"identifier": e.Identifier}
	if has("$title") {
		shown["title"] = e.Title
	}
	properties := clone(e.Properties)
	maps.DeleteFunc(properties, func(name string, _ any) bool { return !has(name) })
	shown["properties"] = properties
	return shown
}

// oneEntity reads, changes (PATCH) or replaces (PUT) an entity that is there.
func (s *Server) oneEntity(c call, b blueprint) (answer, *Problem) {
	known := s.find(b.Identifier, c.path[4])
	if known == nil {
		return answer{}, notFound("Entity", c.path[4])
	}
	if c.method == http.MethodGet {
		return ok(Document{"ok": true, "entity": known})
	}
	var sent raw
	if problem := c.decode(&sent); problem != nil {
		return answer{}, problem
	}
	sent.Identifier = known.Identifier
	if problem := matches(sent); problem != nil {
		return answer{}, problem
	}
	e, _, problem := s.upsert(c, b, options{upsert: true, merge: c.method == http.MethodPatch}, sent)
	if problem != nil {
		return answer{}, problem
	}
	return ok(Document{"ok": true, "entity": e})
}

// PutNote writes a property of an entity, as somebody else does.
func (s *Server) PutNote(blueprint, identifier, name string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.find(blueprint, identifier).Properties[name] = value
}
