package bootstrap

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// difference is what a blueprint lacks and what is in the way. Names are sorted.
type difference struct {
	properties, relations []string // that are missing
	conflicts, notes      []string
	blocked               []string // properties that cannot be written as they are
}

func (d *difference) complete() bool { return len(d.properties)+len(d.relations) == 0 }

// compare holds a blueprint against what the sink needs. It says nothing of what the blueprint has besides, except where that keeps
// entities from being made.
func compare(have, want *blueprint, o *Options) difference {
	var d difference
	for _, name := range slices.Sorted(maps.Keys(want.Schema.Properties)) {
		raw, there := have.Schema.Properties[name]
		if there {
			if problem := unlike(decode[property](raw), decode[property](want.Schema.Properties[name]), o.values(name)); problem != "" {
				d.conflicts = append(d.conflicts, "property "+name+" "+problem)
				d.blocked = append(d.blocked, name)
			}
		} else if note := have.computes(name); note != "" {
			d.notes = append(d.notes, "property "+name+" "+note)
		} else {
			d.properties = append(d.properties, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.Relations)) {
		raw, there := have.Relations[name]
		if !there {
			d.relations = append(d.relations, name)
		} else if problem := leadsElsewhere(decode[relation](raw), decode[relation](want.Relations[name])); problem != "" {
			d.conflicts = append(d.conflicts, "relation "+name+" "+problem)
		}
	}
	d.conflicts = append(d.conflicts, demands(have, want)...)
	return d
}

// values are what the sink will write to a property besides those that its document lists.
func (o *Options) values(property string) []string {
	if property == "environment" {
		return o.Environments
	}
	return nil
}

// computes says how Port makes the value of a property by itself, if it does. The sink writes none of those.
func (b *blueprint) computes(name string) string {
	for _, kind := range []struct {
		name string
		of   map[string]json.RawMessage
	}{{"a calculation", b.Calculation}, {"an aggregation", b.Aggregation}, {"a mirror", b.Mirror}} {
		if _, there := kind.of[name]; there {
			return "is " + kind.name + " property: Port makes its value, and the controller's is not shown; to have that, remove it and run this again"
		}
	}
	return ""
}

// unlike says why values of one property do not fit into the other.
func unlike(have, want property, values []string) string {
	const mend = ": rename it in the portal, or name another blueprint, and run this again"
	switch {
	case have.Type != want.Type:
		return fmt.Sprintf("is of type %s, and %s is needed%s", have, want, mend)
	case have.Format != want.Format && (have.Format != "" || want.Format == "date-time"): // a chart over time needs the format
		return fmt.Sprintf("is of type %s, and %s is needed%s", have, want, mend)
	}
	if len(have.Enum) == 0 {
		return ""
	}
	var lacks []string
	for _, value := range append(want.values(), values...) {
		if !slices.Contains(have.values(), value) && !slices.Contains(lacks, value) {
			lacks = append(lacks, value)
		}
	}
	if len(lacks) == 0 {
		return ""
	}
	return fmt.Sprintf("does not take %s, only %s: add what is missing in the portal, or say what is sent instead",
		strings.Join(lacks, " or "), strings.Join(have.values(), ", "))
}

// values are what the property may be, if not anything.
func (p property) values() []string {
	var all []string
	for _, value := range p.Enum {
		all = append(all, fmt.Sprint(value))
	}
	return all
}

// leadsElsewhere says why the targets of one relation do not fit into the other.
func leadsElsewhere(have, want relation) string {
	switch {
	case have.Target != want.Target:
		return fmt.Sprintf("leads to %s, not to %s: name the blueprint that it leads to, or rename it in the portal, and run this again",
			have.Target, want.Target)
	case have.Many && !want.Many:
		return "holds many entities, and one is sent: rename it in the portal, and run this again"
	}
	return ""
}

// demands are what a blueprint requires of a new entity and the sink does not send.
func demands(have, want *blueprint) []string {
	if !want.entities {
		return nil
	}
	var all []string
	for _, name := range decode[[]string](have.Schema.Required) {
		if _, sent := want.Schema.Properties[name]; !sent {
			all = append(all, "property "+name+" is required, and is not sent: make it optional in the portal")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have.Relations)) {
		if _, sent := want.Relations[name]; decode[relation](have.Relations[name]).Required && !sent {
			all = append(all, "relation "+name+" is required, and is not sent: make it optional in the portal")
		}
	}
	return all
}

// patch is what a blueprint is sent that lacks something: all of its own properties and relations, and those that are missing.
type patch struct {
	Schema    *schema                    `json:"schema,omitempty"`
	Relations map[string]json.RawMessage `json:"relations,omitempty"`
}

func (d *difference) patch(have, want *blueprint) patch {
	var p patch
	if len(d.properties) > 0 {
		p.Schema = &schema{Properties: with(have.Schema.Properties, want.Schema.Properties, d.properties), Required: have.Schema.Required}
	}
	if len(d.relations) > 0 {
		p.Relations = with(have.Relations, want.Relations, d.relations)
	}
	return p
}

// with is a copy of some with the named of others.
func with(some, others map[string]json.RawMessage, names []string) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	maps.Copy(all, some)
	for _, name := range names {
		all[name] = others[name]
	}
	return all
}

// additions are the lines for what is missing.
func (d *difference) additions(want *blueprint) []string {
	var all []string
	for _, name := range d.properties {
		all = append(all, fmt.Sprintf("+ property %s (%s)", name, decode[property](want.Schema.Properties[name])))
	}
	for _, name := range d.relations {
		all = append(all, fmt.Sprintf("+ relation %s → %s", name, decode[relation](want.Relations[name]).Target))
	}
	return all
}
