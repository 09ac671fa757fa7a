//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
	"github.com/dora-controller/dora-controller/test/e2e/stand"
)

// service is one that is deployed by an Application of its own, from a repository with its manifests; its images are built from another. A DoraTarget
// of its own follows it.
type service struct {
	*testing.T
	*live

	name string
	// application is the name of its Application, and argo the namespace.
	application, argo string
	// namespace is where it runs.
	namespace string
	// labels of the Application.
	labels map[string]string
	// annotations of the Application.
	annotations map[string]string
	// byHand leaves syncing to the story. Otherwise Argo CD syncs by itself, and heals.
	byHand bool
	// workload and files are what is committed next: manifests of whatever is beside the workload, by file.
	workload workload
	files    map[string]string
	// layout is how the workload is written, by file, if not as plain manifests.
	layout func(workload) map[string]string
	// degradedFor of its target.
	degradedFor dorav1alpha1.Duration
	// changes that its target counts.
	changes []dorav1alpha1.ChangeKind
	// standalone has no Application: its manifests are applied by hand.
	standalone bool
	// spec changes the Application before it is made.
	spec func(app map[string]any)
	// homes are the services and environments that it was, before its labels were changed; again is the command that tells a made-up story again.
	homes []home
	again string
	// gaps are the entries of its history that nobody could tell.
	gaps int
	// formerly are the names that the service had before.
	formerly []string

	config, source *stand.Repository
	// releases are the versions, by the names that the story gives them.
	releases map[string]release
	// order is that in which they were released.
	order []string
	// revision is the last commit of the manifests.
	revision string
	// gate is what the analysis is told: yes or no.
	gate *atomic.Value
	// told is what was expected of it, at the end; loose says that the controller was away for a moment.
	told  []string
	loose bool
	// strict takes the first of several alternatives only: nothing was away since they came up.
	strict bool
}

// release is a version of a service.
type release struct {
	tag   string
	image string
	// first is when its first commit was made.
	first time.Time
}

// patience is how long Argo may take for anything. Nothing depends on how long it took.
const patience = 3 * time.Minute

// service makes one, by a story. Nothing is deployed yet.
func (l *live) service(t *testing.T, one story) *service {
	t.Helper()
	name := one.name + l.suffix
	v := &service{
		T: t, live: l, again: l.again, name: name, application: name, argo: stand.ArgoNamespace, namespace: "prod-" + name, degradedFor: "0s",
		files: map[string]string{}, releases: map[string]release{}, gate: &atomic.Value{},
		workload: workload{name: "web", kind: "Deployment", replicas: 2, deadline: 10},
		labels:   map[string]string{"story": name, "service": name, "team": "payments", "env": "prod"},
	}
	if one.with != nil {
		one.with(v)
	}
	v.make()
	return v
}

func (v *service) check(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

func (v *service) make() {
	v.Helper()
	var err error
	v.config, err = v.Git.Make(v.Context(), "config/"+v.name)
	v.check(err)
	v.source, err = v.Git.Make(v.Context(), "source/"+v.name)
	v.check(err)
	_, err = v.source.Commit(v.Context(), "the beginning", time.Now().Add(-1000*time.Hour), map[string]string{"README": "a service\n"})
	v.check(err)
	v.check(v.API.Create(v.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v.namespace}}))
	v.portal.PutEntity("service", porttest.Entity{Identifier: v.labels["service"], Title: v.labels["service"]})
	v.makeTarget()
}

// makeTarget makes the DoraTarget. Following must have begun before the first deployment, or that would be a baseline.
func (v *service) makeTarget() {
	v.Helper()
	selector := &dorav1alpha1.SubjectSelector{MatchLabels: map[string]dorav1alpha1.LabelValue{"story": dorav1alpha1.LabelValue(v.labels["story"])}}
	target := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: stand.ArgoNamespace, Name: v.name}}
	target.Spec = dorav1alpha1.DoraTargetSpec{
		Applications: selector, Rollouts: selector, DegradedFor: v.degradedFor, Changes: v.changes,
		Source:  &dorav1alpha1.Source{Repository: dorav1alpha1.Repository{URL: v.source.URL}, Provider: "Git"},
		Service: dorav1alpha1.NameSource{FromLabel: "service"}, Environment: dorav1alpha1.NameSource{FromLabel: "env"}, Team: dorav1alpha1.NameSource{FromLabel: "team"},
		Sinks: []dorav1alpha1.SinkName{dorav1alpha1.SinkName("warehouse" + v.suffix), dorav1alpha1.SinkName("receiver" + v.suffix), dorav1alpha1.SinkName("portal" + v.suffix)},
	}
	v.check(v.API.Create(v.Context(), target))
	v.await("its DoraTarget is known", func() error {
		if err := v.Get(v.Context(), target.Namespace, target.Name, target); err != nil {
			return err
		}
		if target.Status.ObservedGeneration != target.Generation {
			return errors.New("nobody has looked at it")
		}
		return nil
	})
}

// await waits for something that Argo does, and ends the story if it does not come.
func (v *service) await(what string, ask func() error) {
	v.Helper()
	eventually(v.T, patience, v.name+": "+what, func(context.Context) error { return ask() })
}

// awaitRest waits for what takes some work to ask, twice a second.
func (v *service) awaitRest(what string, ask func() error) {
	v.Helper()
	var last error
	var next time.Time
	v.await(what, func() error {
		if now := time.Now(); now.After(next) {
			last, next = ask(), now.Add(500*time.Millisecond)
		}
		return last
	})
}

func (v *service) notef(format string, a ...any) {
	v.Watch.Note(v.name + ": " + fmt.Sprintf(format, a...))
}

// build makes a release from two commits, and gives it a name. Its image's tag is main- and the SHA.
func (v *service) build(name string) {
	v.Helper()
	first := time.Now().Add(-time.Duration(100-len(v.order)) * time.Hour).Truncate(time.Second)
	_, err := v.source.Commit(v.Context(), name+": the first commit", first, map[string]string{"CHANGES": name + " begun"})
	v.check(err)
	sha, err := v.source.Commit(v.Context(), name+": the last commit", first.Add(30*time.Minute), map[string]string{"CHANGES": name})
	v.check(err)
	// The default pattern takes no digits alone for a SHA.
	tag := "main-" + sha[:min(max(strings.IndexAny(sha, "abcdef")+1, 7), len(sha))]
	v.released(name, tag, first)
}

// released names a version that has no commit, or has been built.
func (v *service) released(name, tag string, first time.Time) {
	separator := ":"
	if strings.HasPrefix(tag, "sha256:") {
		separator = "@"
	}
	v.releases[name] = release{tag, "registry.example.com/acme/" + v.name + separator + tag, first}
	v.order = append(v.order, name)
}

// want builds that version, if it is new, and puts it into the manifests.
func (v *service) want(name string) {
	v.Helper()
	if _, known := v.releases[name]; !known {
		v.build(name)
	}
	v.workload = v.workload.with(v.releases[name].image)
}

// commit writes the manifests as they are now.
func (v *service) commit(message string) {
	v.Helper()
	files := maps.Clone(v.files)
	switch {
	case v.layout != nil:
		maps.Copy(files, v.layout(v.workload))
	case v.workload.images != nil:
		files["deploy/workload.yaml"] = v.workload.yaml()
	}
	var err error
	v.revision, err = v.config.Commit(v.Context(), message, time.Now(), files)
	v.check(err)
	v.notef("commit %s: %s", v.revision, message)
}

// first deploys the first version, with the Application or without one, and waits until it is healthy.
func (v *service) first(name string) {
	v.Helper()
	v.want(name)
	v.commit("first " + name)
	if v.standalone {
		v.apply()
		return
	}
	v.makeApplication()
	if v.byHand {
		v.sync()
	}
	v.healthy(name)
}

// next commits another version, and lets Argo CD know.
func (v *service) next(name string) {
	v.Helper()
	v.want(name)
	v.change("next " + name)
}

// change commits what the manifests are now, and lets Argo CD know.
func (v *service) change(message string) {
	v.Helper()
	v.commit(message)
	if v.standalone {
		v.apply()
		return
	}
	v.refresh()
	if v.byHand {
		v.await("Argo CD has seen the commit", func() error {
			if at := v.field("status", "sync", "revision"); at != v.revision {
				return fmt.Errorf("it is at %s", at)
			}
			return nil
		})
		v.sync()
	}
}

// apply applies a Rollout that no Application manages.
func (v *service) apply() {
	v.Helper()
	manifest := strings.Replace(v.workload.yaml(), "metadata:\n", "metadata:\n  labels: "+flow(v.labels)+"\n", 1)
	v.check(v.Kubectl(v.Context(), strings.NewReader(manifest), "apply", "--namespace="+v.namespace, "-f", "-"))
}

func (v *service) makeApplication() {
	v.Helper()
	spec := map[string]any{
		"project":     "default",
		"source":      map[string]any{"repoURL": v.config.URL, "path": "deploy", "targetRevision": "main"},
		"destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": v.namespace},
	}
	if !v.byHand {
		spec["syncPolicy"] = map[string]any{"automated": map[string]any{"prune": true, "selfHeal": true}}
	}
	if v.spec != nil {
		v.spec(spec)
	}
	app := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "spec": spec}}
	app.SetNamespace(v.argo)
	app.SetName(v.application)
	app.SetLabels(v.labels)
	app.SetAnnotations(v.annotations)
	app.SetFinalizers([]string{"resources-finalizer.argocd.argoproj.io"})
	v.check(v.API.Create(v.Context(), app))
	v.notef("Application made")
}

// deleteApplication deletes it with all it deployed, or with nothing of it, and waits until it is gone.
func (v *service) deleteApplication(cascade bool) {
	v.Helper()
	if !cascade {
		v.patch(map[string]any{"metadata": map[string]any{"finalizers": nil}})
	}
	v.check(v.API.Delete(v.Context(), v.app()))
	v.await("the Application is gone", func() error {
		if v.app() != nil {
			return errors.New("it is still there")
		}
		return nil
	})
}

// app is the Application now; nil if there is none.
func (v *service) app() *unstructured.Unstructured { return v.Watch.Application(v.argo, v.application) }

// rollout is the Rollout now.
func (v *service) rollout() *unstructured.Unstructured {
	return v.Watch.Rollout(v.namespace, v.workload.name)
}

// field is a string of the Application's.
func (v *service) field(path ...string) string {
	app := v.app()
	if app == nil {
		return ""
	}
	text, _, _ := unstructured.NestedString(app.Object, path...)
	return text
}

func (v *service) patch(change map[string]any) {
	v.Helper()
	app := &unstructured.Unstructured{}
	app.SetAPIVersion("argoproj.io/v1alpha1")
	app.SetKind("Application")
	app.SetNamespace(v.argo)
	app.SetName(v.application)
	body, err := json.Marshal(change)
	v.check(err)
	v.await("the Application takes a patch", func() error {
		return v.API.Patch(v.Context(), app, client.RawPatch(types.MergePatchType, body))
	})
}

// refresh makes Argo CD look now, as its web hook does.
func (v *service) refresh() {
	v.Helper()
	v.patch(map[string]any{"metadata": map[string]any{"annotations": map[string]any{"argocd.argoproj.io/refresh": "normal"}}})
}

// operate requests an operation as Argo CD's API server does: the state of the last one goes.
func (v *service) operate(sync map[string]any) {
	v.Helper()
	v.await("no operation runs", func() error {
		if v.field("status", "operationState", "phase") == "Running" {
			return errors.New("one runs")
		}
		if last := v.field("status", "operationState", "startedAt"); last >= time.Now().UTC().Format(time.RFC3339) {
			return errors.New("one began in this second, and Argo CD counts no parts of one")
		}
		return nil
	})
	v.await("the Application takes an operation", func() error {
		app := &unstructured.Unstructured{}
		app.SetAPIVersion("argoproj.io/v1alpha1")
		app.SetKind("Application")
		if err := v.API.Get(v.Context(), client.ObjectKey{Namespace: v.argo, Name: v.application}, app); err != nil {
			return err
		}
		if _, busy := app.Object["operation"]; busy {
			return errors.New("another operation runs")
		}
		app.Object["operation"] = map[string]any{"initiatedBy": map[string]any{"username": "ada"}, "sync": sync}
		unstructured.RemoveNestedField(app.Object, "status", "operationState")
		return v.API.Update(v.Context(), app)
	})
	v.notef("operation %v", sync)
}

// sync syncs to the last commit, wholly or these resources only, and waits until the operation has ended.
func (v *service) sync(resources ...map[string]any) {
	v.Helper()
	before := v.field("status", "operationState", "startedAt")
	request := map[string]any{"revision": v.revision, "syncStrategy": map[string]any{"hook": map[string]any{}}, "prune": true}
	if resources != nil {
		var list []any
		for _, r := range resources {
			list = append(list, r)
		}
		request["resources"] = list
	}
	v.operate(request)
	v.ended(before)
}

// ended waits until an operation that started after that one is over.
func (v *service) ended(before string) {
	v.Helper()
	v.await("the operation ends", func() error {
		phase, finished := v.field("status", "operationState", "phase"), v.field("status", "operationState", "finishedAt")
		if v.field("status", "operationState", "startedAt") == before || finished == "" || phase == "Running" || phase == "" {
			return fmt.Errorf("its phase is %q", phase)
		}
		return nil
	})
}

// rollBack does what `argocd app rollback` does with an entry of the history, counted from the oldest.
func (v *service) rollBack(entry int) {
	v.Helper()
	history, _, _ := unstructured.NestedSlice(v.app().Object, "status", "history")
	one, ok := history[entry].(map[string]any)
	if !ok {
		v.Fatalf("history %v", history)
	}
	before := v.field("status", "operationState", "startedAt")
	v.operate(map[string]any{"revision": one["revision"], "source": one["source"], "syncStrategy": map[string]any{"apply": map[string]any{}}})
	v.ended(before)
}

// healthy waits until that version runs, whole and alone, as Argo CD sees it.
func (v *service) healthy(name string) {
	v.Helper()
	v.await(name+" is healthy", func() error {
		if v.standalone {
			return v.rolloutIs("Healthy")
		}
		if v.workload.kind == "Rollout" {
			if err := v.rolloutIs("Healthy"); err != nil {
				return err
			}
		}
		return v.runs(name)
	})
	v.notef("%s is healthy", name)
}

// runs tells whether Argo CD has seen that version healthy after its operation.
func (v *service) runs(name string) error {
	app := v.app()
	if app == nil {
		return errors.New("there is no Application")
	}
	health, phase := v.field("status", "health", "status"), v.field("status", "operationState", "phase")
	images, _, _ := unstructured.NestedStringSlice(app.Object, "status", "summary", "images")
	if health != "Healthy" || phase == "Running" {
		return fmt.Errorf("health %s, operation %s", health, phase)
	}
	if !slices.Contains(images, v.releases[name].image) {
		return fmt.Errorf("images are %v", images)
	}
	for other, r := range v.releases {
		if other != name && slices.Contains(images, r.image) {
			return fmt.Errorf("images are %v", images)
		}
	}
	return v.fresh()
}

// fresh tells whether health is that after the operation.
func (v *service) fresh() error {
	if reconciled, finished := v.field("status", "reconciledAt"), v.field("status", "operationState", "finishedAt"); reconciled <= finished {
		return fmt.Errorf("reconciled at %s, finished at %s", reconciled, finished)
	}
	return nil
}

// healthIs waits until the Application's health is that.
func (v *service) healthIs(health string) {
	v.Helper()
	v.await("health is "+health, func() error {
		if is := v.field("status", "health", "status"); is != health {
			return fmt.Errorf("it is %s", is)
		}
		return nil
	})
	v.notef("health is %s", health)
}

// degraded waits until the Application is Degraded.
func (v *service) degraded() {
	v.Helper()
	v.healthIs("Degraded")
}

// rolloutIs tells whether the Rollout is in that phase, and has been seen to be.
func (v *service) rolloutIs(phase string) error {
	r := v.rollout()
	if r == nil {
		return errors.New("there is no Rollout")
	}
	is, _, _ := unstructured.NestedString(r.Object, "status", "phase")
	seen, _, _ := unstructured.NestedString(r.Object, "status", "observedGeneration")
	if is != phase || seen != strconv.FormatInt(r.GetGeneration(), 10) {
		return fmt.Errorf("the Rollout is %s at generation %s of %d", is, seen, r.GetGeneration())
	}
	// For a moment the status has the new generation and still tells of the template before.
	hash, _, _ := unstructured.NestedString(r.Object, "status", "currentPodHash")
	if set := v.Watch.ReplicaSet(v.namespace, hash); set == nil || !strings.Contains(fmt.Sprint(set.Object["spec"]), v.workload.images[0]) {
		return fmt.Errorf("the Rollout has another image than %s", v.workload.images[0])
	}
	return nil
}

// rolloutAwait waits until the Rollout is in that phase: Paused, Degraded, Healthy.
func (v *service) rolloutAwait(phase string) {
	v.Helper()
	v.await("the Rollout is "+phase, func() error { return v.rolloutIs(phase) })
	v.notef("the Rollout is %s", phase)
}

// argoRollouts runs the kubectl plugin of Argo Rollouts on the Rollout: abort, promote, undo.
func (v *service) argoRollouts(args ...string) {
	v.Helper()
	args = append(args, v.workload.name)
	if args[0] == "retry" {
		args = []string{"retry", "rollout", v.workload.name}
	}
	v.notef("kubectl argo rollouts %s", strings.Join(args, " "))
	v.await("the Rollout takes it", func() error { return v.plugin(args...) })
}

func (v *service) plugin(args ...string) error {
	cmd := exec.CommandContext(v.Context(), filepath.Join(root, "bin", "e2e", "kubectl-argo-rollouts"), append(args, "--namespace="+v.namespace)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(v.Folder, "admin.kubeconfig"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl argo rollouts %v: %w: %s", args, err, bytes.TrimSpace(out))
	}
	return nil
}

// crash makes all pods of the service fail, or well again, as a kubelet would report it. New ones are not concerned.
func (v *service) crash(broken bool) {
	v.Helper()
	v.notef("pods broken: %t", broken)
	pods := &corev1.PodList{}
	v.await("the pods are listed", func() error {
		return v.API.List(v.Context(), pods, client.InNamespace(v.namespace), client.MatchingLabels{"app": v.workload.name})
	})
	for _, pod := range pods.Items {
		v.await("a pod's status is written", func() error { return v.setReady(pod.Name, !broken) })
	}
}

func (v *service) setReady(name string, ready bool) error {
	pod := &corev1.Pod{}
	if err := v.Get(v.Context(), v.namespace, name, pod); err != nil {
		return client.IgnoreNotFound(err)
	}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady} {
		pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: metav1.Now()})
	}
	pod.Status.Phase = corev1.PodRunning
	for i := range pod.Status.ContainerStatuses {
		pod.Status.ContainerStatuses[i].Ready = ready
	}
	err := v.API.Status().Update(v.Context(), pod)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// openGate opens an address that the analysis of a Rollout asks, which says yes until it is told otherwise. Told "no once", it says yes again after that.
func (v *service) openGate() {
	v.Helper()
	v.gate.Store("yes")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := v.gate.Load()
		if v.gate.CompareAndSwap("no once", "yes") {
			answer = "no"
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"answer": answer})
	}))
	v.Cleanup(server.Close)
	v.files["deploy/gate.yaml"] = gate(server.URL)
}

// stableServesAlone waits until the pods of an aborted Rollout's canary are gone and the stable ones are all there.
func (v *service) stableServesAlone() {
	v.Helper()
	v.await("the stable version serves alone", func() error {
		status, _, _ := unstructured.NestedMap(v.rollout().Object, "status")
		want := int64(v.workload.replicas)
		if status["availableReplicas"] != want || status["replicas"] != want || status["updatedReplicas"] != nil && status["updatedReplicas"] != int64(0) {
			return fmt.Errorf("status is %v", status)
		}
		return nil
	})
}
