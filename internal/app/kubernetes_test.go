package app

import (
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// inCluster is a manager that reads of one cluster.
type inCluster struct {
	manager.Manager

	reader client.Reader
}

func (m inCluster) GetAPIReader() client.Reader { return m.reader }

// TestWhichClusterThisIs is asked for a ledger that others can reach, and where the whole cluster is watched; else there is no right to ask.
func TestWhichClusterThisIs(t *testing.T) {
	g := NewWithT(t)
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "c1"}}
	with, without := fake.NewClientBuilder().WithObjects(system).Build(), fake.NewClientBuilder().Build()
	is := func(reader client.Reader, o Options) string {
		return (&leader{mgr: inCluster{reader: reader}, options: &o, log: logr.Discard()}).kubernetes(t.Context())
	}
	shared := "postgres://dora@db/dora"
	g.Expect(is(with, Options{Ledger: shared})).To(Equal("c1"))
	g.Expect(is(without, Options{Ledger: shared})).To(BeEmpty(), "it cannot be read")
	g.Expect(is(nil, Options{Ledger: shared, Namespaces: []string{"shop"}})).To(BeEmpty(), "it is not asked")
	g.Expect(is(nil, Options{Ledger: "ledger.db"})).To(BeEmpty(), "it is not asked")
}
