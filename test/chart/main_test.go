package chart_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/dora-controller/dora-controller/internal/kube"
)

const (
	root  = "../.."
	chart = root + "/charts/dora-controller"
	// system is where the controller is installed.
	system = "dora-system"
	// release is what the installation is called.
	release = "dora-controller"
	// patience is how long tests wait for what must happen; most of it takes milliseconds, but machines may have other things to do.
	patience = 2 * time.Minute
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	code := m.Run()
	if folder, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(folder))
	}
	os.Exit(code)
}

// program is the controller, built when it is first asked for.
var program = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "dora-chart-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "dora-controller")
	_, err = output(exec.Command("go", "build", "-o", path, root+"/cmd/dora-controller"))
	return path, err
})

// tool is a program that hack/tool.sh has built.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", name))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(path).To(BeAnExistingFile(), "run hack/tool.sh "+name)
	return path
}

// output runs a command. What it says on standard error becomes the error.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return string(stdout), errors.New(stderr.String() + err.Error())
	}
	return string(stdout), nil
}

// A cluster is an API server with an administrator.
type cluster struct {
	api        client.Client
	config     *rest.Config
	kubeconfig string
	audit      string // the file that the server writes who asked what into
}

// newCluster starts a server that has Argo's kinds and those of the Prometheus operator, until the test ends.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	g := NewWithT(t)
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, "bin", "envtest")
	}
	folder := t.TempDir()
	c := &cluster{kubeconfig: filepath.Join(folder, "kubeconfig"), audit: filepath.Join(folder, "audit.log")}
	policy := filepath.Join(folder, "policy.yaml")
	g.Expect(os.WriteFile(policy, []byte(`{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Metadata"}]}`), 0o600)).To(Succeed())
	server := &envtest.Environment{
		BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{filepath.Join(root, "bin", "crds"), "testdata/crds"}, ErrorIfCRDPathMissing: true,
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: patience}, ControlPlaneStopTimeout: patience,
	}
	server.ControlPlane.GetAPIServer().Configure().Set("audit-policy-file", policy).Set("audit-log-path", c.audit)
	t.Cleanup(func() { g.Expect(server.Stop()).To(Succeed()) })
	_, err := server.Start()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(c.kubeconfig, server.KubeConfig, 0o600)).To(Succeed())
	c.config = server.Config
	c.api = clientFor(t, server.Config)
	return c
}

func clientFor(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	g := NewWithT(t)
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 1000, 1000
	scheme, err := kube.NewScheme()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	api, err := client.New(config, client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	return api
}

// namespaces makes namespaces in which only restricted pods may run.
func (c *cluster) namespaces(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		NewWithT(t).Expect(c.api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}})).To(Succeed())
	}
}

// helm runs Helm against the cluster.
func (c *cluster) helm(t *testing.T, values string, args ...string) (string, error) {
	t.Helper()
	return helm(t, values, append(args, "--kubeconfig", c.kubeconfig)...)
}

// install runs helm install or upgrade with these values.
func (c *cluster) install(t *testing.T, command, name, namespace, of, values string) {
	t.Helper()
	_, err := c.helm(t, values, command, name, of, "--namespace", namespace, "--values", "-")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

// helm runs Helm, which finds these values where it is told to read them from "-".
func helm(t *testing.T, values string, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), tool(t, "helm"), args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	cmd.Stdin = strings.NewReader(values)
	return output(cmd)
}

// render is what the chart says with these values.
func render(t *testing.T, values string, flags ...string) []*unstructured.Unstructured {
	t.Helper()
	args := append([]string{"template", release, chart, "--namespace", system, "--values", "-"}, flags...)
	text, err := helm(t, values, args...)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return objects(t, text)
}

// objects reads what is separated by lines of dashes.
func objects(t *testing.T, text string) (all []*unstructured.Unstructured) {
	t.Helper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}

// called is the kind and the name of an object, and its namespace if that is another than the controller's.
func called(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" || o.GetNamespace() == system {
		return o.GetKind() + "/" + o.GetName()
	}
	return o.GetKind() + "/" + o.GetNamespace() + "/" + o.GetName()
}

// find is the one object of that name.
func find(t *testing.T, all []*unstructured.Unstructured, name string) *unstructured.Unstructured {
	t.Helper()
	for _, o := range all {
		if called(o) == name {
			return o
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// tried is what the server says to an object, which is not kept.
func (c *cluster) tried(ctx context.Context, o client.Object) error {
	return client.WithFieldValidation(c.api, metav1.FieldValidationStrict).Create(ctx, o, client.DryRunAll)
}
