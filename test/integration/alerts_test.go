package integration_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

var _ = Describe("A DoraTarget with alerts", func() {
	It("tells once that a service fell, also after a restart, and that it is up again", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		p := start(cluster, watching(namespace))
		p.awaitReady()
		target := newTarget(ctx, api, namespace, "shop", `{applications: {}, degradedFor: 0s, window: 1d, statusInterval: 1s, alerts: {}}`)
		cart := newApplication(ctx, api, p.clock, namespace, "cart", map[string]string{"team": "shop", "env": "prod"})
		cart.deploy(v1)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(1)))
			g.Expect(condition(s, "Worsened")).To(Equal("Worsened=False (NothingWorsened)"))
		})
		falls := func(g Gomega) []string {
			var list eventsv1.EventList
			g.Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
			notes := []string{}
			for _, e := range list.Items {
				if e.Reason == "ServiceFell" {
					g.Expect(e.Series).To(BeNil(), "it was told more than once")
					notes = append(notes, e.Regarding.Kind+"/"+e.Regarding.Name+" "+e.Type+": "+e.Note)
				}
			}
			return notes
		}

		cart.wait(24 * time.Hour) // v1 is in the window before: 0 of 1 attempt failed; and of this one: 1 of 5, the fewest of which one is told
		for n := range 4 {
			cart.deploy(fmt.Sprintf("registry.example.com/cart:main-4d4d4d%d", n))
		}
		cart.sync(v2)
		cart.becomes("Degraded")
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "Worsened")).To(Equal("Worsened=True (ServiceFell)"))
			g.Expect(s.Alerts).To(HaveLen(1))
		})
		told := []string{"DoraTarget/shop Warning: cart in prod fell from Elite to High by its ChangeFailureRate, compared with the window before"}
		Eventually(falls).WithTimeout(patience).Should(Equal(told))
		since := target.Status.Alerts[0].Since

		p = p.restart(cluster)
		p.awaitReady()
		cart.becomes("Healthy")
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).Counts.OpenFailures).To(BeZero())
			g.Expect(condition(s, "Worsened")).To(Equal("Worsened=True (ServiceFell)"))
			g.Expect(s.Alerts).To(HaveLen(1))
			g.Expect(s.Alerts[0].Since.Time).To(BeTemporally("==", since.Time))
		})

		cart.wait(24 * time.Hour)
		cart.deploy(v3)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(s.LastDeployment).To(HaveField("Version", "main-3c3c3c3"))
			g.Expect(condition(s, "Worsened")).To(Equal("Worsened=False (NothingWorsened)"))
		})
		Eventually(func(g Gomega) {
			var list eventsv1.EventList
			g.Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
			g.Expect(list.Items).To(ContainElement(HaveField("Note", HavePrefix("cart in prod runs main-3c3c3c3"))))
			g.Expect(falls(g)).To(Equal(told))
		}).WithTimeout(patience).Should(Succeed())
	})
})
