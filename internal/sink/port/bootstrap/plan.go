package bootstrap

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Plan reads what the portal has and says what it needs, in the order in which that has to be made. It writes nothing.
func Plan(ctx context.Context, api API, names Names, o Options) ([]Step, error) {
	p := &planner{api: api, chosen: choices(names, &o), options: o, there: map[string]bool{}, blocked: map[string][]string{}}
	for _, plan := range []func(context.Context) error{p.blueprints, p.scorecards, p.page} {
		if err := plan(ctx); err != nil {
			return nil, err
		}
	}
	return p.steps, nil
}

type planner struct {
	api     API
	chosen  chosen
	options Options
	steps   []Step
	there   map[string]bool     // blueprints that the portal has, or will have
	blocked map[string][]string // properties that are in the way, by blueprint
}

// read reads something that may be missing.
func read(ctx context.Context, api API, path string, out any) (there bool, err error) {
	err = api.Do(ctx, http.MethodGet, path, nil, nil, out)
	if err != nil && api.Missing(err) {
		return false, nil
	}
	return err == nil, err
}

// path is that of a request. Identifiers may hold a slash.
func path(segments ...string) string {
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return "/v1/" + strings.Join(segments, "/")
}

// readBlueprint is a blueprint of the portal; nil if it has none of that name.
func readBlueprint(ctx context.Context, api API, identifier string) (*blueprint, error) {
	var answer struct {
		Blueprint blueprint `json:"blueprint"`
	}
	there, err := read(ctx, api, path("blueprints", identifier), &answer)
	if err != nil {
		return nil, fmt.Errorf("cannot read the blueprint %s: %w", identifier, err)
	}
	if !there {
		return nil, nil
	}
	return &answer.Blueprint, nil
}

func (p *planner) blueprints(ctx context.Context) error {
	wanted, err := p.chosen.blueprints()
	if err != nil {
		return err
	}
	for _, want := range wanted {
		have, err := readBlueprint(ctx, p.api, want.Identifier)
		if err != nil {
			return err
		}
		p.steps = append(p.steps, p.blueprint(have, want))
	}
	return nil
}

func (p *planner) blueprint(have, want *blueprint) Step {
	step := Step{Kind: Blueprint, Name: want.Identifier, want: want, options: p.options}
	step.Conflicts = p.cut(want)
	p.there[want.Identifier] = have != nil || !want.foreign
	switch {
	case have != nil:
		d := compare(have, want, &p.options)
		p.blocked[want.Identifier] = d.blocked
		step.path, step.Additions, step.Notes = path("blueprints", want.Identifier), d.additions(want), d.notes
		step.Conflicts = append(step.Conflicts, d.conflicts...)
		step.Action = action(&d, step.Conflicts)
	case want.foreign:
		step.Action = Differs
		step.Conflicts = append(step.Conflicts, "the portal has no such blueprint, and Port or an integration has to make it: name another, or - for none")
	default:
		d := compare(&blueprint{}, want, &p.options)
		step.Action, step.path, step.document, step.Additions = Create, path("blueprints"), want, d.additions(want)
	}
	return step
}

func action(d *difference, conflicts []string) Action {
	switch {
	case !d.complete():
		return Patch
	case len(conflicts) > 0:
		return Differs
	}
	return Keep
}

// cut takes out of a blueprint the relations to what the portal has not got.
func (p *planner) cut(want *blueprint) []string {
	var conflicts []string
	for name, raw := range want.Relations {
		target := decode[relation](raw).Target
		if p.there[target] {
			continue
		}
		delete(want.Relations, name)
		conflicts = append(conflicts, fmt.Sprintf("relation %s is not made: the portal has no blueprint %s to lead to", name, target))
	}
	slices.Sort(conflicts)
	return conflicts
}

func (p *planner) scorecards(ctx context.Context) error {
	wanted, err := p.chosen.scorecards()
	if err != nil {
		return err
	}
	for _, step := range p.steps { // in the order of the blueprints
		if step.Kind != Blueprint || !p.there[step.Name] {
			continue
		}
		for i := range wanted[step.Name] {
			if err := p.scorecard(ctx, step, &wanted[step.Name][i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *planner) scorecard(ctx context.Context, of Step, want *scorecard) error {
	step := Step{Kind: Scorecard, Name: of.Name + "/" + want.Identifier, Action: Keep}
	if of.Action != Create { // there is none of a blueprint that is not there
		there, err := read(ctx, p.api, path("blueprints", of.Name, "scorecards", want.Identifier), nil)
		if err != nil {
			return fmt.Errorf("cannot read the %s: %w", &step, err)
		}
		if there {
			p.steps = append(p.steps, step)
			return nil
		}
	}
	step.Action, step.path, step.document = Create, path("blueprints", of.Name, "scorecards"), want
	step.Additions = []string{fmt.Sprintf("+ %d rules about %s", len(want.Rules), strings.Join(want.about(), ", "))}
	if blocked := slices.DeleteFunc(want.about(), func(name string) bool { return !slices.Contains(p.blocked[of.Name], name) }); len(blocked) > 0 {
		step.Action, step.Additions = Differs, nil
		step.Conflicts = []string{"it needs the property " + strings.Join(blocked, ", ") + ", which is in conflict: mend that first"}
	}
	p.steps = append(p.steps, step)
	return nil
}

func (p *planner) page(ctx context.Context) error {
	if p.options.WithoutPage {
		return nil
	}
	want, err := p.chosen.page()
	if err != nil {
		return err
	}
	step := Step{Kind: Page, Name: want.Identifier, Action: Keep}
	there, err := read(ctx, p.api, path("pages", want.Identifier), nil)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("cannot read the %s: %w", &step, err)
	}
	if err != nil { // a credential may be allowed to see blueprints and no pages
		step.Action, step.Conflicts = Differs, []string{fmt.Sprintf("nobody knows whether it is there: %v; leave it out, or mend that", err)}
	} else if !there && len(want.Widgets[0].Widgets) > 0 {
		step.Action, step.path, step.document = Create, path("pages"), want
		step.Additions = []string{fmt.Sprintf("+ dashboard %q with %d widgets", want.Title, len(want.Widgets[0].Widgets))}
	}
	p.steps = append(p.steps, step)
	return nil
}
