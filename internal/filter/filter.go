// Package filter reads the expressions by which a sink says what it wants to be sent.
//
// An expression is written in CEL over fields of an event, such as
//
//	event.environment == "production" && event.outcome != "unknown"
//
// Every field is typed, so a mistyped name is an error of the expression and not a filter that lets nothing through. Of an event that has not a
// field, it is empty or false. Evaluation is bounded, reaches nothing outside of the event, and gives the same answer each time.
//
// Figures have some of the fields alone. They pass unless those rule them out, whatever the others would be.
package filter

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/expression"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// field is one that an expression may name, as event.name.
type field struct {
	name string
	of   func(e *dora.Event) any
	// figures is nil of what figures do not have.
	figures func(f *sink.Figures) any
}

var fields = []field{
	{"service", func(e *dora.Event) any { return e.Service }, func(f *sink.Figures) any { return known(f.Service) }},
	{"team", func(e *dora.Event) any { return e.Team }, team},
	{"environment", func(e *dora.Event) any { return e.Environment }, func(f *sink.Figures) any { return known(f.Environment) }},
	{"cluster", func(e *dora.Event) any { return e.Cluster }, func(f *sink.Figures) any { return f.Cluster }},
	{"namespace", func(e *dora.Event) any { return e.Subject.Namespace }, nil},
	{"type", func(e *dora.Event) any { return string(e.Type) }, nil},
	{"outcome", func(e *dora.Event) any { return string(e.Outcome) }, nil},
	{"change", func(e *dora.Event) any { return string(e.Change) }, nil},
	{"basis", func(e *dora.Event) any { return string(e.Basis) }, nil},
	{"success", func(e *dora.Event) any { return is(e.Success) }, nil},
	{"is_rollback", func(e *dora.Event) any { return is(e.IsRollback) }, nil},
	{"unplanned", func(e *dora.Event) any { return is(e.Unplanned) }, nil},
}

func is(flag *bool) bool { return flag != nil && *flag }

// known is nil for what figures of a wider scope do not have.
func known(name string) any {
	if name == "" {
		return nil
	}
	return name
}

// team: of a service without one, that is known.
func team(f *sink.Figures) any {
	if f.Scope == sink.ScopeTarget {
		return nil
	}
	return f.Team
}

// Filter says what is wanted. A nil one wants everything.
type Filter struct{ program cel.Program }

// New reads an expression; an empty one wants everything. The error says what is wrong with it, and where.
func New(text string) (*Filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil //nolint:nilnil // no filter is a filter that wants everything
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	ast, err := expression.Check(env, text)
	if err != nil {
		return nil, explain(text, err)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("it must say true or false, and says a %s: compare something, such as event.environment == \"production\"", ast.OutputType())
	}
	program, err := expression.Program(env, ast, cel.OptPartialEval)
	if err != nil {
		return nil, err
	}
	return &Filter{program}, nil
}

func environment() (*cel.Env, error) {
	var options []cel.EnvOption
	for _, f := range fields {
		kind := cel.StringType
		if _, flag := f.of(&dora.Event{}).(bool); flag {
			kind = cel.BoolType
		}
		options = append(options, cel.Variable("event."+f.name, kind))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare filters: %w", err)
	}
	return env, nil
}

// mention is where an expression names a field of the event.
var mention = regexp.MustCompile(`\bevent\.\w+`)

// explain adds what there is, if a name is wrong.
func explain(text string, err error) error {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = "event." + f.name
	}
	slices.Sort(names)
	for _, named := range mention.FindAllString(text, -1) {
		if !slices.Contains(names, named) {
			return fmt.Errorf("there is no %s; there are %s", named, strings.Join(names, ", "))
		}
	}
	if mistake, ok := errors.AsType[*expression.MistakeError](err); ok && mistake.Unknown() {
		return fmt.Errorf("%w; there are %s", err, strings.Join(names, ", "))
	}
	return err
}

// errUndecided is of an expression that says neither true nor false.
var errUndecided = errors.New("it says neither true nor false")

// Event says whether an event is wanted.
func (f *Filter) Event(e *dora.Event) (bool, error) {
	if f == nil {
		return true, nil
	}
	values := make(map[string]any, len(fields))
	for _, field := range fields {
		values["event."+field.name] = field.of(e)
	}
	said, _, err := f.program.Eval(values)
	if err != nil {
		return false, fmt.Errorf("cannot evaluate the filter: %w", err)
	}
	wanted, ok := said.Value().(bool)
	if !ok {
		return false, errUndecided
	}
	return wanted, nil
}

// Figures says whether figures are wanted.
func (f *Filter) Figures(of *sink.Figures) (bool, error) {
	if f == nil {
		return true, nil
	}
	values := map[string]any{}
	var unknown []*cel.AttributePatternType
	for _, field := range fields {
		var value any
		if field.figures != nil {
			value = field.figures(of)
		}
		if value == nil {
			unknown = append(unknown, cel.AttributePattern("event."+field.name))
			continue
		}
		values["event."+field.name] = value
	}
	partly, err := cel.PartialVars(values, unknown...)
	if err != nil {
		return false, fmt.Errorf("cannot evaluate the filter: %w", err)
	}
	said, _, err := f.program.Eval(partly)
	if err != nil {
		return false, fmt.Errorf("cannot evaluate the filter: %w", err)
	}
	return types.IsUnknown(said) || said == types.True, nil
}
