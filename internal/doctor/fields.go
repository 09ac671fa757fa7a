package doctor

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// timedHealth is the field by which Argo CD says since when an Application is as it is.
const timedHealth = "status.health.lastTransitionTime"

// FieldsOf are the fields that the schema of a CustomResourceDefinition is asked for: of the kinds of dora-controller all that the Go types
// have, so that none can be forgotten here. A path is of the names of fields alone: lists and maps have none.
var FieldsOf = map[string][]string{
	TargetCRD:      fieldsOf[dorav1alpha1.DoraTarget](),
	SinkCRD:        fieldsOf[dorav1alpha1.DoraSink](),
	ReceiverCRD:    fieldsOf[dorav1alpha1.DoraReceiver](),
	ApplicationCRD: {timedHealth},
}

// fieldsOf are the fields of spec and status of a kind, parents before their children.
func fieldsOf[Kind any]() (all []string) {
	for _, name := range []string{"Spec", "Status"} {
		field, _ := reflect.TypeFor[Kind]().FieldByName(name)
		all = append(all, below(strings.ToLower(name), field.Type)...)
	}
	return all
}

// below are the fields of a type that stands at a path. What is written as JSON by itself has none.
func below(path string, of reflect.Type) (all []string) {
	for slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}, of.Kind()) {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(of).Implements(reflect.TypeFor[json.Marshaler]()) {
		return nil
	}
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		at := path
		if name != "" { // else its fields stand where it does
			at += "." + name
			all = append(all, at)
		}
		all = append(all, below(at, field.Type)...)
	}
	return all
}

// missing are the fields that the schema lacks, without those below one that it lacks.
func (c *CRD) missing(fields []string) (missing []string) {
	for _, field := range fields {
		told := slices.ContainsFunc(missing, func(parent string) bool { return strings.HasPrefix(field, parent+".") })
		if !c.Fields[field] && !told {
			missing = append(missing, field)
		}
	}
	return missing
}
