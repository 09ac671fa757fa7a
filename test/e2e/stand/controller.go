package stand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// startController applies what the chart renders, and runs the binary as its Deployment says: with its arguments and environment, and as its
// service account. The Deployment itself is not applied, since its image would not run here.
func (s *Stand) startController(ctx context.Context) error {
	const namespace = "dora-system"
	rendered, err := output(exec.CommandContext(ctx, s.bin("helm"), "template", "dora-controller", s.Root+"/charts/dora-controller", "--namespace", namespace, "--skip-tests",
		"--set", "cluster=stand", "--set", "trustedNamespaces={"+ArgoNamespace+"}", "--set", "allowNetworks={127.0.0.0/8}"))
	if err != nil {
		return err
	}
	if err := s.API.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	workload, err := s.applyRest(ctx, rendered)
	if err != nil {
		return err
	}
	kubeconfig, err := s.actAs(ctx, workload.Namespace, workload.Spec.Template.Spec.ServiceAccountName)
	if err != nil {
		return err
	}
	if s.Dora, err = s.doraProcess(workload, kubeconfig); err != nil {
		return err
	}
	s.Dora, err = s.Run(ctx, s.Dora)
	return err
}

// applyRest applies everything but the Deployment and the volume it claims, and returns the Deployment.
func (s *Stand) applyRest(ctx context.Context, rendered string) (*appsv1.Deployment, error) {
	var workload *appsv1.Deployment
	var rest bytes.Buffer
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(rendered), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		switch object.GetKind() {
		case "":
		case "PersistentVolumeClaim":
		case "Deployment":
			workload = &appsv1.Deployment{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, workload); err != nil {
				return nil, err
			}
		default:
			text, err := object.MarshalJSON()
			if err != nil {
				return nil, err
			}
			rest.WriteString("---\n")
			rest.Write(text)
		}
	}
	if workload == nil {
		return nil, errors.New("the controller's manifests hold no Deployment")
	}
	return workload, s.Kubectl(ctx, &rest, "apply", "--server-side", "-f", "-")
}

// actAs writes a kubeconfig with a token of that service account.
func (s *Stand) actAs(ctx context.Context, namespace, name string) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	seconds := int64((12 * time.Hour).Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if err := s.API.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("cannot get a token of service account %s/%s: %w", namespace, name, err)
	}
	return s.writeKubeconfig(name, request.Status.Token)
}

// doraProcess runs the container of the Deployment without a container.
func (s *Stand) doraProcess(workload *appsv1.Deployment, kubeconfig string) (*Process, error) {
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	container := workload.Spec.Template.Spec.Containers[0]
	var args []string
	for _, arg := range container.Args {
		for _, mount := range container.VolumeMounts {
			arg = strings.Replace(arg, "="+mount.MountPath, "="+s.file("volume-"+mount.Name), 1)
			if err := os.MkdirAll(s.file("volume-"+mount.Name), 0o750); err != nil {
				return nil, err
			}
		}
		args = append(args, arg)
		if ledger, ok := strings.CutPrefix(arg, "--ledger="); ok {
			s.Ledger = ledger
		}
	}
	args = append(args, "--kubeconfig="+kubeconfig, "--metrics-bind-address=127.0.0.1:"+ports[0], "--health-probe-bind-address=127.0.0.1:"+ports[1])
	return &Process{
		Name: "dora-controller", Path: s.bin("dora-controller"), Args: args, Restart: true, Ready: answers("http://127.0.0.1:" + ports[1] + "/readyz"),
		Env: []string{"POD_NAMESPACE=" + workload.Namespace},
	}, nil
}

// Standby starts a second replica beside the controller, which waits for the lease.
func (s *Stand) Standby(ctx context.Context) (*Process, error) {
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	args := slices.Concat(s.Dora.Args, []string{"--metrics-bind-address=127.0.0.1:" + ports[0], "--health-probe-bind-address=127.0.0.1:" + ports[1]})
	return s.Run(ctx, &Process{Name: "dora-controller-standby", Path: s.Dora.Path, Args: args, Env: s.Dora.Env, Restart: true, Ready: answers("http://127.0.0.1:" + ports[1] + "/healthz")})
}

// MayReadSecrets lets the controller read the Secrets of a namespace by name, as the docs tell an administrator to.
func (s *Stand) MayReadSecrets(ctx context.Context, namespace string) error {
	return s.Kubectl(ctx, nil, "create", "rolebinding", "dora-controller-secret-reader", "--namespace="+namespace,
		"--clusterrole=dora-controller-secret-reader", "--serviceaccount=dora-system:dora-controller")
}

// Kubectl runs the real kubectl as an administrator.
func (s *Stand) Kubectl(ctx context.Context, in io.Reader, args ...string) error {
	_, err := s.kubectl(ctx, in, args...)
	return err
}

func (s *Stand) kubectl(ctx context.Context, in io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.bin("envtest/kubectl"), append([]string{"--kubeconfig", s.kubeconfig}, args...)...)
	cmd.Stdin = in
	return output(cmd)
}

// Command runs the controller's binary as a command, such as events, and returns what it printed.
func (s *Stand) Command(ctx context.Context, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, s.bin("dora-controller"), args...))
}

// output runs a command and returns what it printed. The error says what it complained of.
func output(cmd *exec.Cmd) (string, error) {
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return out.String(), nil
}

// Get reads an object of ours or of Kubernetes.
func (s *Stand) Get(ctx context.Context, namespace, name string, into client.Object) error {
	return s.API.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, into)
}
