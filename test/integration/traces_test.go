package integration_test

import (
	"context"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents/cloudeventstest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
	"github.com/dora-controller/dora-controller/internal/tracing/tracingtest"
)

var _ = Describe("Traces", func() {
	It("tell of one deployment from the observation to the sinks, and no secret", func(ctx SpecContext) {
		collector := tracingtest.New(GinkgoTB())
		GinkgoT().Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
		GinkgoT().Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
		traces, err := app.NewTraces(ctx, "v1", "test", logr.Discard())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { traces.Close(ctx) })

		namespace, repo, token := newNamespace(ctx, api), committest.New(GinkgoTB()), sinktest.Secret("traced")
		server := serveGit(repo)
		server.locked.Store(true)
		receiver := cloudeventstest.New(GinkgoTB(), cloudeventstest.Settings{Token: token})
		newSecret(ctx, namespace, "git", map[string]string{"username": "ci", "password": canary})
		newSecret(ctx, namespace, "hooks", map[string]string{"token": token})
		newSink(ctx, namespace, "hooks", `{type: CloudEvents, default: true, cloudEvents: {url: "`+receiver.URL+`", secretRef: {name: hooks}}}`)
		p := start(cluster, watching(namespace), loopback, func(o *app.Options) {
			o.GitCache, o.Tracer = GinkgoT().TempDir(), traces.Tracer
		})
		p.awaitReady()
		newTarget(ctx, api, namespace, "shop",
			`{applications: {}, degradedFor: 0s, source: {repository: {url: "`+server.URL+`/repo.git"}, secretRef: {name: git}}}`)

		commits := []string{repo.Commit(committest.Commit{}), repo.Commit(committest.Commit{})}
		cart := newApplication(ctx, api, p.clock, namespace, "cart", nil)
		for i, sha := range commits {
			cart.deploy(image(sha))
			Eventually(func(g Gomega) {
				events := p.events(g)
				g.Expect(events).To(HaveLen(i + 1))
				g.Expect(events[i].Version.Commit).To(Equal(sha))
			}).WithTimeout(patience).Should(Succeed())
		}
		id := p.eventsSoon(2)[1].ID

		var whole tracingtest.Span
		var deliveries []tracingtest.Span
		Eventually(func(g Gomega) {
			roots := collector.Trace(strings.ReplaceAll(id, "-", ""))
			g.Expect(roots).To(HaveLen(1), tracingtest.Names(roots))
			whole, deliveries = roots[0], nil
			whole.Parts = slices.DeleteFunc(slices.Clone(whole.Parts), func(s tracingtest.Span) bool {
				if s.Name == "deliver" {
					deliveries = append(deliveries, s)
				}
				return s.Name == "deliver"
			})
			g.Expect(tracingtest.Names([]tracingtest.Span{whole})).To(Equal(
				"reconcile Application(decide, find commits(open repository, read commit, read range, write ledger), write ledger)"))
			sinks := map[string]bool{}
			for _, d := range deliveries {
				sinks[d.Attributes["dora.sink"]+" "+d.Attributes["dora.delivery"]] = true
			}
			g.Expect(sinks).To(Equal(map[string]bool{namespace + "/hooks delivered": true, "stdout delivered": true}))
		}).WithTimeout(patience).Should(Succeed())
		Expect(whole.Failed).To(BeEmpty())
		Expect(whole.Attributes).To(Equal(map[string]string{
			"dora.event.id": id, "dora.event.type": "deploy", "dora.outcome": "succeeded", "dora.service": "cart", "dora.environment": "production",
			"dora.subject.kind": "Application", "dora.subject.namespace": namespace, "dora.subject.name": "cart",
		}))
		Expect(whole.Parts[1].Attributes).To(HaveKeyWithValue("dora.commits", "1"))
		Expect(whole.Parts[1].Parts[0].Attributes).To(And(HaveKeyWithValue("dora.provider", "Git"), HaveKeyWithValue("server.address", strings.TrimPrefix(server.URL, "http://"))))
		Expect(whole.Began).To(BeNumerically("<=", whole.Parts[0].Began))
		Expect(whole.Parts[0].Ended).To(BeNumerically("<=", whole.Ended))

		Expect(sinktest.Leaks(collector.Text())).To(BeFalse())
		Expect(collector.Text()).NotTo(ContainSubstring("://"), "no URL at all")
		for _, received := range receiver.Received() {
			Expect(received.Header).NotTo(HaveKey("Traceparent"))
			Expect(received.Event.Extensions()).NotTo(HaveKey("traceparent"))
		}
	})

	It("do not keep anything waiting whose collector hangs", func(ctx SpecContext) {
		hanging := cloudeventstest.New(GinkgoTB(), cloudeventstest.Settings{})
		asked := make(chan struct{}, 100)
		hanging.Hang(func() {
			select {
			case asked <- struct{}{}:
			default:
			}
		})
		GinkgoT().Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", hanging.URL)
		GinkgoT().Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
		traces, err := app.NewTraces(ctx, "v1", "test", logr.Discard())
		Expect(err).NotTo(HaveOccurred())
		namespace := newNamespace(ctx, api)
		p := start(cluster, watching(namespace), func(o *app.Options) { o.Tracer = traces.Tracer })
		p.awaitReady()
		newTarget(ctx, api, namespace, "shop", `{applications: {}, degradedFor: 0s}`)
		cart := newApplication(ctx, api, p.clock, namespace, "cart", nil)
		cart.deploy(v1)
		Eventually(asked).WithTimeout(patience).Should(Receive())
		cart.deploy(v2)
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		p.end()
		over, cancel := context.WithCancel(ctx)
		cancel()
		traces.Close(over)
	})
})
