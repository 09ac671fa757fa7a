package delivery

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/port"
	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// portal is a double of Port with all that the sink needs.
type portal struct {
	*porttest.Server

	seen map[string]porttest.Arrival // by the id of the event: the entity that it is in
	came []string
}

func newPortal(tb testing.TB, c *clock) *portal {
	tb.Helper()
	p := &portal{Server: porttest.New(tb, "machine", sinktest.Secret("port-0")), seen: map[string]porttest.Arrival{}}
	p.Now = c.Now
	p.PutBlueprint(blueprint("service", nil))
	p.PutBlueprint(blueprint("deployment", port.DeploymentProperties(), "service"))
	p.PutBlueprint(blueprint("doraIncident", port.IncidentProperties(), "service", "deployment"))
	for i := range services {
		p.PutEntity("service", porttest.Entity{Identifier: serviceOf(i)})
	}
	return p
}

// blueprint is one with relations to the blueprints of these names.
func blueprint(identifier string, properties []port.Property, relations ...string) string {
	schema, related := map[string]any{}, map[string]any{}
	for _, p := range properties {
		one := map[string]any{"title": p.Title, "type": p.Type}
		if p.Format != "" {
			one["format"] = p.Format
		}
		schema[p.Name] = one
	}
	for _, name := range relations {
		related[name] = map[string]any{"target": name, "required": false, "many": false}
	}
	text, err := json.Marshal(map[string]any{
		"identifier": identifier, "title": identifier, "schema": map[string]any{"properties": schema}, "relations": related,
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// read takes what has come since. An incident is one entity of two events, each of which tells a time of its own.
func (p *portal) read() {
	for _, a := range p.Arrivals() {
		for _, id := range eventsOf(a) {
			p.seen[id] = a
			p.came = append(p.came, id)
		}
	}
}

func eventsOf(a porttest.Arrival) (ids []string) {
	if a.Blueprint == "deployment" {
		return []string{a.Entity.Identifier}
	}
	if a.Entity.Properties["createdAt"] != nil {
		ids = append(ids, a.Entity.Identifier+" begins")
	}
	if a.Entity.Properties["resolvedAt"] != nil {
		ids = append(ids, a.Entity.Identifier+" ends")
	}
	return ids
}

func (p *portal) arrived() []string { p.read(); return p.came }

func (p *portal) held() map[string]string {
	p.read()
	held := map[string]string{}
	for id, a := range p.seen {
		e := p.Entity(a.Blueprint, a.Entity.Identifier)
		held[id] = formOfProperties(a.Blueprint == "deployment", id, e.Properties, e.Relations)
	}
	return held
}

// formOfProperties is what matters of an entity for one of its events.
func formOfProperties(deployment bool, id string, properties, relations porttest.Document) string {
	names := []string{"createdAt", "outcome", "isRollback", "version", "commit", "repository", "commitCount", "firstCommitAt", "leadTimeUnknown"}
	switch {
	case deployment:
	case id[len(id)-len(" ends"):] == " ends":
		names = []string{"resolvedAt", "status"}
	default:
		names = []string{"createdAt", "isChangeFailure"}
	}
	form := porttest.Document{"service": relations["service"]}
	for _, name := range names {
		form[name] = properties[name]
	}
	text, err := json.Marshal(form)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// formOfEntity is what an event should look like in the portal.
func formOfEntity(e dora.Event) string {
	properties := porttest.Document{"createdAt": moment(&e.OccurredAt)}
	switch e.Type {
	case dora.TypeDeploy:
		properties["outcome"], properties["isRollback"] = e.Outcome, e.IsRollback
		properties["version"], properties["commit"] = e.Version.Tag, e.Version.Commit
		properties["repository"], properties["leadTimeUnknown"] = orNull(e.Repository), orNull(e.LeadTimeUnknown)
		properties["commitCount"], properties["firstCommitAt"] = e.CommitCount, moment(e.FirstCommitAt)
	case dora.TypeDegraded:
		properties["isChangeFailure"] = e.CausedBy != ""
	case dora.TypeRecovered:
		properties = porttest.Document{"resolvedAt": moment(&e.OccurredAt), "status": "resolved"}
	case dora.TypeChange: // none is sent
	}
	return formOfProperties(e.Type == dora.TypeDeploy, idInPortal(e), properties, porttest.Document{"service": e.Service})
}

func moment(at *time.Time) any {
	if at == nil {
		return nil
	}
	return at.UTC().Format(time.RFC3339Nano)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func idInPortal(e dora.Event) string {
	switch e.Type {
	case dora.TypeDegraded:
		return e.FailureID + " begins"
	case dora.TypeRecovered:
		return e.FailureID + " ends"
	case dora.TypeDeploy, dora.TypeChange:
	}
	return e.ID
}

// refuse makes the portal refuse an unwanted event.
func (p *portal) refuse(id string) {
	p.Refuse(id, porttest.Problem{Status: http.StatusUnprocessableEntity, Code: "invalid_request", Message: "not this one"})
}

func (p *portal) troubles(c *clock) []trouble {
	busy := porttest.Answered(http.StatusTooManyRequests, `{"ok":false,"error":"too_many_requests","message":"wait"}`,
		http.Header{"Retry-After": {strconv.Itoa(90)}})
	html := porttest.Answered(http.StatusOK, "<html>sign in</html>", nil)
	return []trouble{
		{"nothing", func(*rand.Rand) func() { return func() {} }},
		{"it is down", func(*rand.Rand) func() { p.Down(true); return func() { p.Down(false) } }},
		{"single answers fail", func(drawn *rand.Rand) func() {
			faults := []porttest.Fault{porttest.Reset, busy, html, passed, passed, passed}
			for _, status := range []int{400, 404, 422, 500, 502, 503, 504} { // of a proxy, which knows nothing of entities
				faults = append(faults, porttest.Answered(status, "no upstream", nil), passed)
			}
			drawn.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
			p.Next(faults...)
			return func() {}
		}},
		{"the token ends, and none is given", func(*rand.Rand) func() {
			p.NextToken(porttest.Answered(http.StatusInternalServerError, "", nil), porttest.Reset, busy)
			p.Revoke()
			return func() {}
		}},
		{"it takes some, and others only later", func(drawn *rand.Rand) func() {
			const every = 3
			some := drawn.IntN(every)
			each := func(do func(id string)) {
				for i := some; i < 2*faultyEvents; i += every {
					do(fmt.Sprintf("%04x-%08x", 1, i))
				}
			}
			each(func(id string) {
				p.Refuse(id, porttest.Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Message: "not now"})
			})
			return func() { each(p.Accept) }
		}},
		{"the rate limit is spent", func(drawn *rand.Rand) func() {
			p.LimitTo(drawn.IntN(5), c.Now().Add(time.Duration(1+drawn.IntN(3600))*time.Second), drawn.IntN(2) == 0)
			return func() {}
		}},
	}
}

func passed(http.ResponseWriter, *http.Request) bool { return false }

func portDestination(t *testing.T, c *clock) *destination {
	t.Helper()
	there := newPortal(t, c)
	p := before(t, hostOf(there.URL))
	changes := 0
	for i := range 2 * faultyEvents { // the story tells no more
		there.refuse(fmt.Sprintf("%s%04x-%08x", unwanted, 1, i))
	}
	return &destination{
		proxy: p,
		connect: func() sink.Sink {
			s, err := port.New(port.Options{
				Name: sinkName, Cluster: "eu-1", BaseURL: p.instead(there.URL), ClientID: there.ClientID, ClientSecret: there.ClientSecret, Guard: here,
				Blueprints: port.Blueprints{Deployment: "deployment", Service: "service", Incident: "doraIncident"}, Now: c.Now,
			})
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			return s
		},
		troubles: there.troubles(c),
		rotate: func() {
			there.Revoke()
			changes++
			there.ClientSecret = sinktest.Secret(fmt.Sprintf("port-%d", changes))
		},
		arrived: there.arrived, held: there.held, form: formOfEntity, known: idInPortal, piecemeal: true,
		// A batch goes in two calls, deployments first, as incidents are related to them.
		stream: func(e dora.Event) string {
			return fmt.Sprintf("%s, deployments: %t", e.Service, e.Type == dora.TypeDeploy)
		},
	}
}
