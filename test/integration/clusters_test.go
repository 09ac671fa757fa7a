package integration_test

import (
	"net/url"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// Each namespace plays a cluster of its own: one process watches it, under the cluster's name, and nobody else does.
var _ = Describe("Several clusters", func() {
	var database postgrestest.Database

	BeforeEach(func() {
		database = postgrestest.Start(GinkgoTB()).Database(GinkgoTB())
		GinkgoTB().Setenv("PGPASSWORD", database.Password)
	})

	in := func(name, namespace string) *process {
		GinkgoHelper()
		p := start(cluster, watching(namespace), func(o *app.Options) {
			o.Cluster, o.Ledger, o.StdoutSink, o.TrustedNamespaces = name, address(database), false, []string{namespace}
		})
		p.awaitBeginning()
		return p
	}

	It("deploy a service that is spread over them once, when the last has it", func(ctx SpecContext) {
		eu, us := newNamespace(ctx, api), newNamespace(ctx, api)
		inEU, inUS := in("eu-1", eu), in("us-1", us)
		newTarget(ctx, api, us, "shop", `{applications: {}, service: {value: shop}}`)
		target := newTarget(ctx, api, eu, "shop", `{applications: {}, service: {value: shop}, spread: All, clusters: [us-1]}`)
		cartEU, cartUS := newApplication(ctx, api, inEU.clock, eu, "cart", nil), newApplication(ctx, api, inUS.clock, us, "cart", nil)
		cartEU.deploy(v1)
		inEU.expectEvents("shop: succeeded main-1a1a1a1")
		cartUS.deploy(v1)
		inUS.expectEvents("shop: succeeded main-1a1a1a1")
		cartEU.deploy(v2)
		inEU.expectEvents("shop: succeeded main-1a1a1a1", "shop: succeeded main-2b2b2b2")
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).DeploymentFrequency.Samples).To(Equal(int64(1)), "us-1 does not have v2 yet")
			g.Expect(condition(s, "Incomplete")).To(Equal("Incomplete is absent"))
		})
		cartUS.deploy(v2)
		inUS.expectEvents("shop: succeeded main-1a1a1a1", "shop: succeeded main-2b2b2b2")
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Window = "31d" }) // or a minute goes by
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).DeploymentFrequency.Samples).To(Equal(int64(2)))
			g.Expect(s.ServiceCount).To(Equal(int64(1)))
			g.Expect(s.ObservedSubjects).To(HaveValue(Equal(dorav1alpha1.ObservedSubjects{Applications: 1})), "what this cluster has")
		})
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Spread = dorav1alpha1.SpreadEach })
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).DeploymentFrequency.Samples).To(Equal(int64(4)))
		})
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Clusters = []dorav1alpha1.ClusterName{"us-2"} })
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).DeploymentFrequency.Samples).To(Equal(int64(2)))
			g.Expect(condition(s, "Incomplete")).To(Equal("Incomplete=True (ClusterNotFound)"))
		})
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Clusters = []dorav1alpha1.ClusterName{"*"} })
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).DeploymentFrequency.Samples).To(Equal(int64(4)))
			g.Expect(condition(s, "Incomplete")).To(Equal("Incomplete is absent"))
		})
		inEU.expectEvents("shop: succeeded main-1a1a1a1", "shop: succeeded main-2b2b2b2") // and not those of us-1
	})
})

func address(d postgrestest.Database) string {
	query := url.Values{"sslmode": {"disable"}}
	u := url.URL{
		Scheme: "postgres", User: url.User(d.User), Host: d.Host + ":" + strconv.Itoa(d.Port), Path: d.Name, RawQuery: query.Encode(),
	}
	return u.String()
}
