package integration_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

const (
	v1 = "registry.example.com/cart:main-1a1a1a1"
	v2 = "registry.example.com/cart:main-2b2b2b2"
	v3 = "registry.example.com/cart:main-3c3c3c3"
)

var _ = Describe("An Application that is followed", func() {
	var (
		namespace string
		p         *process
		cart      *argoApp
	)

	BeforeEach(func(ctx SpecContext) {
		namespace = newNamespace(ctx, api)
		p = start(cluster, watching(namespace))
		newTarget(ctx, api, namespace, "cart", `{applications: {}, degradedFor: 0s}`)
		p.awaitReady()
		cart = newApplication(ctx, api, p.clock, namespace, "cart", map[string]string{"team": "shop", "env": "prod"})
		cart.deploy(v1)
		p.expectEvents("cart: succeeded main-1a1a1a1")
	})

	It("leads to one event for each deployment, and each is told to the sink", func() {
		cart.deploy(v2)
		events := p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")

		Expect(events[0].Previous).To(Equal(dora.Predecessor{Known: true}), "the first deployment has no version before it")
		Expect(events[1].Previous.Version.Tag).To(Equal("main-1a1a1a1"))
		Expect(events[1].Version.Commit).To(Equal("2b2b2b2"))
		Expect([]string{events[1].Team, events[1].Environment, events[1].Cluster}).To(Equal([]string{"shop", "prod", "test"}))
		Eventually(func(g Gomega) { g.Expect(jsonOf(p.stdout.events(g))).To(Equal(jsonOf(events))) }).
			WithTimeout(patience).Should(Succeed())
	})

	It("is none where an operation fails at once, and no credential that Argo CD quotes is kept", func() {
		cart.fail("failed to fetch https://ci:" + canary + "@git.example.com/acme/deploy-config.git: token=" + canary)
		p.expectDecision(cart.object, deploy.ReasonNothing)
	})

	It("is counted as failed while production is degraded, until it recovers", func() {
		cart.sync(v2)
		cart.becomes("Degraded")
		events := p.expectEvents("cart: succeeded main-1a1a1a1", "cart: failed main-2b2b2b2", "cart: degraded")
		Expect(events[2].CausedBy).To(Equal(events[1].ID))

		cart.wait(10 * time.Minute)
		cart.sync(v3)
		cart.becomes("Healthy")
		events = p.expectEvents("cart: succeeded main-1a1a1a1", "cart: failed main-2b2b2b2", "cart: degraded",
			"cart: succeeded main-3c3c3c3", "cart: recovered")
		Expect(*events[3].Unplanned).To(BeTrue(), "it was made because production was broken")
		Expect(events[4].FailureID).To(Equal(events[2].FailureID))
	})

	It("is rolled back when an earlier version returns", func() {
		cart.deploy(v2)
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		cart.deploy(v1)
		events := p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2", "cart: rolled_back main-1a1a1a1")
		Expect(*events[2].IsRollback).To(BeTrue())
		Expect(*events[2].Success).To(BeTrue())
	})

	It("loses nothing and repeats nothing over a restart in the middle of a deployment", func() {
		cart.sync(v2)
		p = p.restart(cluster)
		p.awaitReady()
		cart.becomes("Healthy")
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
	})

	It("is judged by Argo's history after a time when nobody watched", func() {
		p.end()
		cart.deploy(v2)
		cart.deploy(v3)
		p = p.restart(cluster)
		events := p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-3c3c3c3")
		Expect(events[1].Previous.Known).To(BeFalse(), "a version lay between that nothing tells of any more")
	})

	It("is nothing new when it is recreated with the same images", func(ctx SpecContext) {
		Expect(api.Delete(ctx, cart.object)).To(Succeed())
		cart = newApplication(ctx, api, p.clock, namespace, "cart", map[string]string{"team": "shop", "env": "prod"})
		cart.deploy(v1)
		p.expectDecision(cart.object, deploy.ReasonRecreated)
		cart.deploy(v2)
		events := p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		Expect(events[1].Previous.Version.Tag).To(Equal("main-1a1a1a1"))
		Expect(events[1].Subject.UID).NotTo(Equal(events[0].Subject.UID))
	})

	It("is gone for the ledger too, also when it vanishes while nobody watches", func(ctx SpecContext) {
		search := newApplication(ctx, api, p.clock, namespace, "search", nil)
		search.deploy(v1)
		p.expectEvents("cart: succeeded main-1a1a1a1", "search: succeeded main-1a1a1a1")
		Expect(api.Delete(ctx, cart.object)).To(Succeed())
		p.expectGone(cart.object)

		p.end()
		Expect(api.Delete(ctx, search.object)).To(Succeed())
		p = p.restart(cluster)
		p.expectGone(search.object)
	})
})
