package port

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/sink"
)

// fresh is how long a blueprint is taken to be as it was. One that stands in the way is looked at again at once.
const fresh = 5 * time.Minute

// need is what a blueprint has to have.
type need struct {
	blueprint  string
	properties []Property
	relations  []string
}

// schema is what a blueprint can take.
type schema struct {
	own       map[string]bool // the properties that can be written
	computed  map[string]bool // the properties that Port works out by itself, and that nobody can write
	relations map[string]bool
	readAt    time.Time
}

// missing are the needed properties that the blueprint has not got at all. What Port computes is there.
func (s schema) missing(properties []Property) []string {
	var names []string
	for _, p := range properties {
		if p.Needed && !s.own[p.Name] && !s.computed[p.Name] {
			names = append(names, p.Name)
		}
	}
	return names
}

// trim leaves of an item what the blueprint can take.
func (s schema) trim(i *item) {
	maps.DeleteFunc(i.entity.Properties, func(name string, _ any) bool { return !s.own[name] })
	maps.DeleteFunc(i.entity.Relations, func(name string, _ any) bool { return !s.relations[name] })
	i.drop = slices.DeleteFunc(i.drop, func(name string) bool { return !s.relations[name] })
}

// schemas reads blueprints, and keeps them for a while.
type schemas struct {
	client *Client

	mu   sync.Mutex
	read map[string]schema
}

// of is the schema of a blueprint. It fails with BlueprintMissing if there is no such blueprint.
func (s *schemas) of(ctx context.Context, blueprint string) (schema, error) {
	s.mu.Lock()
	kept, ok := s.read[blueprint]
	s.mu.Unlock()
	if ok && s.client.now().Sub(kept.readAt) < fresh {
		return kept, nil
	}
	read, err := s.fetch(ctx, blueprint)
	if err != nil {
		return schema{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[blueprint] = read
	return read, nil
}

// ready is the schema of a blueprint that has what is needed. One that has not is not kept, so that its mend is seen at once.
func (s *schemas) ready(ctx context.Context, n need) (schema, error) {
	have, err := s.of(ctx, n.blueprint)
	if err != nil {
		return schema{}, err
	}
	err = lacking(have.lacks(n)...)
	if err != nil {
		s.forget(n.blueprint)
	}
	return have, err
}

// forget makes the next look a new one.
func (s *schemas) forget(blueprint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.read, blueprint)
}

func (s *schemas) fetch(ctx context.Context, blueprint string) (schema, error) {
	type named = map[string]json.RawMessage
	var answer struct {
		Blueprint struct {
			Schema struct {
				Properties named `json:"properties"`
			} `json:"schema"`
			Calculation named `json:"calculationProperties"`
			Mirror      named `json:"mirrorProperties"`
			Aggregation named `json:"aggregationProperties"`
			Relations   named `json:"relations"`
		} `json:"blueprint"`
	}
	err := s.client.Do(ctx, http.MethodGet, Path("v1", "blueprints", blueprint), nil, nil, &answer)
	if isNotFound(err) {
		return schema{}, lacking(fmt.Sprintf("the blueprint %s (%s)", blueprint, err.Error()))
	}
	if err != nil {
		return schema{}, err
	}
	b := answer.Blueprint
	return schema{
		own:       names(b.Schema.Properties),
		computed:  names(b.Calculation, b.Mirror, b.Aggregation),
		relations: names(b.Relations),
		readAt:    s.client.now(),
	}, nil
}

func names(groups ...map[string]json.RawMessage) map[string]bool {
	all := map[string]bool{}
	for _, group := range groups {
		for name := range group {
			all[name] = true
		}
	}
	return all
}

// codeNotFound is what Port's error body says of what is not there.
const codeNotFound = "not_found"

// Missing tells whether an error of Do means that Port has not got what was asked for. Any server answers 404 to what it does not know;
// only Port's own answer counts, or a wrong address would look like an empty portal.
func (c *Client) Missing(err error) bool { return isNotFound(err) }

func isNotFound(err error) bool {
	problem, ok := errors.AsType[*Error](err)
	return ok && problem.Status == http.StatusNotFound && problem.Code == codeNotFound && sink.ReasonOf(err) != sink.CredentialsRefused
}

// gaps are what a portal would need to have and has not.
type gaps []string

func (g gaps) Error() string {
	return "the portal has not " + strings.Join(g, "; ") + ": dora-controller port bootstrap adds what is missing"
}

// lacking is the error of gaps. Time mends them, with somebody's help, so nothing is lost.
func lacking(g ...string) error {
	if len(g) == 0 {
		return nil
	}
	return &sink.RetryableError{Err: sink.Because(sink.BlueprintMissing, gaps(g))}
}

// lacks are the gaps of a blueprint.
func (s schema) lacks(n need) gaps {
	var found gaps
	if missing := s.missing(n.properties); len(missing) > 0 {
		found = append(found, fmt.Sprintf("the properties %s of the blueprint %s", strings.Join(missing, ", "), n.blueprint))
	}
	for _, name := range n.relations {
		if !s.relations[name] {
			found = append(found, fmt.Sprintf("the relation %s of the blueprint %s", name, n.blueprint))
		}
	}
	return found
}
