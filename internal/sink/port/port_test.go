package port_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/port"
	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const clientID = "machine-credential-of-the-org"

var (
	secret   = sinktest.Secret("client-secret")
	loopback = egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// clock is the time of both ends.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// blueprint is a blueprint of some properties and of relations to blueprints of the same name, or as they say: service=service.
func blueprint(identifier string, properties []port.Property, relations ...string) string {
	schema := map[string]any{}
	for _, p := range properties {
		schema[p.Name] = map[string]any{"title": p.Title, "type": p.Type}
		if p.Format != "" {
			schema[p.Name] = map[string]any{"title": p.Title, "type": p.Type, "format": p.Format}
		}
	}
	related := map[string]any{}
	for _, r := range relations {
		name, target, _ := strings.Cut(r, "=")
		related[name] = map[string]any{"target": target, "required": false, "many": false}
	}
	document, err := json.Marshal(map[string]any{
		"identifier": identifier, "title": identifier, "schema": map[string]any{"properties": schema}, "relations": related,
	})
	if err != nil {
		panic(err)
	}
	return string(document)
}

// world is a portal with everything in it that the sink needs, and the service cart of the team shop.
type world struct {
	*porttest.Server
	*clock

	options port.Options
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: porttest.New(t, clientID, secret), clock: &clock{now: noon}}
	w.Server.Now = w.clock.Now
	w.options = port.Options{
		Name: "shop/port", Version: "v1.2.3", Cluster: "eu-1", BaseURL: w.URL, ClientID: clientID, ClientSecret: secret, Guard: loopback,
		Blueprints: port.Blueprints{Deployment: "deployment", Service: "service", Team: "_team", Incident: "doraIncident"},
		Now:        w.clock.Now,
	}
	w.PutBlueprint(blueprint("service", append(port.ServiceProperties(), port.Property{Name: "repo", Type: "string"})))
	w.PutBlueprint(blueprint("_team", port.TeamProperties()))
	w.PutBlueprint(blueprint("deployment", port.DeploymentProperties(), "service=service"))
	w.PutBlueprint(blueprint("doraIncident", port.IncidentProperties(), "service=service", "deployment=deployment"))
	w.PutEntity("service", porttest.Entity{Identifier: "cart", Title: "The Cart", Properties: porttest.Document{"repo": "acme/cart"}})
	w.PutEntity("_team", porttest.Entity{Identifier: "shop"})
	return w
}

func (w *world) sink(t *testing.T) *port.Sink {
	t.Helper()
	s, err := port.New(w.options)
	if err != nil {
		t.Fatalf("cannot make the sink: %v", err)
	}
	return s
}

func send(t *testing.T, s *port.Sink, events ...dora.Event) string {
	t.Helper()
	answer, err := s.Send(t.Context(), events)
	if err != nil {
		t.Fatalf("cannot send: %v", err)
	}
	return answer
}

// event is the sample event of that id.
func event(id string) dora.Event {
	for _, e := range sinktest.Events() {
		if e.ID == id {
			return e
		}
	}
	panic(id)
}

// events are the ids of the events that arrived: an incident has the beginning of e5 and the end of e6 in it.
func events(arrivals []porttest.Arrival) []string {
	ids := []string{}
	for _, a := range arrivals {
		if a.Blueprint == "deployment" {
			ids = append(ids, a.Entity.Identifier)
			continue
		}
		if a.Entity.Properties["createdAt"] != nil {
			ids = append(ids, "e5")
		}
		if a.Entity.Properties["resolvedAt"] != nil {
			ids = append(ids, "e6")
		}
	}
	return ids
}

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		t.Helper()
		w := newWorld(t)
		w.Echo = true
		return sinktest.Destination{
			Sink:    w.sink(t),
			Arrived: func() []string { return events(w.Arrivals()) },
			Break:   func() { w.Down(true) },
			Mend:    func() { w.Down(false) },
			Secrets: []string{secret, w.Token(1)},
		}
	})
}

// TestADeploymentInThePortal holds every property of a deployment against the event, by hand.
func TestADeploymentInThePortal(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	e := event("e1")
	yes, no, count, lead, first := true, false, 4, 5400.0, noon.Add(-90*time.Minute)
	e.Unplanned, e.Exposed, e.CommitCount, e.LeadTimeSeconds, e.FirstCommitAt = &yes, &no, &count, &lead, &first
	e.Repository, e.Reason, e.Message = "github.com/acme/cart", "Healthy", "all is well"
	e.Previous.Version = &dora.Version{Tag: "1.2.2"}
	g.Expect(send(t, w.sink(t), e)).To(Equal("deployments: 1, incidents: 0"))

	got := w.Entity("deployment", "e1")
	g.Expect(got.Title).To(Equal("cart 1.2.3-4f5e6d7 (production)"))
	g.Expect(got.By).To(Equal("dora-controller/v1.2.3 (eu-1)"))
	g.Expect(got.Relations).To(Equal(porttest.Document{"service": "cart"}))
	g.Expect(got.Properties).To(Equal(porttest.Document{
		"createdAt": "2026-03-01T12:00:00Z", "environment": "Production", "deploymentStatus": "Success",
		"leadTimeHours": 1.5, "leadTimeSeconds": 5400.0, "leadTimeUnknown": nil,
		"outcome": "succeeded", "isRollback": false, "unplanned": true, "exposed": false, "change": "image",
		"version": "1.2.3-4f5e6d7", "previousVersion": "1.2.2", "images": []any{"registry.example.com/cart:1.2.3-4f5e6d7"},
		"commit": "4f5e6d7", "repository": "github.com/acme/cart", "commitCount": 4.0, "firstCommitAt": "2026-03-01T10:30:00Z",
		"startedAt": "2026-03-01T12:00:00Z", "serviceName": "cart", "teamName": "shop", "cluster": "eu-1",
		"subject": "Application argocd/cart", "basis": "live", "reason": "Healthy", "message": "all is well",
		"mark": nil, "markReason": nil, "markedBy": nil,
	}))
}

func TestTheStatusOfADeployment(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		outcome dora.Outcome
		success *bool
		want    string
	}{
		"it succeeded":                     {dora.Succeeded, &yes, "Successful"},
		"it failed":                        {dora.Failed, &no, "Failure"},
		"it was stopped and taken back":    {dora.RolledBack, &no, "Failure"},
		"it brought back an earlier one":   {dora.RolledBack, &yes, "Successful"},
		"nobody can tell how it ended":     {dora.Unknown, nil, ""},
		"reported from elsewhere, without": {"", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			w.options.Succeeded, w.options.Failed = "Successful", "Failure"
			e := event("e1")
			e.Outcome, e.Success = c.outcome, c.success
			send(t, w.sink(t), e)
			got, has := w.Entity("deployment", "e1").Properties["deploymentStatus"]
			g.Expect(has).To(Equal(c.want != ""))
			if has {
				g.Expect(got).To(Equal(c.want))
			}
		})
	}
}

func TestWhatEnvironmentsAreCalled(t *testing.T) {
	for name, want := range map[string]any{
		"production": "Production", "prod": "Production", "staging": "Staging", "stage": "Staging",
		"test": "Testing", "testing": "Testing", "dev": "Testing", "development": "Testing",
		"eu-canary": "eu-canary", "qa": "Quality", "": nil,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			w.options.Environments = map[string]string{"qa": "Quality"}
			e := event("e1")
			e.Environment = name
			send(t, w.sink(t), e)
			if want == nil {
				g.Expect(w.Entity("deployment", "e1").Properties["environment"]).To(BeNil())
				return
			}
			g.Expect(w.Entity("deployment", "e1").Properties["environment"]).To(Equal(want))
		})
	}
}

// TestAnEventThatComesAgain is one entity, in its newest form, and what others wrote onto it stays.
func TestAnEventThatComesAgain(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.PutBlueprint(blueprint("deployment", append(port.DeploymentProperties(), port.Property{Name: "note", Type: "string"}), "service=service"))
	s := w.sink(t)
	e := event("e1")
	e.LeadTimeUnknown = "no_commit"
	send(t, s, e)
	known := w.Entity("deployment", "e1")
	g.Expect(known.Properties).To(HaveKeyWithValue("leadTimeHours", BeNil()))
	w.PutNote("deployment", "e1", "note", "watched by Ada")

	lead := 7200.0
	e.LeadTimeUnknown, e.LeadTimeSeconds = "", &lead
	send(t, s, e)
	again := w.Entity("deployment", "e1")
	g.Expect(again.Properties).To(HaveKeyWithValue("leadTimeHours", 2.0))
	g.Expect(again.Properties).To(HaveKeyWithValue("leadTimeUnknown", BeNil()), "the reason of before is gone")
	g.Expect(again.Properties).To(HaveKeyWithValue("note", "watched by Ada"))
}

// TestTheBlueprintOfTheGuide is the one of Port's guide "Track DORA metrics": three properties, and leadTimeHours mirrored from the pull request.
func TestTheBlueprintOfTheGuide(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.PutBlueprint(`{
		"identifier": "deployment", "title": "Deployment", "icon": "Rocket",
		"schema": {"properties": {
			"createdAt": {"title": "Deployment Time", "type": "string", "format": "date-time"},
			"environment": {"title": "Environment", "type": "string", "enum": ["Production", "Staging", "Testing"]},
			"deploymentStatus": {"title": "Deployment Status", "type": "string", "enum": ["Success", "Failed"]}
		}, "required": []},
		"mirrorProperties": {"leadTimeHours": {"title": "Lead Time (Hours)", "path": "pullRequest.leadTimeHours"}},
		"calculationProperties": {}, "aggregationProperties": {},
		"relations": {"service": {"title": "Service", "target": "service", "required": false, "many": false}}
	}`)
	e := event("e2")
	lead := 60.0
	e.LeadTimeSeconds = &lead
	s := w.sink(t)
	send(t, s, e)
	g.Expect(w.Entity("deployment", "e2").Properties).To(Equal(porttest.Document{
		"createdAt": "2026-03-01T12:00:00Z", "environment": "Production", "deploymentStatus": "Failed",
	}))
	g.Expect(s.Check(t.Context())).To(Succeed())
}

func TestTheServiceOfADeployment(t *testing.T) {
	for name, c := range map[string]struct {
		by, service string
		want        any
	}{
		"by its identifier":       {"$identifier", "cart", "cart"},
		"by its title":            {"$title", "The Cart", "cart"},
		"by a property":           {"repo", "acme/cart", "cart"},
		"which is not there":      {"$identifier", "ghost", nil},
		"of no such title":        {"$title", "ghost", nil},
		"whose name no id can be": {"$identifier", "shopping cart", nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			w.options.ServiceBy = c.by
			e := event("e1")
			e.Service = c.service
			answer := send(t, w.sink(t), e, event("e4"))
			got := w.Entity("deployment", "e1")
			g.Expect(got.Properties).To(HaveKeyWithValue("serviceName", c.service))
			if c.want == nil {
				g.Expect(got.Relations).To(BeEmpty())
				g.Expect(answer).To(ContainSubstring("without their service, which is not in the portal: "))
				return
			}
			g.Expect(got.Relations).To(HaveKeyWithValue("service", c.want))
		})
	}
}

func TestAServiceThatComesToThePortalLater(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	s := w.sink(t)
	e := event("e1")
	e.Service = "search"
	g.Expect(send(t, s, e)).To(Equal("deployments: 1, incidents: 0, without their service, which is not in the portal: 1"))
	w.PutEntity("service", porttest.Entity{Identifier: "search"})
	g.Expect(send(t, s, e)).To(Equal("deployments: 1, incidents: 0"))
	g.Expect(w.Entity("deployment", "e1").Relations).To(HaveKeyWithValue("service", "search"))
	g.Expect(w.Entity("service", "ghost")).To(BeNil())
}

// TestWhatPeopleSayInThePortal: a mark changes the status, and withdrawing it brings the old one back.
func TestWhatPeopleSayInThePortal(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	s := w.sink(t)
	for _, c := range []struct {
		verdict           dora.Verdict
		status, mark, who any
	}{
		{dora.Withdrawn, "Failed", nil, nil},
		{dora.NotAFailure, "Success", "not-a-failure", "ada"},
		{dora.Ignore, nil, "ignore", "ada"},
		{dora.Withdrawn, "Failed", nil, nil},
		{dora.Failure, "Failed", "failure", "ada"},
	} {
		e := event("e2")
		e.Outcome, e.Success, e.IsRollback = dora.RolledBack, new(false), new(true)
		e.Say(dora.Mark{Verdict: c.verdict, Reason: "a drill", By: "ada", At: noon})
		g.Expect(send(t, s, e)).To(Equal("deployments: 1, incidents: 0"))
		got := w.Entity("deployment", "e2").Properties
		back := map[dora.Verdict]any{dora.Withdrawn: true, dora.Failure: true, dora.NotAFailure: false}[c.verdict]
		g.Expect([]any{got["deploymentStatus"], got["mark"], got["markedBy"], got["isRollback"], got["outcome"]}).
			To(Equal([]any{c.status, c.mark, c.who, back, "rolled_back"}), "%s", c.verdict)
	}
	for verdict, blamed := range map[dora.Verdict]bool{dora.NotAFailure: false, dora.Failure: true} {
		e := event("e5")
		e.Say(dora.Mark{Verdict: verdict, Reason: "the probe was wrong", By: "ada", At: noon})
		send(t, s, e)
		g.Expect(w.Entity("doraIncident", "f1").Properties).To(And(
			HaveKeyWithValue("isChangeFailure", blamed), HaveKeyWithValue("markReason", "the probe was wrong")))
	}
}

func TestThePullRequestOfADeployment(t *testing.T) {
	const commit = "4f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2"
	for name, c := range map[string]struct {
		commit string
		want   porttest.Document
	}{
		"by its merge commit":        {commit, porttest.Document{"service": "cart", "pullRequest": "pr-7"}},
		"which is not in the portal": {strings.Repeat("0", 40), porttest.Document{"service": "cart"}},
		"by a short commit, not yet": {commit[:7], porttest.Document{"service": "cart"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			w.options.Blueprints.PullRequest = "githubPullRequest"
			w.PutBlueprint(blueprint("githubPullRequest", []port.Property{{Name: port.MergeCommit, Type: "string"}}))
			w.PutBlueprint(blueprint("deployment", port.DeploymentProperties(), "service=service", "pullRequest=githubPullRequest"))
			w.PutEntity("githubPullRequest", porttest.Entity{Identifier: "pr-7", Properties: porttest.Document{port.MergeCommit: commit}})
			e := event("e1")
			e.Version = &dora.Version{Tag: "1", Commit: c.commit}
			g.Expect(send(t, w.sink(t), e)).To(Equal("deployments: 1, incidents: 0"))
			g.Expect(w.Entity("deployment", "e1").Relations).To(Equal(c.want))
		})
	}
}

// TestAFailureAndItsRecovery tries the orders in which the two events may come, and come again.
func TestAFailureAndItsRecovery(t *testing.T) {
	for name, order := range map[string][][]string{
		"one after the other":                {{"e5"}, {"e6"}},
		"together":                           {{"e5", "e6"}},
		"the failure again, after its end":   {{"e5"}, {"e6"}, {"e5"}},
		"the end again":                      {{"e5"}, {"e6"}, {"e6"}},
		"both again, together":               {{"e5"}, {"e6"}, {"e5", "e6"}},
		"the end before, by somebody's mend": {{"e6"}, {"e5"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			s := w.sink(t)
			send(t, s, event("e2"))
			for _, batch := range order {
				var some []dora.Event
				for _, id := range batch {
					e := event(id)
					if id == "e5" {
						e.OccurredAt, e.Reason, e.Message = noon.Add(-90500*time.Millisecond), "CrashLoopBackOff", "it crashes"
					}
					some = append(some, e)
				}
				send(t, s, some...)
			}
			got := w.Entity("doraIncident", "f1")
			g.Expect(got.Relations).To(Equal(porttest.Document{"service": "cart", "deployment": "e2"}))
			g.Expect(got.Properties).To(Equal(porttest.Document{
				"createdAt": "2026-03-01T11:58:29.5Z", "resolvedAt": "2026-03-01T12:00:00Z", "recoveryTime": 90.5 / 60, "status": "resolved",
				"environment": "Production", "isChangeFailure": true, "serviceName": "cart", "teamName": "shop", "cluster": "eu-1",
				"subject": "Application argocd/cart", "reason": "CrashLoopBackOff", "message": "it crashes",
				"mark": nil, "markReason": nil, "markedBy": nil,
			}))
		})
	}
}

func TestAFailureThatLasts(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	s := w.sink(t)
	send(t, s, event("e5"))
	got := w.Entity("doraIncident", "f1")
	g.Expect(got.Properties).To(HaveKeyWithValue("status", "open"))
	g.Expect(got.Relations).To(Equal(porttest.Document{"service": "cart"}), "its deployment is not in the portal, its service is")
}

// TestAFailureWaitsForItsDeployment since it would never be related to it otherwise.
func TestAFailureWaitsForItsDeployment(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	s := w.sink(t)
	w.Refuse("e2", porttest.Problem{Status: 503, Code: "unavailable", Message: "try again"})
	_, err := s.Send(t.Context(), sinktest.Events())
	partial := partialOf(t, err)
	g.Expect(partial.Failed).To(And(HaveLen(2), HaveKey("e2"), HaveKey("e5")))
	g.Expect(sink.IsPermanent(partial.Failed["e2"])).To(BeFalse())
	w.Accept("e2")
	send(t, s, event("e2"), event("e5"))
	g.Expect(w.Entity("doraIncident", "f1").Relations).To(HaveKeyWithValue("deployment", "e2"))
}

func partialOf(t *testing.T, err error) *sink.PartialError {
	t.Helper()
	partial, ok := err.(*sink.PartialError) //nolint:errorlint // it is to be this one
	if !ok {
		t.Fatalf("the error is no PartialError, but %v", err)
	}
	return partial
}

func TestWhatIsLeftOut(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.options.Blueprints = port.Blueprints{Deployment: "deployment"}
	s := w.sink(t)
	g.Expect(send(t, s, sinktest.Events()...)).To(Equal("deployments: 4, incidents: 0, left out: 2"))
	g.Expect(w.Entity("deployment", "e1").Relations).To(BeEmpty(), "there is no blueprint of services")
	g.Expect(s.SendFigures(t.Context(), sinktest.Figures())).To(Equal("0 updated"))
	w.options.Blueprints = port.Blueprints{Incident: "doraIncident"}
	g.Expect(send(t, w.sink(t), sinktest.Events()...)).To(Equal("deployments: 0, incidents: 1, left out: 4"))
}

// TestSomeAreRefused: each event has an error of its own, by the index of its entity.
func TestSomeAreRefused(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.Echo = true
	w.Refuse("e1", porttest.Problem{Status: 422, Code: "invalid_request", Message: "not so"})
	w.Refuse("e3", porttest.Problem{Status: 500, Code: "internal_error", Message: "later"})
	w.Refuse("e4", porttest.Problem{Status: 404, Code: "not_found", Message: "nothing there"})
	_, err := w.sink(t).Send(t.Context(), sinktest.Events())
	failed := partialOf(t, err).Failed
	g.Expect(failed).To(HaveLen(3))
	g.Expect(sink.IsPermanent(failed["e1"])).To(BeTrue())
	g.Expect(failed["e1"]).To(MatchError(And(ContainSubstring("invalid_request: (an answer that repeats a credential)"), ContainSubstring("x-trace-id trace-"))))
	g.Expect(sink.IsPermanent(failed["e3"])).To(BeFalse())
	g.Expect(sink.IsPermanent(failed["e4"])).To(BeTrue(), "it is related to nothing any more, and would hold up its service")
	g.Expect(w.Entity("deployment", "e2")).NotTo(BeNil())
	sinktest.KeepsSecrets(t, err, secret, w.Token(1))
}

// TestNoMoreThanPortTakes: 20 entities and 1 MiB at once, which the double enforces.
func TestNoMoreThanPortTakes(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	var batch []dora.Event
	for i := range 20 {
		e := event("e1")
		e.ID = fmt.Sprintf("big-%d", i)
		e.Version = &dora.Version{Tag: "1", Images: []string{strings.Repeat("x", 100_000)}}
		batch = append(batch, e)
	}
	g.Expect(send(t, w.sink(t), batch...)).To(Equal("deployments: 20, incidents: 0"))
	var bulks int
	for _, r := range w.Requests() {
		if r.Method == http.MethodPost {
			bulks++
			g.Expect(len(r.Body)).To(BeNumerically("<=", 1<<20))
		}
	}
	g.Expect(bulks).To(Equal(2), "2 MB are two calls")
}

// TestOneThatIsTooLarge is told from the others, which arrive.
func TestOneThatIsTooLarge(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	e := event("e2")
	e.Version = &dora.Version{Tag: "1", Images: []string{strings.Repeat("x", 1<<20)}}
	_, err := w.sink(t).Send(t.Context(), []dora.Event{event("e1"), e, event("e3")})
	failed := partialOf(t, err).Failed
	g.Expect(failed).To(And(HaveLen(1), HaveKey("e2")))
	g.Expect(sink.IsPermanent(failed["e2"])).To(BeTrue())
	g.Expect(failed["e2"]).To(MatchError(ContainSubstring("413")))
}

// TestOneThatSpoilsTheCall: Port refuses the whole call for an identifier that it cannot have.
func TestOneThatSpoilsTheCall(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	batch := sinktest.Events()[:4]
	batch[2].ID = "not an id"
	_, err := w.sink(t).Send(t.Context(), batch)
	failed := partialOf(t, err).Failed
	g.Expect(failed).To(And(HaveLen(1), HaveKey("not an id")))
	g.Expect(sink.IsPermanent(failed["not an id"])).To(BeTrue())
	g.Expect(events(w.Arrivals())).To(Equal([]string{"e1", "e2", "e4"}))
}

func TestAPortalThatIsNotReady(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world)
		want  []string
	}{
		"it has no blueprint of deployments": {
			func(w *world) { w.DropBlueprint("deployment") }, []string{"the blueprint deployment", "dora-controller port bootstrap"},
		},
		"the blueprint lacks properties": {
			func(w *world) {
				w.PutBlueprint(blueprint("deployment", port.DeploymentProperties()[1:2], "service=service"))
			},
			[]string{"the properties createdAt, deploymentStatus of the blueprint deployment"},
		},
		"the blueprint lacks a relation": {
			func(w *world) { w.PutBlueprint(blueprint("deployment", port.DeploymentProperties())) },
			[]string{"the relation service of the blueprint deployment"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			c.spoil(w)
			s := w.sink(t)
			_, err := s.Send(t.Context(), sinktest.Events())
			for _, e := range []error{err, s.Check(t.Context())} {
				g.Expect(sink.ReasonOf(e)).To(Equal(sink.BlueprintMissing))
				g.Expect(sink.IsPermanent(e)).To(BeFalse(), "nothing is lost until somebody mends it")
				for _, want := range c.want {
					g.Expect(e).To(MatchError(ContainSubstring(want)))
				}
			}
			g.Expect(w.Arrivals()).To(BeEmpty())
			w.PutBlueprint(blueprint("deployment", port.DeploymentProperties(), "service=service"))
			send(t, s, sinktest.Events()...)
		})
	}
}

// TestABlueprintThatGoes is noticed although it has been read.
func TestABlueprintThatGoes(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	s := w.sink(t)
	send(t, s, event("e1"))
	w.DropBlueprint("deployment")
	_, err := s.Send(t.Context(), sinktest.Events()[:4])
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.BlueprintMissing))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
}

func TestCheck(t *testing.T) {
	t.Run("all is there, and the check leaves no trace", func(t *testing.T) {
		g := NewWithT(t)
		w := newWorld(t)
		g.Expect(w.sink(t).Check(t.Context())).To(Succeed())
		g.Expect(w.Arrivals()).To(BeEmpty())
		g.Expect(w.Entity("deployment", "dora-controller-check-failed")).To(BeNil())
	})
	t.Run("every gap is named", func(t *testing.T) {
		g := NewWithT(t)
		w := newWorld(t)
		w.options.Blueprints.PullRequest, w.options.ServiceBy = "githubPullRequest", "slug"
		w.PutBlueprint(blueprint("_team", port.ServiceProperties()))
		err := w.sink(t).Check(t.Context())
		g.Expect(sink.ReasonOf(err)).To(Equal(sink.BlueprintMissing))
		g.Expect(err).To(MatchError(And(
			ContainSubstring("the relation pullRequest of the blueprint deployment"),
			ContainSubstring("the properties slug of the blueprint service"),
			ContainSubstring("the properties services_count, deployment_frequency_per_service of the blueprint _team"),
			ContainSubstring("the blueprint githubPullRequest (the destination answered 404"),
			ContainSubstring("x-trace-id trace-"),
		)))
	})
	t.Run("the blueprint knows another word for a failure", func(t *testing.T) {
		g := NewWithT(t)
		w := newWorld(t)
		d := w.Blueprint("deployment")
		d["schema"].(map[string]any)["properties"].(map[string]any)["deploymentStatus"] = map[string]any{
			"type": "string", "enum": []any{"Success", "Failure"},
		}
		document, _ := json.Marshal(d)
		w.PutBlueprint(string(document))
		err := w.sink(t).Check(t.Context())
		g.Expect(err).To(MatchError(ContainSubstring("must be one of [Success Failure]")))
		g.Expect(sink.ReasonOf(err)).To(Equal(sink.Refused))
	})
	t.Run("the portal is down", func(t *testing.T) {
		g := NewWithT(t)
		w := newWorld(t)
		w.Down(true)
		g.Expect(sink.ReasonOf(w.sink(t).Check(t.Context()))).To(Equal(sink.Failing))
	})
}

func TestFigures(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.PutEntity("service", porttest.Entity{Identifier: "quiet", Properties: porttest.Document{"deployment_frequency": 3.0}})
	g.Expect(w.sink(t).SendFigures(t.Context(), sinktest.Figures())).To(Equal("3 updated"))
	g.Expect(w.Entity("service", "cart").Properties).To(Equal(porttest.Document{
		"repo": "acme/cart", "deployment_frequency": 2.8, "deployment_frequency_tier": "High",
		"lead_time_for_changes": 24.0, "lead_time_for_changes_tier": "Elite", "change_failure_rate": 25.0, "change_failure_rate_tier": "Medium",
		"mean_time_to_recovery": 30.0, "mean_time_to_recovery_tier": "Elite", "total_deployments": 12.0, "rework_rate": 10.0,
	}))
	team := w.Entity("_team", "shop").Properties
	g.Expect(team).To(HaveKeyWithValue("services_count", 3.0))
	g.Expect(team).To(HaveKeyWithValue("deployment_frequency_per_service", 2.8))
	g.Expect(team["deployment_frequency"]).To(BeNumerically("~", 8.4, 1e-9))
	quiet := w.Entity("service", "quiet").Properties
	g.Expect(quiet).To(HaveKeyWithValue("deployment_frequency", BeNil()), "what is not known any more does not stay")
	g.Expect(quiet).To(HaveKeyWithValue("deployment_frequency_tier", BeNil()))
	g.Expect(w.Entity("service", "cart").Title).To(Equal("The Cart"))
}

// TestHowATeamStands: what is not known of both windows has no trend, and of many services ten are named.
func TestHowATeamStands(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	team := sinktest.Figures()[1]
	team.Standing = &sink.Standing{
		Spread: fourkeys.Spread{Elite: 2, High: 3, Medium: 4, Low: 5, NoData: 1}, Drags: strings.Fields("a b c d e f g h i j k l"),
		Trends: fourkeys.Trends{Frequency: fourkeys.Better, LeadTime: fourkeys.Worse, ChangeFailureRate: fourkeys.Same},
	}
	g.Expect(w.sink(t).SendFigures(t.Context(), []sink.Figures{team})).To(Equal("1 updated"))
	has := w.Entity("_team", "shop").Properties
	for name, want := range map[string]any{
		"services_elite": 2.0, "services_high": 3.0, "services_medium": 4.0, "services_low": 5.0,
		"worst_services":             []any{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"},
		"deployment_frequency_trend": "Better", "lead_time_for_changes_trend": "Worse", "change_failure_rate_trend": "Same",
	} {
		g.Expect(has).To(HaveKeyWithValue(name, want))
	}
	g.Expect(has).To(HaveKeyWithValue("mean_time_to_recovery_trend", BeNil()))
	g.Expect(has).To(HaveKeyWithValue("services_count", 3.0), "what there was stays")
	team.Standing.Drags = nil
	g.Expect(w.sink(t).SendFigures(t.Context(), []sink.Figures{team})).To(Equal("1 updated"))
	g.Expect(w.Entity("_team", "shop").Properties).To(HaveKeyWithValue("worst_services", BeEmpty()), "no old name stays")
}

func TestFiguresThatArePassedOver(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *sink.Figures)
		want   string
	}{
		"of another environment":    {func(f *sink.Figures) { f.Environment = "staging" }, "0 updated, 1 of another environment"},
		"counted by an older one":   {func(f *sink.Figures) { f.Primary = false }, "0 updated"},
		"of what nobody made there": {func(f *sink.Figures) { f.Service = "ghost" }, "0 updated, 1 not in the portal"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			f := sinktest.Figures()[0]
			c.change(&f)
			g.Expect(w.sink(t).SendFigures(t.Context(), []sink.Figures{f})).To(Equal(c.want))
			g.Expect(w.Arrivals()).To(BeEmpty())
			g.Expect(w.Entity("service", "ghost")).To(BeNil())
		})
	}
}

// TestFiguresOfWhatThePortalCallsProduction: figures are of the environments whose deployments the portal shows as that one.
func TestFiguresOfWhatThePortalCallsProduction(t *testing.T) {
	for environment, c := range map[string]struct {
		chosen string
		called map[string]string
		want   string
	}{
		"prod":       {"", nil, "1 updated"},
		"PRODUCTION": {"production", nil, "1 updated"},
		"production": {"prod", nil, "1 updated"},
		"prod-eu":    {"production", map[string]string{"prod-eu": "Production"}, "1 updated"},
		"live":       {"Production", map[string]string{"live": "Production"}, "1 updated"},
		"prod-us":    {"production", map[string]string{"prod-eu": "Production"}, "0 updated, 1 of another environment"},
		"of two":     {"prod-eu", map[string]string{"prod-eu": "Production", "of two": "Production"}, "0 updated, 1 of another environment"},
		"one":        {"one", map[string]string{"one": "Production", "two": "Production"}, "1 updated"},
		"":           {"production", nil, "0 updated, 1 of another environment"},
	} {
		t.Run(environment, func(t *testing.T) {
			w := newWorld(t)
			w.options.MetricsEnvironment, w.options.Environments = c.chosen, c.called
			f := sinktest.Figures()[0]
			f.Environment = environment
			NewWithT(t).Expect(w.sink(t).SendFigures(t.Context(), []sink.Figures{f})).To(Equal(c.want))
		})
	}
}

func TestFiguresOfAServiceByItsTitle(t *testing.T) {
	for by, name := range map[string]string{"$title": "The Cart", "repo": "acme/cart"} {
		t.Run(by, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			w.options.ServiceBy, w.options.MetricsEnvironment = by, "staging"
			f := sinktest.Figures()[0]
			f.Service, f.Environment = name, "staging"
			g.Expect(w.sink(t).SendFigures(t.Context(), []sink.Figures{f})).To(Equal("1 updated"))
			g.Expect(w.Entity("service", "cart").Properties).To(HaveKeyWithValue("total_deployments", 12.0))
		})
	}
}

// TestFiguresThatThePortalComputes: who followed Port's guide has aggregations and calculations of these names, which nobody can write.
func TestFiguresThatThePortalComputes(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	computed := map[string]any{}
	for _, p := range port.ServiceProperties() {
		computed[p.Name] = map[string]any{"title": p.Title, "type": p.Type}
	}
	document, err := json.Marshal(map[string]any{
		"identifier": "service", "title": "Service", "schema": map[string]any{"properties": map[string]any{}}, "aggregationProperties": computed,
	})
	g.Expect(err).NotTo(HaveOccurred())
	w.PutBlueprint(string(document))
	s := w.sink(t)
	g.Expect(s.SendFigures(t.Context(), sinktest.Figures()[:1])).To(Equal("0 updated, 1 computed by the portal itself"))
	g.Expect(s.Check(t.Context())).To(Succeed())
}

func TestFiguresThatArriveNot(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.DropBlueprint("_team")
	s := w.sink(t)
	answer, err := s.SendFigures(t.Context(), sinktest.Figures())
	g.Expect(answer).To(Equal("1 updated, 1 not in the portal"))
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.BlueprintMissing))
	w.Refuse("cart", porttest.Problem{Status: 500, Code: "internal_error", Message: "later"})
	_, err = s.SendFigures(t.Context(), sinktest.Figures()[:1])
	g.Expect(err).To(MatchError(ContainSubstring("cart: the destination said of the entity 500")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.SendFigures(ctx, sinktest.Figures())
	g.Expect(err).To(MatchError(context.Canceled))
}

// TestARelationThatSpoilsTheCall: Port may say with one answer for all that something is not there. The blueprint is, so it is a relation.
func TestARelationThatSpoilsTheCall(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	s := w.sink(t)
	send(t, s, event("e4"))
	w.Next(porttest.Answered(404, `{"ok":false,"error":"not_found","message":"no such service"}`, nil))
	g.Expect(send(t, s, event("e1"))).To(Equal("deployments: 1, incidents: 0, without their service, which is not in the portal: 1"))
}

func TestAnEventThatIsNoJSON(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	e, nan := event("e2"), math.NaN()
	e.LeadTimeSeconds = &nan
	_, err := w.sink(t).Send(t.Context(), []dora.Event{event("e1"), e, event("e3")})
	failed := partialOf(t, err).Failed
	g.Expect(failed).To(And(HaveLen(1), HaveKey("e2")))
	g.Expect(sink.IsPermanent(failed["e2"])).To(BeTrue())
}

func TestALongMessage(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	e := event("e1")
	e.Message = "x" + strings.Repeat("ü", 4096)
	send(t, w.sink(t), e)
	g.Expect(w.Entity("deployment", "e1").Properties).To(HaveKeyWithValue("message", "x"+strings.Repeat("ü", 2047)+"…"), "4 KiB, and no half ü")
}

// TestAnEventWithHardlyAnythingInIt has nothing in the portal that it does not say.
func TestAnEventWithHardlyAnythingInIt(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	send(t, w.sink(t), dora.Event{ID: "bare", Type: dora.TypeDeploy, OccurredAt: noon})
	got := w.Entity("deployment", "bare")
	g.Expect(got.Relations).To(BeEmpty())
	for name, value := range got.Properties {
		if name != "createdAt" && name != "subject" {
			g.Expect(value).To(BeNil(), name)
		}
	}
}

// TestACredentialThatPortDoesNotKnowIsNoMissingBlueprint: Port may answer with the same words to both.
func TestACredentialThatPortDoesNotKnowIsNoMissingBlueprint(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	unknown := porttest.Answered(http.StatusNotFound, `{"ok":false,"error":"not_found","message":"the credential was not found"}`, nil)
	s := w.sink(t)
	w.NextToken(unknown)
	g.Expect(sink.ReasonOf(s.Check(t.Context()))).To(Equal(sink.CredentialsRefused))
	w.NextToken(unknown)
	_, err := s.Send(t.Context(), sinktest.Events())
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.CredentialsRefused))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
}
