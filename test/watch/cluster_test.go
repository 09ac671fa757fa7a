package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/argocd/argocdtest"
	"github.com/dora-controller/dora-controller/internal/kube"
)

const (
	argoNamespace = "argocd"
	// sideBySide is how many requests are made at a time: enough to keep the API server busy.
	sideBySide = 16
)

// cluster is an API server that all benchmarks of a run share, and the way to it.
type cluster struct {
	server     *envtest.Environment
	config     *rest.Config
	client     client.WithWatch
	kubeconfig []byte
	pid        int // of the API server
	fleet      int // Applications there are
}

var shared = &cluster{}

// theCluster is started when it is first asked for.
func theCluster(b *testing.B) *cluster {
	b.Helper()
	if shared.server == nil {
		if err := shared.start(); err != nil {
			b.Fatal(err)
		}
	}
	return shared
}

func (c *cluster) start() error {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, "bin", "envtest")
	}
	server := &envtest.Environment{
		BinaryAssetsDirectory: assets, ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{filepath.Join(root, "config", "crd", "bases"), filepath.Join(root, "bin", "crds")},
	}
	config, err := server.Start()
	if err != nil {
		return err
	}
	c.server, c.config = server, rest.CopyConfig(config)
	c.config.QPS, c.config.Burst = -1, 0
	user, err := server.AddUser(envtest.User{Name: "measured", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return err
	}
	if c.kubeconfig, err = user.KubeConfig(); err != nil {
		return err
	}
	scheme, err := kube.NewScheme()
	if err != nil {
		return err
	}
	if c.client, err = client.NewWithWatch(c.config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if c.pid, err = childNamed("kube-apiserver"); err != nil {
		return err
	}
	return c.prepare()
}

func (c *cluster) stop() {
	if c.server != nil {
		_ = c.server.Stop()
	}
}

// prepare makes the target that counts everything.
func (c *cluster) prepare() error {
	ctx := context.Background()
	if err := c.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: argoNamespace}}); err != nil {
		return err
	}
	return c.client.Create(ctx, &dorav1alpha1.DoraTarget{
		ObjectMeta: metav1.ObjectMeta{Namespace: argoNamespace, Name: "everything"},
		Spec:       dorav1alpha1.DoraTargetSpec{Applications: &dorav1alpha1.SubjectSelector{}},
	})
}

// childNamed is the process that this one has started whose program has that name.
func childNamed(program string) (int, error) {
	statuses, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range statuses {
		var pid, parent int
		var name, state string
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if _, err := fmt.Sscan(string(text), &pid, &name, &state, &parent); err != nil || parent != os.Getpid() {
			continue
		}
		if command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.HasSuffix(string(command[:max(0, bytes.IndexByte(command, 0))]), program) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no %s was started by this process", program)
}

// grow makes the fleet as large as that; it is never made smaller. Nobody may watch it meanwhile.
func (c *cluster) grow(b *testing.B, want int) {
	b.Helper()
	c.sideBySide(b, c.fleet, want, func(ctx context.Context, i int) error {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(argocdtest.Large(i)); err != nil {
			return err
		}
		for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
			unstructured.RemoveNestedField(object.Object, "metadata", field)
		}
		return again(func() error { return client.IgnoreAlreadyExists(c.client.Create(ctx, object)) })
	})
	c.fleet = max(c.fleet, want)
}

// sideBySide calls do with each number, so many at a time.
func (c *cluster) sideBySide(b *testing.B, from, to int, do func(ctx context.Context, i int) error) {
	b.Helper()
	var next atomic.Int64
	next.Store(int64(from))
	var all sync.WaitGroup
	for range sideBySide {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < to && b.Context().Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(b.Context(), i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// merge writes fields of an Application as Argo CD does: by a merge patch.
func (c *cluster) merge(ctx context.Context, name string, change map[string]any) error {
	patch, err := json.Marshal(change)
	if err != nil {
		return err
	}
	app := &argocd.Application{ObjectMeta: metav1.ObjectMeta{Namespace: argoNamespace, Name: name}}
	return again(func() error { return c.client.Patch(ctx, app, client.RawPatch(types.MergePatchType, patch)) })
}

// again makes a request until the API server is not too busy for it, or too many others changed the same.
func again(request func() error) error {
	err := request()
	for busy(err) {
		err = request()
	}
	return err
}

func busy(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsInternalError(err) // as which etcd's own timeouts are told
}

func serviceName(i int) string { return fmt.Sprintf("service-%05d", i) }
