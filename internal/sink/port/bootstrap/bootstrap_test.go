package bootstrap_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/port/bootstrap"
)

func TestANewPortalGetsEverythingOnce(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	apply(t, p)
	g.Expect(p.writes[:4]).To(Equal([]string{ // the targets of relations come first
		"PATCH /v1/blueprints/_team", "POST /v1/blueprints", "POST /v1/blueprints", "POST /v1/blueprints",
	}))
	for _, document := range []string{
		"pages/dora_controller", "service/scorecards/dora_service_lead_time_for_changes", "_team/scorecards/dora_team_deployment_frequency",
	} {
		g.Expect(p.server.Document(document)).NotTo(BeNil(), document)
	}
	g.Expect(p.part("deployment", "relations", "service")).To(HaveKeyWithValue("target", "service"))
	g.Expect(p.part("deployment", "relations")).NotTo(HaveKey("pullRequest"))

	p.writes = nil
	again := plan(t, p)
	for _, step := range again {
		g.Expect(step.Action).To(Equal(bootstrap.Keep), step.Name)
		g.Expect(step.Additions).To(BeEmpty(), step.Name)
	}
	g.Expect(bootstrap.Apply(t.Context(), p, again)).To(Succeed())
	g.Expect(p.writes).To(BeEmpty())
	g.Expect(printed(t, again)).To(ContainSubstring("0 to create, 0 to complete, 13 there; 0 in conflict, to be mended by hand\n"))
}

func TestAPlanWritesNothing(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	g.Expect(plan(t, p)).NotTo(BeEmpty())
	g.Expect(p.writes).To(BeEmpty())
}

// What a user has is kept, whatever a PATCH does with the members that it holds in part.
func TestNothingOfAUserIsLost(t *testing.T) {
	for name, replaces := range map[string]bool{"where a patch merges": false, "where a patch replaces": true} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := empty(t)
			p.server.PatchReplaces = replaces
			p.has("service", `{"identifier": "service", "title": "Microservice", "icon": "Go", "schema": {"properties": {
				"language": {"type": "string", "enum": ["Go", "Rust"], "spec": "open-api"}, "deployment_frequency": {"type": "number", "title": "Ours"}},
				"required": ["language"]}, "relations": {"domain": {"target": "domain", "required": true, "many": false}},
				"calculationProperties": {"age": {"calculation": ".x", "type": "number"}}}`)
			apply(t, p)

			thing := p.part("service")
			g.Expect(thing).To(HaveKeyWithValue("title", "Microservice"))
			g.Expect(thing).To(HaveKeyWithValue("icon", "Go"))
			g.Expect(p.part("service", "schema")).To(HaveKeyWithValue("required", ConsistOf("language")))
			g.Expect(p.part("service", "relations", "domain")).To(HaveKeyWithValue("required", true))
			g.Expect(p.part("service", "calculationProperties")).To(HaveKey("age"))
			has := properties(p, "service")
			g.Expect(has).To(HaveKeyWithValue("language", object{"type": "string", "enum": []any{"Go", "Rust"}, "spec": "open-api"}))
			g.Expect(has).To(HaveKeyWithValue("deployment_frequency", object{"type": "number", "title": "Ours"}))
			g.Expect(has).To(HaveKey("mean_time_to_recovery_tier"))
			g.Expect(p.part("_team", "relations")).To(HaveKey("parent"))
			g.Expect(properties(p, "_team")).To(HaveKey("description"))
		})
	}
}

// A blueprint that somebody changed after the plan was made keeps that change.
func TestABlueprintIsReadAgainBeforeItIsPatched(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	steps := plan(t, p)
	p.has("_team", `{"schema": {"properties": {"cost": {"type": "number"}, "services_count": {"type": "number", "title": "Ours"}}}}`)
	g.Expect(bootstrap.Apply(t.Context(), p, steps)).To(Succeed())
	has := properties(p, "_team")
	g.Expect(has).To(HaveKey("cost"))
	g.Expect(has).To(HaveKeyWithValue("services_count", object{"type": "number", "title": "Ours"}))

	p.server.DropBlueprint("_team")
	g.Expect(bootstrap.Apply(t.Context(), p, steps[:1])).To(MatchError(ContainSubstring("it is gone since the plan was made")))
}

func TestWhatIsInTheWayIsToldAndLeftAlone(t *testing.T) {
	const mend = ": rename it in the portal, or name another blueprint, and run this again"
	for name, tc := range map[string]struct {
		deployment string // of the user
		want       string // the conflict
	}{
		"a property of another type": {
			`{"schema": {"properties": {"deploymentStatus": {"type": "boolean"}}}}`,
			"property deploymentStatus is of type boolean, and string is needed" + mend,
		},
		"a text where a time is needed": {
			`{"schema": {"properties": {"createdAt": {"type": "string"}}}}`,
			"property createdAt is of type string, and string, date-time is needed" + mend,
		},
		"an address where a text is needed": {
			`{"schema": {"properties": {"version": {"type": "string", "format": "url"}}}}`,
			"property version is of type string, url, and string is needed" + mend,
		},
		"another word for success": {
			`{"schema": {"properties": {"deploymentStatus": {"type": "string", "enum": ["Successful", "Failed"]}}}}`,
			"property deploymentStatus does not take Success, only Successful, Failed: add what is missing in the portal, or say what is sent instead",
		},
		"another word for production": {
			`{"schema": {"properties": {"environment": {"type": "string", "enum": ["prod", "dev"]}}}}`,
			"property environment does not take Production, only prod, dev: add what is missing in the portal, or say what is sent instead",
		},
		"a required property": {
			`{"schema": {"properties": {"pipeline": {"type": "string"}}, "required": ["pipeline", "createdAt"]}}`,
			"property pipeline is required, and is not sent: make it optional in the portal",
		},
		"a required relation": {
			`{"relations": {"cluster": {"target": "cluster", "required": true}}}`,
			"relation cluster is required, and is not sent: make it optional in the portal",
		},
		"a relation to something else": {
			`{"relations": {"service": {"target": "microservice"}}}`,
			"relation service leads to microservice, not to service: name the blueprint that it leads to, or rename it in the portal, and run this again",
		},
		"a relation to many": {
			`{"relations": {"service": {"target": "service", "many": true}}}`,
			"relation service holds many entities, and one is sent: rename it in the portal, and run this again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := empty(t)
			p.has("deployment", tc.deployment)
			steps := plan(t, p)
			g.Expect(find(t, steps, "deployment").Conflicts).To(Equal([]string{tc.want}))
			g.Expect(find(t, steps, "deployment").Action).To(Equal(bootstrap.Patch), "what is missing is made all the same")
			g.Expect(bootstrap.Conflicts(steps)).To(Equal(1))

			before := p.part("deployment")
			apply(t, p)
			for _, group := range []string{"schema", "relations"} {
				if _, had := before[group]; had {
					expectKept(t, p.part("deployment", group), before[group])
				}
			}
			again := find(t, plan(t, p), "deployment")
			g.Expect(again.Action).To(Equal(bootstrap.Differs))
			g.Expect(again.Conflicts).To(Equal([]string{tc.want}))
		})
	}
}

// expectKept looks for all that was before in what is now.
func expectKept(t *testing.T, now object, before any) {
	t.Helper()
	for name, was := range before.(object) {
		if _, deeper := was.(object); deeper && name == "properties" {
			expectKept(t, now[name].(object), was)
			continue
		}
		NewWithT(t).Expect(now).To(HaveKeyWithValue(name, was))
	}
}

func TestWhatFitsIsNoConflict(t *testing.T) {
	for name, deployment := range map[string]string{
		"an enum with more values":       `{"schema": {"properties": {"deploymentStatus": {"type": "string", "enum": ["Success", "Failed", "Running"]}}}}`,
		"the environments of the guide":  `{"schema": {"properties": {"environment": {"type": "string", "enum": ["Production", "Staging", "Testing"]}}}}`,
		"any text":                       `{"schema": {"properties": {"deploymentStatus": {"type": "string"}}}}`,
		"a required property that comes": `{"schema": {"properties": {"createdAt": {"type": "string", "format": "date-time"}}, "required": ["createdAt"]}}`,
		"a required relation that comes": `{"relations": {"service": {"target": "service", "required": true}}}`,
		"more of everything":             `{"schema": {"properties": {"x": {"type": "object"}}}, "relations": {"y": {"target": "z", "many": true}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := empty(t)
			p.has("deployment", deployment)
			NewWithT(t).Expect(find(t, plan(t, p), "deployment").Conflicts).To(BeEmpty())
		})
	}
}

// Port's own guides compute some of the figures, and the sink then leaves them out.
func TestWhatPortComputesStays(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	p.has("service", `{"aggregationProperties": {"deployment_frequency": {"type": "number"}},
		"calculationProperties": {"deployment_frequency_tier": {"type": "string"}}}`)
	p.has("deployment", `{"mirrorProperties": {"leadTimeHours": {"path": "pullRequest.leadTimeHours"}}}`)
	steps := plan(t, p)
	g.Expect(find(t, steps, "service").Notes).To(Equal([]string{
		"property deployment_frequency is an aggregation property: Port makes its value, and the controller's is not shown; to have that, remove it and run this again",
		"property deployment_frequency_tier is a calculation property: Port makes its value, and the controller's is not shown; " +
			"to have that, remove it and run this again",
	}))
	g.Expect(find(t, steps, "deployment").Notes).To(ConsistOf(HavePrefix("property leadTimeHours is a mirror property: ")))
	g.Expect(bootstrap.Conflicts(steps)).To(BeZero())
	apply(t, p)
	g.Expect(properties(p, "service")).NotTo(HaveKey("deployment_frequency"))
	g.Expect(properties(p, "deployment")).NotTo(HaveKey("leadTimeHours"))
	g.Expect(properties(p, "deployment")).To(HaveKey("leadTimeSeconds"))
}

func TestAScorecardWaitsForItsProperty(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	p.has("service", `{"schema": {"properties": {"lead_time_for_changes_tier": {"type": "number"}}}}`)
	step := find(t, plan(t, p), "service/dora_service_lead_time_for_changes")
	g.Expect(step.Action).To(Equal(bootstrap.Differs))
	g.Expect(step.Conflicts).To(Equal([]string{"it needs the property lead_time_for_changes_tier, which is in conflict: mend that first"}))
	apply(t, p)
	g.Expect(p.server.Document("service/scorecards/dora_service_lead_time_for_changes")).To(BeNil())
	g.Expect(p.server.Document("service/scorecards/dora_service_change_failure_rate")).NotTo(BeNil())
}

func TestAScorecardAndAPageThatAreThereStay(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	p.has("service", `{"identifier": "service"}`)
	const scorecard = "service/scorecards/dora_service_change_failure_rate"
	p.server.PutDocument(scorecard, object{"title": "Ours"})
	p.server.PutDocument("pages/dora_controller", object{"title": "Ours too"})
	apply(t, p)
	g.Expect(p.server.Document(scorecard)).To(Equal(object{"title": "Ours"}))
	g.Expect(p.server.Document("pages/dora_controller")).To(Equal(object{"title": "Ours too"}))
}

func TestAfterAFailureTheRestIsMade(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	p.broken = "/v1/blueprints"
	err := bootstrap.Apply(t.Context(), p, plan(t, p))
	g.Expect(err).To(MatchError(errBroken))
	g.Expect(err).To(MatchError(And(
		HavePrefix("cannot create the blueprint service: "),
		ContainSubstring("; done: blueprint _team; not done: blueprint service, blueprint deployment, blueprint doraIncident, scorecard _team/"),
		HaveSuffix(", page dora_controller"),
	)))
	p.broken = "/v1/blueprints/service/scorecards"
	g.Expect(bootstrap.Apply(t.Context(), p, plan(t, p))).To(MatchError(ContainSubstring("cannot create the scorecard service/dora_service_deployment_frequency")))

	p.broken, p.writes = "", nil
	apply(t, p)
	g.Expect(p.writes).To(HaveLen(5), "four scorecards and the page")
	for _, step := range plan(t, p) {
		g.Expect(step.Pending()).To(BeFalse(), step.Name)
	}
}

func TestAPageThatCannotBeMadeStopsNothing(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	p.broken = "/v1/pages"
	err := bootstrap.Apply(t.Context(), p, plan(t, p))
	var page *bootstrap.PageError
	g.Expect(errors.As(err, &page)).To(BeTrue())
	g.Expect(err).To(MatchError("cannot make the page dora_controller: the destination answered 500 Internal Server Error"))
	for _, step := range plan(t, p) {
		g.Expect(step.Pending()).To(Equal(step.Kind == bootstrap.Page), step.Name)
	}

	p.hidden = "/v1/pages/dora_controller"
	g.Expect(find(t, plan(t, p), "dora_controller").Conflicts).To(Equal([]string{
		"nobody knows whether it is there: the destination answered 403 Forbidden; leave it out, or mend that",
	}))
	options := bootstrap.DefaultOptions()
	options.WithoutPage = true
	steps, err := bootstrap.Plan(t.Context(), p, bootstrap.DefaultNames(), options)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(bootstrap.Conflicts(steps)).To(BeZero())
}

func TestAPlanFailsWhereNothingCanBeRead(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	p.hidden = "/v1/blueprints/service"
	_, err := bootstrap.Plan(t.Context(), p, bootstrap.DefaultNames(), bootstrap.DefaultOptions())
	g.Expect(err).To(MatchError("cannot read the blueprint service: the destination answered 403 Forbidden"))

	p = empty(t)
	p.has("service", `{}`)
	p.hidden = "/v1/blueprints/service/scorecards/dora_service_change_failure_rate"
	_, err = bootstrap.Plan(t.Context(), p, bootstrap.DefaultNames(), bootstrap.DefaultOptions())
	g.Expect(err).To(MatchError("cannot read the scorecard service/dora_service_change_failure_rate: the destination answered 403 Forbidden"))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = bootstrap.Plan(ctx, empty(t), bootstrap.DefaultNames(), bootstrap.DefaultOptions())
	g.Expect(err).To(MatchError(context.Canceled))
}

func TestBlueprintsOfOtherNames(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	p.has("githubPullRequest", `{"schema": {"properties": {"status": {"type": "string"}}}}`)
	names := bootstrap.Names{
		Deployment: "argo/deployment", Service: "@team", Team: bootstrap.None, Incident: bootstrap.None, PullRequest: "githubPullRequest",
	}
	options := bootstrap.DefaultOptions()
	options.Succeeded, options.Environments = "Successful", []string{"live"}
	steps, err := bootstrap.Plan(t.Context(), p, names, options)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(bootstrap.Apply(t.Context(), p, steps)).To(Succeed())

	const deployment = "argo/deployment"
	g.Expect(p.part(deployment, "relations", "service")).To(HaveKeyWithValue("target", "@team"))
	g.Expect(p.part(deployment, "relations", "pullRequest")).To(HaveKeyWithValue("target", "githubPullRequest"))
	g.Expect(p.part(deployment, "schema", "properties", "deploymentStatus")).To(HaveKeyWithValue("enum", ConsistOf("Successful", "Failed")))
	g.Expect(properties(p, "githubPullRequest")).To(And(HaveKey("mergeCommitSha"), HaveKey("status")))
	g.Expect(p.server.Blueprint("doraIncident")).To(BeNil())
	g.Expect(properties(p, "_team")).NotTo(HaveKey("services_count"))

	document, err := bootstrap.PageDocument(names, options)
	g.Expect(err).NotTo(HaveOccurred())
	made, err := json.Marshal(p.server.Document("pages/dora_controller"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(document).To(MatchJSON(made))
	text := string(document)
	g.Expect(text).To(And(ContainSubstring(`"blueprint": "argo/deployment"`), ContainSubstring(`"value": "live"`), ContainSubstring(`"@team": {`)))
	g.Expect(text).NotTo(Or(ContainSubstring("failuresByWeek"), ContainSubstring(`"teams"`), ContainSubstring(`"-"`)))
}

func TestBlueprintsThatOthersMake(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	p.server.DropBlueprint("_team")
	names := bootstrap.DefaultNames()
	names.PullRequest = "githubPullRequest"
	steps, err := bootstrap.Plan(t.Context(), p, names, bootstrap.DefaultOptions())
	g.Expect(err).NotTo(HaveOccurred())
	const absent = "the portal has no such blueprint, and Port or an integration has to make it: name another, or - for none"
	g.Expect(find(t, steps, "_team").Conflicts).To(Equal([]string{absent}))
	g.Expect(find(t, steps, "githubPullRequest").Conflicts).To(Equal([]string{absent}))
	g.Expect(find(t, steps, "deployment").Conflicts).To(Equal([]string{
		"relation pullRequest is not made: the portal has no blueprint githubPullRequest to lead to",
	}))
	g.Expect(bootstrap.Apply(t.Context(), p, steps)).To(Succeed())
	g.Expect(p.server.Blueprint("_team")).To(BeNil())
	g.Expect(p.server.Blueprint("githubPullRequest")).To(BeNil())
	g.Expect(p.part("deployment", "relations")).NotTo(HaveKey("pullRequest"))
}

func TestNothingAtAllIsWanted(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	none := bootstrap.None
	steps, err := bootstrap.Plan(t.Context(), p, bootstrap.Names{none, none, none, none, none}, bootstrap.DefaultOptions())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(bootstrap.Apply(t.Context(), p, steps)).To(Succeed())
	g.Expect(p.writes).To(BeEmpty())
}

func TestThePlanIsReadable(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	p.has("service", `{"schema": {"properties": {
		"change_failure_rate": {"type": "number"}, "change_failure_rate_tier": {"type": "string"}, "deployment_frequency_tier": {"type": "number"},
		"lead_time_for_changes": {"type": "number"}, "lead_time_for_changes_tier": {"type": "string"}, "rework_rate": {"type": "number"},
		"mean_time_to_recovery": {"type": "number"}, "mean_time_to_recovery_tier": {"type": "string"}}},
		"aggregationProperties": {"deployment_frequency": {}}}`)
	p.server.PutDocument("service/scorecards/dora_service_change_failure_rate", object{})
	names := bootstrap.DefaultNames()
	names.Team, names.Deployment, names.Incident = bootstrap.None, bootstrap.None, bootstrap.None
	steps, err := bootstrap.Plan(t.Context(), p, names, bootstrap.DefaultOptions())
	g.Expect(err).NotTo(HaveOccurred())
	want := strings.TrimPrefix(`
blueprint service: to be completed
  + property total_deployments (number)
  ~ property deployment_frequency is an aggregation property: Port makes its value, and the controller's is not shown; to have that, remove it and run this again
  ! property deployment_frequency_tier is of type number, and string is needed: rename it in the portal, or name another blueprint, and run this again
scorecard service/dora_service_deployment_frequency: left as it is, and not as it has to be
  ! it needs the property deployment_frequency_tier, which is in conflict: mend that first
scorecard service/dora_service_lead_time_for_changes: to be created
  + 3 rules about lead_time_for_changes_tier
scorecard service/dora_service_change_failure_rate: there, and left as it is
scorecard service/dora_service_mean_time_to_recovery: to be created
  + 3 rules about mean_time_to_recovery_tier
page dora_controller: to be created
  + dashboard "DORA metrics" with 9 widgets
3 to create, 1 to complete, 1 there; 2 in conflict, to be mended by hand
`, "\n")
	for range 10 {
		g.Expect(printed(t, steps)).To(Equal(want))
	}
}
