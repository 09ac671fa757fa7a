package chart_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A process is the controller as a kubelet would start it: with the arguments and the environment of the manifest and nothing else, folders in
// place of its volumes, and its service account. That one is handed over in a kubeconfig, since the path where pods have it is fixed.
type process struct {
	cmd    *exec.Cmd
	log    *log
	ready  string // where its readiness is asked
	ended  chan error
	mounts map[string]string
}

// log keeps what a process prints.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs what the Deployment that is installed says, on the volumes of its claims, which are in this folder, perhaps with more in its environment.
func (c *cluster) start(t *testing.T, deployment *appsv1.Deployment, volumes string, more ...string) *process {
	t.Helper()
	g := NewWithT(t)
	path, err := program()
	g.Expect(err).NotTo(HaveOccurred())
	pod := deployment.Spec.Template.Spec
	manager := pod.Containers[0]
	p := &process{log: &log{}, ended: make(chan error, 1), mounts: c.mount(t, deployment.Namespace, pod, volumes)}
	var args []string
	for _, arg := range manager.Args {
		args = append(args, p.inFolder(arg))
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = slices.Concat(more, []string{"KUBECONFIG=" + c.credentials(t, deployment.Namespace, pod.ServiceAccountName)})
	for _, e := range manager.Env {
		value := e.Value
		switch {
		case e.ValueFrom == nil:
		case e.ValueFrom.SecretKeyRef != nil:
			value = c.secret(t, deployment.Namespace, e.ValueFrom.SecretKeyRef)
		default:
			g.Expect(e.ValueFrom.FieldRef.FieldPath).To(Equal("metadata.namespace"))
			value = deployment.Namespace
		}
		p.cmd.Env = append(p.cmd.Env, e.Name+"="+p.inFolder(value))
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.ready = fmt.Sprintf("http://127.0.0.1:%d%s", portOf(manager, manager.ReadinessProbe.HTTPGet.Port.StrVal), manager.ReadinessProbe.HTTPGet.Path)
	g.Expect(p.cmd.Start()).To(Succeed())
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	return p
}

// secret is the value of one key.
func (c *cluster) secret(t *testing.T, namespace string, ref *corev1.SecretKeySelector) string {
	t.Helper()
	var from corev1.Secret
	NewWithT(t).Expect(c.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: ref.Name}, &from)).To(Succeed())
	NewWithT(t).Expect(from.Data).To(HaveKey(ref.Key))
	return string(from.Data[ref.Key])
}

// mount is a folder for each path that is mounted.
func (c *cluster) mount(t *testing.T, namespace string, pod corev1.PodSpec, volumes string) map[string]string {
	t.Helper()
	mounts := map[string]string{}
	for _, m := range pod.Containers[0].VolumeMounts {
		folder := t.TempDir()
		for _, v := range pod.Volumes {
			switch {
			case v.Name != m.Name:
			case v.PersistentVolumeClaim != nil:
				claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v.PersistentVolumeClaim.ClaimName}}
				NewWithT(t).Expect(c.api.Get(t.Context(), client.ObjectKeyFromObject(claim), claim)).To(Succeed())
				folder = volumeOf(t, volumes, claim.Name)
			case v.Secret != nil:
				c.unpack(t, namespace, v.Secret.SecretName, folder)
			case v.Projected != nil:
				c.project(t, namespace, v.Projected, folder)
			}
		}
		mounts[m.MountPath] = folder
	}
	return mounts
}

// volumeOf is the folder of a claim, which is there before and after whoever mounts it.
func volumeOf(t *testing.T, volumes, claim string) string {
	t.Helper()
	folder := filepath.Join(volumes, claim)
	NewWithT(t).Expect(os.MkdirAll(folder, 0o700)).To(Succeed())
	return folder
}

// unpack writes the files of a Secret's volume.
func (c *cluster) unpack(t *testing.T, namespace, name, folder string) {
	t.Helper()
	g := NewWithT(t)
	var from corev1.Secret
	g.Expect(c.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &from)).To(Succeed())
	for key, value := range from.Data {
		g.Expect(os.WriteFile(filepath.Join(folder, key), value, 0o600)).To(Succeed())
	}
}

// project writes the files of a projected volume, as far as they come from ConfigMaps.
func (c *cluster) project(t *testing.T, namespace string, volume *corev1.ProjectedVolumeSource, folder string) {
	t.Helper()
	g := NewWithT(t)
	for _, source := range volume.Sources {
		var from corev1.ConfigMap
		g.Expect(c.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: source.ConfigMap.Name}, &from)).To(Succeed())
		for _, item := range source.ConfigMap.Items {
			g.Expect(os.WriteFile(filepath.Join(folder, item.Path), []byte(from.Data[item.Key]), 0o600)).To(Succeed())
		}
	}
}

// inFolder puts the folders in place of the paths that are mounted.
func (p *process) inFolder(text string) string {
	for path, folder := range p.mounts {
		text = strings.ReplaceAll(text, path, folder)
	}
	return text
}

func portOf(container corev1.Container, name string) int32 {
	for _, port := range container.Ports {
		if port.Name == name {
			return port.ContainerPort
		}
	}
	return 0
}

// credentials is a kubeconfig with a token of the service account, as a pod gets it.
func (c *cluster) credentials(t *testing.T, namespace, name string) string {
	t.Helper()
	g := NewWithT(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	g.Expect(c.api.SubResource("token").Create(t.Context(), account, token)).To(Succeed())
	config := clientcmdapi.NewConfig()
	config.Clusters["it"] = &clientcmdapi.Cluster{Server: c.config.Host, CertificateAuthorityData: c.config.CAData}
	config.AuthInfos["it"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["it"] = &clientcmdapi.Context{Cluster: "it", AuthInfo: "it"}
	config.CurrentContext = "it"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	g.Expect(clientcmd.WriteToFile(*config, path)).To(Succeed())
	return path
}

// awaitReady asks as the kubelet would.
func (p *process) awaitReady(t *testing.T) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		select {
		case err := <-p.ended:
			p.ended <- err
			StopTrying("it ended").Wrap(err).Now()
		default:
		}
		g.Expect(ask(t.Context(), p.ready)).To(Succeed())
	}).WithTimeout(patience).Should(Succeed())
}

func ask(ctx context.Context, url string) error {
	limited, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if response.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("%s: %s", response.Status, body), response.Body.Close())
	}
	return errors.Join(err, response.Body.Close())
}

// stop ends it as a kubelet does. It may be called again.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	select {
	case err := <-p.ended:
		p.ended <- err
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		t.Error("it does not end")
	}
}

// freePort is one that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
