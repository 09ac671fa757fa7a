package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// cluster is a real API server, at first without DoraSinks, on which a test plays the controller.
type cluster struct {
	t           *testing.T
	environment *envtest.Environment
	config      *rest.Config
	admin       string // the administrator's kubeconfig
	api         client.WithWatch
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, environment: &envtest.Environment{UseExistingCluster: new(false)}}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		c.environment.BinaryAssetsDirectory = filepath.Join(root, "bin", "envtest") // where hack/envtest.sh puts the control plane
	}
	config, err := c.environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	c.config, c.admin = config, c.kubeconfig("admin", "system:masters")
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{dorav1alpha1.AddToScheme, corev1.AddToScheme} {
		c.must(add(scheme))
	}
	c.api, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	c.must(err)
	return c
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// kubeconfig makes a user.
func (c *cluster) kubeconfig(name string, groups ...string) string {
	c.t.Helper()
	user, err := c.environment.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	c.must(err)
	content, err := user.KubeConfig()
	c.must(err)
	path := filepath.Join(c.t.TempDir(), "kubeconfig")
	c.must(os.WriteFile(path, content, 0o600))
	return path
}

func (c *cluster) install() {
	c.t.Helper()
	_, err := envtest.InstallCRDs(c.config, envtest.CRDInstallOptions{Paths: []string{filepath.Join(root, "config", "crd", "bases")}})
	c.must(err)
}

func (c *cluster) run(args ...string) result {
	c.t.Helper()
	return runCommand(c.t, "", append(args, "--kubeconfig", c.admin)...)
}

func (c *cluster) namespaces(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.must(c.api.Create(c.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
}

func (c *cluster) create(namespace, name string, conditions ...metav1.Condition) {
	c.t.Helper()
	sink := aSink(namespace, name)
	c.must(c.api.Create(c.t.Context(), sink))
	if len(conditions) > 0 {
		sink.Status.SetConditions(sink.Generation, conditions[0], conditions[1:]...)
		c.must(c.api.Status().Update(c.t.Context(), sink))
	}
}

func aSink(namespace, name string) *dorav1alpha1.DoraSink {
	return &dorav1alpha1.DoraSink{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: dorav1alpha1.DoraSinkSpec{Type: dorav1alpha1.SinkStdout},
	}
}

// play answers what is asked of sinks, until the test ends: heed says what the status is to say of a sink's annotations; nil is no answer.
func (c *cluster) play(t *testing.T, heed func(*dorav1alpha1.DoraSink) *dorav1alpha1.SinkRequests) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	watch, err := c.api.Watch(ctx, &dorav1alpha1.DoraSinkList{})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); watch.Stop(); <-ended })
	go func() {
		defer close(ended)
		for event := range watch.ResultChan() {
			if sink, ok := event.Object.(*dorav1alpha1.DoraSink); ok {
				c.heed(ctx, t, sink, heed(sink))
			}
		}
	}()
}

func (c *cluster) heed(ctx context.Context, t *testing.T, sink *dorav1alpha1.DoraSink, told *dorav1alpha1.SinkRequests) {
	t.Helper()
	if told == nil || sink.Status.Requests != nil && *told == *sink.Status.Requests {
		return
	}
	before := sink.DeepCopy()
	sink.Status.Requests = told
	if err := c.api.Status().Patch(ctx, sink, client.MergeFrom(before)); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}

// The stories share one API server, which takes some seconds to start.
func TestSinksInACluster(t *testing.T) {
	c := newCluster(t)
	t.Run("a cluster without the kind says how to install it", c.withoutTheKind)
	c.install()
	c.namespaces("payments", "platform")
	t.Run("a namespace without sinks says so", c.withoutSinks)
	c.create("payments", "hook", dorav1alpha1.SinkFailing("Unreachable", "No answer from https://hook.example.com: see whether it is up"))
	c.create("payments", "port", dorav1alpha1.Delivering())
	c.create("platform", "lake")
	t.Run("sinks are listed, with what to do below", c.lists)
	t.Run("as JSON a sink is what the cluster has", c.listsJSON)
	t.Run("somebody without rights is told whom to ask", c.forbidden)
	t.Run("a sink that is not there", c.notThere)
	t.Run("a request that nobody heeds stays asked for", c.unheeded)
	t.Run("retry tells how many are tried again", c.retries)
	t.Run("resend tells how many are queued", c.resends)
	t.Run("resend tells what was wrong", c.refused)
}

func (c *cluster) withoutTheKind(t *testing.T) {
	for _, args := range [][]string{{"sinks"}, {"sinks", "retry", "--all"}, {"deliveries", "resend", "port", "--since", "1d"}} {
		got := c.run(args...)
		if got.code != exitFailure || got.stdout != "" || !strings.Contains(got.stderr, "does not know the kind; install it with kubectl apply") {
			t.Errorf("%v: got %+v", args, got)
		}
	}
}

func (c *cluster) withoutSinks(t *testing.T) {
	if got := c.run("sinks", "-o", "table"); got != (result{stderr: "There are no DoraSinks in namespace \"default\".\n"}) {
		t.Errorf("got %+v", got)
	}
	if got := c.run("sinks", "-A", "-o", "table"); got != (result{stderr: "There are no DoraSinks.\n"}) {
		t.Errorf("got %+v", got)
	}
	if got := c.run("sinks", "-o", "json"); got != (result{}) {
		t.Errorf("got %+v", got)
	}
	got := c.run("sinks", "retry", "--all")
	if got.code != exitFailure || got.stderr != "error: there are no DoraSinks in namespace \"default\": name another with -n\n" {
		t.Errorf("got %+v", got)
	}
}

func (c *cluster) lists(t *testing.T) {
	want := `SINK            TYPE     READY   REASON        DELIVERED   PENDING   PARKED   OLDEST   LAST
payments/hook   Stdout   False   Unreachable   0           0         0        –        –
payments/port   Stdout   True    Delivering    0           0         0        –        –

payments/hook: No answer from https://hook.example.com: see whether it is up
`
	if diff := cmp.Diff(result{stdout: want}, c.run("sinks", "-n", "payments", "-o", "table"), cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}
	got := c.run("sinks", "-A", "-o", "table").stdout
	for _, part := range []string{"payments/hook ", "payments/port ", "platform/lake   Stdout   Unknown   Starting ", "\nplatform/lake: No controller has looked"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in\n%s", part, got)
		}
	}
}

func (c *cluster) listsJSON(t *testing.T) {
	got := c.run("sinks", "-n", "payments")
	var names []string
	for line := range strings.Lines(got.stdout) {
		var sink dorav1alpha1.DoraSink
		if err := json.Unmarshal([]byte(line), &sink); err != nil {
			t.Fatal(err)
		}
		names = append(names, sink.Kind+" "+sink.APIVersion+" "+sink.Name)
	}
	want := []string{"DoraSink dora-controller.io/v1alpha1 hook", "DoraSink dora-controller.io/v1alpha1 port"}
	if diff := cmp.Diff(want, names); diff != "" || strings.Contains(got.stdout, "managedFields") {
		t.Errorf("%s\n%s", diff, got.stdout)
	}
}

func (c *cluster) forbidden(t *testing.T) {
	guest := c.kubeconfig("guest")
	got := runCommand(t, "", "sinks", "retry", "payments/port", "--kubeconfig", guest)
	if got.code != exitFailure || !strings.Contains(got.stderr, "ask for the ClusterRole dora-controller-dorasink-editor") {
		t.Errorf("got %+v", got)
	}
}

func (c *cluster) notThere(t *testing.T) {
	got := c.run("sinks", "retry", "port", "lake", "-n", "payments")
	if got.code != exitFailure || !strings.Contains(got.stderr, "cannot read DoraSink payments/lake: there is none of that name") {
		t.Errorf("got %+v", got)
	}
	var port dorav1alpha1.DoraSink
	c.must(c.api.Get(t.Context(), client.ObjectKey{Namespace: "payments", Name: "port"}, &port))
	if len(port.Annotations) > 0 {
		t.Errorf("nothing is asked of the one if the other is not there, got %v", port.Annotations)
	}
}

func (c *cluster) unheeded(t *testing.T) {
	got := c.run("sinks", "retry", "port", "-n", "payments", "--wait", "1ms")
	if got.code != exitFailure || got.stdout != "payments/port: asked for\n" || !strings.Contains(got.stderr, "not done within 1ms: see whether the controller runs") {
		t.Errorf("got %+v", got)
	}
	if got := c.run("sinks", "retry", "port", "-n", "payments", "--wait", "0"); got != (result{stdout: "payments/port: asked for\n"}) {
		t.Errorf("without waiting: got %+v", got)
	}
}

func (c *cluster) retries(t *testing.T) {
	c.play(t, func(sink *dorav1alpha1.DoraSink) *dorav1alpha1.SinkRequests {
		if sink.Annotations[dorav1alpha1.AnnotationRetry] == "" {
			return nil
		}
		// That an earlier request to resend was wrong is no concern of this one.
		return &dorav1alpha1.SinkRequests{
			Retry: sink.Annotations[dorav1alpha1.AnnotationRetry], Retried: int64(len(sink.Name) - 3), Error: "of a request before",
		}
	})
	want := result{stdout: "payments/hook: 1 event tried again\npayments/port: 1 event tried again\n"}
	if got := c.run("sinks", "retry", "--all", "-n", "payments"); got != want {
		t.Errorf("got %+v", got)
	}
	c.create("platform", "hooks")
	c.create("platform", "tap")
	want.stdout = "platform/hooks: 2 events tried again\nplatform/tap: no event tried again: none is parked, and none waits for another attempt\n"
	if got := c.run("sinks", "retry", "hooks", "platform/tap", "-n", "platform"); got != want {
		t.Errorf("got %+v", got)
	}
}

func (c *cluster) resends(t *testing.T) {
	c.play(t, func(sink *dorav1alpha1.DoraSink) *dorav1alpha1.SinkRequests {
		request := sink.Annotations[dorav1alpha1.AnnotationResend]
		words, comment, ok := strings.Cut(request, " #")
		if !ok || comment == "" {
			return nil
		}
		return &dorav1alpha1.SinkRequests{Resend: request, Resent: map[string]int64{"event=c1,c2": 2, "service=cart": 0}[words]}
	})
	for range 2 { // the same may be asked for again
		got := c.run("deliveries", "resend", "port", "-n", "payments", "--event", "c1,c2")
		if got != (result{stdout: "payments/port: 2 events queued again\n"}) {
			t.Errorf("got %+v", got)
		}
	}
	got := c.run("deliveries", "resend", "payments/port", "--service", "cart")
	if got != (result{stdout: "payments/port: no event queued again: none of these events is meant for it and not owed to it already\n"}) {
		t.Errorf("got %+v", got)
	}
}

func (c *cluster) refused(t *testing.T) {
	c.play(t, func(sink *dorav1alpha1.DoraSink) *dorav1alpha1.SinkRequests {
		return &dorav1alpha1.SinkRequests{Resend: sink.Annotations[dorav1alpha1.AnnotationResend], Error: "annotation: there is no such thing"}
	})
	got := c.run("deliveries", "resend", "port", "-n", "payments", "--event", "c3")
	if got != (result{code: exitFailure, stderr: "error: payments/port: annotation: there is no such thing\n"}) {
		t.Errorf("got %+v", got)
	}
}

func TestSinksOfAClusterThatDoesNotAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	content := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u}],
clusters: [{name: c, cluster: {server: "http://` + address + `"}}]}`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, "", "sinks", "--kubeconfig", path)
	if got.code != exitFailure || !strings.Contains(got.stderr, "the cluster does not answer: ") || !strings.Contains(got.stderr, "--kubeconfig") {
		t.Errorf("got %+v", got)
	}
	none := filepath.Join(t.TempDir(), "none")
	if got := runCommand(t, "", "sinks", "--kubeconfig", none); got.code != exitFailure || !strings.Contains(got.stderr, none) {
		t.Errorf("got %+v", got)
	}
}

func TestSinksTellTheirAgesAndWhatIsParked(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *metav1.Time { return new(metav1.NewTime(now.Add(-d))) }
	port := aSink("payments", "port")
	port.Spec.Type = dorav1alpha1.SinkPort
	port.Status = dorav1alpha1.DoraSinkStatus{
		Delivered: 1042, Pending: 3, Parked: 2, OldestPending: ago(65 * time.Minute), LastDelivery: ago(27 * time.Hour), LastError: "422 no\x1b[2J",
	}
	port.Status.SetConditions(1, dorav1alpha1.Delivering(), dorav1alpha1.EventsParked(2, "422 no\x1b[2J"))
	lake := aSink("payments", "lake")
	lake.Status = dorav1alpha1.DoraSinkStatus{LastDelivery: ago(-time.Second)} // the clocks differ
	lake.Status.SetConditions(1, dorav1alpha1.SinkSuspended(0))
	var out bytes.Buffer
	if err := printSinks(&out, []dorav1alpha1.DoraSink{*port, *lake}, now); err != nil {
		t.Fatal(err)
	}
	want := "SINK            TYPE     READY   REASON       DELIVERED   PENDING   PARKED   OLDEST   LAST\n" +
		"payments/port   Port     True    Delivering   1042        3         2        1h5m     1d3h\n" +
		"payments/lake   Stdout   False   Suspended    0           0         0        –        0s\n" +
		"\n" +
		"payments/port: 2 events were refused: 422 no [2J; list them with `dora-controller deliveries --parked`, mend the cause, and " +
		"send them again with the annotation dora-controller.io/retry\n" +
		"\n" +
		"payments/lake: Suspended, with 0 events kept for it; set spec.suspend to false to go on\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
