package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const root = "../.."

// testPlane is a control plane with our CRD and Argo's, as `make demo` starts it.
func testPlane(t *testing.T) *plane {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, "bin", "envtest") // where hack/envtest.sh puts the control plane
	}
	p, err := startPlane(assets, []string{filepath.Join(root, "config", "crd", "bases"), filepath.Join(root, "bin", "crds")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A kubectl that watches in another terminal does not keep the demo from ending.
func TestTheControlPlaneStopsThoughSomebodyWatches(t *testing.T) {
	t.Parallel() // it waits for a while
	p := testPlane(t)
	api, err := client.NewWithWatch(p.config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	watching, err := api.Watch(t.Context(), &corev1.NamespaceList{})
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Stop()
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.kubeconfig); !os.IsNotExist(err) {
		t.Errorf("the kubeconfig is still there (%v)", err)
	}
}

func TestAMissingProgramIsNamedWithWhereToGetIt(t *testing.T) {
	_, err := startPlane(t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "cannot find etcd") || !strings.Contains(err.Error(), "make envtest") {
		t.Errorf("got %v", err)
	}
}
