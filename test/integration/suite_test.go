// Package integration_test runs the controller against a real kube-apiserver with the real CRDs of Argo CD and Argo Rollouts. Nobody
// plays Argo but the specs themselves, which write what Argo writes.
//
//	replay_test.go      the recordings, each line through API server, cache, reconcilers and ledger, on a fake clock
//	…_test.go           the whole process, by the API server and the ledger alone, as a user would meet it
package integration_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/dora-controller/dora-controller/internal/kube"
)

const root = "../.."

var (
	ownCRDs  = filepath.Join(root, "config", "crd", "bases")
	argoCRDs = filepath.Join(root, "bin", "crds")

	server  *envtest.Environment // that most specs share
	cluster *rest.Config         // the way to it, as administrator
	api     client.Client
)

func TestIntegration(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "dora-controller on a real API server")
}

var _ = BeforeSuite(func() {
	ctrl.SetLogger(zap.New(zap.WriteTo(io.MultiWriter(GinkgoWriter, leaks)), zap.UseDevMode(true)))
	server = newServer(ownCRDs, argoCRDs)
	cluster = server.Config
	api = clientFor(cluster)
})

// newServer starts an API server with these CRDs, until the spec or the suite ends.
func newServer(crds ...string) *envtest.Environment {
	GinkgoHelper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, "bin", "envtest") // where hack/envtest.sh puts the control plane
	}
	s := &envtest.Environment{BinaryAssetsDirectory: assets, CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true}
	_, err := s.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Stop)
	return s
}

func clientFor(config *rest.Config) client.Client {
	GinkgoHelper()
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 1000, 1000
	scheme, err := kube.NewScheme()
	Expect(err).NotTo(HaveOccurred())
	c, err := client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	return c
}

var namespaces atomic.Int64

// newNamespace keeps specs apart.
func newNamespace(ctx context.Context, c client.Client) string {
	GinkgoHelper()
	name := fmt.Sprintf("spec-%d", namespaces.Add(1))
	Expect(c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	return name
}
