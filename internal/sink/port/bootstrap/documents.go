package bootstrap

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// documents are what the portal needs, as Port's API takes it. Strings that begin with @ stand for names and values that the user chooses.
//
//go:embed documents
var documents embed.FS

// chosen are the names and values that the documents leave open.
type chosen map[string]string

func choices(names Names, o *Options) chosen {
	production := "Production"
	if len(o.Environments) > 0 {
		production = o.Environments[0]
	}
	return chosen{
		"@deployment": names.Deployment, "@service": names.Service, "@team": names.Team, "@incident": names.Incident,
		"@pullRequest": names.PullRequest, "@succeeded": o.Succeeded, "@failed": o.Failed, "@production": production,
	}
}

var left = regexp.MustCompile(`"@[A-Za-z]+"`)

// fill puts what was chosen into a document. What was chosen may itself begin with @.
func (c chosen) fill(document []byte) []byte {
	return left.ReplaceAllFunc(document, func(open []byte) []byte {
		value, known := c[string(bytes.Trim(open, `"`))]
		quoted, err := json.Marshal(value)
		if !known || err != nil {
			return open
		}
		return quoted
	})
}

// leavesOut says whether a document is about something that is left out.
func (c chosen) leavesOut(document []byte) bool {
	for open, value := range c {
		if value == None && bytes.Contains(document, []byte(`"`+open+`"`)) {
			return true
		}
	}
	return false
}

func (c chosen) load(file string, into any) error {
	document, err := documents.ReadFile("documents/" + file)
	if err == nil {
		err = json.Unmarshal(c.fill(document), into)
	}
	if err != nil {
		return fmt.Errorf("the document %s: %w", file, err)
	}
	return nil
}

// blueprint is one of Port's, as far as anybody here needs to know. Properties and relations are kept as they came.
type blueprint struct {
	Identifier  string                     `json:"identifier"`
	Title       string                     `json:"title"`
	Icon        string                     `json:"icon,omitempty"`
	Description string                     `json:"description,omitempty"`
	Schema      schema                     `json:"schema"`
	Relations   map[string]json.RawMessage `json:"relations,omitempty"`
	Calculation map[string]json.RawMessage `json:"calculationProperties,omitempty"`
	Mirror      map[string]json.RawMessage `json:"mirrorProperties,omitempty"`
	Aggregation map[string]json.RawMessage `json:"aggregationProperties,omitempty"`

	entities bool // of a document: the sink makes entities of it
	foreign  bool // of a document: others make the blueprint
}

type schema struct {
	Properties map[string]json.RawMessage `json:"properties"`
	Required   json.RawMessage            `json:"required,omitempty"`
}

// property and relation are what matters of one.
type property struct {
	Type   string `json:"type"`
	Format string `json:"format"`
	Enum   []any  `json:"enum"`
}

func (p property) String() string {
	if p.Format != "" {
		return p.Type + ", " + p.Format
	}
	return p.Type
}

type relation struct {
	Target   string `json:"target"`
	Required bool   `json:"required"`
	Many     bool   `json:"many"`
}

// decode reads a part of a blueprint. What Port would not say either is nothing.
func decode[T any](raw json.RawMessage) (value T) {
	if json.Unmarshal(raw, &value) != nil {
		return *new(T)
	}
	return value
}

// blueprints are those that the sink writes to, in an order in which the targets of relations come first.
func (c chosen) blueprints() ([]*blueprint, error) {
	var all []*blueprint
	for _, open := range []string{"team", "service", "pullRequest", "deployment", "incident"} {
		if c["@"+open] == None {
			continue
		}
		var b blueprint
		if err := c.load("blueprints/"+open+".json", &b); err != nil {
			return nil, err
		}
		b.entities = open == "deployment" || open == "incident"
		b.foreign = open == "pullRequest" || strings.HasPrefix(b.Identifier, "_") // those are Port's own
		for name, raw := range b.Relations {
			if decode[relation](raw).Target == None {
				delete(b.Relations, name)
			}
		}
		all = append(all, &b)
	}
	return all, nil
}

// scorecard is one of Port's, as far as it has to be known.
type scorecard struct {
	Identifier string          `json:"identifier"`
	Title      string          `json:"title"`
	Filter     json.RawMessage `json:"filter,omitempty"`
	Levels     json.RawMessage `json:"levels,omitempty"`
	Rules      []rule          `json:"rules"`
}

type rule struct {
	Identifier  string `json:"identifier"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Level       string `json:"level"`
	Query       query  `json:"query"`
}

type query struct {
	Combinator string      `json:"combinator"`
	Conditions []condition `json:"conditions"`
}

type condition struct {
	Property string `json:"property"`
	Operator string `json:"operator"`
	Value    string `json:"value"`
}

// about are the properties that the rules of a scorecard look at.
func (s *scorecard) about() []string {
	var all []string
	for _, r := range s.Rules {
		for _, c := range r.Query.Conditions {
			all = append(all, c.Property)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// scorecards are those of the services and of the teams, by the identifier of the blueprint.
func (c chosen) scorecards() (map[string][]scorecard, error) {
	all := map[string][]scorecard{}
	for _, open := range []string{"service", "team"} {
		name := c["@"+open]
		if name == None {
			continue
		}
		var cards []scorecard
		if err := c.load("scorecards/"+open+".json", &cards); err != nil {
			return nil, err
		}
		all[name] = append(all[name], cards...)
	}
	return all, nil
}

// page is a page of Port: a dashboard in a frame.
type page struct {
	Identifier  string  `json:"identifier"`
	Title       string  `json:"title"`
	Icon        string  `json:"icon,omitempty"`
	Description string  `json:"description,omitempty"`
	Type        string  `json:"type"`
	Widgets     []frame `json:"widgets"`
}

type frame struct {
	ID      string            `json:"id"`
	Type    string            `json:"type"`
	Layout  []row             `json:"layout"`
	Widgets []json.RawMessage `json:"widgets"`
}

type row struct {
	Height  int      `json:"height"`
	Columns []column `json:"columns"`
}

type column struct {
	ID   string `json:"id"`
	Size int    `json:"size"`
}

type widget struct {
	ID string `json:"id"`
}

// page is the dashboard, without the rows whose widgets show a blueprint that is left out.
func (c chosen) page() (*page, error) {
	var p page
	if err := (chosen{}).load("page.json", &p); err != nil {
		return nil, err
	}
	for i := range p.Widgets {
		c.frame(&p.Widgets[i])
	}
	return &p, nil
}

func (c chosen) frame(f *frame) {
	out := map[string]bool{}
	for _, w := range f.Widgets {
		if c.leavesOut(w) {
			out[decode[widget](w).ID] = true
		}
	}
	f.Layout = slices.DeleteFunc(f.Layout, func(r row) bool {
		gone := slices.ContainsFunc(r.Columns, func(c column) bool { return out[c.ID] })
		for _, c := range r.Columns {
			out[c.ID] = gone
		}
		return gone
	})
	f.Widgets = slices.DeleteFunc(f.Widgets, func(w json.RawMessage) bool { return out[decode[widget](w).ID] })
	for i, w := range f.Widgets {
		f.Widgets[i] = c.fill(w)
	}
}

// PageDocument is the page as JSON, for those who make it by hand.
func PageDocument(names Names, o Options) ([]byte, error) {
	p, err := choices(names, &o).page()
	if err != nil {
		return nil, err
	}
	document, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("the page: %w", err)
	}
	return append(document, '\n'), nil
}
