// Package stand is a whole cluster on one machine without containers: etcd and the Kubernetes control plane, KWOK that plays nodes
// and pods, the real Argo CD and Argo Rollouts, a git server, and the controller beside them with the rights that its manifests give
// it and no others. Every part is a process of its own that a test may kill or start again; none of them is faked.
//
//	process.go     a program, and what may be done to it
//	plane.go       etcd, kube-apiserver, kube-controller-manager, kube-scheduler, KWOK
//	argo.go        Redis, Argo CD, Argo Rollouts
//	controller.go  dora-controller, as its manifests say
//	git.go         the git server
//	watch.go       what is in the cluster now, and the recording of what was
package stand

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// Stand is a cluster that runs.
type Stand struct {
	// Root is the repository's folder; the programs are in its bin.
	Root string
	// Folder is where everything that the stand writes is.
	Folder string
	// Config reaches the API server as an administrator.
	Config *rest.Config
	// API is a client with it.
	API client.Client
	// Git serves the repositories.
	Git *Git
	// Watch knows the cluster's Applications, Rollouts and ReplicaSets.
	Watch *Watch

	// EtcdURL is where etcd answers.
	EtcdURL string

	// The parts, each of which may be stopped and started.
	Etcd, APIServer, ControllerManager, Scheduler, KWOK *Process
	Redis, RepoServer, ArgoCD, Rollouts                 *Process
	// Dora is the controller; Ledger the file that it keeps.
	Dora   *Process
	Ledger string

	kubeconfig string
	redis      string
	repoServer string
	started    []*Process
}

// Start brings everything up. Folder must not be there yet. What was started ends with Stop, or with this process.
func Start(ctx context.Context, root, folder string) (*Stand, error) {
	s := &Stand{Root: root, Folder: folder}
	all := s.needs("envtest/etcd", "envtest/kube-apiserver", "envtest/kube-controller-manager", "envtest/kube-scheduler", "envtest/kubectl",
		"e2e/kwok", "e2e/argocd", "e2e/rollouts-controller", "e2e/crds", "helm", "dora-controller")
	err := s.bring(ctx, all, s.startPlane, s.connect, s.startGit, s.startArgo, s.startWatch, s.startController, s.announce)
	return s, err
}

// StartServer brings up etcd and the API server alone, for who plays everybody else.
func StartServer(ctx context.Context, root, folder string) (*Stand, error) {
	s := &Stand{Root: root, Folder: folder}
	err := s.bring(ctx, s.needs("envtest/etcd", "envtest/kube-apiserver"), s.startServer, s.connect)
	return s, err
}

// bring takes these steps. If one fails, what was started is stopped.
func (s *Stand) bring(ctx context.Context, steps ...func(context.Context) error) (err error) {
	if s.Root, err = filepath.Abs(s.Root); err != nil {
		return fmt.Errorf("cannot start a stand: %w", err)
	}
	if s.Folder, err = filepath.Abs(s.Folder); err != nil {
		return fmt.Errorf("cannot start a stand: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(s.Folder, "log"), 0o750); err != nil {
		return fmt.Errorf("cannot start a stand: %w", err)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			s.Stop()
			return err
		}
	}
	for _, p := range s.started {
		if !p.Running() {
			s.Stop()
			return fmt.Errorf("%s ended at once; see %s", p.Name, p.log)
		}
	}
	return nil
}

// Stop ends everything, the newest first. The folder stays.
func (s *Stand) Stop() {
	if s.Watch != nil {
		s.Watch.stop()
	}
	for _, p := range slices.Backward(s.started) {
		p.Kill()
	}
	if s.Git != nil {
		s.Git.stop()
	}
}

// needs says which program is missing before anything is started.
func (s *Stand) needs(programs ...string) func(context.Context) error {
	return func(context.Context) error {
		var missing []string
		for _, program := range programs {
			if _, err := os.Stat(s.bin(program)); err != nil {
				missing = append(missing, "bin/"+program)
			}
		}
		if missing != nil {
			return fmt.Errorf("cannot start a stand without %s: `make e2e-tools` builds them", strings.Join(missing, ", "))
		}
		return nil
	}
}

func (s *Stand) bin(program string) string {
	return filepath.Join(s.Root, "bin", filepath.FromSlash(program))
}

func (s *Stand) file(name string) string { return filepath.Join(s.Folder, name) }

// Run starts a part and remembers it.
func (s *Stand) Run(ctx context.Context, p *Process) (*Process, error) {
	p.log = s.file(filepath.Join("log", p.Name+".log"))
	s.started = append(s.started, p)
	err := p.Start(ctx)
	return p, err
}

// connect makes the administrator's client.
func (s *Stand) connect(context.Context) (err error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), dorav1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if s.API, err = client.New(s.Config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("cannot reach the API server: %w", err)
	}
	return nil
}

// freePort is a port that nobody listens on now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// FreePorts are n different ones.
func FreePorts(n int) ([]string, error) {
	seen := map[string]bool{}
	var ports []string
	for len(ports) < n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		if !seen[port] {
			seen[port] = true
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// Until asks again and again until the answer is nil, and gives the last one when the time is up.
func Until(ctx context.Context, limit time.Duration, what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	var last error
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // what stood in the way, and not that the time was up
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not after %s: %w", what, limit, last)
		case <-ticks.C:
		}
	}
}
