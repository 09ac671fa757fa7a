package integration_test

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

var _ = Describe("Shards of one cluster", func() {
	It("see each object once, in one database, and say that they count a part", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		server := postgrestest.Start(GinkgoTB())
		database := server.Database(GinkgoTB())
		GinkgoTB().Setenv("PGPASSWORD", database.Password)
		sharing := func(o *app.Options) {
			o.LeaderElect, o.LeaderElectionNamespace, o.LeaseDuration = true, namespace, patience/2
			o.Ledger = fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable&search_path=dora",
				database.User, net.JoinHostPort(database.Host, strconv.Itoa(database.Port)), database.Name)
		}
		rest := start(cluster, watching(namespace), sharing)
		payments := startAt(cluster, rest.clock, watching(namespace), sharing, func(o *app.Options) { o.Shard = "payments" })
		rest.awaitBeginning()
		payments.awaitBeginning()
		ofRest := newTarget(ctx, api, namespace, "all", `{applications: {}}`)
		ofPayments := newTarget(ctx, api, namespace, "payments", `{applications: {}}`, func(t *dorav1alpha1.DoraTarget) {
			t.Labels = map[string]string{dorav1alpha1.LabelShard: "payments"}
		})

		cart := newApplication(ctx, api, rest.clock, namespace, "cart", nil)
		card := newApplication(ctx, api, rest.clock, namespace, "card", map[string]string{dorav1alpha1.LabelShard: "payments"})
		cart.deploy(v1)
		card.deploy(v1)
		rest.expectEvents("cart: succeeded main-1a1a1a1")
		Eventually(payments.events).WithTimeout(patience).Should(ConsistOf(And(HaveField("Service", "card"), HaveField("Cluster", "test"))))
		expectPart(ctx, ofRest, "cart", "Following 1 Application and 0 Rollouts")
		expectPart(ctx, ofPayments, "card",
			"Following 1 Application and 0 Rollouts; only what is labelled dora-controller.io/shard=payments is seen and counted here")

		By("moving an Application into the other shard, which takes its first deployment for the event that it is already")
		card.relabel(ctx, nil)
		rest.expectFollowed(2)
		card.deploy(v2)
		events := rest.expectEvents("cart: succeeded main-1a1a1a1", "card: succeeded main-1a1a1a1", "card: succeeded main-2b2b2b2")
		Expect(payments.events(Default)).To(ConsistOf(HaveField("ID", events[1].ID)))
		Eventually(payments.subjects).WithTimeout(patience).Should(ConsistOf(HaveField("DeletedAt.IsZero()", false)))
		By("the table that everybody reads, which has each event once")
		rows, err := server.Connect(GinkgoTB(), database.Name).Query(ctx, "SELECT service || ' ' || outcome FROM dora.delivery_events ORDER BY 1")
		Expect(err).NotTo(HaveOccurred())
		Expect(pgx.CollectRows(rows, pgx.RowTo[string])).To(Equal([]string{"card succeeded", "card succeeded", "cart succeeded"}))
		Expect(rest.ready()).To(Succeed(), "neither has taken the ledger from the other")
		Expect(payments.ready()).To(Succeed())
	})
})

// expectPart waits until a target counts one deployment of one service, and says so in these words.
func expectPart(ctx context.Context, target *dorav1alpha1.DoraTarget, service, message string) {
	GinkgoHelper()
	expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
		g.Expect(s.Services).To(ConsistOf(HaveField("Service", service)))
		g.Expect(s.Summary.Counts.Succeeded).To(Equal(int64(1)))
		g.Expect(s.Conditions).To(ContainElement(And(HaveField("Type", "Ready"), HaveField("Status", metav1.ConditionTrue), HaveField("Message", message))))
	})
}
