package port

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/sink"
)

// SendFigures implements sink.Measured. It changes entities that are there, and creates none.
func (s *Sink) SendFigures(ctx context.Context, figures []sink.Figures) (answer string, err error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("cannot send: %w", err)
	}
	var services, teams []measured
	var told tally
	for _, f := range figures {
		service, team := f.Scope == sink.ScopeService && s.o.Blueprints.Service != "", f.Scope == sink.ScopeTeam && s.o.Blueprints.Team != ""
		switch {
		case !f.Primary || !service && !team:
		case !s.chosen(f.Environment):
			told.elsewhere++
		case service:
			services = append(services, measured{f.Service, serviceFigures(f)})
		case team:
			teams = append(teams, measured{f.Team, teamFigures(f)})
		}
	}
	err = s.measure(ctx, s.o.Blueprints.Service, s.o.ServiceBy, ServiceProperties(), services, &told)
	also := s.measure(ctx, s.o.Blueprints.Team, s.o.TeamBy, TeamProperties(), teams, &told)
	switch {
	case err == nil:
		err = also
	case also != nil:
		err = fmt.Errorf("%w; and %w", err, also)
	}
	return told.String(), err
}

// chosen tells whether figures of an environment are sent. Environments are compared by the portal's names, as deployments have them; but who
// chose one that the settings name means that one, and none beside it that shares its name and would write to the same place.
func (s *Sink) chosen(environment string) bool {
	wanted := s.o.MetricsEnvironment
	if _, named := s.o.Environments[wanted]; named {
		return environment == wanted
	}
	return s.environment(environment) == s.environment(wanted)
}

// measured are the figures of a service or team of that name.
type measured struct {
	name       string
	properties map[string]any
}

// tally is what became of figures.
type tally struct{ updated, absent, computed, elsewhere int }

// String is the tally in a few words.
func (t tally) String() string {
	text := fmt.Sprintf("%d updated", t.updated)
	if t.absent > 0 {
		text += fmt.Sprintf(", %d not in the portal", t.absent)
	}
	if t.computed > 0 {
		text += fmt.Sprintf(", %d computed by the portal itself", t.computed)
	}
	if t.elsewhere > 0 {
		text += fmt.Sprintf(", %d of another environment", t.elsewhere)
	}
	return text
}

// measure sends figures of one blueprint.
func (s *Sink) measure(ctx context.Context, blueprint, by string, properties []Property, all []measured, told *tally) error {
	if len(all) == 0 {
		return nil
	}
	have, err := s.schemas.ready(ctx, need{blueprint: blueprint, properties: properties})
	if err != nil {
		return err
	}
	there, err := s.lookUp(ctx, blueprint, by, all)
	if err != nil {
		return err
	}
	var items []*item
	for _, m := range all {
		identifiers := there[m.name]
		if len(identifiers) == 0 {
			told.absent++
		}
		for _, identifier := range identifiers {
			made := &item{entity: entity{Identifier: identifier, Properties: m.properties}}
			have.trim(made)
			if len(made.entity.Properties) == 0 {
				told.computed++
				continue
			}
			items = append(items, made)
		}
	}
	if err := s.upsert(ctx, blueprint, items); err != nil {
		return err
	}
	told.updated += done(items)
	return refusals(items)
}

// refusals is the error of figures that were not taken.
func refusals(items []*item) error {
	refused := slices.DeleteFunc(slices.Clone(items), func(i *item) bool { return i.err == nil })
	if len(refused) == 0 {
		return nil
	}
	return fmt.Errorf("the figures of %d entities were not taken, such as %s: %w", len(refused), refused[0].entity.Identifier, refused[0].err)
}

// lookUp is the identifiers of the entities of some names. An upsert by itself would create those that are not there, bare.
func (s *Sink) lookUp(ctx context.Context, blueprint, by string, all []measured) (map[string][]string, error) {
	names := make([]string, 0, len(all))
	for _, m := range all {
		names = append(names, m.name)
	}
	query := map[string]any{
		"query":   searched{Combinator: "and", Rules: []rule{{by, "in", names}}},
		"include": []string{byIdentifier, byTitle},
	}
	if by != byIdentifier && by != byTitle {
		query["include"] = []string{byIdentifier, by}
	}
	var answer struct {
		Entities []struct {
			Identifier string         `json:"identifier"`
			Title      string         `json:"title"`
			Properties map[string]any `json:"properties"`
		} `json:"entities"`
	}
	err := s.client.Do(ctx, http.MethodPost, Path("v1", "blueprints", blueprint, "entities", "search"), nil, query, &answer)
	if err != nil {
		return nil, err
	}
	there := map[string][]string{}
	for _, e := range answer.Entities {
		name, _ := e.Properties[by].(string)
		switch by {
		case byIdentifier:
			name = e.Identifier
		case byTitle:
			name = e.Title
		}
		there[name] = append(there[name], e.Identifier)
	}
	return there, nil
}

// serviceFigures are the figures in the units of Port's guides. What is not known is null, so that nothing old stays.
func serviceFigures(f sink.Figures) map[string]any {
	return map[string]any{
		"deployment_frequency":       f.PerWeek,
		"deployment_frequency_tier":  orNull(string(f.FrequencyBand)),
		"lead_time_for_changes":      per(f.LeadTimeP50, time.Hour),
		"lead_time_for_changes_tier": orNull(string(f.LeadTimeBand)),
		"change_failure_rate":        percent(f.ChangeFailureRate),
		"change_failure_rate_tier":   orNull(string(f.ChangeFailureRateBand)),
		"mean_time_to_recovery":      per(f.RecoveryP50, time.Minute),
		"mean_time_to_recovery_tier": orNull(string(f.RecoveryBand)),
		"total_deployments":          f.Deployments,
		"rework_rate":                percent(f.ReworkRate),
	}
}

// teamFigures are those of a service, with the frequency of all services of the team, and beside it that of one.
func teamFigures(f sink.Figures) map[string]any {
	all := serviceFigures(f)
	all["deployment_frequency_per_service"] = f.PerWeek
	all["services_count"] = f.Services
	if f.PerWeek != nil {
		all["deployment_frequency"] = *f.PerWeek * float64(f.Services)
	}
	if s := f.Standing; s != nil {
		all["services_elite"], all["services_high"], all["services_medium"], all["services_low"] = s.Spread.Elite, s.Spread.High, s.Spread.Medium, s.Spread.Low
		all["worst_services"] = append([]string{}, s.Drags[:min(len(s.Drags), mostWorst)]...)
		all["deployment_frequency_trend"] = orNull(string(s.Trends.Frequency))
		all["lead_time_for_changes_trend"] = orNull(string(s.Trends.LeadTime))
		all["change_failure_rate_trend"] = orNull(string(s.Trends.ChangeFailureRate))
		all["mean_time_to_recovery_trend"] = orNull(string(s.Trends.Recovery))
	}
	return all
}

// mostWorst is how many of a team's worst services are named.
const mostWorst = 10

func percent(rate *float64) any {
	if rate == nil {
		return nil
	}
	return *rate * 100
}
