package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// PageError is the error of a page that was not made. Everything else was: Port's API of pages is in beta.
type PageError struct{ Err error }

func (e *PageError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *PageError) Unwrap() error { return e.Err }

// Apply makes what a plan says, in its order, and stops at the first step that fails. Its error tells what was done by then and what was not;
// a later Plan finds the same. A page that cannot be made is a *PageError, and the other steps are done nevertheless.
func Apply(ctx context.Context, api API, plan []Step) error {
	var done []string
	var failed *PageError
	for i := range plan {
		step := &plan[i]
		if !step.Pending() {
			continue
		}
		err := step.apply(ctx, api)
		switch {
		case err == nil:
			done = append(done, step.String())
		case step.Kind == Page:
			failed = &PageError{fmt.Errorf("cannot make the %s: %w", step, err)}
		default:
			return fmt.Errorf("cannot %s the %s: %w; done: %s; not done: %s", step.Action, step, err, list(done), list(pending(plan[i:])))
		}
	}
	if failed != nil {
		return failed
	}
	return nil
}

func pending(plan []Step) []string {
	var all []string
	for i := range plan {
		if plan[i].Pending() {
			all = append(all, plan[i].String())
		}
	}
	return all
}

func list(steps []string) string {
	if len(steps) == 0 {
		return "nothing"
	}
	return strings.Join(steps, ", ")
}

func (s *Step) apply(ctx context.Context, api API) error {
	if s.Action == Create {
		return api.Do(ctx, http.MethodPost, s.path, nil, s.document, nil)
	}
	have, err := readBlueprint(ctx, api, s.Name)
	if err != nil {
		return err
	}
	if have == nil {
		return errors.New("it is gone since the plan was made: make a new one")
	}
	d := compare(have, s.want, &s.options)
	if d.complete() {
		return nil
	}
	return api.Do(ctx, http.MethodPatch, s.path, nil, d.patch(have, s.want), nil)
}
