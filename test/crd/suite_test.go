package crd_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

const (
	root    = "../.."
	targets = "doratargets"
	sinks   = "dorasinks"
	senders = "dorareceivers"
)

// kinds are the resources of all kinds.
var kinds = []string{targets, sinks, senders}

var (
	update  = flag.Bool("update", false, "write the golden files instead of comparing with them")
	config  *rest.Config
	api     client.Client
	kubectl func(args ...string) string
)

func TestCRD(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "The kinds")
}

var _ = BeforeSuite(func() {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, "bin", "envtest") // where hack/envtest.sh puts the control plane
	}
	server := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{root + "/config/crd/bases"},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	config, err = server.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(server.Stop)

	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(dorav1alpha1.AddToScheme(scheme)).To(Succeed())
	Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	kubectl = kubectlOf(server)
})

// kubectlOf runs the real kubectl against the server and returns what it printed.
func kubectlOf(server *envtest.Environment) func(args ...string) string {
	GinkgoHelper()
	admin, err := server.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	Expect(err).NotTo(HaveOccurred())
	command, err := admin.Kubectl()
	Expect(err).NotTo(HaveOccurred())
	return func(args ...string) string {
		GinkgoHelper()
		stdout, stderr, err := command.Run(args...)
		Expect(err).NotTo(HaveOccurred(), "kubectl %v: %s", args, textOf(stderr))
		return textOf(stdout)
	}
}

func textOf(r any) string {
	var buffer bytes.Buffer
	_, err := buffer.ReadFrom(r.(interface{ Read(p []byte) (int, error) }))
	Expect(err).NotTo(HaveOccurred())
	return buffer.String()
}

// target is a DoraTarget whose spec is written as YAML, so that a person can read what the server is given.
func target(spec string) *unstructured.Unstructured {
	GinkgoHelper()
	return object("DoraTarget", spec)
}

// dorasink is a DoraSink whose spec is written as YAML.
func dorasink(spec string) *unstructured.Unstructured {
	GinkgoHelper()
	return object("DoraSink", spec)
}

// dorareceiver is a DoraReceiver whose spec is written as YAML.
func dorareceiver(spec string) *unstructured.Unstructured {
	GinkgoHelper()
	return object("DoraReceiver", spec)
}

func object(kind, spec string) *unstructured.Unstructured {
	GinkgoHelper()
	var content map[string]any
	Expect(yaml.UnmarshalStrict([]byte(spec), &content)).To(Succeed(), spec)
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": dorav1alpha1.GroupVersion.String(), "kind": kind,
		"metadata": map[string]any{"generateName": "try-", "namespace": "default"},
		"spec":     content,
	}}
}

// try asks the server to admit an object without keeping it. Unknown fields are refused, as kubectl asks for.
func try(object client.Object) error {
	return api.Create(context.Background(), object, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
}

func makeNamespace(name string, labels map[string]string) {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	Expect(api.Create(context.Background(), namespace)).To(Succeed())
}

// expectGolden compares text with a file under testdata, or writes it there with -update.
func expectGolden(name, text string) {
	GinkgoHelper()
	path := filepath.Join("testdata", name)
	if *update {
		Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	}
	golden, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	Expect(text).To(Equal(string(golden)), "run go test ./test/crd -update if the change is meant")
}
