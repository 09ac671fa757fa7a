package integration_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	dto "github.com/prometheus/client_model/go"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/deploy"
)

var _ = Describe("A DoraTarget", func() {
	var (
		namespace string
		p         *process
		target    *dorav1alpha1.DoraTarget
		cart      *argoApp
	)

	BeforeEach(func(ctx SpecContext) {
		namespace = newNamespace(ctx, api)
		p = start(cluster, watching(namespace), func(o *app.Options) { o.Explain = true })
		p.awaitReady()
		target = newTarget(ctx, api, namespace, "shop", `{applications: {matchLabels: {team: shop}}, degradedFor: 0s}`)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=False (NothingSelected)"))
			g.Expect(condition(s, "Reconciling")).To(Equal("Reconciling=True (NothingSelected)"))
		})
		cart = newApplication(ctx, api, p.clock, namespace, "cart", map[string]string{"team": "shop", "env": "prod"})
		cart.deploy(v1)
		p.expectEvents("cart: succeeded main-1a1a1a1")
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(1)))
		})
	})

	It("shows exact figures", func(ctx SpecContext) {
		cart.deploy(v2)
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		cart.sync(v3)
		cart.becomes("Degraded") // 3 s after the sync has ended
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2", "cart: failed main-3c3c3c3", "cart: degraded")
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(s.OpenFailures).To(HaveLen(1))
			g.Expect(s.OpenFailures[0].Service).To(Equal("cart"))
			g.Expect(summary(g, s).Counts.OpenFailures).To(Equal(int64(1)))
		})
		cart.wait(10*time.Minute - 3*time.Second)
		cart.becomes("Healthy")
		cart.wait(time.Hour)
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2", "cart: failed main-3c3c3c3", "cart: degraded", "cart: recovered")

		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
			g.Expect(s.ObservedGeneration).To(Equal(target.Generation))
			g.Expect(s.ObservedSubjects).To(HaveValue(Equal(dorav1alpha1.ObservedSubjects{Applications: 1})))
			g.Expect(s.ServiceCount).To(Equal(int64(1)))
			g.Expect(s.OpenFailures).To(BeEmpty())
			g.Expect(s).To(HaveField("LastDeployment.Version", Equal("main-3c3c3c3")))
			g.Expect(s).To(HaveField("LastDeployment.Outcome", Equal(dorav1alpha1.OutcomeFailed)))

			f := summary(g, s)
			g.Expect(f.Counts).To(Equal(dorav1alpha1.Counts{Succeeded: 2, Failed: 1}))
			g.Expect(f.DeploymentFrequency.Samples).To(Equal(int64(3)), "the failed one reached Healthy by itself later")
			g.Expect(f.ChangeFailureRate).To(Equal(dorav1alpha1.FailureRateFigure{Ratio: "0.3333", Failures: 1, Samples: 3, Band: dorav1alpha1.BandLow}))
			g.Expect(f.Recovery).To(Equal(dorav1alpha1.RecoveryFigure{
				P50Seconds: new(int64(600)), P90Seconds: new(int64(600)), Samples: 1, Band: dorav1alpha1.BandElite,
			}))
			g.Expect(f.LeadTime).To(Equal(dorav1alpha1.LeadTimeFigure{}), "no commit time is known")
			g.Expect(f.Rework).To(Equal(dorav1alpha1.ReworkFigure{Ratio: "0", Samples: 2}))
			g.Expect(f.Band).To(Equal(dorav1alpha1.BandLow))

			g.Expect(s.Services).To(HaveLen(1))
			g.Expect(s.Services[0].Service).To(Equal("cart"))
			g.Expect(s.Services[0].Team).To(Equal("shop"))
			g.Expect(s.Services[0].Environment).To(Equal("prod"))
			g.Expect(s.Services[0].Figures).To(Equal(*f))
			g.Expect([]string{s.Display.Services, s.Display.Environment, s.Display.Deployments, s.Display.ChangeFailureRate, s.Display.RecoveryP50}).
				To(Equal([]string{"1", "prod", "3", "33%", "10m"}))
		})
	})

	It("tells in Kubernetes events what happened, and when asked what was not counted", func(ctx SpecContext) {
		cart.sync(v2)
		cart.becomes("Degraded")
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: failed main-2b2b2b2", "cart: degraded")
		cart.becomes("Healthy")
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: failed main-2b2b2b2", "cart: degraded", "cart: recovered")
		cart.wait(time.Minute)
		cart.deploy(v2) // a re-sync of the same images
		p.expectDecision(cart.object, deploy.ReasonSameImages)

		Eventually(func(g Gomega) {
			var list eventsv1.EventList
			g.Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
			notes := map[string]string{}
			for _, e := range list.Items {
				g.Expect(e.Regarding.Kind + "/" + e.Regarding.Name).To(Equal("DoraTarget/shop"))
				g.Expect(e.Related.Kind + "/" + e.Related.Name).To(Equal("Application/cart"))
				if notes[e.Reason] == "" {
					notes[e.Reason] = e.Type + ": " + e.Note
				}
			}
			g.Expect(notes).To(HaveKeyWithValue("Deployed", "Normal: cart in prod runs main-1a1a1a1"))
			g.Expect(notes).To(HaveKeyWithValue("DeploymentFailed", HavePrefix("Warning: cart in prod failed to run main-2b2b2b2 (was main-1a1a1a1)")))
			g.Expect(notes).To(HaveKeyWithValue("Degraded", HavePrefix("Warning: cart in prod is degraded after the deployment with event id ")))
			g.Expect(notes).To(HaveKeyWithValue("Recovered", HavePrefix("Normal: cart in prod has recovered after 3 s")))
			g.Expect(notes).To(HaveKeyWithValue("SameImages", HavePrefix("Normal: cart: ")))
		}).WithTimeout(patience).Should(Succeed())
	})

	It("counts what an Application deployed that is gone", func(ctx SpecContext) {
		Expect(api.Delete(ctx, cart.object)).To(Succeed())
		p.expectGone(cart.object)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=False (NothingSelected)"))
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(1)))
			g.Expect(s.Services).To(HaveLen(1))
		})
	})

	It("follows labels: what is relabelled moves to the target that selects it now", func(ctx SpecContext) {
		other := newTarget(ctx, api, namespace, "search", `{applications: {matchLabels: {team: search}}}`)
		cart.relabel(ctx, map[string]string{"team": "search", "env": "prod", "service": "basket"})
		p.expectDecision(cart.object, deploy.ReasonRebased)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=False (NothingSelected)"))
			g.Expect(s.ServiceCount).To(BeZero())
		})
		cart.deploy(v2)
		p.expectEvents("cart: succeeded main-1a1a1a1", "basket: succeeded main-2b2b2b2")
		expectStatus(ctx, other, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(2)))
			g.Expect(s.ServiceCount).To(Equal(int64(2)), "what it deployed as cart stays cart's")
		})
	})

	It("stands still while it is suspended, and reads from history what happened meanwhile", func(ctx SpecContext) {
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Suspend = true })
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=False (Suspended)"))
			g.Expect(condition(s, "Reconciling")).To(Equal("Reconciling is absent"))
			g.Expect(condition(s, "Stalled")).To(Equal("Stalled is absent"))
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(1)))
		})
		p.expectFollowed(0)
		cart.deploy(v2)
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Suspend = false })
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(2)))
		})
	})

	It("takes its metrics along when it is deleted, and its Applications are followed no more", func(ctx SpecContext) {
		p.expectFollowed(1)
		Eventually(p.series).WithTimeout(patience).Should(ContainElement(`dora_target_deployments{namespace="` + namespace + `",target="shop"} 1`))
		Expect(p.series()).To(ContainElements(
			`dora_deployments_total{environment="prod",outcome="succeeded",service="cart",team="shop"} 1`,
			`dora_events_total{outcome="succeeded",type="deploy"} 1`,
			`dora_open_failures{} 0`,
			`dora_history_gaps{} 0`,
		))
		Expect(api.Delete(ctx, target)).To(Succeed())
		p.expectFollowed(0)
		Eventually(p.series).WithTimeout(patience).ShouldNot(ContainElement(ContainSubstring("dora_target_")))
		cart.deploy(v2)
		p.end()
		Expect(told(p.events(Default))).To(Equal([]string{"cart: succeeded main-1a1a1a1"}))
	})

	It("says so when an older target decides, and both count", func(ctx SpecContext) {
		younger := newTarget(ctx, api, namespace, "younger", `{applications: {}, service: {value: whole-shop}, failureWindow: 2h}`)
		expectStatus(ctx, younger, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
			g.Expect(condition(s, "PolicyOverridden")).To(Equal("PolicyOverridden=True (PolicyOwnedByAnother)"))
			g.Expect(s.Conditions).To(ContainElement(HaveField("Message", And(
				ContainSubstring("DoraTarget "+namespace+"/shop"), ContainSubstring("degradedFor, failureWindow, service")))))
		})
		cart.deploy(v2)
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		for _, each := range []*dorav1alpha1.DoraTarget{target, younger} {
			expectStatus(ctx, each, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
				g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(2)))
				g.Expect(s.Services[0].Service).To(Equal("cart"))
			})
		}
		Expect(condition(&target.Status, "PolicyOverridden")).To(Equal("PolicyOverridden is absent"))
		Expect(api.Delete(ctx, target)).To(Succeed())
		expectStatus(ctx, younger, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "PolicyOverridden")).To(Equal("PolicyOverridden is absent"))
		})
		p.expectDecision(cart.object, deploy.ReasonRebased)
	})
})

// summary is that of a status, once it has one.
func summary(g Gomega, s *dorav1alpha1.DoraTargetStatus) *dorav1alpha1.Figures {
	g.Expect(s.Summary).NotTo(BeNil())
	return s.Summary
}

// series are the metrics of the process as Prometheus would store them.
func (p *process) series() []string {
	GinkgoHelper()
	families, err := p.metrics.Gather()
	Expect(err).NotTo(HaveOccurred())
	var all []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			all = append(all, seriesOf(family.GetName(), m))
		}
	}
	return all
}

func seriesOf(name string, m *dto.Metric) string {
	labels := make([]string, 0, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
	return fmt.Sprintf("%s{%s} %v", name, strings.Join(labels, ","), value)
}

// expectFollowed waits until so many Applications are followed.
func (p *process) expectFollowed(applications int) {
	GinkgoHelper()
	Eventually(p.series).WithTimeout(patience).WithPolling(20 * time.Millisecond).
		Should(ContainElement(fmt.Sprintf(`dora_followed_subjects{kind="Application"} %d`, applications)))
}
