package integration_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

var _ = Describe("Of two processes", func() {
	It("one leads, and the other takes over without losing or repeating an event", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		newTarget(ctx, api, namespace, "all", `{applications: {}}`)
		elected := func(o *app.Options) { o.LeaderElect, o.LeaderElectionNamespace = true, namespace }
		first := start(cluster, watching(namespace), elected)
		first.awaitReady()
		second := startAt(cluster, first.clock, watching(namespace), elected, func(o *app.Options) { o.Ledger = first.options.Ledger })
		Eventually(func() error { return second.probe("healthz") }).WithTimeout(patience).Should(Succeed())
		Eventually(second.ready).WithTimeout(patience).Should(MatchError(ContainSubstring("[+]caches ok\n[-]ledger failed")), "its caches are warm, and it stands by")

		cart := newApplication(ctx, api, first.clock, namespace, "cart", nil)
		cart.deploy(v1)
		first.expectEvents("cart: succeeded main-1a1a1a1")
		Expect(second.ready()).NotTo(Succeed())
		cart.sync(v2)
		first.end()
		cart.becomes("Healthy")
		second.awaitReady()
		second.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		Eventually(func(g Gomega) { // the sink gets it after the ledger
			g.Expect(told(second.stdout.events(g))).To(Equal([]string{"cart: succeeded main-2b2b2b2"}), "the first had told the other")
		}).WithTimeout(patience).Should(Succeed())
	})

	It("the one that stands by for a database is ready, and a leader that was overtaken there ends without writing", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		newTarget(ctx, api, namespace, "all", `{applications: {}}`)
		shared := inPostgres()
		elected := func(o *app.Options) { o.LeaderElect, o.LeaderElectionNamespace = true, namespace }
		first := start(cluster, watching(namespace), elected, shared)
		first.awaitBeginning()
		cart := newApplication(ctx, api, first.clock, namespace, "cart", nil)
		cart.deploy(v1)
		first.expectEvents("cart: succeeded main-1a1a1a1")
		second := startAt(cluster, first.clock, watching(namespace), elected, shared)
		second.awaitReady()
		Expect(second.stdout.string()).To(BeEmpty(), "it stands by")
		second.end() // or it takes over from the first, and from the third too

		third := startAt(cluster, first.clock, watching(namespace), shared) // as a leader whom the first, being paused, does not know of
		third.awaitReady()
		cart.deploy(v2)
		third.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		var err error
		Eventually(func(g Gomega) {
			_ = first.ready() // which looks whose the ledger is
			g.Expect(first.ended).To(Receive(&err))
		}).WithTimeout(patience).Should(Succeed())
		Expect(err).To(MatchError(ledger.ErrFenced))
		first.ended <- nil // so that the end of the test finds it ended
	})

	It("the one that finds the ledger in use waits, even without an election", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		first := start(cluster, watching(namespace))
		first.awaitReady()
		second := startAt(cluster, first.clock, watching(namespace), func(o *app.Options) { o.Ledger = first.options.Ledger })
		Eventually(second.ready).WithTimeout(patience).Should(MatchError(ContainSubstring("[-]ledger failed")))
		first.end()
		second.awaitReady()
	})
})

var _ = Describe("A process", func() {
	It("refuses a file that is no ledger, and leaves it as it is", func(ctx SpecContext) {
		path := filepath.Join(GinkgoT().TempDir(), "notes.txt")
		Expect(os.WriteFile(path, []byte("these are my notes, and no ledger at all"), 0o600)).To(Succeed())
		controller, err := app.New(cluster, app.Options{
			Ledger: path, Cluster: "test", MetricsAddress: "0", ProbeAddress: "0", Namespaces: []string{newNamespace(ctx, api)},
		})
		Expect(err).NotTo(HaveOccurred())
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		Expect(controller.Run(limited)).To(MatchError(ContainSubstring("cannot open the ledger")))
		Expect(os.ReadFile(path)).To(BeEquivalentTo("these are my notes, and no ledger at all"))
	})

	It("starts without Argo's CRDs, says so, and follows what appears without a restart", func(ctx SpecContext) {
		bare := newServer(ownCRDs).Config
		c := clientFor(bare)
		namespace := newNamespace(ctx, c)
		p := start(bare)
		apps := newTarget(ctx, c, namespace, "apps", `{applications: {}}`)
		both := newTarget(ctx, c, namespace, "both", `{applications: {}, rollouts: {}}`)
		p.awaitReady()
		expectStatusOn(ctx, c, apps, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=False (ArgoCRDsMissing)"))
			g.Expect(condition(s, "Reconciling")).To(Equal("Reconciling=True (ArgoCRDsMissing)"))
		})

		install(bare, "application-crd.yaml")
		expectStatusOn(ctx, c, apps, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=False (NothingSelected)"))
		})
		newApplication(ctx, c, p.clock, namespace, "cart", nil).deploy(v1)
		p.expectEvents("cart: succeeded main-1a1a1a1")
		expectStatusOn(ctx, c, both, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
			g.Expect(s.Conditions).To(ContainElement(HaveField("Message", ContainSubstring("Rollout not installed"))))
		})

		install(bare, "rollout-crd.yaml")
		search := newRollout(ctx, c, p.clock, namespace, "search")
		search.deploy(v2)
		p.expectEvents("cart: succeeded main-1a1a1a1", "search: succeeded main-2b2b2b2")
		expectStatusOn(ctx, c, both, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(s.ObservedSubjects).To(HaveValue(Equal(dorav1alpha1.ObservedSubjects{Applications: 1, Rollouts: 1})))
			g.Expect(s.Conditions).NotTo(ContainElement(HaveField("Message", ContainSubstring("not installed"))))
		})
	}, NodeTimeout(3*time.Minute))
})

// inPostgres puts the ledger into a new database.
func inPostgres() func(*app.Options) {
	GinkgoHelper()
	database := postgrestest.Start(GinkgoTB()).Database(GinkgoTB())
	GinkgoTB().Setenv("PGPASSWORD", database.Password)
	return func(o *app.Options) {
		o.Ledger = fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable&search_path=dora",
			database.User, net.JoinHostPort(database.Host, strconv.Itoa(database.Port)), database.Name)
	}
}

func install(config *rest.Config, file string) {
	GinkgoHelper()
	_, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{filepath.Join(argoCRDs, file)}, ErrorIfPathMissing: true})
	Expect(err).NotTo(HaveOccurred())
}

// subject is what the ledger remembers of an object.
func (p *process) subject(of interface{ GetUID() types.UID }) (found ledger.Subject) {
	GinkgoHelper()
	p.ledger(Default, func(ctx context.Context, l ledger.Reader) {
		subjects, err := l.Subjects(ctx, ledger.SubjectQuery{UID: string(of.GetUID())})
		Expect(err).NotTo(HaveOccurred())
		Expect(subjects).To(HaveLen(1))
		found = subjects[0]
	})
	return found
}
