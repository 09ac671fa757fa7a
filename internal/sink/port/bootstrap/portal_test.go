package bootstrap_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/port/bootstrap"
)

type object = map[string]any

// portal is a portal in memory, which answers as Port's reference says: GET wraps a blueprint, POST takes what is not there yet, PATCH
// changes the members that it is sent.
type portal struct {
	t      *testing.T
	things map[string]object // by the path at which they are read
	writes []string
	broken string // the path whose writing fails, and only that
	// merges says that a PATCH merges all the way down; else it replaces each member as a whole.
	merges bool
}

var (
	errMissing = errors.New("not_found")
	errBroken  = errors.New("the destination answered 500 Internal Server Error")
	errHidden  = errors.New("the destination answered 403 Forbidden")
)

func (p *portal) Missing(err error) bool { return errors.Is(err, errMissing) }

func (p *portal) Do(ctx context.Context, method, path string, _ url.Values, in, out any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if method == http.MethodGet {
		return p.get(path, out)
	}
	p.writes = append(p.writes, method+" "+path)
	if path == p.broken {
		return errBroken
	}
	sent := p.decode(in)
	if method == http.MethodPatch {
		p.patch(p.things[path], sent)
		return nil
	}
	at := path + "/" + url.PathEscape(sent["identifier"].(string))
	if _, there := p.things[at]; there {
		return errors.New("the destination answered 409 Conflict")
	}
	p.things[at] = sent
	return nil
}

func (p *portal) get(path string, out any) error {
	thing, there := p.things[path]
	switch {
	case !there:
		return errMissing
	case thing == nil:
		return errHidden
	case out == nil:
		return nil
	}
	text, err := json.Marshal(object{"ok": true, "blueprint": thing})
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

func (p *portal) decode(in any) object {
	p.t.Helper()
	text, err := json.Marshal(in)
	NewWithT(p.t).Expect(err).NotTo(HaveOccurred())
	var sent object
	NewWithT(p.t).Expect(json.Unmarshal(text, &sent)).To(Succeed())
	return sent
}

func (p *portal) patch(thing, sent object) {
	for name, value := range sent {
		inner, both := thing[name].(object)
		if part, ok := value.(object); ok && both && p.merges {
			p.patch(inner, part)
		} else {
			thing[name] = value
		}
	}
}

// has puts a blueprint into the portal, given as JSON.
func (p *portal) has(path, text string) {
	p.t.Helper()
	var thing object
	NewWithT(p.t).Expect(json.Unmarshal([]byte(text), &thing)).To(Succeed())
	p.things[path] = thing
}

// empty is a new portal: Port makes the blueprint of teams itself.
func empty(t *testing.T) *portal {
	t.Helper()
	p := &portal{t: t, things: map[string]object{}}
	p.has("/v1/blueprints/_team", `{"identifier": "_team", "title": "Team", "schema": {"properties": {
		"description": {"type": "string", "title": "Description"}}, "required": []},
		"relations": {"parent": {"target": "_team", "required": false, "many": false}}}`)
	return p
}

func plan(t *testing.T, p *portal) []bootstrap.Step {
	t.Helper()
	steps, err := bootstrap.Plan(t.Context(), p, bootstrap.DefaultNames(), bootstrap.DefaultOptions())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return steps
}

func apply(t *testing.T, p *portal) {
	t.Helper()
	NewWithT(t).Expect(bootstrap.Apply(t.Context(), p, plan(t, p))).To(Succeed())
}

func printed(t *testing.T, steps []bootstrap.Step) string {
	t.Helper()
	var text strings.Builder
	NewWithT(t).Expect(bootstrap.Print(&text, steps)).To(Succeed())
	return text.String()
}

// find is the step of that name.
func find(t *testing.T, steps []bootstrap.Step, name string) bootstrap.Step {
	t.Helper()
	for _, step := range steps {
		if step.Name == name {
			return step
		}
	}
	t.Fatalf("the plan has no step %s", name)
	return bootstrap.Step{}
}

// part is a member of a member of … of something in the portal.
func (p *portal) part(path string, names ...string) object {
	p.t.Helper()
	thing, there := p.things[path]
	for _, name := range names {
		thing, there = thing[name].(object)
	}
	NewWithT(p.t).Expect(there).To(BeTrue(), "%s %v", path, names)
	return maps.Clone(thing)
}
