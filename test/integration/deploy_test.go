package integration_test

import (
	. "github.com/onsi/ginkgo/v2"

	"github.com/dora-controller/dora-controller/internal/app"
)

var _ = Describe("An Application", func() {
	It("leads to one event for each deployment", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		p := start(cluster, func(o *app.Options) { o.Namespaces = []string{namespace} })
		newTarget(ctx, api, namespace, "cart", `{applications: {}}`)
		p.awaitReady()
		cart := newApplication(ctx, api, namespace, "cart", nil)
		cart.deploy("registry.example.com/cart:main-1a1a1a1")
		cart.deploy("registry.example.com/cart:main-2b2b2b2")
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
	})
})
