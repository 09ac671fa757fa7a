// Package expression holds what is true of every expression in CEL that somebody writes into an object: what is wrong with it is said in one
// line, with its place; its evaluation is bounded, reaches nothing but what it is given, and gives the same each time.
package expression

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
)

// maxCost bounds one evaluation, in CEL's own unit: about an operation, or ten characters that are looked at.
const maxCost = 100_000

// Check reads an expression. The error is a *MistakeError.
func Check(env *cel.Env, text string) (*cel.Ast, error) {
	ast, issues := env.Compile(text)
	if issues.Err() == nil {
		return ast, nil
	}
	first := issues.Errors()[0]
	return nil, &MistakeError{Line: first.Location.Line(), Column: first.Location.Column() + 1, Text: strings.Join(strings.Fields(first.Message), " ")}
}

// MistakeError is what is wrong with an expression.
type MistakeError struct {
	Line, Column int
	Text         string
}

func (e *MistakeError) Error() string {
	return fmt.Sprintf("at line %d, column %d: %s", e.Line, e.Column, e.Text)
}

// Unknown tells whether a name is used that there is not.
func (e *MistakeError) Unknown() bool { return strings.Contains(e.Text, "undeclared reference") }

// Program makes an expression ready, its cost bounded.
func Program(env *cel.Env, ast *cel.Ast, options ...cel.EvalOption) (cel.Program, error) {
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(append(options, cel.OptOptimize)...))
	if err != nil {
		return nil, fmt.Errorf("it cannot be evaluated: %w", err)
	}
	return program, nil
}
