package bootstrap_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink/port"
	"github.com/dora-controller/dora-controller/internal/sink/port/bootstrap"
	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

type object = map[string]any

// portal is a double of Port, with the client that reaches it.
type portal struct {
	*port.Client

	t      *testing.T
	server *porttest.Server
	writes []string
	broken string // the path whose writing fails
	hidden string // the path that cannot be read
}

var (
	errBroken = errors.New("the destination answered 500 Internal Server Error")
	errHidden = errors.New("the destination answered 403 Forbidden")
	loopback  = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
)

func (*portal) Missing(err error) bool {
	problem, answered := errors.AsType[*port.Error](err)
	return answered && problem.Status == http.StatusNotFound && problem.Code == "not_found"
}

func (p *portal) Do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	if method == http.MethodGet {
		if path == p.hidden {
			return errHidden
		}
		return p.Client.Do(ctx, method, path, query, in, out)
	}
	p.writes = append(p.writes, method+" "+path)
	if path == p.broken {
		return errBroken
	}
	return p.Client.Do(ctx, method, path, query, in, out)
}

// empty is a new portal: Port makes the blueprint of teams itself.
func empty(t *testing.T) *portal {
	t.Helper()
	p := &portal{t: t, server: porttest.New(t, "machine", sinktest.Secret("port"))}
	var err error
	p.Client, err = port.NewClient(port.ClientOptions{
		BaseURL: p.server.URL, ClientID: "machine", ClientSecret: sinktest.Secret("port"), Guard: loopback,
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	p.has("_team", `{"title": "Team", "schema": {"properties": {"description": {"type": "string", "title": "Description"}}, "required": []},
		"relations": {"parent": {"target": "_team"}}}`)
	return p
}

// has gives the portal a blueprint, of which only what matters has to be told, and the blueprints that its relations lead to.
func (p *portal) has(identifier, told string) {
	p.t.Helper()
	b := object{"identifier": identifier, "title": "Of the user", "schema": object{}}
	NewWithT(p.t).Expect(json.Unmarshal([]byte(told), &b)).To(Succeed())
	if members(b, "schema")["properties"] == nil {
		members(b, "schema")["properties"] = object{}
	}
	for _, relation := range members(b, "relations") {
		r, _ := relation.(object)
		whole := object{"required": false, "many": false}
		maps.Copy(whole, r)
		maps.Copy(r, whole)
		if target := text(r, "target"); target != identifier && p.server.Blueprint(target) == nil {
			p.has(target, `{}`)
		}
	}
	document, err := json.Marshal(b)
	NewWithT(p.t).Expect(err).NotTo(HaveOccurred())
	p.server.PutBlueprint(string(document))
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
	i := slices.IndexFunc(steps, func(s bootstrap.Step) bool { return s.Name == name })
	NewWithT(t).Expect(i).NotTo(Equal(-1), "the plan has no step %s", name)
	return steps[i]
}

// part is a member of a member of … of a blueprint.
func (p *portal) part(blueprint string, names ...string) object {
	p.t.Helper()
	thing := p.server.Blueprint(blueprint)
	NewWithT(p.t).Expect(thing).NotTo(BeNil(), blueprint)
	for _, name := range names {
		thing = members(thing, name)
	}
	return thing
}

func properties(p *portal, blueprint string) object {
	return p.part(blueprint, "schema", "properties")
}

func text(of any, name string) string {
	thing, _ := of.(object)
	value, _ := thing[name].(string)
	return value
}

func items(of any, name string) []any {
	thing, _ := of.(object)
	value, _ := thing[name].([]any)
	return value
}

func members(of any, name string) object {
	thing, _ := of.(object)
	value, _ := thing[name].(object)
	return value
}
