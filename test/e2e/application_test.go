//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// show commits what the manifests are now, and waits until Argo CD has seen it. It syncs nothing by itself.
func (v *service) show(message string) {
	v.Helper()
	v.commit(message)
	v.refresh()
	v.await("Argo CD has seen the commit", func() error {
		if at := v.compared(); at != v.revision {
			return fmt.Errorf("it is at %s", at)
		}
		return nil
	})
}

// compared is the revision of the manifests that Argo CD compared last.
func (v *service) compared() string {
	if app := v.app(); app != nil {
		if all, _, _ := unstructured.NestedStringSlice(app.Object, "status", "sync", "revisions"); len(all) > 0 {
			return all[0]
		}
	}
	return v.field("status", "sync", "revision")
}

// synced waits until Argo CD found nothing that differs from the last commit, and all of it healthy.
func (v *service) synced() {
	v.Helper()
	v.await("all is as committed", func() error {
		sync, health, phase := v.field("status", "sync", "status"), v.field("status", "health", "status"), v.field("status", "operationState", "phase")
		if v.compared() != v.revision || sync != "Synced" || health != "Healthy" || phase == "Running" {
			return fmt.Errorf("at %s: %s, %s, operation %s", v.compared(), sync, health, phase)
		}
		return v.fresh()
	})
	v.notef("all is as committed")
}

// operation waits until an operation that something causes is over.
func (v *service) operation(cause func()) {
	v.Helper()
	before := v.field("status", "operationState", "startedAt")
	cause()
	v.ended(before)
}

// goingOut waits until the last commit is applied, and not healthy yet.
func (v *service) goingOut() {
	v.Helper()
	v.await("the commit is applied", func() error {
		applied, phase, health := v.field("status", "operationState", "syncResult", "revision"), v.field("status", "operationState", "phase"), v.field("status", "health", "status")
		if applied != v.revision || phase != "Succeeded" || health != "Progressing" {
			return fmt.Errorf("%s of %s, health %s", phase, applied, health)
		}
		return nil
	})
	v.notef("goes out")
}

// terminate ends the operation that runs, as Argo CD's API server does.
func (v *service) terminate() {
	v.Helper()
	v.notef("terminate")
	// Argo CD may overwrite it with what it is writing at that moment.
	v.awaitRest("the operation is terminated", func() error {
		if v.field("status", "operationState", "phase") != "Running" {
			return nil
		}
		v.patch(map[string]any{"status": map[string]any{"operationState": map[string]any{"phase": "Terminating"}}})
		return errors.New("it runs")
	})
}

// relabel changes a label of the Application.
func (v *service) relabel(label, value string) {
	v.Helper()
	v.notef("label %s=%s", label, value)
	v.leaveHome()
	v.labels[label] = value
	v.patch(map[string]any{"metadata": map[string]any{"labels": map[string]any{label: value}}})
}

// leaveHome keeps where the service is at home until now.
func (v *service) leaveHome() {
	v.homes = append(v.homes, home{v.labels["service"], v.labels["env"], v.application, time.Now()})
}

// callItOtherwise gives the next Application another name.
func (v *service) callItOtherwise() {
	v.leaveHome()
	v.application += "-by-another-name"
}

// move puts the Application into another project, and waits until Argo CD has looked at it there.
func (v *service) move(project, health string) {
	v.Helper()
	v.notef("project %s", project)
	before := v.field("status", "reconciledAt")
	v.patch(map[string]any{"spec": map[string]any{"project": project}})
	v.refresh()
	v.await("Argo CD has looked at it in the project", func() error {
		if is := v.field("status", "health", "status"); is != health || health == "Healthy" && v.field("status", "reconciledAt") == before {
			return fmt.Errorf("health is %s", is)
		}
		return nil
	})
}

// kubectl does something by hand where the service runs.
func (v *service) kubectl(args ...string) {
	v.Helper()
	v.notef("kubectl %s", strings.Join(args, " "))
	v.check(v.Kubectl(v.Context(), nil, append(args, "--namespace="+v.namespace)...))
}

// edit puts an image into the Deployment by hand.
func (v *service) edit(tag string) {
	v.Helper()
	v.kubectl("set", "image", "deployment/"+v.workload.name, "c0=registry.example.com/acme/"+v.name+":"+tag)
}

// hookRuns waits for the pod of a hook that waits.
func (v *service) hookRuns() *corev1.Pod {
	v.Helper()
	var pod *corev1.Pod
	v.await("the hook runs", func() error {
		pods := &corev1.PodList{}
		if err := v.API.List(v.Context(), pods, client.InNamespace(v.namespace), client.MatchingLabels{"job-name": "hook"}); err != nil {
			return err
		}
		for i := range pods.Items {
			if p := &pods.Items[i]; p.Status.Phase == corev1.PodPending && p.DeletionTimestamp == nil {
				pod = p
				return nil
			}
		}
		return errors.New("there is no pod that runs")
	})
	return pod
}

// hookEnds ends the hook that runs.
func (v *service) hookEnds(phase corev1.PodPhase) {
	v.Helper()
	pod := v.hookRuns()
	v.notef("the hook ends: %s", phase)
	before := pod.DeepCopy()
	pod.Status.Phase = phase
	v.check(v.API.Status().Patch(v.Context(), pod, client.MergeFrom(before)))
}

// worker writes a second workload beside the first, with an image of the same release, and changed at will.
func (v *service) worker(name string, change func(*workload)) {
	v.Helper()
	v.want(name)
	w := workload{name: "worker", kind: "Deployment", replicas: 1, deadline: v.workload.deadline}
	w.images = []string{"registry.example.com/acme/" + v.name + "-worker:" + v.releases[name].tag}
	if change != nil {
		change(&w)
	}
	v.files["deploy/worker.yaml"] = w.yaml()
}

// waiting makes a hook wait until hookEnds.
func waiting(hook string) string {
	return strings.Replace(hook, "annotations: {}", "annotations: {e2e/pods: never}", 1)
}

// wave puts a manifest's first annotations into a wave.
func wave(number, manifest string) string {
	return strings.Replace(manifest, "annotations: {", `annotations: {argocd.argoproj.io/sync-wave: "`+number+`", `, 1)
}

// hpa scales a Deployment by a metric that nobody measures here.
func hpa(target string) string {
	return "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: " + target +
		"}\n  minReplicas: 2\n  maxReplicas: 4\n  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]\n"
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n  annotations: {}\n"
}

// helmChart has the image among its values.
func helmChart(w workload) map[string]string {
	return map[string]string{
		"deploy/Chart.yaml":         "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"deploy/values.yaml":        "image: " + w.images[0] + "\n",
		"deploy/templates/web.yaml": w.with("{{ .Values.image }}").yaml(),
	}
}

// kustomization sets the image of a manifest that names none.
func kustomization(w workload) map[string]string {
	at := strings.LastIndex(w.images[0], ":")
	return map[string]string{
		"deploy/kustomization.yaml": fmt.Sprintf("resources: [web.yaml]\nimages: [{name: web, newName: %q, newTag: %q}]\n", w.images[0][:at], w.images[0][at+1:]),
		"deploy/web.yaml":           w.with("web").yaml(),
	}
}
