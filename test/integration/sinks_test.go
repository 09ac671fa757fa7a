package integration_test

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents/cloudeventstest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// loopback lets sinks, which run on this machine, be reached.
func loopback(o *app.Options) { o.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// newSink creates a DoraSink whose spec is written as YAML, until the spec ends: other specs watch all namespaces.
func newSink(ctx context.Context, namespace, name, spec string) *dorav1alpha1.DoraSink {
	GinkgoHelper()
	s := &dorav1alpha1.DoraSink{}
	Expect(yaml.UnmarshalStrict([]byte(spec), &s.Spec)).To(Succeed(), spec)
	s.Namespace, s.Name = namespace, name
	Expect(api.Create(ctx, s)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(api.Delete(ctx, s))).To(Succeed()) })
	return s
}

// receive creates a DoraSink that posts to a receiver.
func receive(ctx context.Context, namespace, name, more string) (*dorav1alpha1.DoraSink, *cloudeventstest.Receiver) {
	GinkgoHelper()
	receiver := cloudeventstest.New(GinkgoTB(), cloudeventstest.Settings{})
	return newSink(ctx, namespace, name, `{type: CloudEvents, sends: [Events], cloudEvents: {url: "`+receiver.URL+`"}`+more+`}`), receiver
}

func newSecret(ctx context.Context, namespace, name string, values map[string]string) {
	GinkgoHelper()
	Expect(api.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: values})).To(Succeed())
}

// expectSink waits until the status of a sink passes. Time passes meanwhile, for those who wait for another attempt.
func expectSink(ctx context.Context, p *process, s *dorav1alpha1.DoraSink, pass func(g Gomega, status *dorav1alpha1.DoraSinkStatus)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		p.clock.Step(time.Second)
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(s), s)).To(Succeed())
		pass(g, &s.Status)
	}).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
}

// stateOf tells a sink's readiness and counts in words.
func stateOf(s *dorav1alpha1.DoraSinkStatus) string {
	c := meta.FindStatusCondition(s.Conditions, dorav1alpha1.ConditionReady)
	if c == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s (%s) %d/%d/%d", c.Status, c.Reason, s.Delivered, s.Pending, s.Parked)
}

func changeSink(ctx context.Context, s *dorav1alpha1.DoraSink, change func()) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(s), s)).To(Succeed())
		change()
		g.Expect(api.Update(ctx, s)).To(Succeed())
	}).WithTimeout(patience).Should(Succeed())
}

func annotateSink(ctx context.Context, s *dorav1alpha1.DoraSink, key, value string) {
	GinkgoHelper()
	changeSink(ctx, s, func() {
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		s.Annotations[key] = value
	})
}

var _ = Describe("Sinks", func() {
	var (
		namespace, other string
		p                *process
		cart             *argoApp
	)

	BeforeEach(func(ctx SpecContext) {
		namespace, other = newNamespace(ctx, api), newNamespace(ctx, api)
		p = start(cluster, watching(namespace, other), loopback, func(o *app.Options) {
			o.TrustedNamespaces, o.SinkGrace = []string{other}, 24*time.Hour
		})
		p.awaitReady()
	})

	// newCart creates the Application, after the target that follows it: what it deploys first is then a deployment.
	newCart := func(ctx context.Context) {
		cart = newApplication(ctx, api, p.clock, namespace, "cart", map[string]string{"team": "shop"})
	}

	It("get what the targets count that name them, or the defaults of the namespace", func(ctx SpecContext) {
		named, ofNamed := receive(ctx, namespace, "named", "")
		fallback, ofDefault := receive(ctx, namespace, "fallback", ", default: true")
		_, ofFailures := receive(ctx, namespace, "failures", `, filter: 'event.outcome == "failed"'`)
		_, ofShared := receive(ctx, other, "shared", ", shared: true")
		_, ofPrivate := receive(ctx, other, "private", "")
		target := newTarget(ctx, api, namespace, "all", `{applications: {}, sinks: [named, failures, `+other+`/shared, `+other+`/private]}`)
		newCart(ctx)
		cart.deploy(v1)
		id := p.expectEvents("cart: succeeded main-1a1a1a1")[0].ID
		Eventually(ofNamed.IDs).WithTimeout(patience).Should(Equal([]string{id}))
		Eventually(ofShared.IDs).WithTimeout(patience).Should(Equal([]string{id}))
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "SinksMissing")).To(Equal("SinksMissing=True (SinkNotFound)"))
		})
		expectSink(ctx, p, named, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("True (Delivering) 1/0/0"))
			g.Expect(s.LastDelivery).NotTo(BeNil())
		})

		second := newTarget(ctx, api, namespace, "second", `{applications: {}}`)
		expectSink(ctx, p, fallback, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("True (Delivering) 0/0/0"))
		})
		expectStatus(ctx, second, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
		})
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Sinks = spec.Sinks[:2] })
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "SinksMissing")).To(Equal("SinksMissing is absent"))
		})
		cart.deploy(v2)
		events := p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		Eventually(ofNamed.IDs).WithTimeout(patience).Should(Equal([]string{id, events[1].ID}))
		Eventually(ofDefault.IDs).WithTimeout(patience).Should(Equal([]string{events[1].ID}), "the second target names none")
		Expect(ofShared.IDs()).To(Equal([]string{id}), "no target names it any more")
		Expect(ofFailures.IDs()).To(BeEmpty())
		Expect(ofPrivate.IDs()).To(BeEmpty(), "it is not shared")
	})

	It("are owed events before they exist, keep them while they are gone, and lose them after the grace time", func(ctx SpecContext) {
		newTarget(ctx, api, namespace, "all", `{applications: {}, sinks: [late]}`)
		newCart(ctx)
		cart.deploy(v1)
		id := p.expectEvents("cart: succeeded main-1a1a1a1")[0].ID
		late, receiver := receive(ctx, namespace, "late", "")
		Eventually(receiver.IDs).WithTimeout(patience).Should(Equal([]string{id}))

		Expect(api.Delete(ctx, late)).To(Succeed())
		state := func(g Gomega) (found *ledger.SinkState) {
			p.ledger(g, func(ctx context.Context, l ledger.Reader) {
				states, err := l.(interface {
					Sinks(ctx context.Context) ([]ledger.SinkState, error)
				}).Sinks(ctx)
				g.Expect(err).NotTo(HaveOccurred())
				for i := range states {
					if states[i].Sink == namespace+"/late" {
						found = &states[i]
					}
				}
			})
			return found
		}
		Eventually(func(g Gomega) {
			g.Expect(state(g)).To(HaveField("GoneAt", Not(BeZero())))
		}).WithTimeout(patience).Should(Succeed())
		cart.deploy(v2)
		events := p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		late, receiver = receive(ctx, namespace, "late", "")
		Eventually(receiver.IDs).WithTimeout(patience).Should(ContainElement(events[1].ID), "what came while it was gone")

		Expect(api.Delete(ctx, late)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(state(g)).To(HaveField("GoneAt", Not(BeZero())))
		}).WithTimeout(patience).Should(Succeed())
		cart.deploy(v3)
		p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2", "cart: succeeded main-3c3c3c3")
		cart.wait(25 * time.Hour)
		late, _ = receive(ctx, namespace, "elsewhere", "")
		Expect(api.Delete(ctx, late)).To(Succeed())
		Eventually(func(g Gomega) {
			cart.wait(time.Minute)
			g.Expect(state(g)).To(BeNil())
			var list eventsv1.EventList
			g.Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
			g.Expect(list.Items).To(ContainElement(And(HaveField("Reason", "DeliveriesDropped"), HaveField("Note", ContainSubstring("1 events")))))
		}).WithTimeout(patience).WithPolling(50 * time.Millisecond).Should(Succeed())
	})

	It("are filled with what they missed, though no target names them, when they come back in time", func(ctx SpecContext) {
		fallback, receiver := receive(ctx, namespace, "fallback", ", default: true")
		expectSink(ctx, p, fallback, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("True (Delivering) 0/0/0"))
		})
		newTarget(ctx, api, namespace, "all", `{applications: {}}`)
		newCart(ctx)
		cart.deploy(v1)
		first := p.expectEvents("cart: succeeded main-1a1a1a1")[0].ID
		Eventually(receiver.IDs).WithTimeout(patience).Should(Equal([]string{first}))
		Expect(api.Delete(ctx, fallback)).To(Succeed())
		Eventually(func(g Gomega) {
			var list eventsv1.EventList
			g.Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
			g.Expect(list.Items).To(ContainElement(HaveField("Reason", "SinkGone")))
		}).WithTimeout(patience).Should(Succeed())
		cart.deploy(v2)
		second := p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")[1].ID
		_, receiver = receive(ctx, namespace, "fallback", ", default: true")
		Eventually(receiver.IDs).WithTimeout(patience).Should(ContainElement(second))
	})

	It("are filled, tried again and sent to again when somebody asks", func(ctx SpecContext) {
		target := newTarget(ctx, api, namespace, "all", `{applications: {}, sinks: [none]}`)
		newCart(ctx)
		cart.deploy(v1)
		p.expectEvents("cart: succeeded main-1a1a1a1")
		cart.deploy(v2)
		events := p.expectEvents("cart: succeeded main-1a1a1a1", "cart: succeeded main-2b2b2b2")
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Sinks = []dorav1alpha1.SinkName{"late"} })

		since := events[1].OccurredAt.Format(time.RFC3339)
		late, receiver := receive(ctx, namespace, "late", ", backfillSince: "+since)
		Eventually(receiver.IDs).WithTimeout(patience).Should(Equal([]string{events[1].ID}))
		expectSink(ctx, p, late, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(s.Requests).To(HaveField("Backfilled", int64(1)))
		})
		annotateSink(ctx, late, dorav1alpha1.AnnotationResend, "event="+events[0].ID+" # please")
		Eventually(receiver.IDs).WithTimeout(patience).Should(Equal([]string{events[1].ID, events[0].ID}))
		annotateSink(ctx, late, dorav1alpha1.AnnotationResend, "since=yesterday")
		expectSink(ctx, p, late, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(s).To(HaveField("Requests.Error", Equal(`annotation dora-controller.io/resend: "yesterday" is no time: write it as 2026-01-31T00:00:00Z`)))
		})

		receiver.Answer(422, "no thanks")
		cart.deploy(v3)
		expectSink(ctx, p, late, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("True (Delivering) 2/0/1"))
			g.Expect(meta.IsStatusConditionTrue(s.Conditions, "Parked")).To(BeTrue())
		})
		receiver.Behave(nil)
		annotateSink(ctx, late, dorav1alpha1.AnnotationRetry, "now")
		expectSink(ctx, p, late, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("True (Delivering) 3/0/0"))
			g.Expect(s.Requests).To(HaveField("Retried", int64(1)))
		})
		Expect(receiver.IDs()).To(HaveLen(3))
	})

	It("wait while they are suspended or cannot be used, and say why", func(ctx SpecContext) {
		newTarget(ctx, api, namespace, "all", `{applications: {}, sinks: [port, hooks]}`)
		hooks, receiver := receive(ctx, namespace, "hooks", ", suspend: true")
		portal := newSink(ctx, namespace, "port", `{type: Port, port: {secretRef: {name: port}}, filter: event.nonsense}`)
		newCart(ctx)
		cart.deploy(v1)
		expectSink(ctx, p, hooks, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("False (Suspended) 0/1/0"))
		})
		expectSink(ctx, p, portal, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("False (InvalidFilter) 0/1/0"))
		})
		changeSink(ctx, portal, func() { portal.Spec.Filter = "" })
		expectSink(ctx, p, portal, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("False (CredentialsMissing) 0/1/0"))
			g.Expect(meta.FindStatusCondition(s.Conditions, "Ready").Message).To(HavePrefix("There is no Secret " + namespace + "/port: create it"))
		})
		changeSink(ctx, hooks, func() { hooks.Spec.Suspend = false })
		Eventually(receiver.IDs).WithTimeout(patience).Should(HaveLen(1))

		changeSink(ctx, hooks, func() { hooks.Spec.CloudEvents.URL = "http://169.254.169.254/latest/meta-data" })
		cart.deploy(v2)
		expectSink(ctx, p, hooks, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("False (AddressRefused) 1/1/0"))
		})
	})

	It("write events and metrics into PostgreSQL, through a change of the password", func(ctx SpecContext) {
		database := postgrestest.Start(GinkgoTB()).Database(GinkgoTB())
		server := postgrestest.Start(GinkgoTB())
		newSecret(ctx, namespace, "db", map[string]string{
			"host": database.Host, "port": strconv.Itoa(database.Port), "dbname": database.Name, "user": database.User, "password": database.Password,
		})
		db := newSink(ctx, namespace, "db", `{type: Postgres, default: true, postgres: {secretRef: {name: db}, tls: Disable}}`)
		expectSink(ctx, p, db, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("True (Delivering) 0/0/0"))
		})
		target := newTarget(ctx, api, namespace, "all", `{applications: {}}`)
		newCart(ctx)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
		})
		cart.deploy(v1)
		p.expectEvents("cart: succeeded main-1a1a1a1")
		cart.deploy(v2)
		expectSink(ctx, p, db, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("True (Delivering) 2/0/0"))
		})
		admin := server.Connect(GinkgoTB(), database.Name)
		rows := func(g Gomega, query string) []string {
			found, err := admin.Query(ctx, query)
			g.Expect(err).NotTo(HaveOccurred())
			values, err := pgx.CollectRows(found, pgx.RowTo[string])
			g.Expect(err).NotTo(HaveOccurred())
			return values
		}
		Eventually(func(g Gomega) {
			p.clock.Step(time.Second)
			g.Expect(rows(g, `SELECT concat_ws(' ', event_type, service, team, environment, success, is_rollback, source, tag) FROM delivery_events ORDER BY occurred_at`)).
				To(Equal([]string{"deploy cart shop production t f argocd main-1a1a1a1", "deploy cart shop production t f argocd main-2b2b2b2"}))
			g.Expect(rows(g, `SELECT concat_ws(' ', scope, NULLIF(environment, ''), NULLIF(team, ''), NULLIF(service, ''), deployments) FROM dora_metrics ORDER BY 1`)).
				To(Equal([]string{"service production shop cart 2", "target 2", "team production shop 2"}))
		}).WithTimeout(patience).WithPolling(50 * time.Millisecond).Should(Succeed())

		changed := sinktest.Secret("another one")
		postgrestest.Exec(GinkgoTB(), admin, fmt.Sprintf(`ALTER ROLE %q PASSWORD '%s'`, database.User, changed))
		postgrestest.Exec(GinkgoTB(), admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1`, database.User)
		cart.deploy(v3)
		expectSink(ctx, p, db, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("False (CredentialsRefused) 2/1/0"))
		})
		secret := &corev1.Secret{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "db"}, secret)).To(Succeed())
		secret.Data["password"] = []byte(changed)
		Expect(api.Update(ctx, secret)).To(Succeed())
		expectSink(ctx, p, db, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("True (Delivering) 3/0/0"))
		})
		Expect(strings.Join(p.series(), "\n")).To(ContainSubstring("dora_sink_delivered_total"))
	})
})
