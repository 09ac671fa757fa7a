package doratarget

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/record"
	"github.com/dora-controller/dora-controller/internal/sink"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// story is a ledger, a cluster and a clock around the reconciler.
type story struct {
	*testing.T

	clock      *clocktesting.FakeClock
	store      *broken
	client     client.Client
	writes     int
	shared     map[string][]sink.Figures // what each sink was given last
	owed       []string
	looks      []string
	reconciler *Reconciler
}

// broken is a ledger whose events cannot be read while it has an error.
type broken struct {
	ledger.Store

	err error
}

func (b *broken) Commit(ctx context.Context, change ledger.Change) error {
	if b.err != nil {
		return b.err
	}
	return b.Store.Commit(ctx, change)
}

func (b *broken) Ping(ctx context.Context) error {
	if b.err != nil {
		return b.err
	}
	return b.Store.Ping(ctx)
}

func (b *broken) Revision(ctx context.Context) (int64, error) {
	if b.err != nil {
		return 0, b.err
	}
	return b.Store.Revision(ctx)
}

func (b *broken) Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error] {
	if b.err != nil {
		return func(yield func(ledger.Row, error) bool) { yield(ledger.Row{}, b.err) }
	}
	return b.Store.Events(ctx, q)
}

type served map[dora.Kind]bool

func (s served) Served(kind dora.Kind) bool { return s[kind] }

func newStory(t *testing.T, objects ...client.Object) *story {
	t.Helper()
	s := &story{T: t, clock: clocktesting.NewFakeClock(epoch), shared: map[string][]sink.Figures{}}
	s.store = &broken{Store: ledgertest.NewMemory(s.clock.Now)}
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	s.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&dorav1alpha1.DoraTarget{}).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				s.writes++
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	kinds := served{dora.KindApplication: true}
	s.reconciler = &Reconciler{
		Client: s.client, World: kube.NewWorld(s.client, kinds, "eu", nil), Targets: kube.NewTargets(s.client, []string{"platform"}),
		Served: kinds, Events: s.store, Metrics: NewMetrics(), Cluster: "eu", Clock: s.clock,
		Sinks: kube.NewSinks(s.client, []string{"platform"}),
		Marks: s.store,
		Owed:  func(sinks []string) { s.owed = append(s.owed, sinks...) },
		Look: func(targets ...types.NamespacedName) {
			for _, name := range targets {
				s.looks = append(s.looks, name.Name)
			}
		},
		Notices: silent,
		Share:   func(name, _ string, figures []sink.Figures) { s.shared[name] = figures },
	}
	s.reconciler.pace.clock = s.clock.Now
	s.open()
	return s
}

// open reads the ledger as a process does that has just started.
func (s *story) open() {
	s.Helper()
	recorder, err := record.Open(s.Context(), s.store, "eu", nil)
	if err != nil {
		s.Fatal(err)
	}
	s.reconciler.Memory = recorder
}

func target(t *testing.T, name, spec string) *dorav1alpha1.DoraTarget {
	t.Helper()
	object := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID(name), Generation: 1, CreationTimestamp: metav1.NewTime(epoch.Add(-time.Hour)),
	}}
	if err := yaml.UnmarshalStrict([]byte(spec), &object.Spec); err != nil {
		t.Fatal(err)
	}
	return object
}

func application(name string, labels map[string]string) *argocd.Application {
	return &argocd.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Labels: labels}}
}

// keep puts a subject, followed since a year ago, and events about it into the ledger.
func (s *story) keep(name string, change func(*ledger.Subject), events ...dora.Event) {
	s.Helper()
	subject := dora.Subject{Kind: dora.KindApplication, Namespace: "shop", Name: name, UID: name}
	row := &ledger.Subject{Subject: subject, Cluster: "eu", Service: name, Environment: "production", FollowedSince: epoch.AddDate(-1, 0, 0)}
	if change != nil {
		change(row)
	}
	for i := range events {
		e := &events[i]
		e.Subject, e.Service, e.Environment, e.Cluster = subject, row.Service, row.Environment, "eu"
		e.ID = fmt.Sprintf("%s-%s-%s", name, e.Type, e.OccurredAt.Format(time.RFC3339))
	}
	if err := s.store.Commit(s.Context(), ledger.Change{Subject: row, Events: events}); err != nil {
		s.Fatal(err)
	}
	s.open()
}

func succeeded(at time.Time) dora.Event {
	return dora.Event{
		Type: dora.TypeDeploy, Outcome: dora.Succeeded, Change: dora.ChangeImage, OccurredAt: at, StartedAt: at, Success: new(true),
		Version: &dora.Version{Tag: at.Format("0102-1504"), Images: []string{"cart"}},
	}
}

// look reconciles a target whose figures need not rest, and returns it as it is then.
func (s *story) look(name string) (*dorav1alpha1.DoraTarget, ctrl.Result) {
	s.Helper()
	s.reconciler.pace.forget()
	return s.lookAgain(name)
}

// lookAgain reconciles a target.
func (s *story) lookAgain(name string) (*dorav1alpha1.DoraTarget, ctrl.Result) {
	s.Helper()
	result, err := s.reconciler.Reconcile(s.Context(), requestFor(name))
	if err != nil {
		s.Fatal(err)
	}
	object := &dorav1alpha1.DoraTarget{}
	if err := s.client.Get(s.Context(), requestFor(name).NamespacedName, object); err != nil {
		s.Fatal(err)
	}
	return object, result
}

func requestFor(name string) ctrl.Request {
	return ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}}
}

// forget lets every target be computed at once.
func (p *pace) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.until)
}

func readyReason(object *dorav1alpha1.DoraTarget) string {
	if c := meta.FindStatusCondition(object.Status.Conditions, dorav1alpha1.ConditionReady); c != nil {
		return string(c.Status) + " " + c.Reason
	}
	return "absent"
}
