package dorasink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// Ledger is what the controller needs of one.
type Ledger interface {
	Sinks(ctx context.Context) ([]ledger.SinkState, error)
	Requeue(ctx context.Context, sink string) (int64, error)
	Hasten(ctx context.Context, sink string, now time.Time) (int64, error)
	Owe(ctx context.Context, sink string, q ledger.EventQuery, now time.Time) (int64, error)
	Gone(ctx context.Context, sink string, at time.Time) error
	Forget(ctx context.Context, sink string, before time.Time) (int64, error)
}

// Dispatcher delivers to sinks. Package dispatch has one.
type Dispatcher interface {
	Register(s sink.Sink, route dispatch.Route)
	Remove(name string)
	Health(name string) (dispatch.Health, bool)
	Notify()
	Hurry(name string)
}

// Maker makes the driver of a sink with the contents of its Secret; nil if it names none. An error is of settings that cannot be used.
type Maker func(object *dorav1alpha1.DoraSink, secret map[string][]byte) (sink.Sink, error)

// Reconciler keeps a worker for each DoraSink.
type Reconciler struct {
	Client client.Client
	// Live reads Secrets from the API server.
	Live       client.Reader
	Sinks      *kube.Sinks
	Targets    *kube.Targets
	Subjects   func(wanted func(*ledger.Subject) bool) []ledger.Subject
	Ledger     Ledger
	Dispatcher Dispatcher
	Make       Maker
	// Figures asks targets to give their figures once more.
	Figures *kube.Trigger
	Events  events.EventRecorder
	Cluster string
	// Grace is how long what a sink is owed is kept that does not exist.
	Grace time.Duration
	Clock clock.WithDelayedExecution
	Log   logr.Logger

	mu      sync.Mutex
	running map[string][sha256.Size]byte // of each registered sink, what it was made from
	heeded  map[string]heeded            // of each sink, what was asked of it and done
	known   map[string]bool              // the sinks that were registered before
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// lookAgain is how often a Secret is read.
const lookAgain = 30 * time.Second

// Reconcile looks at one sink.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &dorav1alpha1.DoraSink{}
	if err := r.Client.Get(ctx, req.NamespacedName, object); apierrors.IsNotFound(err) {
		return r.bury(ctx, req.NamespacedName)
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("cannot read the sink: %w", err)
	}
	if err := r.welcome(ctx, object); err != nil {
		return ctrl.Result{}, err
	}
	refused, err := r.run(ctx, object)
	if err != nil {
		return ctrl.Result{}, err
	}
	requests, err := r.heed(ctx, object)
	if err != nil {
		return ctrl.Result{}, err
	}
	status, err := r.status(ctx, object, refused, requests)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: lookAgain}, r.write(ctx, object, status)
}

// welcome notes that a sink exists that may have been gone.
func (r *Reconciler) welcome(ctx context.Context, object *dorav1alpha1.DoraSink) error {
	name := kube.SinkKey(object)
	if r.runs(name) {
		return nil
	}
	known, err := r.figures(ctx, name)
	if err != nil || known == nil || known.GoneAt.IsZero() {
		return err
	}
	// What targets owe a sink by its name they have owed it meanwhile. To a default they could not.
	if _, err := r.owe(ctx, object, ledger.EventQuery{Since: known.GoneAt.Add(-overlap)}); err != nil {
		return fmt.Errorf("cannot queue what happened while the sink was gone: %w", err)
	}
	if err := r.Ledger.Gone(ctx, name, time.Time{}); err != nil {
		return fmt.Errorf("cannot note that the sink exists: %w", err)
	}
	return nil
}

// overlap is how long before a sink was noticed to be gone it may have been.
const overlap = 10 * time.Minute

// run sees to it that the sink is delivered to, if it can be. Otherwise it tells why not.
func (r *Reconciler) run(ctx context.Context, object *dorav1alpha1.DoraSink) (*metav1.Condition, error) {
	name := kube.SinkKey(object)
	if object.Spec.Suspend {
		r.stop(name)
		return new(dorav1alpha1.SinkSuspended(0)), nil
	}
	wanted, err := r.Sinks.Filter(object)
	if err != nil {
		r.stop(name)
		return new(dorav1alpha1.InvalidFilter(err)), nil
	}
	secret, err := r.secret(ctx, object)
	if mend, ok := errors.AsType[*kube.SecretError](err); ok {
		r.stop(name)
		return new(dorav1alpha1.SinkFailing(string(sink.CredentialsMissing), sentence(mend.Error()))), nil
	}
	if err != nil {
		return nil, err
	}
	made := fingerprint(object, secret)
	if r.is(name, made) {
		return nil, nil //nolint:nilnil // nothing stands in the way
	}
	driver, err := r.Make(object, secret)
	if err != nil {
		r.stop(name)
		return refusal(err), nil
	}
	r.Dispatcher.Register(driver, dispatch.Route{
		Filter:         wanted,
		WithoutEvents:  !object.Spec.Takes(dorav1alpha1.SendEvents),
		WithoutFigures: !object.Spec.Takes(dorav1alpha1.SendMetrics),
	})
	return nil, r.begin(ctx, name, r.set(name, made))
}

// begin tries at once what waits, and asks for figures. After a start nothing is mended that was not before: what waits then goes on waiting.
func (r *Reconciler) begin(ctx context.Context, name string, again bool) error {
	if again {
		if _, err := r.Ledger.Hasten(ctx, name, r.Clock.Now()); err != nil {
			return fmt.Errorf("cannot hasten deliveries: %w", err)
		}
	}
	r.Dispatcher.Notify()
	view, err := r.Targets.View(ctx)
	if err != nil {
		return err
	}
	r.Figures.Ask(0, view.Names()...)
	return nil
}

// refusal is the condition of a sink that cannot be made.
func refusal(err error) *metav1.Condition {
	if reason := sink.ReasonOf(err); reason != sink.Failing {
		return new(dorav1alpha1.SinkFailing(string(reason), sentence(err.Error())))
	}
	return new(dorav1alpha1.InvalidSpec(err))
}

func (r *Reconciler) stop(name string) {
	r.Dispatcher.Remove(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, name)
}

func (r *Reconciler) runs(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.running[name]
	return ok
}

func (r *Reconciler) is(name string, made [sha256.Size]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.running[name]
	return ok && known == made
}

// set notes what a sink was made from, and says whether it was made before.
func (r *Reconciler) set(name string, made [sha256.Size]byte) (again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running, r.known = map[string][sha256.Size]byte{}, map[string]bool{}
	}
	again, r.running[name], r.known[name] = r.known[name], made, true
	return again
}

// secret reads the Secret that a sink names; nil if it names none.
func (r *Reconciler) secret(ctx context.Context, object *dorav1alpha1.DoraSink) (map[string][]byte, error) {
	ref, field := object.Spec.Secret()
	if ref == nil {
		return nil, nil
	}
	return kube.ReadSecret(ctx, r.Live, object.Namespace, ref.Name, field)
}

// fingerprint tells what a driver is made from. It is a digest, so that no secret is kept.
func fingerprint(object *dorav1alpha1.DoraSink, secret map[string][]byte) [sha256.Size]byte {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %d\n", object.UID, object.Generation)
	for _, key := range slices.Sorted(maps.Keys(secret)) {
		fmt.Fprintf(hash, "%q %q\n", key, secret[key])
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// bury keeps what a sink is owed that does not exist for the grace time, then drops it.
func (r *Reconciler) bury(ctx context.Context, key types.NamespacedName) (ctrl.Result, error) {
	name := key.String()
	r.stop(name)
	r.unlearn(name)
	now := r.Clock.Now()
	if err := r.Ledger.Gone(ctx, name, now); err != nil {
		return ctrl.Result{}, fmt.Errorf("cannot note that the sink is gone: %w", err)
	}
	known, err := r.figures(ctx, name)
	if err != nil || known == nil {
		return ctrl.Result{}, err
	}
	if until := known.GoneAt.Add(r.Grace); now.Before(until) {
		if known.GoneAt.Equal(now.Truncate(time.Microsecond)) {
			r.say(key, "SinkGone", fmt.Sprintf("DoraSink %s does not exist; %d events that it is owed are kept until %s",
				name, known.Pending+known.Parked, until.UTC().Format(time.RFC3339)))
		}
		return ctrl.Result{RequeueAfter: until.Sub(now)}, nil
	}
	// What came while it was gone has its own time to wait.
	dropped, err := r.Ledger.Forget(ctx, name, now.Add(-r.Grace))
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("cannot drop what the sink was owed: %w", err)
	}
	if dropped == 0 {
		return ctrl.Result{}, nil // Sweep asks again
	}
	r.say(key, "DeliveriesDropped", fmt.Sprintf("DoraSink %s did not exist for %s; %d events that it was owed were dropped, the ledger keeps them",
		name, r.Grace, dropped))
	dropCounter.WithLabelValues(name).Add(float64(dropped))
	return ctrl.Result{}, nil
}

// say tells the log, and whoever looks at the namespace's events.
func (r *Reconciler) say(key types.NamespacedName, reason, note string) {
	r.Log.Info(note, "sink", key.String(), "reason", reason)
	gone := &dorav1alpha1.DoraSink{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	r.Events.Eventf(gone, nil, "Warning", reason, "Delivering", "%s", note)
}

// figures are what the ledger knows of a sink; nil if nothing.
func (r *Reconciler) figures(ctx context.Context, name string) (*ledger.SinkState, error) {
	states, err := r.Ledger.Sinks(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read what the sink is owed: %w", err)
	}
	for i := range states {
		if states[i].Sink == name {
			return &states[i], nil
		}
	}
	return nil, nil //nolint:nilnil // it never was owed anything
}

// sentence begins with a capital, as the messages of conditions do.
func sentence(text string) string {
	word, _, _ := strings.Cut(text, " ")
	if text == "" || strings.Contains(word, ".") { // the name of a key or a field
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
