package stand

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// stages tell KWOK how nodes, pods and jobs behave.
//
//go:embed stages.yaml
var stages []byte

// startPlane starts a Kubernetes that schedules pods and plays them.
func (s *Stand) startPlane(ctx context.Context) error {
	if err := s.startServer(ctx); err != nil {
		return err
	}
	ports, err := FreePorts(4)
	if err != nil {
		return err
	}
	return s.startPods(ctx, ports)
}

// startServer starts etcd and the API server.
func (s *Stand) startServer(ctx context.Context) error {
	ports, err := FreePorts(3)
	if err != nil {
		return err
	}
	etcd := "http://127.0.0.1:" + ports[0]
	s.Etcd, err = s.Run(ctx, &Process{Name: "etcd", Path: s.bin("envtest/etcd"), Ready: answers(etcd + "/health"), Args: []string{
		"--data-dir=" + s.file("etcd"), "--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
		"--listen-peer-urls=http://127.0.0.1:" + ports[1], "--unsafe-no-fsync", "--log-level=warn",
	}})
	if err != nil {
		return err
	}
	s.EtcdURL = etcd
	return s.startAPIServer(ctx, etcd, ports[2])
}

// startAPIServer starts it with RBAC on. Its certificate is its own, and stays over restarts.
func (s *Stand) startAPIServer(ctx context.Context, etcd, port string) error {
	if err := serviceAccountKey(s.file("sa.key")); err != nil {
		return err
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	token := hex.EncodeToString(secret)
	if err := os.WriteFile(s.file("tokens.csv"), []byte(token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}
	s.Config = &rest.Config{
		Host: "https://127.0.0.1:" + port, BearerToken: token, QPS: 500, Burst: 1000,
		WarningHandlerWithContext: rest.NoWarnings{},
	}
	var err error
	s.APIServer, err = s.Run(ctx, &Process{Name: "kube-apiserver", Path: s.bin("envtest/kube-apiserver"), Ready: s.serves, Args: []string{
		"--etcd-servers=" + etcd, "--secure-port=" + port, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--cert-dir=" + s.file("certs"), "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + s.file("sa.key"),
		"--service-account-signing-key-file=" + s.file("sa.key"), "--authorization-mode=RBAC", "--token-auth-file=" + s.file("tokens.csv"),
		// The plugin taints a new node until the node lifecycle controller, which is not here, has seen it ready.
		"--enable-priority-and-fairness=false", "--disable-admission-plugins=TaintNodesByCondition",
	}})
	if err != nil {
		return err
	}
	s.kubeconfig, err = s.writeKubeconfig("admin", token)
	return err
}

// serves tells that the API server does. Its certificate is read anew each time: at the start it is only half written for a moment, and client-go keeps
// what it has read of a file.
func (s *Stand) serves(ctx context.Context) (err error) {
	if s.Config.CAData, err = os.ReadFile(s.file("certs/apiserver.crt")); err != nil {
		return err
	}
	asking, err := discovery.NewDiscoveryClientForConfig(s.Config)
	if err != nil {
		return err
	}
	return asking.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// serviceAccountKey makes the key that service accounts' tokens are signed with.
func serviceAccountKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

// writeKubeconfig writes one for whoever has that token.
func (s *Stand) writeKubeconfig(name, token string) (string, error) {
	return s.kubeconfigFor(name, token, s.Config.Host)
}

// KubeconfigVia writes one of the administrator, who reaches the API server by way of another address.
func (s *Stand) KubeconfigVia(name, address string) (string, error) {
	return s.kubeconfigFor(name, s.Config.BearerToken, "https://"+address)
}

func (s *Stand) kubeconfigFor(name, token, server string) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["stand"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: s.Config.CAData}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["stand"] = &clientcmdapi.Context{Cluster: "stand", AuthInfo: name}
	config.CurrentContext = "stand"
	path := s.file(name + ".kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

// startPods starts what makes pods of workloads, and what plays them.
func (s *Stand) startPods(ctx context.Context, ports []string) (err error) {
	scheduling := "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n" +
		"leaderElection: {leaderElect: false}\nclientConnection: {kubeconfig: " + s.kubeconfig + ", qps: 200, burst: 400}\n"
	if err := os.WriteFile(s.file("scheduler.yaml"), []byte(scheduling), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("stages.yaml"), stages, 0o600); err != nil {
		return err
	}
	// The nodes have no kubelet that reports, so nobody may wonder where it is.
	s.ControllerManager, err = s.Run(ctx, &Process{Name: "kube-controller-manager", Path: s.bin("envtest/kube-controller-manager"), Args: []string{
		"--kubeconfig=" + s.kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=" + ports[0], "--cert-dir=" + s.file("certs-kcm"),
		"--service-account-private-key-file=" + s.file("sa.key"), "--kube-api-qps=200", "--kube-api-burst=400",
		"--controllers=*,-node-lifecycle-controller,-taint-eviction-controller", "--horizontal-pod-autoscaler-sync-period=5s",
	}})
	if err != nil {
		return err
	}
	s.Scheduler, err = s.Run(ctx, &Process{Name: "kube-scheduler", Path: s.bin("envtest/kube-scheduler"), Args: []string{
		"--config=" + s.file("scheduler.yaml"), "--bind-address=127.0.0.1", "--secure-port=" + ports[1], "--cert-dir=" + s.file("certs-scheduler"),
	}})
	if err != nil {
		return err
	}
	s.KWOK, err = s.Run(ctx, &Process{Name: "kwok", Path: s.bin("e2e/kwok"), Args: []string{
		"--kubeconfig=" + s.kubeconfig, "--manage-all-nodes", "--config=" + s.file("stages.yaml"), "--node-ip=127.0.0.1",
		"--server-address=127.0.0.1:" + ports[2],
	}})
	return err
}

// makeNode makes the one node that all pods are on.
func (s *Stand) makeNode(ctx context.Context) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1k"), corev1.ResourceMemory: resource.MustParse("1Ti"), corev1.ResourcePods: resource.MustParse("100k"),
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: map[string]string{"kubernetes.io/hostname": "node"}}}
	node.Status = corev1.NodeStatus{Capacity: room, Allocatable: room}
	if err := s.API.Create(ctx, node); err != nil {
		return fmt.Errorf("cannot make the node: %w", err)
	}
	return nil
}
