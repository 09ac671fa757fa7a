package porttest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"unicode/utf8"
)

// The patterns of the reference. RE2 has no look-ahead for its (?!\.{1,2}$), which dots stands for.
var (
	blueprintName = regexp.MustCompile(`^[\p{L}0-9@_.+:\\/-]+$`)  // max 100
	entityName    = regexp.MustCompile(`^[\p{L}0-9@_.+:\\/=-]+$`) // max 1000
	propertyName  = regexp.MustCompile(`^[A-Za-z0-9@_=\\-]+$`)    // max 100
)

func named(pattern *regexp.Regexp, name string, most int) bool {
	return pattern.MatchString(name) && name != "." && name != ".." && utf8.RuneCountInString(name) <= most
}

// blueprint is the part of one that is understood.
type blueprint struct {
	Identifier  string              `json:"identifier"`
	Title       string              `json:"title"`
	Schema      *schema             `json:"schema"`
	Calculation map[string]any      `json:"calculationProperties"`
	Mirror      map[string]any      `json:"mirrorProperties"`
	Aggregation map[string]any      `json:"aggregationProperties"`
	Relations   map[string]relation `json:"relations"`
}

type schema struct {
	Properties map[string]property `json:"properties"`
	Required   []string            `json:"required"`
}

type property struct {
	Title  string `json:"title"`
	Type   string `json:"type"`
	Format string `json:"format"`
	Enum   []any  `json:"enum"`
}

type relation struct {
	Title    string `json:"title"`
	Target   string `json:"target"`
	Required *bool  `json:"required"`
	Many     *bool  `json:"many"`
}

// PutBlueprint gives the portal a blueprint, in place of one of the same identifier. It panics if Port would refuse it.
func (s *Server) PutBlueprint(document string) {
	var d Document
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, problem := s.validBlueprint(d)
	if problem != nil {
		panic(problem.Message)
	}
	s.blueprints[b.Identifier] = d
}

// Blueprint is a blueprint of the portal, or nil.
func (s *Server) Blueprint(identifier string) Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.blueprints[identifier])
}

// DropBlueprint removes a blueprint with its entities.
func (s *Server) DropBlueprint(identifier string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blueprints, identifier)
	delete(s.entities, identifier)
}

// marshal is for what came out of JSON.
func marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}

func clone(d Document) Document {
	if d == nil {
		return nil
	}
	body := marshal(d)
	var same Document
	_ = json.Unmarshal(body, &same)
	return same
}

func understand(d Document) (blueprint, *Problem) {
	body := marshal(d)
	var b blueprint
	if err := json.Unmarshal(body, &b); err != nil {
		return b, invalid("The json provided does not match the route's schema: %v", err)
	}
	return b, nil
}

// validBlueprint checks what the reference requires: identifier, title (1 to 100 characters) and schema; of each property a type; of
// each relation its target, which is there, required and many.
func (s *Server) validBlueprint(d Document) (blueprint, *Problem) {
	b, problem := understand(d)
	switch {
	case problem != nil:
		return b, problem
	case !named(blueprintName, b.Identifier, 100):
		return b, invalid("identifier must match the pattern, and have at most 100 characters")
	case b.Title == "" || utf8.RuneCountInString(b.Title) > 100:
		return b, invalid("title must have 1 to 100 characters")
	case b.Schema == nil || b.Schema.Properties == nil:
		return b, invalid("schema and schema.properties are required")
	}
	for name, p := range b.Schema.Properties {
		if problem := validProperty(name, p); problem != nil {
			return b, problem
		}
	}
	for name, r := range b.Relations {
		if !named(propertyName, name, 100) || r.Target == "" || r.Required == nil || r.Many == nil || utf8.RuneCountInString(r.Title) > 100 {
			return b, invalid("relation %s must have a target, required and many", name)
		}
		if _, ok := s.blueprints[r.Target]; !ok && r.Target != b.Identifier {
			return b, notFound("Blueprint", r.Target)
		}
	}
	return b, nil
}

func validProperty(name string, p property) *Problem {
	types := []string{"string", "number", "boolean", "object", "array"}
	formats := []string{
		"", "date-time", "url", "email", "idn-email", "ipv4", "ipv6", "markdown", "yaml", "user", "blueprints", "team", "timer", "proto", "labeled-url",
	}
	if !named(propertyName, name, 100) || utf8.RuneCountInString(p.Title) > 100 || !slices.Contains(types, p.Type) || !slices.Contains(formats, p.Format) {
		return invalid("property %s does not match the schema of a property", name)
	}
	return nil
}

func (s *Server) answerBlueprint(c call) (answer, *Problem) {
	if len(c.path) == 2 {
		return s.answerBlueprints(c)
	}
	known, there := s.blueprints[c.path[2]]
	if !there {
		return answer{}, notFound("Blueprint", c.path[2])
	}
	switch c.method {
	case http.MethodGet:
		return ok(Document{"ok": true, "blueprint": known})
	case http.MethodPut, http.MethodPatch:
		var d Document
		if problem := c.decode(&d); problem != nil {
			return answer{}, problem
		}
		return s.changeBlueprint(c, known, d)
	}
	return answer{}, &Problem{http.StatusNotFound, "route_not_found", "Route not found"}
}

func (s *Server) answerBlueprints(c call) (answer, *Problem) {
	if c.method == http.MethodGet {
		all := []Document{}
		for _, d := range s.blueprints {
			all = append(all, d)
		}
		return ok(Document{"ok": true, "blueprints": all})
	}
	var d Document
	if problem := c.decode(&d); problem != nil {
		return answer{}, problem
	}
	b, problem := s.validBlueprint(d)
	if problem != nil {
		return answer{}, problem
	}
	if _, there := s.blueprints[b.Identifier]; there {
		return answer{}, &Problem{http.StatusConflict, "identifier_taken", "Blueprint with identifier " + b.Identifier + " already exists"}
	}
	s.blueprints[b.Identifier] = d
	return created(Document{"ok": true, "blueprint": d})
}

// changeBlueprint replaces (PUT) or changes (PATCH) a blueprint.
func (s *Server) changeBlueprint(c call, known, d Document) (answer, *Problem) {
	if c.method == http.MethodPatch {
		changed := clone(known)
		for name, value := range d {
			if s.PatchReplaces {
				changed[name] = value
			} else {
				changed[name] = merged(changed[name], value)
			}
		}
		d = changed
	}
	b, problem := s.validBlueprint(d)
	if problem != nil {
		return answer{}, problem
	}
	delete(s.blueprints, c.path[2])
	s.blueprints[b.Identifier] = d
	return ok(Document{"ok": true, "blueprint": d})
}

// merged is a value with another laid over it.
func merged(under, over any) any {
	a, isObject := under.(Document)
	b, alsoObject := over.(Document)
	if !isObject || !alsoObject {
		return over
	}
	all := clone(a)
	for name, value := range b {
		all[name] = merged(all[name], value)
	}
	return all
}
