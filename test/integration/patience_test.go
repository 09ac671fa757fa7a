package integration_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
)

var _ = Describe("degradedFor", Ordered, func() {
	var (
		s    *stage
		cart *argoApp
		at   time.Time // when it became Degraded, by Argo's clock
	)

	BeforeAll(func(ctx SpecContext) { s = newStage(ctx) })

	BeforeEach(func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		s.open(ctx)
		newTarget(ctx, api, namespace, "cart", `{applications: {}, degradedFor: 60s}`)
		Eventually(func(g Gomega) {
			view, err := s.targets.View(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(view).To(ContainElement(HaveField("Object.Namespace", namespace)))
		}).WithTimeout(patience).Should(Succeed())

		cart = newApplication(ctx, api, s.clock, namespace, "cart", nil)
		s.see(ctx, cart)
		for _, image := range []string{v1, v2} {
			cart.sync(image)
			s.see(ctx, cart)
			if image == v1 {
				cart.becomes("Healthy")
				s.see(ctx, cart)
				cart.wait(time.Hour)
			}
		}
		cart.becomes("Degraded")
		at = cart.now
		s.see(ctx, cart)
		Expect(told(s.events(ctx))).To(Equal([]string{"cart: succeeded main-1a1a1a1"}))
	})

	It("is waited for by Argo's clock, to the moment", func(ctx SpecContext) {
		Expect(s.due[cart.subject()]).To(Equal(at.Add(time.Minute)), "that is when to look again")
		s.clock.SetTime(at.Add(time.Minute - time.Millisecond))
		s.look(ctx, cart.subject())
		Expect(s.events(ctx)).To(HaveLen(1))

		s.clock.SetTime(at.Add(time.Minute))
		s.look(ctx, cart.subject())
		events := s.events(ctx)
		Expect(told(events)).To(Equal([]string{"cart: succeeded main-1a1a1a1", "cart: failed main-2b2b2b2", "cart: degraded"}))
		Expect([]time.Time{events[1].OccurredAt, events[2].OccurredAt}).To(Equal([]time.Time{at, at}), "it happened when Argo said so")
		Expect(events[2].Type).To(Equal(dora.TypeDegraded))
	})

	It("is not begun anew by a restart", func(ctx SpecContext) {
		s.clock.SetTime(at.Add(50 * time.Second))
		s.subjects = []subject{cart.subject()}
		s.restart(ctx)
		Expect(s.due[cart.subject()]).To(Equal(at.Add(time.Minute)))
	})

	It("is longer than a blip, which is no failure", func(ctx SpecContext) {
		cart.becomes("Healthy")
		s.see(ctx, cart)
		s.clock.SetTime(at.Add(time.Hour))
		s.look(ctx, cart.subject())
		Expect(told(s.events(ctx))).To(Equal([]string{"cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2"}))
	})
})
