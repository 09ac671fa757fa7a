package stand

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ArgoNamespace is where Argo CD and its Applications are.
const ArgoNamespace = "argocd"

// startArgo starts Redis, Argo CD and Argo Rollouts.
func (s *Stand) startArgo(ctx context.Context) (err error) {
	if err := s.Kubectl(ctx, nil, "apply", "--server-side", "-f", s.bin("e2e/crds")); err != nil {
		return err
	}
	if err := s.Kubectl(ctx, nil, "wait", "--for=condition=Established", "crd", "--all"); err != nil {
		return err
	}
	if err := s.makeNode(ctx); err != nil {
		return err
	}
	if err := s.startRepoServer(ctx); err != nil {
		return err
	}
	if s.ArgoCD, err = s.StartArgoCD(ctx, ArgoNamespace, 0); err != nil {
		return err
	}
	return s.startRollouts(ctx)
}

func (s *Stand) startRepoServer(ctx context.Context) error {
	ports, err := FreePorts(3)
	if err != nil {
		return err
	}
	s.redis, s.repoServer = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	s.Redis, err = s.Run(ctx, &Process{Name: "redis", Path: "redis-server", Args: []string{
		"--port", ports[0], "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
	}})
	if err != nil {
		return fmt.Errorf("%w; hack/e2e.sh installs it", err)
	}
	temporary := s.file("repo-server")
	if err := os.MkdirAll(temporary, 0o750); err != nil {
		return err
	}
	s.RepoServer, err = s.Run(ctx, &Process{
		Name: "repo-server", Path: s.bin("e2e/argocd"), Ready: answers("http://127.0.0.1:" + ports[2] + "/healthz"),
		Env: s.argoEnv("argocd-repo-server", "TMPDIR="+temporary),
		Args: []string{
			"--port=" + ports[1], "--metrics-port=" + ports[2], "--address=127.0.0.1", "--metrics-address=127.0.0.1", "--disable-tls",
			"--redis=" + s.redis, "--revision-cache-expiration=1s", "--loglevel=warn",
		},
	})
	return err
}

// StartArgoCD starts an application controller of Argo CD that serves the Applications of that namespace, with a database of Redis of its own.
// It looks at git every ten seconds; a real one does every two or three minutes.
func (s *Stand) StartArgoCD(ctx context.Context, namespace string, database int) (*Process, error) {
	if err := s.configureArgoCD(ctx, namespace); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return s.Run(ctx, &Process{
		Name: namespace + "-application-controller", Path: s.bin("e2e/argocd"), Ready: answers("http://127.0.0.1:" + port + "/healthz"),
		Env: s.argoEnv("argocd-application-controller"),
		Args: []string{
			"--kubeconfig=" + s.kubeconfig, "--namespace=" + namespace, "--metrics-port=" + port, "--app-resync=10",
			"--repo-server=" + s.repoServer, "--repo-server-plaintext", "--redis=" + s.redis, "--redisdb=" + strconv.Itoa(database),
			"--self-heal-timeout-seconds=5", "--loglevel=info",
		},
	})
}

// StartApplicationSets starts the controller of ApplicationSets of the first Argo CD.
func (s *Stand) StartApplicationSets(ctx context.Context) (*Process, error) {
	ports, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	return s.Run(ctx, &Process{
		Name: "applicationset-controller", Path: s.bin("e2e/argocd"), Env: s.argoEnv("argocd-applicationset-controller", "NAMESPACE="+ArgoNamespace),
		Args: []string{
			"--kubeconfig=" + s.kubeconfig, "--namespace=" + ArgoNamespace, "--metrics-addr=127.0.0.1:" + ports[0], "--probe-addr=127.0.0.1:" + ports[1],
			"--webhook-addr=127.0.0.1:" + ports[2], "--argocd-repo-server=" + s.repoServer, "--repo-server-plaintext", "--loglevel=warn",
		},
	})
}

// argoEnv is the environment of Argo CD outside of a cluster.
func (s *Stand) argoEnv(role string, more ...string) []string {
	return append([]string{
		"ARGOCD_BINARY_NAME=" + role, "ARGOCD_FAKE_IN_CLUSTER=true", "KUBECONFIG=" + s.kubeconfig, "ARGOCD_GPG_ENABLED=false",
		"ARGOCD_TLS_DATA_PATH=" + s.file("tls"), "ARGOCD_SSH_DATA_PATH=" + s.file("ssh"), "HOME=" + s.Folder,
		"PATH=" + filepath.Join(s.Root, "bin") + string(os.PathListSeparator) + os.Getenv("PATH"),
	}, more...)
}

// configureArgoCD makes what Argo CD wants to find in its namespace.
func (s *Stand) configureArgoCD(ctx context.Context, namespace string) error {
	if err := s.API.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	for name, data := range map[string]map[string]string{
		"argocd-cm": {
			"application.resourceTrackingMethod": "annotation", "installationID": namespace,
			// Nothing gives a load balancer an address here, or a Service an endpoint that answers.
			"resource.exclusions": "- {apiGroups: [discovery.k8s.io, events.k8s.io, coordination.k8s.io], kinds: ['*'], clusters: ['*']}\n",
		},
		"argocd-rbac-cm": nil, "argocd-gpg-keys-cm": nil, "argocd-ssh-known-hosts-cm": nil, "argocd-tls-certs-cm": nil,
	} {
		labels := map[string]string{"app.kubernetes.io/part-of": "argocd"}
		if err := s.API.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels}, Data: data}); err != nil {
			return err
		}
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "argocd-secret", Namespace: namespace}}
	secret.Labels = map[string]string{"app.kubernetes.io/part-of": "argocd"}
	secret.StringData = map[string]string{"server.secretkey": "only-for-this-stand"}
	if err := s.API.Create(ctx, secret); err != nil {
		return err
	}
	return s.makeProject(ctx, namespace, "default")
}

// makeProject makes a project that allows everything.
func (s *Stand) makeProject(ctx context.Context, namespace, name string) error {
	anything := []any{map[string]any{"group": "*", "kind": "*"}}
	project := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
		"metadata": map[string]any{"name": name, "namespace": namespace},
		"spec": map[string]any{
			"sourceRepos": []any{"*"}, "clusterResourceWhitelist": anything,
			"destinations": []any{map[string]any{"server": "*", "namespace": "*"}},
		},
	}}
	return s.API.Create(ctx, project)
}

// MakeProject makes one in the first Argo CD's namespace.
func (s *Stand) MakeProject(ctx context.Context, name string) error {
	return s.makeProject(ctx, ArgoNamespace, name)
}

func (s *Stand) startRollouts(ctx context.Context) error {
	ports, err := FreePorts(2)
	if err != nil {
		return err
	}
	if err := s.API.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "argo-rollouts"}}); err != nil {
		return err
	}
	s.Rollouts, err = s.Run(ctx, &Process{
		Name: "rollouts-controller", Path: s.bin("e2e/rollouts-controller"), Ready: answers("http://127.0.0.1:" + ports[1] + "/healthz"),
		Env: []string{"KUBECONFIG=" + s.kubeconfig},
		Args: []string{
			"--kubeconfig=" + s.kubeconfig, "--leader-elect=false", "--metricsPort=" + ports[0], "--healthzPort=" + ports[1], "--loglevel=warn",
			"--rollout-resync=60", "--qps=200", "--burst=400",
		},
	})
	return err
}
