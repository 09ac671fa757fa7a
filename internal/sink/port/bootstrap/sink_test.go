package bootstrap_test

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/port"
	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// newSink is the sink of a portal, with the settings of a DoraSink that has none, but for that of pull requests.
func newSink(t *testing.T, p *portal, pullRequest string) *port.Sink {
	t.Helper()
	s, err := port.New(port.Options{
		Name: "shop/port", BaseURL: p.server.URL, ClientID: "machine", ClientSecret: sinktest.Secret("port"), Guard: loopback,
		Blueprints: port.Blueprints{Deployment: "deployment", Service: "service", Team: "_team", Incident: "doraIncident", PullRequest: pullRequest},
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return s
}

// What the sink has no place for it leaves out, so it is not enough that nothing is refused.
func TestABootstrappedPortalTakesEverything(t *testing.T) {
	g := NewWithT(t)
	p := empty(t)
	s := newSink(t, p, "")
	g.Expect(s.Check(t.Context())).NotTo(Succeed(), "a new portal has none of the blueprints")
	apply(t, p)
	g.Expect(s.Check(t.Context())).To(Succeed())

	p.server.PutEntity("service", porttest.Entity{Identifier: "cart"})
	p.server.PutEntity("_team", porttest.Entity{Identifier: "shop"})
	for batch := range slices.Chunk(sinktest.Events(), s.Batch()) {
		_, err := s.Send(t.Context(), batch)
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err := s.SendFigures(t.Context(), sinktest.Figures())
	g.Expect(err).NotTo(HaveOccurred())

	for _, id := range []string{"e1", "e2", "e3", "e4"} {
		expectWhole(t, p, "deployment", id, port.DeploymentProperties())
		g.Expect(p.server.Entity("deployment", id).Relations).To(HaveKeyWithValue(port.RelationService, "cart"))
	}
	expectWhole(t, p, "doraIncident", "f1", port.IncidentProperties())
	g.Expect(p.server.Entity("doraIncident", "f1").Relations).To(And(
		HaveKeyWithValue(port.RelationService, "cart"), HaveKeyWithValue(port.RelationDeployment, "e2"),
	))
	expectWhole(t, p, "service", "cart", port.ServiceProperties())
	expectWhole(t, p, "_team", "shop", port.TeamProperties())
	g.Expect(p.server.Entity("service", "cart").Properties).To(HaveKeyWithValue("lead_time_for_changes_tier", "Elite"))
}

func TestABootstrappedPortalRelatesPullRequests(t *testing.T) {
	NewWithT(t).Expect(newSink(t, ready(t), "githubPullRequest").Check(t.Context())).To(Succeed())
}

// expectWhole looks for all properties of an entity. A deployment of unknown outcome has no status.
func expectWhole(t *testing.T, p *portal, blueprint, identifier string, writes []port.Property) {
	t.Helper()
	g := NewWithT(t)
	entity := p.server.Entity(blueprint, identifier)
	g.Expect(entity).NotTo(BeNil(), identifier)
	for _, property := range writes {
		if property.Name == "deploymentStatus" && entity.Properties["outcome"] == "unknown" {
			continue
		}
		g.Expect(entity.Properties).To(HaveKey(property.Name), identifier)
	}
}
