package security_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/controllers/application"
	"github.com/dora-controller/dora-controller/controllers/dorasink"
	"github.com/dora-controller/dora-controller/controllers/doratarget"
	"github.com/dora-controller/dora-controller/controllers/rollout"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/record"
	"github.com/dora-controller/dora-controller/internal/rollouts"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/stdout"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const hour = time.Hour

// store is the API server and its cache in one, with the indexes that the controllers ask for. A layout is small: it is searched from end to
// end, and what is read is shared.
type store struct {
	client.Client // nothing else is called

	objects map[string][]client.Object // by kind
	indexes map[string]client.IndexerFunc
}

func newStore(ctx context.Context) (*store, error) {
	s := &store{objects: map[string][]client.Object{}, indexes: map[string]client.IndexerFunc{}}
	return s, errors.Join(kube.Index(ctx, s, dora.KindApplication), kube.Index(ctx, s, dora.KindRollout))
}

// IndexField implements client.FieldIndexer.
func (s *store) IndexField(_ context.Context, _ client.Object, field string, values client.IndexerFunc) error {
	s.indexes[field] = values
	return nil
}

func kindOf(o any) string {
	switch o.(type) {
	case *argocd.Application, *argocd.ApplicationList:
		return "Application"
	case *rollouts.Rollout, *rollouts.RolloutList:
		return "Rollout"
	case *appsv1.ReplicaSet, *appsv1.ReplicaSetList:
		return "ReplicaSet"
	case *dorav1alpha1.DoraTarget, *dorav1alpha1.DoraTargetList:
		return "DoraTarget"
	case *dorav1alpha1.DoraSink, *dorav1alpha1.DoraSinkList:
		return "DoraSink"
	}
	panic(fmt.Sprintf("nobody needs a %T", o))
}

func (s *store) put(o client.Object) {
	kind := kindOf(o)
	s.remove(kind, client.ObjectKeyFromObject(o))
	s.objects[kind] = append(s.objects[kind], o)
}

func (s *store) remove(kind string, key types.NamespacedName) {
	s.objects[kind] = slices.DeleteFunc(s.objects[kind], func(o client.Object) bool { return client.ObjectKeyFromObject(o) == key })
}

// Get implements client.Reader.
func (s *store) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	for _, o := range s.objects[kindOf(into)] {
		if client.ObjectKeyFromObject(o) == key {
			return copyInto(into, o)
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: kindOf(into)}, key.String())
}

func copyInto(into, from client.Object) error {
	switch to := into.(type) {
	case *argocd.Application:
		*to = *from.(*argocd.Application)
	case *rollouts.Rollout:
		*to = *from.(*rollouts.Rollout)
	case *dorav1alpha1.DoraTarget:
		from.(*dorav1alpha1.DoraTarget).DeepCopyInto(to)
	case *dorav1alpha1.DoraSink:
		from.(*dorav1alpha1.DoraSink).DeepCopyInto(to)
	default:
		return fmt.Errorf("nobody reads one %T", into)
	}
	return nil
}

// List implements client.Reader.
func (s *store) List(_ context.Context, into client.ObjectList, opts ...client.ListOption) error {
	options := (&client.ListOptions{}).ApplyOptions(opts)
	var found []client.Object
	for _, o := range s.objects[kindOf(into)] {
		if s.matches(o, options) {
			found = append(found, o)
		}
	}
	switch list := into.(type) {
	case *argocd.ApplicationList:
		list.Items = values[argocd.Application](found)
	case *rollouts.RolloutList:
		list.Items = values[rollouts.Rollout](found)
	case *appsv1.ReplicaSetList:
		list.Items = values[appsv1.ReplicaSet](found)
	case *dorav1alpha1.DoraTargetList:
		list.Items = values[dorav1alpha1.DoraTarget](found)
	case *dorav1alpha1.DoraSinkList:
		list.Items = values[dorav1alpha1.DoraSink](found)
	}
	return nil
}

func (s *store) matches(o client.Object, options *client.ListOptions) bool {
	if options.Namespace != "" && o.GetNamespace() != options.Namespace {
		return false
	}
	if options.LabelSelector != nil && !options.LabelSelector.Matches(labels.Set(o.GetLabels())) {
		return false
	}
	if options.FieldSelector != nil {
		for _, need := range options.FieldSelector.Requirements() {
			if !slices.Contains(s.indexes[need.Field](o), need.Value) {
				return false
			}
		}
	}
	return true
}

func values[T any](objects []client.Object) []T {
	list := make([]T, len(objects))
	for i, o := range objects {
		list[i] = *any(o).(*T)
	}
	return list
}

// Status implements client.Client.
func (s *store) Status() client.SubResourceWriter { return statuses{store: s} }

type statuses struct {
	client.SubResourceWriter

	store *store
}

// Patch puts the object with the new status in the place of the one before.
func (w statuses) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	w.store.put(o)
	return nil
}

// Served: both kinds of Argo are installed.
func (s *store) Served(dora.Kind) bool { return true }

// bench is a controller without processes: its reconcilers, its ledger, and what came out.
type bench struct {
	*store

	t      *testing.T
	layout *layout
	clock  *clocktesting.FakeClock
	ledger *ledgertest.Memory
	memory *record.Recorder
	// out is what namespaces are shown, as text, by namespace; uids are those of things.
	out  map[string][]string
	uids map[string]*thing
}

func newBench(t *testing.T, l *layout) *bench {
	t.Helper()
	objects, err := newStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{store: objects, t: t, layout: l, clock: clocktesting.NewFakeClock(epoch), out: map[string][]string{}, uids: map[string]*thing{}}
	b.ledger = ledgertest.NewMemory(b.clock.Now)
	if b.memory, err = record.Open(t.Context(), b.ledger, "eu", nil); err != nil {
		t.Fatal(err)
	}
	for _, target := range l.targets {
		b.put(target.DeepCopy())
	}
	for _, s := range l.sinks {
		b.put(s.DeepCopy())
	}
	return b
}

// Eventf shows a Kubernetes event to whoever looks at the namespace of its object.
func (b *bench) Eventf(regarding, related runtime.Object, _, reason, _, note string, args ...any) {
	about, _ := related.(*corev1.ObjectReference)
	b.show(regarding.(client.Object).GetNamespace(), fmt.Sprintf("event %s %+v: "+note, append([]any{reason, about}, args...)...))
}

func (b *bench) show(namespace, text string) { b.out[namespace] = append(b.out[namespace], text) }

func (b *bench) showJSON(namespace, what string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		b.t.Fatal(err)
	}
	b.show(namespace, what+" "+string(text))
}

// tell is the whole story: everything is deployed, some come and some go, everything is deployed again, and the outcome is shown.
func (b *bench) tell() {
	b.deployAll(1, func(o *thing) bool { return !o.late })
	for _, o := range b.layout.things {
		if o.leaves {
			b.remove(string(o.kind), types.NamespacedName{Namespace: o.namespace, Name: o.name})
		}
	}
	b.lookAtAll()
	b.deployAll(2, func(o *thing) bool { return !o.leaves })
	b.lookAtTargets()
	b.showDeliveries()
	b.takeAll()
	b.lookAtSinks()
	b.showDeliveries()
	b.showStatuses()
}

// deployAll deploys a version of each of the things that are there, one after another, and looks at all after each.
func (b *bench) deployAll(version int, there func(*thing) bool) {
	b.clock.Step(hour)
	for _, o := range b.layout.things {
		if there(o) {
			b.deploy(o, version)
		}
	}
	b.clock.Step(time.Minute)
	b.lookAtAll()
}

func (b *bench) meta(o *thing) metav1.ObjectMeta {
	uid := "uid-" + o.name
	b.uids[uid] = o
	meta := metav1.ObjectMeta{
		Namespace: o.namespace, Name: o.name, UID: types.UID(uid), Labels: o.labels(), CreationTimestamp: metav1.NewTime(epoch.Add(time.Minute)), Generation: 1,
	}
	if o.tracking != "" {
		meta.Annotations = map[string]string{trackingID: o.tracking + ":argoproj.io/Rollout:" + o.key()}
	}
	return meta
}

// deploy is a deployment that went well, as Argo shows it when it is over. It began now.
func (b *bench) deploy(o *thing, version int) {
	if o.kind == dora.KindRollout {
		b.roll(o, version)
		return
	}
	now := b.clock.Now()
	app := &argocd.Application{ObjectMeta: b.meta(o)}
	app.Spec.Destination = argocd.Destination{Server: "https://kubernetes.default.svc", Namespace: o.destination}
	entry := argocd.Revision{ID: int64(version), Revision: o.name, DeployStartedAt: at(now), DeployedAt: at(now.Add(2 * time.Second))}
	app.Status = argocd.Status{
		Health: argocd.Health{Status: "Healthy", LastTransitionTime: at(now.Add(5 * time.Second))}, Sync: argocd.Sync{Status: "Synced"},
		ReconciledAt: at(now.Add(6 * time.Second)), History: []argocd.Revision{entry}, Resources: o.managed(),
		Summary: argocd.Summary{Images: []string{o.image(version)}},
		OperationState: &argocd.OperationState{
			Phase: "Succeeded", Message: "synced " + o.name, StartedAt: at(now), FinishedAt: at(now.Add(2 * time.Second)),
			SyncResult: &argocd.SyncResult{Revision: o.name, Resources: []argocd.ResourceResult{{
				Group: "apps", Kind: "Deployment", Namespace: o.destination, Name: "web", Status: "Synced", SyncPhase: "Sync", Message: "deployment.apps/web configured",
			}}},
		},
	}
	b.put(app)
}

func (b *bench) roll(o *thing, version int) {
	hash, now := fmt.Sprintf("hash%d", version), b.clock.Now()
	ro := &rollouts.Rollout{ObjectMeta: b.meta(o)}
	revision := map[string]string{"rollout.argoproj.io/revision": strconv.Itoa(version)}
	if ro.Annotations == nil {
		ro.Annotations = map[string]string{}
	}
	maps.Copy(ro.Annotations, revision)
	ro.Spec.Replicas = new(int32(1))
	ro.Spec.Strategy.Canary = &rollouts.Canary{}
	ro.Spec.Template.Spec.Containers = []rollouts.Container{{Image: o.image(version)}}
	ro.Status = rollouts.Status{Phase: "Healthy", ObservedGeneration: "1", CurrentPodHash: hash, StableRS: hash}
	for _, kind := range []string{"Available", "Completed", "Healthy", "Progressing"} {
		ro.Status.Conditions = append(ro.Status.Conditions, rollouts.Condition{
			Type: kind, Status: "True", Reason: "NewReplicaSetAvailable", LastTransitionTime: at(now.Add(4 * time.Second)),
		})
	}
	b.put(ro)
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: o.namespace, Name: o.name + "-" + hash, Annotations: revision, CreationTimestamp: metav1.NewTime(now.Add(time.Second)),
		Labels:          map[string]string{rollouts.HashLabel: hash},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: o.name, UID: ro.UID, Controller: new(true)}},
	}}
	set.Spec.Replicas = new(int32(1))
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web", Image: o.image(version)}}
	set.Status = appsv1.ReplicaSetStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	b.put(set)
}

// lookAtAll reconciles everything that ever was, as the watches and the directory of the ledger ask for.
func (b *bench) lookAtAll() {
	targets := kube.NewTargets(b, b.layout.trusted)
	world := kube.NewWorld(b, b, "eu", nil)
	follower := &kube.Follower{
		Recorder: b.memory, Announcer: &kube.Announcer{Events: b, Explain: true}, Targets: kube.NewTrigger(),
		Sinks: kube.NewSinks(b, b.layout.trusted).Owed, Owed: func([]string) {}, Clock: b.clock,
	}
	apps := &application.Reconciler{World: world, Targets: targets, Served: b, Follower: follower, Steps: application.NewSteps(b.clock)}
	ros := &rollout.Reconciler{World: world, Targets: targets, Served: b, Follower: follower}
	for range 2 { // a Rollout that is evidence is told of by its Application, and the other way round
		for _, o := range b.layout.things {
			var r reconcile.Reconciler = apps
			if o.kind == dora.KindRollout {
				r = ros
			}
			b.reconcile(r, o.namespace, o.name)
		}
	}
}

func (b *bench) reconcile(r reconcile.Reconciler, namespace, name string) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	if _, err := r.Reconcile(log.IntoContext(b.t.Context(), logr.Discard()), ctrl.Request{NamespacedName: key}); err != nil {
		b.t.Fatalf("%s: %v", key, err)
	}
}

func (b *bench) lookAtTargets() {
	r := &doratarget.Reconciler{
		Client: b, World: kube.NewWorld(b, b, "eu", nil), Targets: kube.NewTargets(b, b.layout.trusted), Served: b,
		Memory: b.memory, Events: b.ledger, Marks: b.ledger, Metrics: doratarget.NewMetrics(), Sinks: kube.NewSinks(b, b.layout.trusted),
		Share: b.share, Cluster: "eu", Clock: b.clock,
	}
	for _, target := range b.layout.targets {
		b.reconcile(r, target.Namespace, target.Name)
	}
}

// share shows the figures of a target to the namespace of the sink, and checks that they are meant for it.
func (b *bench) share(name, target string, figures []sink.Figures) {
	key, _ := kube.SinkOf(name)
	for i := range figures {
		b.showJSON(key.Namespace, "figures of "+target+" in "+name, &figures[i])
	}
	for _, t := range b.layout.targets {
		if client.ObjectKeyFromObject(t).String() == target && !slices.Contains(b.layout.sinksOf(t, dorav1alpha1.SendMetrics), name) {
			b.t.Errorf("the figures of %s go to %s\n%s", target, name, b.layout)
		}
	}
}

// lookAtSinks: each of them asks to be sent everything again.
func (b *bench) lookAtSinks() {
	targets := kube.NewTargets(b, b.layout.trusted)
	r := &dorasink.Reconciler{
		Client: b, Live: b, Sinks: kube.NewSinks(b, b.layout.trusted), Targets: targets, Subjects: b.memory.Remembered, Ledger: b.ledger,
		Dispatcher: idle{}, Figures: kube.NewTrigger(), Events: b, Cluster: "eu", Grace: hour, Clock: b.clock, Log: logr.Discard(),
		Make: func(object *dorav1alpha1.DoraSink, _ map[string][]byte) (sink.Sink, error) {
			return stdout.New(kube.SinkKey(object), nil), nil
		},
	}
	for _, s := range b.layout.sinks {
		b.reconcile(r, s.Namespace, s.Name)
	}
}

// idle delivers nothing: what sinks are owed is read from the ledger.
type idle struct{}

func (idle) Register(sink.Sink, dispatch.Route)             {}
func (idle) Remove(string)                                  {}
func (idle) Health(string) (health dispatch.Health, _ bool) { return health, false }
func (idle) Notify()                                        {}
func (idle) Hurry(string)                                   {}

// outstanding is what sinks are owed.
func (b *bench) outstanding() []ledger.Outstanding {
	rows, err := b.ledger.Outstanding(b.t.Context(), ledger.OutstandingQuery{})
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

func (b *bench) showDeliveries() {
	for _, row := range b.outstanding() {
		key, _ := kube.SinkOf(row.Sink)
		b.showJSON(key.Namespace, "delivery to "+row.Sink, &row.Event)
	}
}

// takeAll delivers everything, so that what is owed afterwards was asked for.
func (b *bench) takeAll() {
	for _, row := range b.outstanding() {
		if err := b.ledger.Delivered(b.t.Context(), row.Sink, ledger.Attempt{At: b.clock.Now()}, row.Delivery); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) showStatuses() {
	for _, o := range b.objects["DoraTarget"] {
		target := o.(*dorav1alpha1.DoraTarget).DeepCopy()
		timeless(target.Status.Conditions)
		b.showJSON(target.Namespace, "status of "+target.Name, target.Status)
	}
	for _, o := range b.objects["DoraSink"] {
		s := o.(*dorav1alpha1.DoraSink).DeepCopy()
		timeless(s.Status.Conditions)
		b.showJSON(s.Namespace, "status of "+s.Name, s.Status)
	}
}

// timeless: conditions change by the clock on the wall.
func timeless(conditions []metav1.Condition) {
	for i := range conditions {
		conditions[i].LastTransitionTime = metav1.Time{}
	}
}
