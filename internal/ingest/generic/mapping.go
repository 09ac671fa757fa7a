package generic

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"

	"github.com/dora-controller/dora-controller/internal/expression"
)

// Mapping says where in a body each fact stands: an expression in CEL over body for each. ID is needed, and Opened or Resolved.
type Mapping struct {
	// ID tells one incident from another. Where it gives null or nothing, the message tells nothing that counts.
	ID string
	// Opened and Resolved give a time: a timestamp, a text in RFC 3339, or seconds since 1970. Or they give true or false, and then the
	// time is that of the message.
	Opened, Resolved string
	// When is the time of the message, where the others give only true. Without it, that is when it came in.
	When string
	// Service, Severity, Title and Link are texts.
	Service, Severity, Title, Link string
}

// kind is what an expression may give, and what that is called.
type kind struct {
	types  []*cel.Type
	called string
}

var (
	text    = kind{[]*cel.Type{cel.StringType, cel.IntType}, "a text"}
	when    = kind{[]*cel.Type{cel.TimestampType, cel.StringType, cel.IntType, cel.DoubleType}, "a time"}
	state   = kind{append([]*cel.Type{cel.BoolType}, when.types...), "a time, or true or false"}
	address = kind{[]*cel.Type{cel.StringType}, "an address"}
)

// field is a fact, and where a mapping has it.
type field struct {
	name  string
	of    func(Mapping) string
	gives kind
}

var fields = []field{
	{"id", func(m Mapping) string { return m.ID }, text},
	{"opened", func(m Mapping) string { return m.Opened }, state},
	{"resolved", func(m Mapping) string { return m.Resolved }, state},
	{"when", func(m Mapping) string { return m.When }, when},
	{"service", func(m Mapping) string { return m.Service }, text},
	{"severity", func(m Mapping) string { return m.Severity }, text},
	{"title", func(m Mapping) string { return m.Title }, text},
	{"link", func(m Mapping) string { return m.Link }, address},
}

// compile makes the expressions of a mapping ready. Its errors name the field.
func compile(m Mapping) (map[string]cel.Program, error) {
	if strings.TrimSpace(m.ID) == "" {
		return nil, errors.New(`id: must be there: without it no incident can be told from another, such as body.incident.id`)
	}
	if strings.TrimSpace(m.Opened) == "" && strings.TrimSpace(m.Resolved) == "" {
		return nil, errors.New(`opened: must be there, or resolved: they say when an incident began and ended, such as body.incident.created_at`)
	}
	env, err := cel.NewEnv(cel.Variable("body", cel.MapType(cel.StringType, cel.DynType)), cel.OptionalTypes())
	if err != nil {
		return nil, fmt.Errorf("cannot prepare expressions: %w", err)
	}
	programs := map[string]cel.Program{}
	for _, f := range fields {
		expr := f.of(m)
		if strings.TrimSpace(expr) == "" {
			continue
		}
		if programs[f.name], err = f.program(env, expr); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return programs, nil
}

func (f *field) program(env *cel.Env, expr string) (cel.Program, error) {
	ast, err := expression.Check(env, expr)
	if mistake, ok := errors.AsType[*expression.MistakeError](err); ok && mistake.Unknown() {
		return nil, fmt.Errorf("%w; there is body, as in body.incident.id", err)
	}
	if err != nil {
		return nil, err
	}
	if given := ast.OutputType(); !f.may(given) {
		return nil, fmt.Errorf("it gives %s and must give %s", given, f.gives.called)
	}
	return expression.Program(env, ast)
}

// may tells whether what an expression gives can be what is wanted. Of a body's own values it is not known before they are there.
func (f *field) may(given *cel.Type) bool {
	if given.TypeName() == cel.OptionalType(cel.DynType).TypeName() {
		given = given.Parameters()[0]
	}
	return given.IsExactType(cel.DynType) || given.IsExactType(cel.NullType) || slices.ContainsFunc(f.gives.types, given.IsExactType)
}
