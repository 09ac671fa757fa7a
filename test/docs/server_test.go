package docs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// server is a real API server with the kinds of this project and of Argo, and what is needed to ask it.
type server struct {
	api  client.Client
	home string // a folder with a kubeconfig, and the tree's folders as pages name them
	path string // of kubectl and helm
}

func newServer(t *testing.T) *server {
	t.Helper()
	tree, err := filepath.Abs(root)
	must(t, err)
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(tree, "bin", "envtest")
	}
	plane := &envtest.Environment{
		BinaryAssetsDirectory: assets, ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{filepath.Join(tree, "bin", "crds"), filepath.Join(tree, "config", "crd", "bases"), filepath.Join(tree, "test", "chart", "testdata", "crds")},
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 2 * time.Minute}, ControlPlaneStopTimeout: 2 * time.Minute,
	}
	t.Cleanup(func() { must(t, plane.Stop()) })
	config, err := plane.Start()
	must(t, err)
	s := &server{home: t.TempDir(), path: assets + ":" + filepath.Join(tree, "bin") + ":" + os.Getenv("PATH")}
	s.api, err = client.New(config, client.Options{})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(s.home, "kubeconfig"), plane.KubeConfig, 0o600))
	for _, folder := range []string{"charts", "config"} {
		must(t, os.Symlink(filepath.Join(tree, folder), filepath.Join(s.home, folder)))
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestServer(t *testing.T) {
	s := newServer(t)
	t.Run("kubectl and helm understand the commands", s.commands)
	t.Run("the server admits the objects", s.objects)
}

// commands runs those of kubectl and helm, as dry runs. That an object is not there is no mistake of the page.
func (s *server) commands(t *testing.T) {
	ran := 0
	for _, p := range allPages(t) {
		for name, text := range p.Files() {
			must(t, os.WriteFile(filepath.Join(s.home, name), []byte(text), 0o600))
		}
		for _, c := range p.Commands() {
			if c.NotRun != "" || !s.runs(c.Words) {
				continue
			}
			if said, err := s.run(t, c.Words); err != nil && !strings.Contains(said, "not found") {
				t.Errorf("%s: %s", c, said)
			}
			ran++
		}
	}
	if ran < 25 {
		t.Errorf("ran only %d", ran)
	}
}

// runs leaves out what other tests look at: kubectl dora, what is run inside of a pod, and installing the chart.
func (*server) runs(words []string) bool {
	switch words[0] {
	case "helm":
		return words[1] != "install" && words[1] != "upgrade"
	case "kubectl":
		return words[1] != "dora" && !slices.Contains(words, "--")
	}
	return false
}

// changing are the commands of kubectl that change something.
var changing = []string{"annotate", "apply", "create", "delete", "label", "patch", "scale"}

func (s *server) run(t *testing.T, words []string) (string, error) {
	t.Helper()
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := strings.Split(strings.ReplaceAll(strings.Join(words[1:], "\n"), "NAMESPACE", "default"), "\n")
	if words[0] == "kubectl" && slices.ContainsFunc(changing, func(verb string) bool { return slices.Contains(args, verb) }) && args[0] != "auth" {
		args = append(args, "--dry-run=server")
	}
	s.makeFiles(t, args)
	cmd := exec.CommandContext(limited, "/usr/bin/env", append([]string{words[0]}, args...)...)
	cmd.Dir = s.home
	cmd.Env = append(os.Environ(), "PATH="+s.path, "KUBECONFIG="+filepath.Join(s.home, "kubeconfig"), "HOME="+s.home)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

var fromFile = regexp.MustCompile(`^--from-file=\w[\w.]*=([\w.-]+)$`)

// makeFiles makes the files that keys of a Secret are read from.
func (s *server) makeFiles(t *testing.T, args []string) {
	t.Helper()
	for _, arg := range args {
		if m := fromFile.FindStringSubmatch(arg); m != nil {
			must(t, os.WriteFile(filepath.Join(s.home, m[1]), []byte("any"), 0o600))
		}
	}
}

// placeholder is what an ApplicationSet fills in.
var placeholder = regexp.MustCompile(`\{\{[^}]*\}\}`)

// objects has the server judge each object in a block of yaml. Of an ApplicationSet, whose kind is not there, it is the Application that it makes.
func (s *server) objects(t *testing.T) {
	judged := 0
	for _, p := range allPages(t) {
		for _, b := range p.Blocks() {
			if b.Language != "yaml" {
				continue
			}
			for _, o := range objectsIn(t, p.Name, b.Text) {
				if o.GetKind() == "" {
					continue
				}
				judged++
				if err := s.judge(t.Context(), o); err != nil {
					t.Errorf("%s: %s %s: %v", p.Name, o.GetKind(), o.GetName(), err)
				}
			}
		}
	}
	if judged < 10 {
		t.Errorf("judged only %d", judged)
	}
}

func objectsIn(t *testing.T, page, text string) (all []*unstructured.Unstructured) {
	t.Helper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(placeholder.ReplaceAllString(text, "x"))), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", page, err, text)
			return all
		}
		all = append(all, o)
	}
}

func (s *server) judge(ctx context.Context, o *unstructured.Unstructured) error {
	if o.GetKind() == "ApplicationSet" {
		template, _, err := unstructured.NestedMap(o.Object, "spec", "template")
		if err != nil {
			return err
		}
		template["apiVersion"], template["kind"] = o.GetAPIVersion(), "Application"
		o = &unstructured.Unstructured{Object: template}
	}
	if o.GetNamespace() == "" {
		o.SetNamespace(metav1.NamespaceDefault)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.GetNamespace()}}
	if err := client.IgnoreAlreadyExists(s.api.Create(ctx, namespace)); err != nil {
		return err
	}
	err := s.api.Create(ctx, o, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
	if meta.IsNoMatchError(err) && !slices.Contains([]string{"argoproj.io", "dora-controller.io"}, o.GroupVersionKind().Group) {
		return nil // a kind of somebody else's, which is not installed here
	}
	return err
}
