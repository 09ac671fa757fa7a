package chart_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// TestInstalledWithItsLedgerInADatabase has two pods, over connections that are encrypted and checked: one records, the other stands by and is ready, and takes
// over when the first is gone.
func TestInstalledWithItsLedgerInADatabase(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	c, server := newCluster(t), postgrestest.Start(t)
	d := server.Database(t)
	c.namespaces(t, system, "shop")
	g.Expect(c.api.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "dora-ledger"}, StringData: map[string]string{"username": d.User, "password": d.Password},
	})).To(Succeed())
	g.Expect(c.api.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "authority"}, Data: map[string]string{"ca.crt": string(server.CA)},
	})).To(Succeed())
	c.install(t, "install", release, system, chart, installed(t, fmt.Sprintf(`{replicas: 2, cluster: eu-1, podDisruptionBudget: {enabled: true},
		ledger: {postgres: {host: %q, port: %d, database: %s, schema: dora, secretRef: {name: dora-ledger}}}}`, d.Host, d.Port, d.Name)))
	deployment := c.deployment(t, system, release)
	g.Expect(deployment.Spec.Replicas).To(HaveValue(Equal(int32(2))))

	first := c.start(t, deployment, t.TempDir())
	first.awaitReady(t)
	second := c.start(t, elsewhere(t, deployment), t.TempDir())
	second.awaitReady(t)
	g.Expect(second.log.String()).NotTo(ContainSubstring("Ledger is open"), "it stands by")

	target := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all"}}
	g.Expect(yaml.Unmarshal([]byte(`{applications: {}}`), &target.Spec)).To(Succeed())
	g.Expect(c.api.Create(ctx, target)).To(Succeed())
	world := argo{t, c.api, "shop"}
	books := world.application("books")
	c.expectSeen(t, target)
	world.deploy(books, v1)
	c.expectDeployments(t, target, 1)
	first.stop(t)
	world.deploy(books, v2)
	c.expectDeployments(t, target, 2)
	second.awaitReady(t)
	g.Expect(second.log.String()).To(ContainSubstring("Ledger is open"))

	rows, err := server.Connect(t, d.Name).Query(ctx, "SELECT cluster || ' ' || service || ' ' || tag FROM dora.delivery_events ORDER BY occurred_at")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pgx.CollectRows(rows, pgx.RowTo[string])).To(Equal([]string{"eu-1 books main-1a1a1a1", "eu-1 books main-2b2b2b2"}))
	for _, p := range []*process{first, second} {
		g.Expect(p.log.String()).NotTo(ContainSubstring(d.Password))
		g.Expect(p.log.String()).NotTo(ContainSubstring("forbidden"))
	}
	asked, refused := c.asks(t, system, release)
	known := right{verb: "get", resource: "namespaces", name: "kube-system"}
	g.Expect(slices.ContainsFunc(asked, known.covers)).To(BeTrue(), "which cluster it is")
	g.Expect(slices.ContainsFunc(c.granted(t, system, release), func(r right) bool { return r.resource == known.resource && r != known })).To(BeFalse())
	g.Expect(refused).To(BeEmpty(), "the rights of its roles suffice for both")
}

// elsewhere is the same Deployment with other ports: each pod has a network of its own, and here is one for all.
func elsewhere(t *testing.T, deployment *appsv1.Deployment) *appsv1.Deployment {
	t.Helper()
	other := deployment.DeepCopy()
	manager := &other.Spec.Template.Spec.Containers[0]
	for i := range manager.Ports {
		port := &manager.Ports[i]
		free := freePort(t)
		for n, arg := range manager.Args {
			manager.Args[n] = strings.Replace(arg, ":"+strconv.Itoa(int(port.ContainerPort)), ":"+strconv.Itoa(free), 1)
		}
		port.ContainerPort = int32(free)
	}
	return other
}
