package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/doctor"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/mark"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// world is a real API server with an installation on it, in which the test plays the controller and the kubelet. Requests go through a
// proxy that answers exec and logs, since there is no kubelet, and counts who reads Secrets.
type world struct {
	t           *testing.T
	environment *envtest.Environment
	api         client.Client
	month       []dora.Event // that the ledger in the pod has
	admin       string       // the administrator's kubeconfig, through the proxy

	mu       sync.Mutex
	commands [][]string // that were run in the pod
	secrets  []string   // paths of Secrets that were asked for, with what was accepted
	log      string
	// inspection is what `dora-controller inspect` prints.
	inspection string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, month: monthOf(t), inspection: `{"ledger_volume":{"free_bytes":900000000,"size_bytes":1000000000}}`, environment: &envtest.Environment{
		CRDDirectoryPaths: []string{filepath.Join(root, "config", "crd", "bases"), filepath.Join(root, "bin", "crds")}, ErrorIfCRDPathMissing: true,
	}}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		w.environment.BinaryAssetsDirectory = filepath.Join(root, "bin", "envtest") // where hack/envtest.sh puts the control plane
	}
	config, err := w.environment.Start()
	w.must(err)
	t.Cleanup(func() {
		if err := w.environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		dorav1alpha1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme, coordinationv1.AddToScheme,
	} {
		w.must(add(scheme))
	}
	w.api, err = client.New(config, client.Options{Scheme: scheme})
	w.must(err)
	w.admin = w.user("admin", "system:masters")
	w.install()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// user makes a user, whose requests go through the proxy.
func (w *world) user(name string, groups ...string) (kubeconfig string) {
	w.t.Helper()
	user, err := w.environment.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	w.must(err)
	transport, err := rest.TransportFor(user.Config())
	w.must(err)
	server, err := url.Parse(user.Config().Host)
	w.must(err)
	proxy := httptest.NewServer(w.kubelet(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "https", Host: server.Host})
	}}))
	w.t.Cleanup(proxy.Close)
	path := filepath.Join(w.t.TempDir(), "kubeconfig")
	w.must(clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "test", Clusters: map[string]*clientcmdapi.Cluster{"test": {Server: proxy.URL}},
		Contexts: map[string]*clientcmdapi.Context{"test": {Cluster: "test", Namespace: "argocd"}},
	}, path))
	return path
}

// kubelet answers what a kubelet would, for those whom the API server lets ask, and passes on all the rest.
func (w *world) kubelet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case strings.HasSuffix(r.URL.Path, "/exec"):
			command := r.URL.Query()["command"]
			w.commands = append(w.commands, command)
			saying(said(channelOut, w.controllerPrints(command)), ended(w.t, ""))(out, r)
			return
		case strings.HasSuffix(r.URL.Path, "/log"):
			_, _ = io.WriteString(out, w.log)
			return
		case strings.Contains(r.URL.Path, "/secrets"):
			w.secrets = append(w.secrets, r.URL.Path+" "+r.Header.Get("Accept"))
		}
		next.ServeHTTP(out, r)
	})
}

// controllerPrints is what `dora-controller events` has of that month.
func (w *world) controllerPrints(command []string) string {
	switch command[1] {
	case "events":
	case "inspect":
		return w.inspection
	default:
		return ""
	}
	var lines bytes.Buffer
	for _, e := range w.month {
		words := strings.Join(command, " ")
		if _, id, named := strings.Cut(words, "--id="); named && id != e.ID {
			continue
		}
		if !strings.Contains(words, "--type=deploy") || e.Type == dora.TypeDeploy {
			w.must(json.NewEncoder(&lines).Encode(&e))
		}
	}
	return lines.String()
}

// apply makes the objects of a manifest of config/.
func (w *world) apply(path string) {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "config", path))
	w.must(err)
	for document := range strings.SplitSeq("\n"+string(data), "\n---\n") {
		var o unstructured.Unstructured
		w.must(yaml.Unmarshal([]byte(document), &o.Object))
		if len(o.Object) > 0 {
			w.must(w.api.Create(w.t.Context(), &o))
		}
	}
}

// install installs the controller as its manifests do, with Argo CD's namespace trusted, and lets it look as if it ran.
func (w *world) install() {
	w.t.Helper()
	for _, path := range []string{
		"manager/namespace.yaml", "manager/ledger.yaml", "rbac/service_account.yaml", "rbac/role.yaml", "rbac/role_binding.yaml",
		"rbac/leader_election_role.yaml", "rbac/leader_election_role_binding.yaml", "rbac/secret_reader_role.yaml", "manager/manager.yaml",
	} {
		w.apply(path)
	}
	ctx := w.t.Context()
	var deployment appsv1.Deployment
	w.must(w.api.Get(ctx, client.ObjectKey{Namespace: "dora-system", Name: "dora-controller"}, &deployment))
	container := &deployment.Spec.Template.Spec.Containers[0]
	container.Args = append(container.Args, "--trusted-namespaces=argocd")
	container.Env = append(container.Env, corev1.EnvVar{Name: "HTTPS_PROXY", Value: "http://proxy:" + sinktest.Secret("env") + "@proxy"})
	w.must(w.api.Update(ctx, &deployment))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "dora-system", Name: "dora-controller-1", Labels: deployment.Spec.Template.Labels, Annotations: deployment.Spec.Template.Annotations,
	}, Spec: deployment.Spec.Template.Spec}
	w.must(w.api.Create(ctx, pod))
	w.podIs(func(s *corev1.PodStatus) {
		s.Phase, s.Conditions = corev1.PodRunning, []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "manager", Ready: true}}
	})
	w.must(w.api.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dora-system", Name: "dora-controller"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new("dora-controller-1_x"), RenewTime: new(metav1.NowMicro()), LeaseDurationSeconds: new(int32(15)),
		},
	}))
	w.must(w.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "argocd"}}))
	w.objects(ctx)
}

// objects are an Application, the target that selects it, a sink and its Secret, which the controller may read.
func (w *world) objects(ctx context.Context) {
	w.t.Helper()
	w.application("checkout", "registry.example.com/checkout:main-1a2b3c4")
	target := &dorav1alpha1.DoraTarget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "payments-prod"},
		Spec:       dorav1alpha1.DoraTargetSpec{Applications: &dorav1alpha1.SubjectSelector{}, Source: &dorav1alpha1.Source{}},
	}
	w.must(w.api.Create(ctx, target))
	w.targetIs(func(s *dorav1alpha1.DoraTargetStatus) {
		s.SetConditions(1, dorav1alpha1.Followed(dorav1alpha1.ObservedSubjects{Applications: 1}))
		figures := dorav1alpha1.Figures{
			Band:                dorav1alpha1.BandLow,
			DeploymentFrequency: dorav1alpha1.FrequencyFigure{PerWeek: "1.4", PerDay: "0.2", Samples: 6, Band: dorav1alpha1.BandHigh},
			ChangeFailureRate:   dorav1alpha1.FailureRateFigure{Ratio: "0.4286", Failures: 3, Samples: 7, Band: dorav1alpha1.BandLow},
		}
		s.Summary = &figures
		s.SetServices([]dorav1alpha1.ServiceStatus{{Service: "checkout", Environment: "production", Figures: figures}})
		s.SetOpenFailures([]dorav1alpha1.OpenFailure{{Service: "checkout", Environment: "production", Since: metav1.NewTime(time.Now().Truncate(time.Second)), EventID: "open-1"}})
		s.Display = dorav1alpha1.NewDisplay(s, []string{"production"})
	})
	sink := &dorav1alpha1.DoraSink{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "port"}, Spec: dorav1alpha1.DoraSinkSpec{
		Type: dorav1alpha1.SinkPort, Default: true, Port: &dorav1alpha1.PortSink{SecretRef: dorav1alpha1.SecretReference{Name: "port-credential"}},
	}}
	w.must(w.api.Create(ctx, sink))
	w.sinkIs(func(s *dorav1alpha1.DoraSinkStatus) { s.Delivered = 15; s.SetConditions(1, dorav1alpha1.Delivering()) })
	w.must(w.api.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "port-credential"}, StringData: map[string]string{"clientSecret": sinktest.Secret("port")},
	}))
	w.must(w.api.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "dora-controller-secret-reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "dora-controller-secret-reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "dora-system", Name: "dora-controller"}},
	}))
}

func (w *world) application(name, image string) {
	w.t.Helper()
	now := time.Now().UTC().Format(time.RFC3339)
	w.must(w.api.Create(w.t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": map[string]any{"namespace": "argocd", "name": name},
		"spec": map[string]any{"project": "default", "destination": map[string]any{}, "source": map[string]any{"repoURL": "https://example.com"}},
		"status": map[string]any{
			"reconciledAt": now, "health": map[string]any{"status": "Healthy", "lastTransitionTime": now}, "summary": map[string]any{"images": []any{image}},
		},
	}}))
}

func (w *world) podIs(change func(*corev1.PodStatus)) {
	w.t.Helper()
	var pod corev1.Pod
	w.must(w.api.Get(w.t.Context(), client.ObjectKey{Namespace: "dora-system", Name: "dora-controller-1"}, &pod))
	change(&pod.Status)
	w.must(w.api.Status().Update(w.t.Context(), &pod))
}

func (w *world) targetIs(change func(*dorav1alpha1.DoraTargetStatus)) {
	w.t.Helper()
	var target dorav1alpha1.DoraTarget
	w.must(w.api.Get(w.t.Context(), client.ObjectKey{Namespace: "argocd", Name: "payments-prod"}, &target))
	change(&target.Status)
	w.must(w.api.Status().Update(w.t.Context(), &target))
}

func (w *world) sinkIs(change func(*dorav1alpha1.DoraSinkStatus)) {
	w.t.Helper()
	var sink dorav1alpha1.DoraSink
	w.must(w.api.Get(w.t.Context(), client.ObjectKey{Namespace: "argocd", Name: "port"}, &sink))
	change(&sink.Status)
	w.must(w.api.Status().Update(w.t.Context(), &sink))
}

func (w *world) run(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, append(args, "--kubeconfig", w.admin)...)
}

// The specs share one API server, and each leaves it as it found it.
func TestOnARealAPIServer(t *testing.T) {
	w := newWorld(t)
	for _, spec := range []struct {
		name string
		run  func(*world, *testing.T)
	}{
		{"the status of a target has everything", (*world).statusOfOne},
		{"the status of several is a line each", (*world).statusOfSeveral},
		{"objects come as JSON and YAML", (*world).objectsAsText},
		{"sinks say what they are owed", (*world).sinksOwed},
		{"events come from the pod", (*world).eventsOfThePod},
		{"a report is about the target's services", (*world).reportOfATarget},
		{"an incident is explained by what the targets count", (*world).explainsIncidents},
		{"names are completed", (*world).completes},
		{"nothing is wrong with what the manifests install", (*world).healthy},
		{"what is broken is found", (*world).broken},
		{"kinds of an older version are found, and mended, whoever installed them", (*world).oldKinds},
		{"rights that lack one verb are found", (*world).lacksRights},
		{"receivers, their certificate and the ledger's volume are looked at", (*world).receivers},
		{"what is said of a Secret lets the controller read it, without a ClusterRole", (*world).mendsSecrets},
		{"metrics that nobody can read are found, and those that somebody can are not", (*world).securesMetrics},
		{"who may read little is told what was not checked", (*world).littleRights},
		{"who may read nothing is told so", (*world).noRights},
		{"an archive holds no credential", (*world).bundles},
		{"a mark has the user's name, and is waited for", (*world).marks},
		{"a mark that is refused is told so", (*world).marksRefused},
		{"each command of the page runs", (*world).page},
	} {
		t.Run(spec.name, func(t *testing.T) { spec.run(w, t) })
	}
}

func (w *world) statusOfOne(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	got := w.run(t, "status", "payments-prod")
	g.Expect(got.code).To(Equal(exitOK), got.stderr)
	g.Expect(got.stdout).To(HavePrefix("DoraTarget argocd/payments-prod, the last 30d\nReady: True   Followed: Following 1 Application and 0 Rollouts\n"))
	for _, line := range []string{
		`(?m)^Deployment frequency +1.4 a week +6 deployments +High$`, `(?m)^Change failure rate +43% +3 of 7 attempts +Low$`,
		`(?m)^Lead time for changes +– +0 deployments +–$`, `(?m)^checkout +production +6 +1.4 +– +43% +– +– +Low$`,
		`(?m)^Latest deployments$`, `(?m)^2026-11-26T\S+ +deploy +unknown +checkout`, `(?m)^Open failures$`, `checkout +production +no deployment +open-1`,
		`(?m)^argocd/port +Port +True +Delivering +15 +0 +0`,
	} {
		g.Expect(got.stdout).To(MatchRegexp(line))
	}
	g.Expect(strings.Count(got.stdout, "  deploy ")).To(Equal(5))
	without := w.run(t, "status", "payments-prod", "--recent", "0")
	g.Expect(without.stdout).NotTo(ContainSubstring("Latest deployments"))
}

func (w *world) statusOfSeveral(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	other := &dorav1alpha1.DoraTarget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other"}, Spec: dorav1alpha1.DoraTargetSpec{Rollouts: &dorav1alpha1.SubjectSelector{}},
	}
	w.must(w.api.Create(t.Context(), other))
	defer func() { w.must(w.api.Delete(context.WithoutCancel(t.Context()), other)) }()
	got := w.run(t, "status", "-A")
	g.Expect(got.stdout).To(MatchRegexp(`(?m)^argocd/payments-prod +1 +production +6 +1.4 +– +43% .* True$`))
	g.Expect(got.stdout).To(MatchRegexp(`(?m)^default/other .* Unknown$`))
	g.Expect(got.stdout).To(ContainSubstring("default/other: Starting: No controller has looked at it yet"))
	g.Expect(w.run(t, "status", "-n", "kube-system").stderr).To(ContainSubstring(`There are no DoraTargets in namespace "kube-system"`))
	missing := w.run(t, "status", "nobody")
	g.Expect(missing.code).To(Equal(exitFailure))
	g.Expect(missing.stderr).To(ContainSubstring("there is none"))
}

func (w *world) objectsAsText(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	var read standing
	g.Expect(json.Unmarshal([]byte(w.run(t, "status", "-o", "json").stdout), &read)).To(Succeed())
	g.Expect(read.Targets).To(HaveLen(1))
	g.Expect(read.Targets[0].Kind).To(Equal("DoraTarget"))
	g.Expect(read.Sinks[0].Status.Delivered).To(BeEquivalentTo(15))
	g.Expect(yaml.Unmarshal([]byte(w.run(t, "sinks", "-o", "yaml").stdout), &read)).To(Succeed())
	g.Expect(w.run(t, "status", "-n", "default", "-o", "json").stdout).To(MatchJSON(`{"targets": [], "sinks": []}`))
}

func (w *world) sinksOwed(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	since := metav1.NewTime(time.Now().Add(-2 * time.Hour))
	w.sinkIs(func(s *dorav1alpha1.DoraSinkStatus) { s.Pending, s.OldestPending, s.LastError = 3, &since, "503 busy" })
	defer w.sinkIs(func(s *dorav1alpha1.DoraSinkStatus) { s.Pending, s.OldestPending, s.LastError = 0, nil, "" })
	got := w.run(t, "sinks", "-A")
	g.Expect(got.stdout).To(MatchRegexp(`(?m)^argocd/port +Port +True +Delivering +15 +3 +0 +2h`))
	g.Expect(got.stdout).To(HaveSuffix("argocd/port: last error: 503 busy\n"))
	g.Expect(w.run(t, "sinks", "-n", "default").stderr).To(HavePrefix("There are no DoraSinks"))
}

func (w *world) eventsOfThePod(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	w.commands = nil
	got := w.run(t, "events", "-o", "json")
	g.Expect(got.code).To(Equal(exitOK), got.stderr)
	g.Expect(strings.Count(got.stdout, "\n")).To(Equal(len(monthOf(t))))
	g.Expect(w.commands).To(Equal([][]string{{"dora-controller", "events", "-o", "json", "--ledger=/var/lib/dora-controller/ledger.db"}}))
	g.Expect(got.stderr).To(BeEmpty())

	another := w.another(t)
	both := w.run(t, "events", "-o", "json")
	g.Expect(both.stdout).To(Equal(got.stdout))
	g.Expect(both.stderr).To(Equal("note: what follows is from the ledger of the controller in namespace dora-system; there are others, with ledgers of " +
		"their own, which --controller-namespace names: default\n"))
	g.Expect(w.run(t, "events", "-o", "json", "--controller-namespace", "dora-system").stderr).To(BeEmpty())
	another()

	g.Expect(w.run(t, "events", "--controller-namespace", "default").stderr).To(ContainSubstring("found no pod with the label"))
}

// another is a pod of another controller, which never began.
func (w *world) another(t *testing.T) (remove func()) {
	t.Helper()
	var pod corev1.Pod
	w.must(w.api.Get(t.Context(), client.ObjectKey{Namespace: "dora-system", Name: "dora-controller-1"}, &pod))
	second := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "second", Labels: pod.Labels}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "manager", Image: "x"}},
	}}
	w.must(w.api.Create(t.Context(), second))
	return func() { w.must(w.api.Delete(t.Context(), second, client.GracePeriodSeconds(0))) }
}

func (w *world) reportOfATarget(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	got := w.run(t, "report", "payments-prod", "--since", "2026-11-01T00:00:00Z", "--until", "2026-11-20T00:00:00Z", "-o", "html")
	g.Expect(got.code).To(Equal(exitOK), got.stderr)
	g.Expect(got.stdout).To(And(ContainSubstring("<h1>DoraTarget argocd/payments-prod</h1>"), ContainSubstring("3 of 6 attempts"))) // numbers 1, 2 and 4 to 7 of docs/metrics.md
}

func (w *world) explainsIncidents(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	p := newPaged(t)
	w.month = append(w.month, p.incident)
	defer func() { w.month = w.month[:len(w.month)-1] }()
	got := w.run(t, "explain", "checkout", p.incident.ID)
	g.Expect(got.stderr).To(BeEmpty())
	g.Expect(got.stdout).To(And(MatchRegexp(`what it counts as +nothing: no DoraTarget's spec.incidents counts it\n`),
		MatchRegexp(`not counted by +DoraTarget argocd/payments-prod: it has no spec.incidents\n`)))
}

func (w *world) completes(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(run(t, "__complete", "--kubeconfig", w.admin, "status", "").stdout).To(HavePrefix("payments-prod\n"))
	g.Expect(run(t, "__complete", "--kubeconfig", w.admin, "explain", "").stdout).To(HavePrefix("checkout\n"))
	g.Expect(run(t, "__complete", "--kubeconfig", w.admin, "status", "-n", "").stdout).To(ContainSubstring("dora-system\n"))
	g.Expect(run(t, "__complete", "--kubeconfig", "/none", "status", "").code).To(Equal(exitOK))
}

func (w *world) healthy(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	w.secrets = nil
	got := w.run(t, "doctor")
	// What takes longer than doctorTimeout is told as not checked.
	g.Expect(got).To(Equal(result{stdout: "53 checks passed, 0 problems, 0 warnings, 0 not checked.\n"}))
	for _, asked := range w.secrets { // their metadata alone, which the API server leaves the content out of
		g.Expect(asked).To(ContainSubstring("as=PartialObjectMetadata"))
		g.Expect(asked).NotTo(HaveSuffix("application/json"))
	}
	g.Expect(w.secrets).To(HaveLen(1))
}

func (w *world) broken(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	var binding rbacv1.ClusterRoleBinding
	w.must(w.api.Get(t.Context(), client.ObjectKey{Name: "dora-controller"}, &binding))
	w.must(w.api.Delete(t.Context(), &binding))
	w.application("unlucky", "registry.example.com/unlucky:latest")
	w.podIs(func(s *corev1.PodStatus) {
		s.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
	})
	var found doctor.Report
	got := w.run(t, "doctor", "-o", "json")
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(json.Unmarshal([]byte(got.stdout), &found)).To(Succeed())
	var checks []string
	for _, f := range found.Findings {
		checks = append(checks, f.Check)
	}
	g.Expect(checks).To(ConsistOf("controller-restarting", "controller-rights", "image-without-commit", "image-latest"))
	g.Expect(got.stdout).To(ContainSubstring("get applications.argoproj.io, list applications.argoproj.io, watch applications.argoproj.io"))

	binding.ResourceVersion = ""
	w.must(w.api.Create(t.Context(), &binding))
	w.podIs(func(s *corev1.PodStatus) { s.ContainerStatuses[0].State.Waiting = nil })
	unlucky := &unstructured.Unstructured{}
	unlucky.SetAPIVersion("argoproj.io/v1alpha1")
	unlucky.SetKind("Application")
	unlucky.SetNamespace("argocd")
	unlucky.SetName("unlucky")
	w.must(w.api.Delete(t.Context(), unlucky))
}

// receiver makes one, whose Secret is that of the sink, and which was sent something.
func (w *world) receiver(t *testing.T) (remove func()) {
	t.Helper()
	r := &dorav1alpha1.DoraReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "pager", Annotations: map[string]string{
			"kubectl.kubernetes.io/last-applied-configuration": sinktest.Secret("applied"), "example.com/token": sinktest.Secret("annotation"),
		}},
		Spec: dorav1alpha1.DoraReceiverSpec{Type: dorav1alpha1.ReceiverPagerDuty, SecretRef: dorav1alpha1.SecretReference{Name: "port-credential"}},
	}
	w.must(w.api.Create(t.Context(), r))
	r.Status.LastAccepted = new(metav1.Now())
	r.Status.SetConditions(1, dorav1alpha1.Receiving())
	w.must(w.api.Status().Update(t.Context(), r))
	return func() { w.must(w.api.Delete(context.WithoutCancel(t.Context()), r)) }
}

func (w *world) receivers(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	defer w.receiver(t)()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "dora-system", Name: "dora-controller-receivers", Labels: map[string]string{"app.kubernetes.io/name": "dora-controller"},
			Annotations: map[string]string{"external-dns.alpha.kubernetes.io/hostname": "hooks.example.com,dora.example.com"},
		},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "receivers", Port: 443}}},
	}
	w.must(w.api.Create(t.Context(), service))
	before := w.inspection
	defer func() {
		w.inspection = before
		w.must(w.api.Delete(context.WithoutCancel(t.Context()), service))
	}()
	w.inspection, w.commands = `{"ledger_volume":{"free_bytes":1000000,"size_bytes":1000000000},
		"certificate":{"not_after":"2026-01-01T00:00:00Z","names":["dora.example.com"]}}`, nil
	got, found := w.run(t, "doctor", "-o", "json"), doctor.Report{}
	g.Expect(json.Unmarshal([]byte(got.stdout), &found)).To(Succeed())
	var checks []string
	for _, f := range found.Findings {
		checks = append(checks, f.Check+" of "+f.Object)
	}
	g.Expect(checks).To(Equal([]string{
		"ledger-volume-full of Deployment dora-system/dora-controller", "receiver-unheard of DoraReceiver argocd/pager",
		"receivers-certificate of Deployment dora-system/dora-controller", "receivers-host of Service dora-system/dora-controller-receivers",
	}))
	g.Expect(found.Findings[3].Wrong).To(HaveSuffix("not for hooks.example.com"))
	g.Expect(w.commands).To(ConsistOf(
		[]string{"dora-controller", "inspect", "--ledger=/var/lib/dora-controller/ledger.db"},
		HaveExactElements("dora-controller", "events", "-o", "json", "--ledger=/var/lib/dora-controller/ledger.db", "--type=degraded", HavePrefix("--since="), "--limit=1000"),
	))

	w.inspection = "no JSON"
	g.Expect(w.run(t, "doctor").stdout).To(ContainSubstring("not checked: ledger-volume-full: what the controller's process sees: "))
}

// mendsSecrets takes the ClusterRole away, as an installation in namespaces does, and does what the doctor says.
func (w *world) mendsSecrets(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	w.must(w.api.Delete(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "dora-controller-secret-reader"}}))
	w.must(w.api.Delete(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "dora-controller-secret-reader"}}))
	var found doctor.Report
	g.Eventually(func() string { // the API server's authorizer learns of it by a watch
		got := w.run(t, "doctor", "-o", "json")
		g.Expect(json.Unmarshal([]byte(got.stdout), &found)).To(Succeed())
		return got.stdout
	}).WithTimeout(time.Minute).Should(ContainSubstring("secret-not-readable"))
	g.Expect(found.Findings).To(HaveLen(1))
	_, script, _ := strings.Cut(found.Findings[0].Mend, ", or ")
	w.shell(t, script)
	g.Eventually(func() int { return w.run(t, "doctor").code }).WithTimeout(time.Minute).Should(Equal(exitOK))
}

// shell runs what somebody would type, in the checkout.
func (w *world) shell(t *testing.T, script string) {
	t.Helper()
	g := NewWithT(t)
	kubectl, err := filepath.Abs(filepath.Join(root, "bin", "envtest"))
	g.Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir, cmd.Env = root, []string{"PATH=" + kubectl, "KUBECONFIG=" + w.admin, "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
}

// oldKinds puts a kind of an older version in place, as Helm does, and does what the doctor says.
func (w *world) oldKinds(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	old := ourCRD(t, doctor.TargetCRD)
	version := old.Object["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
	unstructured.RemoveNestedField(version, "schema", "openAPIV3Schema", "properties", "spec", "properties", "statusInterval")
	var before unstructured.Unstructured
	before.SetGroupVersionKind(old.GroupVersionKind())
	w.must(w.api.Get(t.Context(), client.ObjectKeyFromObject(old), &before))
	old.SetResourceVersion(before.GetResourceVersion())
	w.must(w.api.Update(t.Context(), old, client.FieldOwner("helm")))

	got, found := w.run(t, "doctor", "-o", "json"), doctor.Report{}
	g.Expect(json.Unmarshal([]byte(got.stdout), &found)).To(Succeed())
	g.Expect(found.Findings).To(HaveLen(1), got.stdout)
	g.Expect(found.Findings[0]).To(And(HaveField("Check", "crd-old"), HaveField("Wrong", HaveSuffix("the field spec.statusInterval"))))
	script, _, _ := strings.Cut(found.Findings[0].Mend, ", of the version")
	w.shell(t, script)
	g.Expect(w.run(t, "doctor").code).To(Equal(exitOK))
}

// lacksRights takes one verb of each role away.
func (w *world) lacksRights(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	var role rbacv1.ClusterRole
	var leading rbacv1.Role
	w.must(w.api.Get(t.Context(), client.ObjectKey{Name: "dora-controller"}, &role))
	w.must(w.api.Get(t.Context(), client.ObjectKey{Namespace: "dora-system", Name: "dora-controller-leader-election"}, &leading))
	wholeRole, wholeLeading := role.DeepCopy(), leading.DeepCopy()
	for i, r := range role.Rules {
		if slices.Contains(r.Resources, "dorareceivers/status") {
			role.Rules[i].Resources = []string{"dorasinks/status", "doratargets/status"}
		}
	}
	leading.Rules = slices.DeleteFunc(leading.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "events") })
	w.must(w.api.Update(t.Context(), &role))
	w.must(w.api.Update(t.Context(), &leading))
	wrong := func() (all []string) {
		var found doctor.Report
		g.Expect(json.Unmarshal([]byte(w.run(t, "doctor", "-o", "json").stdout), &found)).To(Succeed())
		for _, f := range found.Findings {
			all = append(all, f.Check+": "+f.Wrong)
		}
		return all
	}
	g.Eventually(wrong).WithTimeout(time.Minute).Should(Equal([]string{ // the API server's authorizer learns of it by a watch
		"controller-rights: the controller may not patch dorareceivers.dora-controller.io/status",
		"controller-rights: the controller may not create events in namespace dora-system",
	}))
	wholeRole.ResourceVersion, wholeLeading.ResourceVersion = role.ResourceVersion, leading.ResourceVersion
	w.must(w.api.Update(t.Context(), wholeRole))
	w.must(w.api.Update(t.Context(), wholeLeading))
	g.Eventually(wrong).WithTimeout(time.Minute).Should(BeEmpty())
}

// annotated is what the target says of an event; empty if nothing.
func (w *world) annotated(t *testing.T, id string) string {
	t.Helper()
	var target dorav1alpha1.DoraTarget
	w.must(w.api.Get(t.Context(), client.ObjectKey{Namespace: "argocd", Name: "payments-prod"}, &target))
	return target.Annotations[mark.Prefix+id]
}

// takes plays the controller, once: it waits until the target says something else of an event than before, and tells what became of it.
func (w *world) takes(t *testing.T, id string, change func(*dorav1alpha1.DoraTargetStatus)) (done func()) {
	t.Helper()
	before, ended := w.annotated(t, id), make(chan struct{})
	go func() {
		defer close(ended)
		NewGomega(func(message string, _ ...int) { t.Error(message) }).
			Eventually(func() string { return w.annotated(t, id) }).WithTimeout(time.Minute).ShouldNot(Equal(before))
		var target dorav1alpha1.DoraTarget
		w.must(w.api.Get(t.Context(), client.ObjectKey{Namespace: "argocd", Name: "payments-prod"}, &target))
		w.targetIs(func(s *dorav1alpha1.DoraTargetStatus) {
			s.Marks = nil
			if hash := mark.Hash(target.Annotations); hash != "" {
				s.Marks = &dorav1alpha1.MarkCounts{Said: 1, Observed: hash}
			}
			change(s)
		})
	}()
	return func() { <-ended }
}

func (w *world) marks(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	id := w.month[1].ID
	done := w.takes(t, id, func(*dorav1alpha1.DoraTargetStatus) {})
	got := w.run(t, "mark", id, "--ignore", "--reason", "a drill")
	done()
	g.Expect(got).To(Equal(result{stdout: "Event " + id + " is marked ignore by DoraTarget argocd/payments-prod.\n"}))
	said, err := mark.Parse(w.annotated(t, id))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(said).To(And(HaveField("Verdict", dora.Ignore), HaveField("Reason", "a drill"), HaveField("By", "admin")))
	g.Expect(said.At).NotTo(BeZero())

	done = w.takes(t, id, func(*dorav1alpha1.DoraTargetStatus) {})
	got = w.run(t, "mark", id, "--undo", "--reason", "no drill", "--target", "payments-prod")
	done()
	g.Expect(got).To(Equal(result{stdout: "DoraTarget argocd/payments-prod says nothing of event " + id + " any more.\n"}))
	back := w.annotated(t, id)
	said, err = mark.Parse(back)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(said).To(And(HaveField("Verdict", dora.Withdrawn), HaveField("Reason", "no drill"), HaveField("By", "admin")))
	g.Expect(said.At).NotTo(BeZero())
	g.Expect(w.run(t, "mark", id, "--undo", "--reason", "again", "--wait=false")).To(Equal(result{}))
	g.Expect(w.annotated(t, id)).To(Equal(back), "there is nothing left to take back")

	g.Expect(w.run(t, "mark", id, "--failure", "--reason", "slow", "--wait=false")).To(Equal(result{}))
	late := w.run(t, "mark", id, "--failure", "--reason", "slower", "--timeout", "1ms")
	g.Expect(late.code).To(Equal(exitFailure))
	g.Expect(late.stderr).To(ContainSubstring("has not taken it within 1ms"))
	g.Expect(w.run(t, "mark", id, "--undo", "--reason", "fast", "--wait=false")).To(Equal(result{}))
	g.Expect(w.run(t, "mark", "none", "--failure", "--reason", "slow").stderr).To(ContainSubstring("the ledger has no event none"))
	g.Expect(run(t, "__complete", "--kubeconfig", w.admin, "mark", "").stdout).To(ContainSubstring(id + "\tcheckout: deploy"))
}

func (w *world) marksRefused(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	id := w.month[1].ID
	refusal := dorav1alpha1.MarksRefused(dorav1alpha1.ReasonEventOfAnother, mark.Prefix+id, "the word of the older DoraTarget a/b counts", 0)
	done := w.takes(t, id, func(s *dorav1alpha1.DoraTargetStatus) {
		s.Marks.RefusedEvents = []string{id}
		s.SetConditions(1, dorav1alpha1.Followed(dorav1alpha1.ObservedSubjects{Applications: 1}), refusal)
	})
	got := w.run(t, "mark", id, "--ignore", "--reason", "a drill")
	done()
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(ContainSubstring("the word of the older DoraTarget a/b counts; take it back with --undo"))
	g.Expect(w.run(t, "mark", id, "--undo", "--reason", "not ours to say", "--wait=false").code).To(Equal(exitOK))
	w.targetIs(func(s *dorav1alpha1.DoraTargetStatus) {
		s.Marks = nil
		s.SetConditions(1, dorav1alpha1.Followed(dorav1alpha1.ObservedSubjects{Applications: 1}))
	})
	nobody := w.user("marker")
	w.may(t, "marker", rbacv1.PolicyRule{APIGroups: []string{"dora-controller.io"}, Resources: []string{"doratargets"}, Verbs: []string{"get", "list"}})
	got = run(t, "mark", id, "--ignore", "--reason", "a drill", "--target", "payments-prod", "--kubeconfig", nobody)
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(ContainSubstring("you may not"))
}

// securesMetrics switches --metrics-secure on, and then gives what is missing, one after the other.
func (w *world) securesMetrics(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	ctx := t.Context()
	checks := func() (names []string) {
		var found doctor.Report
		g.Expect(json.Unmarshal([]byte(w.run(t, "doctor", "-o", "json").stdout), &found)).To(Succeed())
		g.Expect(found.Unchecked).To(BeEmpty())
		for _, f := range found.Findings {
			names = append(names, f.Check)
		}
		return names
	}
	var deployment appsv1.Deployment
	w.must(w.api.Get(ctx, client.ObjectKey{Namespace: "dora-system", Name: "dora-controller"}, &deployment))
	container := &deployment.Spec.Template.Spec.Containers[0]
	container.Args = append(container.Args, "--metrics-secure")
	w.must(w.api.Update(ctx, &deployment))
	g.Expect(checks()).To(Equal([]string{"metrics-rights", "metrics-readers"}))

	bind := func(role string, subject rbacv1.Subject) {
		w.must(w.api.Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "metrics-" + subject.Name}, Subjects: []rbacv1.Subject{subject},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		}))
	}
	bind("system:auth-delegator", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "dora-system", Name: "dora-controller"})
	g.Eventually(checks).WithTimeout(time.Minute).Should(Equal([]string{"metrics-readers"}))
	w.must(w.api.Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "scrapes"}, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metr*"}, Verbs: []string{"get"}}},
	}))
	bind("scrapes", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "monitoring", Name: "prometheus"})
	g.Expect(checks()).To(BeEmpty())

	container.Args = container.Args[:len(container.Args)-1]
	w.must(w.api.Update(ctx, &deployment))
}

// may lets a user do something everywhere.
func (w *world) may(t *testing.T, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}
	w.must(w.api.Create(t.Context(), role))
	w.must(w.api.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: user, APIGroup: rbacv1.GroupName}},
	}))
}

func (w *world) littleRights(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	viewer := w.user("viewer")
	w.may(t, "viewer", rbacv1.PolicyRule{APIGroups: []string{"dora-controller.io"}, Resources: []string{"doratargets", "dorasinks", "dorareceivers"}, Verbs: []string{"get", "list"}})
	got := run(t, "doctor", "--kubeconfig", viewer)
	g.Expect(got.code).To(Equal(exitUnchecked), got.stderr)
	g.Expect(got.stdout).To(HaveSuffix("That is no clean bill: who may read more can check the rest.\n"))
	g.Expect(got.stdout).To(And(
		ContainSubstring("not checked: crd-missing: customresourcedefinitions: you may not read them\n"),
		ContainSubstring("not checked: secret-missing: the names of secrets: you may not read them\n"), MatchRegexp(`\d+ checks passed, 0 problems`)))
	g.Expect(got.stdout).NotTo(ContainSubstring("To mend it"))
	g.Expect(run(t, "status", "--kubeconfig", viewer, "payments-prod").stdout).To(ContainSubstring("Those before it are not shown: "))
	events := run(t, "events", "--kubeconfig", viewer)
	g.Expect(events.code).To(Equal(exitFailure))
	g.Expect(events.stderr).To(ContainSubstring("--controller-namespace"))
}

func (w *world) noRights(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	got := run(t, "status", "--kubeconfig", w.user("nobody"))
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(And(ContainSubstring("you may not"), ContainSubstring("docs/kubectl-dora.md")))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	got = run(t, "doctor", "--kubeconfig", w.pointing(t, gone.URL))
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(ContainSubstring("the cluster does not answer"))
}

func (w *world) pointing(t *testing.T, address string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	w.must(clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "test", Clusters: map[string]*clientcmdapi.Cluster{"test": {Server: address}}, Contexts: map[string]*clientcmdapi.Context{"test": {Cluster: "test"}},
	}, path))
	return path
}

// unreadable takes from the controller what lets it read the sink's Secret.
func (w *world) unreadable(t *testing.T) (restore func()) {
	t.Helper()
	g := NewWithT(t)
	var binding rbacv1.RoleBinding
	w.must(w.api.Get(t.Context(), client.ObjectKey{Namespace: "argocd", Name: "dora-controller-reads-port-credential"}, &binding))
	w.must(w.api.Delete(t.Context(), &binding))
	code := func() int { return w.run(t, "doctor").code }
	g.Eventually(code).WithTimeout(time.Minute).Should(Equal(exitFailure)) // the API server's authorizer learns of it by a watch
	return func() {
		binding.ResourceVersion = ""
		w.must(w.api.Create(context.WithoutCancel(t.Context()), &binding))
		g.Eventually(code).WithTimeout(time.Minute).Should(Equal(exitOK))
	}
}

func (w *world) bundles(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	w.log = `{"msg":"cannot send","url":"https://dora:` + sinktest.Secret("log") + `@example.com","clientSecret":"` + sinktest.Secret("json") + `"}` + "\n"
	w.secrets = nil
	w.must(w.api.Create(t.Context(), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dora-system", Name: "e"}, InvolvedObject: corev1.ObjectReference{Namespace: "dora-system", Name: "dora-controller-1"},
		Message: "failed with token=" + sinktest.Secret("event"),
	}))
	defer w.receiver(t)()
	defer w.unreadable(t)()
	path := filepath.Join(t.TempDir(), "support.tar.gz")
	got := w.run(t, "bundle", "--redact", "-o", path)
	g.Expect(got.code).To(Equal(exitOK), got.stderr)
	files := unpack(t, path)
	for name, text := range files {
		g.Expect(sinktest.Leaks(text)).To(BeFalse(), name)
		g.Expect(text).NotTo(ContainSubstring("port-credential"), name)
		_, short, _ := strings.Cut(name, "/")
		g.Expect(got.stdout).To(ContainSubstring("\n" + short + " "))
	}
	for name, text := range files {
		if strings.HasSuffix(name, "/doctor.json") { // what is to be done about it names the Secret, too
			g.Expect(text).To(MatchRegexp(`--resource-name=secret-[0-9a-f]+ .* dora-controller-reads-secret-[0-9a-f]+ `))
		}
	}
	for _, name := range []string{
		"contents.txt", "versions.txt", "crds.yaml", "doratargets.yaml", "dorasinks.yaml", "dorareceivers.yaml", "controller/deployment.yaml", "controller/pods.yaml", "controller/events.yaml",
		"logs/dora-controller-1.log", "doctor.json", "ledger.txt",
	} {
		g.Expect(got.stdout).To(ContainSubstring("\n"+name+" "), name)
	}
	g.Expect(files).To(HaveLen(12))
	g.Expect(got.stdout).NotTo(ContainSubstring("not in it"))
	for _, asked := range w.secrets {
		g.Expect(asked).To(ContainSubstring("as=PartialObjectMetadata"))
	}
	again := w.run(t, "bundle", "-o", path)
	g.Expect(again.code).To(Equal(exitFailure)) // nothing is written over
	g.Expect(again.stderr).To(ContainSubstring("name another file with -o"))
}

func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[head.Name] = string(content)
	}
}
