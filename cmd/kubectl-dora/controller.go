package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	controllerLabels = "app.kubernetes.io/name=dora-controller"
	// usualNamespace is that of the manifests.
	usualNamespace = "dora-system"
	// usualName is that of the binary, and of what runs it.
	usualName = "dora-controller"
	// usualContainer is the name of the controller's container in the manifests.
	usualContainer = "manager"
	// usualLedger is where the ledger is in the manifests.
	usualLedger = "/var/lib/dora-controller/ledger.db"
	// usualCluster is what a cluster is called in events if nobody says so.
	usualCluster = "default"
	// containerAnnotation names the container that kubectl means without -c.
	containerAnnotation = "kubectl.kubernetes.io/default-container"
)

// controllerPods are the pods of the controller, best first: ready ones, then the youngest. Who may not list pods of all namespaces is
// asked for those of the usual one.
func (c *connection) controllerPods(ctx context.Context, cl *cluster) ([]corev1.Pod, error) {
	options := metav1.ListOptions{LabelSelector: controllerLabels}
	pods, err := listOf[corev1.Pod](ctx, cl, podKind, c.controllerNamespace, options)
	if c.controllerNamespace == "" && apierrors.IsForbidden(err) {
		pods, err = listOf[corev1.Pod](ctx, cl, podKind, usualNamespace, options)
		if apierrors.IsForbidden(err) {
			err = fmt.Errorf("%w; or name the namespace of the controller with --controller-namespace", err)
		}
	}
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		if podReady(&a) != podReady(&b) {
			return map[bool]int{true: -1, false: 1}[podReady(&a)]
		}
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	return pods, err
}

// errNoController: there is no pod of the controller.
var errNoController = errors.New("found no pod with the label " + controllerLabels +
	": name its namespace with --controller-namespace, or a copy of the ledger with --ledger; kubectl dora doctor says more")

// controllerPod is the pod to run a command in.
func (c *connection) controllerPod(ctx context.Context, cl *cluster) (*corev1.Pod, error) {
	pods, err := c.controllerPods(ctx, cl)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, errNoController
	}
	if pods[0].Status.Phase != corev1.PodRunning {
		return nil, fmt.Errorf("the controller's pod %s/%s is %s, so nothing can be read from it; kubectl dora doctor says more",
			pods[0].Namespace, pods[0].Name, pods[0].Status.Phase)
	}
	if others := elsewhere(pods); len(others) > 0 && c.tell != nil {
		fmt.Fprintf(c.tell, "note: what follows is from the ledger of the controller in namespace %s; there are others, with ledgers of their own, "+
			"which --controller-namespace names: %s\n", pods[0].Namespace, strings.Join(others, ", "))
	}
	return &pods[0], nil
}

// elsewhere are the namespaces of other controllers than the first pod's.
func elsewhere(pods []corev1.Pod) (namespaces []string) {
	for i := range pods {
		if pods[i].Namespace != pods[0].Namespace {
			namespaces = append(namespaces, pods[i].Namespace)
		}
	}
	slices.Sort(namespaces)
	return slices.Compact(namespaces)
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// controllerContainer is the container that the controller runs in.
func controllerContainer(annotations map[string]string, spec *corev1.PodSpec) *corev1.Container {
	for _, name := range []string{annotations[containerAnnotation], usualContainer, usualName} {
		for i := range spec.Containers {
			if spec.Containers[i].Name == name {
				return &spec.Containers[i]
			}
		}
	}
	if len(spec.Containers) == 0 {
		return &corev1.Container{}
	}
	return &spec.Containers[0]
}

// argument is the value of a flag among the arguments of a container, as --name=value or --name value.
func argument(container *corev1.Container, name string) (value string, found bool) {
	words := slices.Concat(container.Command, container.Args)
	for i, word := range words {
		if rest, ok := strings.CutPrefix(word, "--"+name+"="); ok {
			return rest, true
		}
		if word == "--"+name {
			if i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
				return words[i+1], true
			}
			return "true", true
		}
	}
	return "", false
}
