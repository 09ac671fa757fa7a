package integration_test

import (
	"context"
	"crypto/sha256"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

var _ = Describe("A quiet hour", func() {
	DescribeTable("writes nothing: no status, no row, no byte of the ledger", func(ctx SpecContext, where func() func(*app.Options)) {
		namespace := newNamespace(ctx, api)
		p := start(cluster, watching(namespace), loopback, where())
		p.awaitReady()
		p.awaitBeginning()
		target := newTarget(ctx, api, namespace, "shop", `{applications: {matchLabels: {team: shop}}, degradedFor: 0s, statusInterval: 1s}`)
		sink, _ := receive(ctx, namespace, "events", `, default: true`)
		cart := newApplication(ctx, api, p.clock, namespace, "cart", map[string]string{"team": "shop"})
		cart.deploy(v1)
		p.expectEvents("cart: succeeded main-1a1a1a1")
		cart.wait(20 * 24 * time.Hour) // followed for less than the window, it has a rate that falls with time
		cart.deploy(v2)
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(2)))
		})
		expectSink(ctx, p, sink, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(HaveSuffix(" 2/0/0"))
		})
		var before written
		Eventually(func(g Gomega) {
			now := read(ctx, g, p, target, sink)
			now, before = before, now
			g.Expect(now).To(Equal(before))
		}).WithTimeout(patience).WithPolling(3 * time.Second).Should(Succeed())

		for minute := range 60 {
			p.clock.Step(time.Minute)
			for range 6 { // as a kubelet asks by default
				Expect(p.ready()).To(Succeed())
				Expect(p.probe("healthz")).To(Succeed())
			}
			if minute%3 == 0 { // as Argo CD does, though nothing happened
				looks := reconciled("application")
				cart.write(func(status object) { status["reconciledAt"] = p.clock.Now().UTC().Format(time.RFC3339) })
				Eventually(func() float64 { return reconciled("application") }).WithTimeout(patience).Should(BeNumerically(">", looks))
			}
		}
		looks := reconciled("doratarget")
		newTarget(ctx, api, namespace, "another", `{applications: {matchLabels: {team: none}}}`) // has both looked at, a second later
		Eventually(func() float64 { return reconciled("doratarget") }).WithTimeout(patience).Should(BeNumerically(">=", looks+2))
		Consistently(func(g Gomega) {
			g.Expect(read(ctx, g, p, target, sink)).To(Equal(before))
		}).WithTimeout(3 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
	},
		Entry("with a ledger in a file", func() func(*app.Options) { return func(*app.Options) {} }, NodeTimeout(3*time.Minute)),
		Entry("with a ledger in PostgreSQL", inPostgres, NodeTimeout(3*time.Minute)),
	)
})

// written is what an hour in which nothing happens must leave as it is.
type written struct {
	objects  map[string]string // versions
	revision int64
	files    map[string][sha256.Size]byte
	// row is the ledger's, which every transaction writes.
	row string
}

func read(ctx context.Context, g Gomega, p *process, objects ...client.Object) written {
	w := written{objects: map[string]string{}, files: map[string][sha256.Size]byte{}}
	for _, o := range objects {
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		accessor, err := meta.Accessor(o)
		g.Expect(err).NotTo(HaveOccurred())
		w.objects[accessor.GetName()] = accessor.GetResourceVersion()
	}
	p.ledger(g, func(ctx context.Context, l ledger.Reader) {
		revision, err := l.Revision(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		w.revision = revision
	})
	if strings.HasPrefix(p.options.Ledger, "postgres://") {
		w.row = ledgerRow(ctx, g, p)
		return w
	}
	for _, end := range []string{"", "-wal"} {
		content, err := os.ReadFile(p.options.Ledger + end)
		g.Expect(err).NotTo(HaveOccurred())
		w.files[end] = sha256.Sum256(content)
	}
	return w
}

func ledgerRow(ctx context.Context, g Gomega, p *process) (row string) {
	conn, err := pgx.Connect(ctx, p.options.Ledger)
	g.Expect(err).NotTo(HaveOccurred())
	defer conn.Close(ctx)
	g.Expect(conn.QueryRow(ctx, "SELECT ledgers::text || ' ' || xmin FROM ledgers WHERE cluster = $1", p.options.Cluster).Scan(&row)).To(Succeed())
	return row
}

// reconciled is how often a controller has looked at something.
func reconciled(controller string) (looks float64) {
	families, err := metrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		if family.GetName() != "controller_runtime_reconcile_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "controller" && label.GetValue() == controller {
					looks += m.GetCounter().GetValue()
				}
			}
		}
	}
	return looks
}
