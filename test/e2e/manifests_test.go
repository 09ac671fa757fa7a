//go:build e2e

package e2e_test

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
)

// workload is what a service's manifests say. Its zero value, but for the images, is a Deployment of two pods.
type workload struct {
	// name of the object; that of the service if it is empty.
	name string
	// images of the containers, the service's own first.
	images []string
	// kind is Deployment, Rollout or StatefulSet.
	kind string
	// strategy of a Rollout, in YAML, indented by two.
	strategy string
	replicas int
	// pods is never if its pods do not get ready; stages.yaml of the stand knows.
	pods string
	// readyAfter is how long its pods take, such as 8s.
	readyAfter string
	// env is the value of an environment variable.
	env string
	// deadline is progressDeadlineSeconds.
	deadline int
	// abortAtDeadline is progressDeadlineAbort.
	abortAtDeadline bool
	// selector is one more label of the selector, which cannot be changed.
	selector string
	// annotations of the workload itself.
	annotations map[string]string
}

func (w workload) with(image string) workload {
	w.images = append([]string{image}, w.images[min(1, len(w.images)):]...)
	return w
}

func (w workload) yaml() string {
	api := "apps/v1"
	if w.kind == "Rollout" {
		api = "argoproj.io/v1alpha1"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n  annotations: %s\n", api, w.kind, w.name, flow(w.annotations))
	labels := map[string]string{"app": w.name}
	if w.selector != "" {
		labels["more"] = w.selector
	}
	fmt.Fprintf(&b, "spec:\n  replicas: %d\n  revisionHistoryLimit: 5\n  selector: {matchLabels: %s}\n", w.replicas, flow(labels))
	if w.kind == "StatefulSet" {
		fmt.Fprintf(&b, "  serviceName: %s\n", w.name)
	} else {
		fmt.Fprintf(&b, "  progressDeadlineSeconds: %d\n", w.deadline)
	}
	if w.abortAtDeadline {
		b.WriteString("  progressDeadlineAbort: true\n")
	}
	b.WriteString(w.strategy)
	behaviour := map[string]string{}
	if w.pods != "" {
		behaviour["e2e/pods"] = w.pods
	}
	if w.readyAfter != "" {
		behaviour["e2e/ready-after"] = w.readyAfter
	}
	fmt.Fprintf(&b, "  template:\n    metadata:\n      labels: %s\n", flow(labels))
	if len(behaviour) > 0 { // Argo Rollouts takes empty fields out of the spec, and Argo CD would put them back for ever
		fmt.Fprintf(&b, "      annotations: %s\n", flow(behaviour))
	}
	b.WriteString("    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n")
	for i, image := range w.images {
		fmt.Fprintf(&b, "        - {name: c%d, image: %q, env: [{name: CONFIG, value: %q}], resources: {requests: {cpu: 10m}}}\n", i, image, cmp.Or(w.env, "none"))
	}
	return b.String()
}

// flow is a map in YAML's flow style.
func flow(m map[string]string) string {
	var parts []string
	for k, v := range maps.All(m) {
		parts = append(parts, fmt.Sprintf("%q: %q", k, v))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// Strategies of Rollouts.
const (
	// canary takes a quarter of the traffic, waits, takes the half, waits, and goes on by itself.
	canary = "  strategy:\n    canary:\n      steps: [{setWeight: 25}, {pause: {duration: 6s}}, {setWeight: 50}, {pause: {duration: 4s}}]\n"
	// canaryThatWaits takes a quarter and waits for somebody to promote it.
	canaryThatWaits = "  strategy:\n    canary:\n      steps: [{setWeight: 25}, {pause: {}}, {setWeight: 60}, {pause: {duration: 3s}}]\n"
	// canaryWithGate asks an analysis before it takes more.
	canaryWithGate = "  strategy:\n    canary:\n      steps: [{setWeight: 25}, {analysis: {templates: [{templateName: gate}]}}, {setWeight: 60}, {pause: {duration: 3s}}]\n"
	// blueGreen switches at once.
	blueGreen = "  strategy:\n    blueGreen: {activeService: active, previewService: preview, autoPromotionEnabled: true, scaleDownDelaySeconds: 5}\n"
	// blueGreenWithGate asks an analysis before it switches.
	blueGreenWithGate = "  strategy:\n    blueGreen:\n      activeService: active\n      previewService: preview\n      autoPromotionEnabled: true\n      scaleDownDelaySeconds: 5\n" +
		"      prePromotionAnalysis: {templates: [{templateName: gate}]}\n"
	// blueGreenWithLateGate asks one after it has switched.
	blueGreenWithLateGate = "  strategy:\n    blueGreen:\n      activeService: active\n      previewService: preview\n      autoPromotionEnabled: true\n      scaleDownDelaySeconds: 30\n" +
		"      postPromotionAnalysis: {templates: [{templateName: gate}]}\n"
)

// services are the two of a blue-green Rollout.
func services(app string) string {
	one := "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {selector: {app: %s}, ports: [{port: 80}]}\n"
	return fmt.Sprintf(one, "active", app) + "---\n" + fmt.Sprintf(one, "preview", app)
}

// gate is an analysis that asks an address three times, a second apart, and fails with the first no.
func gate(address string) string {
	return "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: gate}\nspec:\n  metrics:\n    - name: gate\n" +
		"      interval: 1s\n      count: 3\n      failureLimit: 0\n      successCondition: result == \"yes\"\n" +
		"      provider: {web: {url: \"" + address + "\", jsonPath: \"{$.answer}\"}}\n"
}

// hook is a Job of Argo CD's that fails, or does not.
func hook(when string, fails bool) string {
	pods := "{}"
	if fails {
		pods = "{e2e/pods: fails}"
	}
	return "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: hook\n  annotations: {argocd.argoproj.io/hook: " + when + ", argocd.argoproj.io/hook-delete-policy: BeforeHookCreation}\n" +
		"spec:\n  backoffLimit: 0\n  template:\n    metadata: {annotations: " + pods + "}\n    spec:\n      restartPolicy: Never\n" +
		"      containers: [{name: check, image: registry.example.com/acme/check:v1.0.0}]\n"
}
