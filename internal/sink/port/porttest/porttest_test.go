package porttest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const service = `{"identifier":"service","title":"Service","schema":{"properties":{
	"tier":{"type":"string","enum":["gold","silver"]},"size":{"type":"number"},"at":{"type":"string","format":"date-time"}
}},"relations":{"parent":{"target":"service","required":false,"many":false}},"calculationProperties":{"double":{"type":"number"}}}`

type portal struct {
	*porttest.Server

	t     *testing.T
	token string
}

func newPortal(t *testing.T) *portal {
	t.Helper()
	p := &portal{Server: porttest.New(t, "id", sinktest.Secret("client-secret")), t: t}
	p.PutBlueprint(service)
	p.token = p.authorize()["accessToken"].(string)
	return p
}

func (p *portal) authorize() map[string]any {
	p.t.Helper()
	_, answer := p.ask(http.MethodPost, "/v1/auth/access_token", `{"clientId":"id","clientSecret":"`+p.ClientSecret+`"}`)
	return answer
}

func (p *portal) ask(method, path, body string) (status int, answer map[string]any) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.URL+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	got, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil || json.Unmarshal(text, &answer) != nil {
		p.t.Fatalf("no JSON: %v", err)
	}
	if got.Header.Get("X-Trace-Id") == "" {
		p.t.Error("every answer of Port has an x-trace-id")
	}
	return got.StatusCode, answer
}

// TestWhatPortRefuses as its reference says.
func TestWhatPortRefuses(t *testing.T) {
	const bulk, one = "/v1/blueprints/service/entities/bulk?upsert=true&merge=true", "/v1/blueprints/service/entities?upsert=true"
	for name, c := range map[string]struct {
		path, body string
		want       int
	}{
		"another field beside the credentials":  {"/v1/auth/access_token", `{"clientId":"id","clientSecret":"s","more":"1"}`, 422},
		"wrong credentials":                     {"/v1/auth/access_token", `{"clientId":"id","clientSecret":"s"}`, 401},
		"a blueprint that is not there":         {"/v1/blueprints/ghost/entities/bulk?upsert=true", `{"entities":[{"identifier":"a"}]}`, 404},
		"an upsert that does not say so":        {"/v1/blueprints/service/entities/bulk", `{"entities":[{"identifier":"a"}]}`, 422},
		"no entities":                           {bulk, `{"entities":[]}`, 422},
		"21 entities":                           {bulk, `{"entities":[` + strings.Repeat(`{"identifier":"a"},`, 20) + `{"identifier":"a"}]}`, 422},
		"more than 1 MiB":                       {bulk, `{"entities":[{"identifier":"a","title":"` + strings.Repeat("x", 1<<20) + `"}]}`, 413},
		"an identifier with a space":            {bulk, `{"entities":[{"identifier":"a b"}]}`, 422},
		"an identifier of 1001 characters":      {bulk, `{"entities":[{"identifier":"` + strings.Repeat("a", 1001) + `"}]}`, 422},
		"a property that the blueprint has not": {one, `{"identifier":"a","properties":{"color":"red"}}`, 422},
		"a property of another type":            {one, `{"identifier":"a","properties":{"size":"big"}}`, 422},
		"a value that is not of the enum":       {one, `{"identifier":"a","properties":{"tier":"tin"}}`, 422},
		"a time that is none":                   {one, `{"identifier":"a","properties":{"at":"noon"}}`, 422},
		"a property that is computed":           {one, `{"identifier":"a","properties":{"double":2}}`, 422},
		"a relation to what is not there":       {one, `{"identifier":"a","relations":{"parent":"ghost"}}`, 404},
		"some of many":                          {bulk, `{"entities":[{"identifier":"a"},{"identifier":"b","properties":{"size":"big"}}]}`, 207},
		"a blueprint without a title":           {"/v1/blueprints", `{"identifier":"a","schema":{"properties":{}}}`, 422},
		"a blueprint that is there":             {"/v1/blueprints", service, 409},
		"a relation to no blueprint": {
			"/v1/blueprints", `{"identifier":"a","title":"A","schema":{"properties":{}},"relations":{"r":{"target":"ghost","required":false,"many":false}}}`, 404,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := newPortal(t)
			status, answer := p.ask(http.MethodPost, c.path, c.body)
			g.Expect(status).To(Equal(c.want), "%v", answer)
			g.Expect(answer).To(HaveKeyWithValue("ok", false))
		})
	}
}

func TestMany(t *testing.T) {
	g := NewWithT(t)
	p := newPortal(t)
	_, answer := p.ask(http.MethodPost, "/v1/blueprints/service/entities/bulk?upsert=true",
		`{"entities":[{"identifier":"a","properties":{"size":"big"}},{"identifier":"b"}]}`)
	g.Expect(answer["entities"]).To(Equal([]any{map[string]any{"created": true, "identifier": "b", "index": 1.0}}))
	refused := answer["errors"].([]any)[0].(map[string]any)
	g.Expect(refused).To(And(HaveKeyWithValue("index", 0.0), HaveKeyWithValue("statusCode", 422.0), HaveKeyWithValue("identifier", "a")))
}

func TestWhatAnUpsertLeaves(t *testing.T) {
	for query, want := range map[string]porttest.Document{
		"upsert=true&merge=true":           {"size": 1.0, "tier": nil},
		"upsert=true&merge=false":          {"tier": nil},
		"upsert=true&validation_only=true": {"size": 1.0, "tier": "gold"},
	} {
		t.Run(query, func(t *testing.T) {
			g := NewWithT(t)
			p := newPortal(t)
			p.PutEntity("service", porttest.Entity{Identifier: "a", Properties: porttest.Document{"size": 1.0, "tier": "gold"}})
			status, _ := p.ask(http.MethodPost, "/v1/blueprints/service/entities?"+query, `{"identifier":"a","properties":{"tier":null}}`)
			g.Expect(status).To(Equal(201))
			g.Expect(p.Entity("service", "a").Properties).To(Equal(want))
		})
	}
}

func TestRelatedEntities(t *testing.T) {
	g := NewWithT(t)
	p := newPortal(t)
	status, _ := p.ask(http.MethodPost, "/v1/blueprints/service/entities?upsert=true&create_missing_related_entities=true",
		`{"identifier":"a","relations":{"parent":"b"}}`)
	g.Expect(status).To(Equal(201))
	g.Expect(p.Entity("service", "b")).NotTo(BeNil())
	p.ask(http.MethodPost, "/v1/blueprints/service/entities?upsert=true",
		`{"identifier":"c","relations":{"parent":{"combinator":"and","rules":[{"property":"$identifier","operator":"=","value":"b"}]}}}`)
	g.Expect(p.Entity("service", "c").Relations).To(HaveKeyWithValue("parent", "b"))
	status, _ = p.ask(http.MethodPatch, "/v1/blueprints/service/entities/ghost", `{"properties":{}}`)
	g.Expect(status).To(Equal(404))
	status, _ = p.ask(http.MethodPatch, "/v1/blueprints/service/entities/a", `{"properties":{"size":2}}`)
	g.Expect(status).To(Equal(200))
	g.Expect(p.Entity("service", "a").Relations).To(HaveKeyWithValue("parent", "b"))
}

// TestTokens: the same until it has expired, with what is left of its time.
func TestTokens(t *testing.T) {
	g := NewWithT(t)
	p := newPortal(t)
	now := time.Now()
	p.Revoke()
	p.Now = func() time.Time { return now }
	first := p.authorize()
	g.Expect(first["expiresIn"]).To(Equal(10800.0))
	now = now.Add(time.Hour)
	again := p.authorize()
	g.Expect(again["accessToken"]).To(Equal(first["accessToken"]))
	g.Expect(again["expiresIn"]).To(Equal(7200.0))
	p.token = first["accessToken"].(string)
	now = now.Add(2 * time.Hour)
	status, answer := p.ask(http.MethodGet, "/v1/blueprints/service", "")
	g.Expect(status).To(Equal(401))
	g.Expect(answer).To(HaveKeyWithValue("error", Not(BeEmpty())))
	g.Expect(p.authorize()["accessToken"]).NotTo(Equal(first["accessToken"]))
}

func TestPatchesOfBlueprints(t *testing.T) {
	for name, replaces := range map[string]bool{"merged": false, "replaced": true} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := newPortal(t)
			p.PatchReplaces = replaces
			status, _ := p.ask(http.MethodPatch, "/v1/blueprints/service", `{"schema":{"properties":{"extra":{"type":"string"}}}}`)
			g.Expect(status).To(Equal(200))
			properties := p.Blueprint("service")["schema"].(map[string]any)["properties"]
			g.Expect(properties).To(HaveKey("extra"))
			if replaces {
				g.Expect(properties).NotTo(HaveKey("tier"))
			} else {
				g.Expect(properties).To(HaveKey("tier"))
			}
		})
	}
}

func TestScorecardsAndPages(t *testing.T) {
	g := NewWithT(t)
	p := newPortal(t)
	for _, folder := range []string{"/v1/blueprints/service/scorecards", "/v1/pages"} {
		status, _ := p.ask(http.MethodGet, folder+"/dora", "")
		g.Expect(status).To(Equal(404))
		status, _ = p.ask(http.MethodPost, folder, `{"identifier":"dora","title":"DORA"}`)
		g.Expect(status).To(Equal(201))
		status, _ = p.ask(http.MethodPost, folder, `{"identifier":"dora","title":"DORA"}`)
		g.Expect(status).To(Equal(409))
		status, _ = p.ask(http.MethodGet, folder+"/dora", "")
		g.Expect(status).To(Equal(200))
	}
	g.Expect(p.Document("service/scorecards/dora")).To(HaveKeyWithValue("title", "DORA"))
}
