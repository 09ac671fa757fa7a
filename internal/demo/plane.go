package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// plane is a control plane of its own: etcd and kube-apiserver on free local ports.
type plane struct {
	environment *envtest.Environment
	config      *rest.Config
	kubectl     string
	kubeconfig  string
	folder      string
}

// patience is how long each part of it may take to start or to stop.
const patience = 2 * time.Minute

// startPlane starts a control plane that knows these CRDs. What it keeps on disk is gone after stop.
func startPlane(assets string, crds []string) (*plane, error) {
	for _, program := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := os.Stat(filepath.Join(assets, program)); err != nil { //nolint:gosec // the path is the caller's
			return nil, fmt.Errorf("cannot find %s: %w; make envtest puts it into bin/envtest", program, err)
		}
	}
	folder, err := os.MkdirTemp("", "dora-demo-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder: %w", err)
	}
	p := &plane{
		environment: &envtest.Environment{
			BinaryAssetsDirectory: assets, CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true, UseExistingCluster: new(false),
			// Machines that build something beside it need more than the usual twenty seconds.
			ControlPlaneStartTimeout: patience, ControlPlaneStopTimeout: patience, CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: patience},
		},
		kubectl: filepath.Join(assets, "kubectl"), kubeconfig: filepath.Join(folder, "kubeconfig"), folder: folder,
	}
	// By their paths, since the variable KUBEBUILDER_ASSETS would come before the folder.
	plane := &p.environment.ControlPlane
	plane.GetAPIServer().Path, plane.KubectlPath = filepath.Join(assets, "kube-apiserver"), p.kubectl
	plane.Etcd = &envtest.Etcd{Path: filepath.Join(assets, "etcd")}
	// On its way out the server waits that long for whoever still watches, such as a kubectl in another terminal.
	plane.GetAPIServer().Configure().Set("request-timeout", "10s")
	if err := p.start(); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *plane) start() error {
	config, err := p.environment.Start()
	if err != nil {
		return fmt.Errorf("cannot start the control plane: %w", err)
	}
	p.config = config
	admin, err := p.environment.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return fmt.Errorf("cannot make an administrator: %w", err)
	}
	content, err := admin.KubeConfig()
	if err != nil {
		return fmt.Errorf("cannot make a kubeconfig: %w", err)
	}
	if err := os.WriteFile(p.kubeconfig, content, 0o600); err != nil {
		return fmt.Errorf("cannot write a kubeconfig: %w", err)
	}
	return nil
}

// stop ends the processes and removes their files.
func (p *plane) stop() error {
	return errors.Join(p.environment.Stop(), os.RemoveAll(p.folder))
}

// run runs the real kubectl and copies what it prints.
func (p *plane) run(ctx context.Context, out io.Writer, args ...string) error {
	var said bytes.Buffer
	args = append([]string{"--kubeconfig", p.kubeconfig}, args...)
	cmd := exec.CommandContext(ctx, p.kubectl, args...) //nolint:gosec // the path is the caller's
	cmd.Stdout, cmd.Stderr = out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kubectl %v: %w: %s", args, err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
