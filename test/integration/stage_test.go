package integration_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/controllers/application"
	"github.com/dora-controller/dora-controller/controllers/rollout"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/record"
	"github.com/dora-controller/dora-controller/internal/replay"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// stage is the controllers' own cache and reconcilers, without a manager: a spec writes an object, waits until the cache has it, and calls
// Reconcile itself, at the time that it chose.
type stage struct {
	cache   cache.Cache
	kinds   *kube.Kinds
	targets *kube.Targets
	clock   *clocktesting.FakeClock

	ledger      string
	store       *sqlite.Store
	reconcilers map[dora.Kind]reconcile.Reconciler
	subjects    []subject             // in the order of their first appearance
	due         map[subject]time.Time // when a look was asked for
	versions    map[string]string     // of what was written: resourceVersion by kind and name
}

type subject struct {
	kind dora.Kind
	name types.NamespacedName
}

// recordedMeta is the annotation that carries what an API server does not let anybody choose.
const recordedMeta = "recorded-metadata"

type chosen struct {
	UID               types.UID    `json:"uid"`
	Generation        int64        `json:"generation"`
	CreationTimestamp metav1.Time  `json:"creationTimestamp"`
	DeletionTimestamp *metav1.Time `json:"deletionTimestamp,omitempty"`
}

// restore puts it back, before the cache's own transform.
func restore(then toolscache.TransformFunc) toolscache.TransformFunc {
	return func(obj any) (any, error) {
		var m chosen
		if o, ok := obj.(metav1.Object); ok && json.Unmarshal([]byte(o.GetAnnotations()[recordedMeta]), &m) == nil {
			o.SetUID(m.UID)
			o.SetGeneration(m.Generation)
			o.SetCreationTimestamp(m.CreationTimestamp)
			o.SetDeletionTimestamp(m.DeletionTimestamp)
		}
		return then(obj)
	}
}

// beginning is before all recordings.
var beginning = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func newStage(ctx context.Context) *stage {
	GinkgoHelper()
	options, err := kube.CacheOptions(nil, "")
	Expect(err).NotTo(HaveOccurred())
	options.DefaultTransform = restore(options.DefaultTransform)
	options.Scheme, err = kube.NewScheme()
	Expect(err).NotTo(HaveOccurred())
	s := &stage{clock: clocktesting.NewFakeClock(beginning)}
	s.cache, err = cache.New(cluster, options)
	Expect(err).NotTo(HaveOccurred())
	s.watch()
	makeNamespaces("argocd")
	everything := newTarget(ctx, api, "argocd", "everything", `{applications: {namespaces: [argocd]}, rollouts: {}, degradedFor: 0s}`, func(t *dorav1alpha1.DoraTarget) {
		t.Annotations = map[string]string{recordedMeta: textOf(chosen{UID: "everything", Generation: 1, CreationTimestamp: metav1.NewTime(beginning)})}
	})
	DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, everything)).To(Succeed()) })
	s.targets = kube.NewTargets(s.cache, []string{"argocd"})
	Eventually(func(g Gomega) {
		view, err := s.targets.View(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(view).NotTo(BeEmpty())
	}).WithTimeout(patience).Should(Succeed())
	return s
}

// watch fills the cache until the container of specs is done.
func (s *stage) watch() {
	GinkgoHelper()
	ctx, stop := context.WithCancel(context.Background())
	DeferCleanup(stop)
	go func() {
		defer GinkgoRecover()
		Expect(s.cache.Start(ctx)).To(Succeed())
	}()
	asking, err := discovery.NewDiscoveryClientForConfig(cluster)
	Expect(err).NotTo(HaveOccurred())
	s.kinds = kube.NewKinds(asking, time.Hour, func(ctx context.Context, kind dora.Kind) error { return kube.Index(ctx, s.cache, kind) })
	Expect(s.kinds.Ask(ctx)).To(Succeed())
	_, err = s.cache.GetInformer(ctx, &dorav1alpha1.DoraTarget{})
	Expect(err).NotTo(HaveOccurred())
}

// open begins with an empty ledger.
func (s *stage) open(ctx context.Context) {
	GinkgoHelper()
	s.clock.SetTime(beginning)
	s.subjects, s.due, s.versions = nil, map[subject]time.Time{}, map[string]string{}
	s.ledger = filepath.Join(GinkgoT().TempDir(), "ledger.db")
	s.openLedger(ctx)
}

// openLedger does what a process does that has just started.
func (s *stage) openLedger(ctx context.Context) {
	GinkgoHelper()
	var err error
	s.store, err = sqlite.Open(ctx, s.ledger, sqlite.Options{Now: s.clock.Now})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.store.Close)
	recorder, err := record.Open(ctx, s.store, "test", nil)
	Expect(err).NotTo(HaveOccurred())
	world := kube.NewWorld(s.cache, s.kinds, "test", nil)
	follower := &kube.Follower{
		Recorder: recorder, Targets: kube.NewTrigger(), Owed: func([]string) {}, Clock: s.clock,
		Sinks:     func(context.Context, kube.Selection) ([]string, error) { return nil, nil },
		Announcer: &kube.Announcer{Events: &events.FakeRecorder{}},
	}
	s.reconcilers = map[dora.Kind]reconcile.Reconciler{
		dora.KindApplication: &application.Reconciler{World: world, Targets: s.targets, Served: s.kinds, Follower: follower, Steps: application.NewSteps(s.clock)},
		dora.KindRollout:     &rollout.Reconciler{World: world, Targets: s.targets, Served: s.kinds, Follower: follower},
	}
}

// restart forgets everything but the ledger and the cluster, and looks at all there is.
func (s *stage) restart(ctx context.Context) {
	GinkgoHelper()
	Expect(s.store.Close()).To(Succeed())
	s.openLedger(ctx)
	for _, subject := range s.subjects {
		s.look(ctx, subject)
	}
}

// play lets one recorded event happen at its time, and whatever was due before.
func (s *stage) play(ctx context.Context, l line) {
	GinkgoHelper()
	s.advance(ctx, l.Seen)
	s.clock.SetTime(l.Seen)
	s.write(ctx, l)
	for _, subject := range s.subjects {
		s.look(ctx, subject)
	}
}

// see waits until the cache has an Application as Argo left it, and looks at it.
func (s *stage) see(ctx context.Context, app *argoApp) {
	GinkgoHelper()
	s.await(ctx, app.object, app.object.GetResourceVersion())
	s.look(ctx, app.subject())
}

func (a *argoApp) subject() subject {
	return subject{dora.KindApplication, client.ObjectKeyFromObject(a.object)}
}

// advance takes the looks that are due before that moment.
func (s *stage) advance(ctx context.Context, until time.Time) {
	GinkgoHelper()
	for {
		var next *subject
		for i := range s.subjects {
			if at, ok := s.due[s.subjects[i]]; ok && at.Before(until) && (next == nil || at.Before(s.due[*next])) {
				next = &s.subjects[i]
			}
		}
		if next == nil {
			return
		}
		at := s.due[*next]
		s.clock.SetTime(at)
		s.look(ctx, *next)
		if s.due[*next].Equal(at) {
			delete(s.due, *next)
		}
	}
}

func (s *stage) look(ctx context.Context, of subject) {
	GinkgoHelper()
	result, err := s.reconcilers[of.kind].Reconcile(ctx, ctrl.Request{NamespacedName: of.name})
	Expect(err).NotTo(HaveOccurred())
	delete(s.due, of)
	if result.RequeueAfter > 0 {
		s.due[of] = s.clock.Now().Add(result.RequeueAfter)
	}
}

// write makes the API server and the cache hold what was recorded.
func (s *stage) write(ctx context.Context, l line) {
	GinkgoHelper()
	o := l.Object
	key := o.GetKind() + " " + client.ObjectKeyFromObject(o).String()
	kept := chosen{UID: o.GetUID(), Generation: o.GetGeneration(), CreationTimestamp: o.GetCreationTimestamp(), DeletionTimestamp: o.GetDeletionTimestamp()}
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[recordedMeta] = textOf(kept)
	o.SetAnnotations(annotations)
	o.SetFinalizers(nil)
	o.SetManagedFields(nil)
	o.SetUID("")
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetResourceVersion(s.versions[key])
	makeNamespaces(o.GetNamespace())
	if l.Type == replay.Deleted {
		Expect(client.IgnoreNotFound(api.Delete(ctx, o))).To(Succeed())
		delete(s.versions, key)
	} else {
		s.put(ctx, o)
		s.versions[key] = o.GetResourceVersion()
	}
	s.await(ctx, o, s.versions[key])
	if kind := dora.Kind(o.GetKind()); kind == dora.KindApplication || kind == dora.KindRollout {
		if named := (subject{kind, client.ObjectKeyFromObject(o)}); !slices.Contains(s.subjects, named) {
			s.subjects = append(s.subjects, named)
		}
	}
}

// put writes an object and, where that is a resource of its own, its status.
func (s *stage) put(ctx context.Context, o *unstructured.Unstructured) {
	GinkgoHelper()
	status, told := o.Object["status"]
	if o.GetResourceVersion() == "" {
		Expect(api.Create(ctx, o)).To(Succeed())
	} else {
		Expect(api.Update(ctx, o)).To(Succeed())
	}
	if told && o.GetKind() != string(dora.KindApplication) {
		o.Object["status"] = status
		Expect(api.Status().Update(ctx, o)).To(Succeed())
	}
}

// await waits until the cache has that version, or nothing.
func (s *stage) await(ctx context.Context, o client.Object, version string) {
	GinkgoHelper()
	cached := map[string]client.Object{
		"Application": &argocd.Application{}, "Rollout": &rollouts.Rollout{}, "ReplicaSet": &appsv1.ReplicaSet{},
	}[o.GetObjectKind().GroupVersionKind().Kind]
	Eventually(func(g Gomega) {
		err := s.cache.Get(ctx, client.ObjectKeyFromObject(o), cached)
		if version == "" {
			g.Expect(apierrors.IsNotFound(err)).To(BeTrue())
			return
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(cached.GetResourceVersion()).To(Equal(version))
	}).WithTimeout(patience).WithPolling(time.Millisecond).Should(Succeed())
}

// clear removes what was written.
func (s *stage) clear(ctx context.Context) {
	GinkgoHelper()
	for _, kind := range []string{"Application", "Rollout", "ReplicaSet"} {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(map[bool]string{true: "apps/v1", false: "argoproj.io/v1alpha1"}[kind == "ReplicaSet"])
		list.SetKind(kind + "List")
		Expect(api.List(ctx, list)).To(Succeed())
		for i := range list.Items {
			Expect(client.IgnoreNotFound(api.Delete(ctx, &list.Items[i]))).To(Succeed())
			s.await(ctx, &list.Items[i], "")
		}
	}
}

func makeNamespaces(names ...string) {
	GinkgoHelper()
	for _, name := range names {
		err := api.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if !apierrors.IsAlreadyExists(err) {
			Expect(err).NotTo(HaveOccurred())
		}
	}
}

func textOf(value any) string {
	GinkgoHelper()
	data, err := json.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	return string(data)
}
