package integration_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
)

var _ = Describe("Tenants", func() {
	It("see their own namespace, and all of them from a trusted one", func(ctx SpecContext) {
		blue, green, platform := newNamespace(ctx, api), newNamespace(ctx, api), newNamespace(ctx, api)
		p := start(cluster, watching(blue, green, platform), func(o *app.Options) { o.TrustedNamespaces = []string{platform} })
		ofBlue := newTarget(ctx, api, blue, "all", `{applications: {}}`)
		ofGreen := newTarget(ctx, api, green, "all", `{applications: {}}`)
		curious := newTarget(ctx, api, green, "curious", `{applications: {namespaces: [`+blue+`]}}`)
		fleet := newTarget(ctx, api, platform, "fleet", `{applications: {}}`)
		part := newTarget(ctx, api, platform, "part", `{applications: {namespaces: [`+green+`]}}`)
		p.awaitReady()

		cart := newApplication(ctx, api, p.clock, blue, "cart", nil)
		cart.deploy(v1)
		p.expectEvents("cart: succeeded main-1a1a1a1")
		newApplication(ctx, api, p.clock, green, "search", nil).deploy(v2)
		p.expectEvents("cart: succeeded main-1a1a1a1", "search: succeeded main-2b2b2b2")

		for _, sees := range []struct {
			target   *dorav1alpha1.DoraTarget
			services []string
		}{{ofBlue, []string{"cart"}}, {ofGreen, []string{"search"}}, {fleet, []string{"cart", "search"}}, {part, []string{"search"}}} {
			expectStatus(ctx, sees.target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
				g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
				var services []string
				for _, service := range s.Services {
					services = append(services, service.Service)
					g.Expect(service.Counts.Succeeded).To(Equal(int64(1)))
				}
				g.Expect(services).To(Equal(sees.services))
			})
		}
		expectStatus(ctx, curious, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=False (NamespaceNotAllowed)"))
			g.Expect(condition(s, "Stalled")).To(Equal("Stalled=True (NamespaceNotAllowed)"))
			g.Expect(s.ServiceCount).To(BeZero())
		})
	})

	It("are not seen at all outside of the namespaces that are watched", func(ctx SpecContext) {
		seen, hidden := newNamespace(ctx, api), newNamespace(ctx, api)
		p := start(cluster, watching(seen), func(o *app.Options) { o.TrustedNamespaces = []string{seen} })
		p.awaitReady()
		fleet := newTarget(ctx, api, seen, "fleet", `{applications: {}}`)
		newTarget(ctx, api, hidden, "all", `{applications: {}}`)
		newApplication(ctx, api, p.clock, hidden, "search", nil).deploy(v1)
		expectStatus(ctx, fleet, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=False (NothingSelected)"))
		})
		cart := newApplication(ctx, api, p.clock, seen, "cart", nil)
		cart.deploy(v1)
		p.expectEvents("cart: succeeded main-1a1a1a1")

		p.end()
		Expect(p.options.Namespaces).To(Equal([]string{seen}))
		p.options.Namespaces, p.options.TrustedNamespaces = []string{hidden}, nil
		p = p.restart(cluster)
		p.expectFollowed(1)
		Expect(p.subject(cart.object).DeletedAt.IsZero()).To(BeTrue(), "what is out of sight is not gone")
	})
})
