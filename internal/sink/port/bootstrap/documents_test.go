package bootstrap_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/port"
	"github.com/dora-controller/dora-controller/internal/sink/port/bootstrap"
)

// ready is a portal that has everything.
func ready(t *testing.T) *portal {
	t.Helper()
	p := empty(t)
	p.has("githubPullRequest", `{}`)
	names := bootstrap.DefaultNames()
	names.PullRequest = "githubPullRequest"
	steps, err := bootstrap.Plan(t.Context(), p, names, bootstrap.DefaultOptions())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(bootstrap.Apply(t.Context(), p, steps)).To(Succeed())
	return p
}

// The blueprints have what the sink writes, and besides that nothing that it would leave empty.
func TestBlueprintsHaveWhatTheSinkWrites(t *testing.T) {
	p := ready(t)
	for blueprint, writes := range map[string][]port.Property{
		"deployment": port.DeploymentProperties(), "doraIncident": port.IncidentProperties(),
		"service": port.ServiceProperties(), "_team": port.TeamProperties(),
	} {
		g := NewWithT(t)
		has := properties(p, blueprint)
		for _, want := range writes {
			g.Expect(has).To(HaveKey(want.Name), blueprint)
			got, _ := has[want.Name].(object)
			g.Expect(got).To(HaveKeyWithValue("type", want.Type), want.Name)
			g.Expect(got).To(HaveKeyWithValue("title", want.Title), want.Name)
			g.Expect(got).To(HaveKeyWithValue("description", want.Description), want.Name)
			if want.Format == "" {
				g.Expect(got).NotTo(HaveKey("format"), want.Name)
			} else {
				g.Expect(got).To(HaveKeyWithValue("format", want.Format), want.Name)
			}
			delete(has, want.Name)
		}
		delete(has, "description") // of Port's own blueprint of teams
		g.Expect(has).To(BeEmpty(), blueprint)
	}
	g := NewWithT(t)
	g.Expect(p.part("deployment", "relations")).To(And(HaveLen(2), HaveKey(port.RelationService), HaveKey(port.RelationPullRequest)))
	g.Expect(p.part("doraIncident", "relations")).To(And(HaveLen(2), HaveKey(port.RelationService), HaveKey(port.RelationDeployment)))
	g.Expect(properties(p, "githubPullRequest")).To(HaveKey(port.MergeCommit))
}

// What Port's reference asks of identifiers and texts: docs.port.io/api-reference/create-a-blueprint and create-a-scorecard.
var key = regexp.MustCompile(`^[A-Za-z0-9@_=\\-]{1,100}$`)

func TestDocumentsKeepPortsLimits(t *testing.T) {
	g := NewWithT(t)
	p := ready(t)
	for _, blueprint := range []string{"deployment", "doraIncident", "service"} {
		thing := p.part(blueprint)
		g.Expect(len(text(thing, "title"))).To(And(BeNumerically(">=", 1), BeNumerically("<=", 100)))
		g.Expect(len(text(thing, "description"))).To(BeNumerically("<=", 200))
		for name, property := range properties(p, blueprint) {
			g.Expect(name).To(MatchRegexp(key.String()))
			for value := range members(property, "enumColors") {
				g.Expect(items(property, "enum")).To(ContainElement(value), name)
			}
		}
	}
}

func TestScorecardsFollowTheTiers(t *testing.T) {
	g := NewWithT(t)
	p := ready(t)
	rules := map[string]bool{}
	cards := 0
	for _, step := range plan(t, p) {
		if step.Kind != bootstrap.Scorecard {
			continue
		}
		cards++
		blueprint, identifier, _ := strings.Cut(step.Name, "/")
		card := p.server.Document(blueprint + "/scorecards/" + identifier)
		var levels []string
		for _, level := range items(card, "levels") {
			levels = append(levels, text(level, "title"))
		}
		g.Expect(levels).To(Equal([]string{"Low", "Medium", "High", "Elite"}), "Port's lowest level comes first")
		for _, c := range items(card["filter"], "conditions") {
			g.Expect(properties(p, blueprint)).To(HaveKey(text(c, "property")))
		}
		for _, rule := range items(card, "rules") {
			name, level := text(rule, "identifier"), text(rule, "level")
			g.Expect(name).To(MatchRegexp(key.String()))
			g.Expect(rules).NotTo(HaveKey(name), "rules are entities of their own in newer portals")
			rules[name] = true
			g.Expect(levels[1:]).To(ContainElement(level), "no rule is of the lowest level")
			g.Expect(reached(g, p, blueprint, rule)).To(ConsistOf(levels[slices.Index(levels, level):]))
		}
	}
	g.Expect(cards).To(Equal(8))
	g.Expect(rules).To(HaveLen(24))
}

// reached are the tiers that pass a rule.
func reached(g *WithT, p *portal, blueprint string, rule any) []string {
	query, _ := rule.(object)["query"].(object)
	var tiers []string
	for _, c := range items(query, "conditions") {
		property := properties(p, blueprint)[text(c, "property")]
		g.Expect(items(property, "enum")).To(ContainElement(text(c, "value")))
		g.Expect(text(c, "operator")).To(Equal("="))
		tiers = append(tiers, text(c, "value"))
	}
	g.Expect(query).To(HaveKeyWithValue("combinator", "or"))
	return tiers
}

// Port shows an empty widget for a property that is not there, and says nothing.
func TestWidgetsShowWhatIsThere(t *testing.T) {
	g := NewWithT(t)
	p := ready(t)
	frames := items(p.server.Document("pages/dora_controller"), "widgets")
	g.Expect(frames).To(HaveLen(1))
	g.Expect(text(frames[0], "type")).To(Equal("dashboard-widget"))
	names := map[string]bool{}
	for _, w := range items(frames[0], "widgets") {
		names[text(w, "id")] = true
		expectShown(g, p, w)
	}
	expectLayout(g, frames[0], names)
}

// expectShown looks for all that a widget names.
func expectShown(g *WithT, p *portal, w any) {
	id := text(w, "id")
	for _, line := range append(items(w, "lines"), w) {
		blueprint := text(line, "blueprint")
		if blueprint == "" { // a chart, whose lines have one each
			g.Expect(items(line, "lines")).NotTo(BeEmpty(), id)
			continue
		}
		has := properties(p, blueprint)
		for name := range p.part(blueprint, "relations") {
			has[name] = true
		}
		named := []string{strings.TrimPrefix(text(line, "property"), "property#"), text(line, "measureTimeBy")}
		for _, name := range items(line, "properties") {
			named = append(named, strings.TrimPrefix(name.(string), "properties."))
		}
		for _, rule := range items(line.(object)["dataset"], "rules") {
			named = append(named, text(rule, "property"))
		}
		settings := members(members(line, "blueprintConfig")[blueprint], "propertiesSettings")
		for _, name := range slices.Concat(items(settings, "order"), items(settings, "shown")) {
			named = append(named, name.(string))
		}
		for _, name := range named {
			if name != "" && name != "$title" {
				g.Expect(has).To(HaveKey(name), "%s of %s", id, blueprint)
			}
		}
	}
}

// expectLayout holds the layout against Port's grid: rows of 12, each at least 400 high and of at most 4 columns of at least 3.
func expectLayout(g *WithT, frame any, widgets map[string]bool) {
	for _, row := range items(frame, "layout") {
		height, _ := row.(object)["height"].(float64)
		g.Expect(height).To(BeNumerically(">=", 400))
		columns := items(row, "columns")
		g.Expect(len(columns)).To(BeNumerically("<=", 4))
		var whole float64
		for _, c := range columns {
			size, _ := c.(object)["size"].(float64)
			g.Expect(size).To(BeNumerically(">=", 3))
			whole += size
			g.Expect(widgets).To(HaveKey(text(c, "id")))
			delete(widgets, text(c, "id"))
		}
		g.Expect(whole).To(Equal(12.0))
	}
	g.Expect(widgets).To(BeEmpty(), "widgets without a place")
}
