package integration_test

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/mark"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// say writes what a target says of an event; without a text it says nothing any more.
func say(ctx context.Context, target *dorav1alpha1.DoraTarget, id, text string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
		target.Annotations = map[string]string{mark.Prefix + id: text}
		if text == "" {
			target.Annotations = nil
		}
		g.Expect(api.Update(ctx, target)).To(Succeed())
	}).WithTimeout(patience).Should(Succeed())
}

// said are the marks of the ledger: the verdict, by whom, and why.
func (p *process) said(g Gomega) (all []string) {
	p.ledger(g, func(ctx context.Context, l ledger.Reader) {
		marks, err := l.Marks(ctx, ledger.MarkQuery{})
		g.Expect(err).NotTo(HaveOccurred())
		for _, m := range marks {
			all = append(all, strings.Join([]string{string(m.Mark.Verdict), m.Mark.By, m.Mark.Reason}, "|"))
		}
	})
	return all
}

var _ = Describe("A mark that is taken back", func() {
	It("is withdrawn by whom and why the annotation says, and by its removal where nobody says", func(ctx SpecContext) {
		database := postgrestest.Start(GinkgoTB()).Database(GinkgoTB())
		GinkgoTB().Setenv("PGPASSWORD", database.Password)
		namespace := newNamespace(ctx, api)
		p := start(cluster, watching(namespace), loopback, func(o *app.Options) { o.Ledger, o.StdoutSink = address(database), false })
		p.awaitBeginning()
		_, sink := receive(ctx, namespace, "receiver", "")
		target := newTarget(ctx, api, namespace, "all", `{applications: {}, sinks: [receiver]}`)
		newApplication(ctx, api, p.clock, namespace, "cart", nil).deploy(v1)
		id := p.expectEvents("cart: succeeded main-1a1a1a1")[0].ID
		reader := postgrestest.Start(GinkgoTB()).Connect(GinkgoTB(), database.Name)

		// everywhere waits until the figures, the table and the sink have as many deployments as people say, and the ledger what they said.
		everywhere := func(deployments int64, verdict dora.Verdict, history ...string) {
			GinkgoHelper()
			Eventually(func(g Gomega) {
				g.Expect(p.said(g)).To(Equal(history))
				g.Expect(api.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
				g.Expect(condition(&target.Status, "MarksRefused")).To(Equal("MarksRefused is absent"))
				g.Expect(summary(g, &target.Status).Counts.Succeeded).To(Equal(deployments))
				var rows int64
				g.Expect(reader.QueryRow(ctx, "SELECT count(*) FROM delivery_events WHERE event_type = 'deploy' AND mark IS NULL").Scan(&rows)).To(Succeed())
				g.Expect(rows).To(Equal(deployments))
				received := sink.Received()
				g.Expect(received).NotTo(BeEmpty())
				var newest dora.Event
				g.Expect(received[len(received)-1].Event.DataAs(&newest)).To(Succeed())
				g.Expect(newest.Verdict()).To(Equal(verdict))
			}).WithTimeout(patience).Should(Succeed())
		}
		history := []string{"ignore|ada|a drill"}
		say(ctx, target, id, "ignore by ada: a drill")
		everywhere(0, dora.Ignore, history...)

		By("an annotation that says who takes it back, and why")
		history = append(history, "|bob|users met it")
		say(ctx, target, id, "withdrawn by bob: users met it")
		everywhere(1, dora.Withdrawn, history...)

		By("the removal of an annotation, by somebody who uses git")
		history = append(history, "ignore|ada|a drill after all")
		say(ctx, target, id, "ignore by ada: a drill after all")
		everywhere(0, dora.Ignore, history...)
		history = append(history, "|removal from DoraTarget "+namespace+"/all|")
		say(ctx, target, id, "")
		everywhere(1, dora.Withdrawn, history...)
	})
})
