package integration_test

import (
	"context"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// Two API servers, as docs/recipes.md has them: Argo CD and its Applications are in one, the Rollouts that it deploys in the other. A controller watches
// each, and both keep their ledgers in one database.
var _ = Describe("A management cluster, and Rollouts in another", func() {
	It("count each deployment once, where the label says", func(ctx SpecContext) {
		elsewhere := newServer(ownCRDs, argoCRDs).Config
		away := clientFor(elsewhere)
		argocd, shop := newNamespace(ctx, api), newNamespace(ctx, away)
		database := postgrestest.Start(GinkgoTB()).Database(GinkgoTB())
		GinkgoTB().Setenv("PGPASSWORD", database.Password)
		of := func(name string) func(*app.Options) {
			return func(o *app.Options) { o.Cluster, o.Ledger, o.StdoutSink = name, address(database), false }
		}
		management := start(cluster, watching(argocd), of("management"))
		eu := startAt(elsewhere, management.clock, watching(shop), of("eu-1"))
		management.awaitBeginning()
		eu.awaitBeginning()
		applications := newTarget(ctx, api, argocd, "all-clusters",
			`{applications: {matchExpressions: [{key: counted-by, operator: NotIn, values: [rollout]}]}}`)
		rollouts := newTarget(ctx, away, shop, "rollouts", `{rollouts: {matchLabels: {counted-by: rollout}}}`)
		labels := map[string]string{"counted-by": "rollout"}

		By("an Application that counts, though its Rollout is out of sight; nobody asks the Rollout")
		searched := newRollout(ctx, away, eu.clock, shop, "search")
		search := newApplication(ctx, api, management.clock, argocd, "search", nil).brings(shop, "search")
		for _, image := range []string{v1, v2} {
			searched.deploy(image)
			search.deploy(image)
		}
		management.expectEvents("search: succeeded main-1a1a1a1", "search: succeeded main-2b2b2b2")

		By("a Rollout that counts, and tells an abort for what it is; nobody asks its Application")
		carted := newRollout(ctx, away, eu.clock, shop, "cart", func(o *unstructured.Unstructured) { o.SetLabels(labels) })
		cart := newApplication(ctx, api, management.clock, argocd, "cart", labels).brings(shop, "cart")
		carted.deploy(v1)
		cart.deploy(v1)
		eu.expectEvents("cart: succeeded main-1a1a1a1")
		cart.sync(v2)
		carted.abort(v2)
		cart.becomes("Degraded")
		eu.expectEvents("cart: succeeded main-1a1a1a1", "cart: rolled_back main-2b2b2b2", "cart: degraded", "cart: recovered")

		By("what both say once all was seen")
		search.deploy(v3)
		management.expectEvents("search: succeeded main-1a1a1a1", "search: succeeded main-2b2b2b2", "search: succeeded main-3c3c3c3")
		expectServices(ctx, applications, "search")
		expectStatusOn(ctx, away, rollouts, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(s.Services).To(ConsistOf(HaveField("Service", "cart")))
			g.Expect(s.ObservedSubjects).To(HaveValue(Equal(dorav1alpha1.ObservedSubjects{Rollouts: 1})))
		})
		Expect(deliveryEvents(ctx, database)).To(Equal([]string{
			"eu-1 cart rolled_back", "eu-1 cart succeeded", "management search succeeded", "management search succeeded", "management search succeeded",
		}))
	})
})

func expectServices(ctx context.Context, target *dorav1alpha1.DoraTarget, names ...string) {
	GinkgoHelper()
	expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
		var services []string
		for i := range s.Services {
			services = append(services, s.Services[i].Service)
		}
		g.Expect(services).To(Equal(names))
	})
}

// deliveryEvents are the deployments in the table that everybody reads.
func deliveryEvents(ctx context.Context, d postgrestest.Database) []string {
	GinkgoHelper()
	rows, err := postgrestest.Start(GinkgoTB()).Connect(GinkgoTB(), d.Name).Query(ctx,
		"SELECT cluster || ' ' || service || ' ' || outcome FROM delivery_events WHERE event_type = 'deploy' ORDER BY 1")
	Expect(err).NotTo(HaveOccurred())
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	Expect(err).NotTo(HaveOccurred())
	return found
}
