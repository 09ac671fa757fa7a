package dorareceiver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/receive"
)

// Desk knows the receivers whose requests are taken. Package receive has one.
type Desk interface {
	Put(r *receive.Receiver, known receive.Tally) error
	Remove(s receive.Sender)
	Tally(s receive.Sender) (receive.Tally, bool)
}

// Maker makes what takes the requests of a receiver with the contents of its Secret. A kube.SecretError is of a Secret that lacks something; any
// other error is of settings that cannot be used.
type Maker func(object *dorav1alpha1.DoraReceiver, secret map[string][]byte) (*receive.Receiver, error)

// Reconciler keeps a place at the desk for each DoraReceiver.
type Reconciler struct {
	Client client.Client
	// Live reads Secrets from the API server.
	Live client.Reader
	// Desk is nil where the controller listens for nobody.
	Desk Desk
	Make Maker
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// lookAgain is how often a Secret is read.
const lookAgain = 30 * time.Second

// Reconcile looks at one receiver.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &dorav1alpha1.DoraReceiver{}
	if err := r.Client.Get(ctx, req.NamespacedName, object); apierrors.IsNotFound(err) {
		r.remove(receive.Sender(req.NamespacedName))
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("cannot read the receiver: %w", err)
	}
	ready, err := r.seat(ctx, object)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: lookAgain}, r.write(ctx, object, ready)
}

// seat sees to it that requests for the receiver are taken, if they can be, and tells so, or why not.
func (r *Reconciler) seat(ctx context.Context, object *dorav1alpha1.DoraReceiver) (metav1.Condition, error) {
	if r.Desk == nil {
		return dorav1alpha1.ReceiversOff(), nil
	}
	name := receive.Sender{Namespace: object.Namespace, Name: object.Name}
	secret, err := kube.ReadSecret(ctx, r.Live, object.Namespace, object.Spec.SecretRef.Name, "spec.secretRef")
	if _, mend := errors.AsType[*kube.SecretError](err); err != nil && !mend {
		return metav1.Condition{}, err // what is known of it goes on to hold
	}
	var made *receive.Receiver
	if err == nil {
		made, err = r.Make(object, secret)
	}
	if err != nil {
		r.remove(name)
		return refusal(err), nil
	}
	if err := r.Desk.Put(made, tallyOf(&object.Status)); errors.Is(err, receive.ErrTokenTaken) {
		return dorav1alpha1.TokenTaken(), nil
	} else if err != nil {
		return metav1.Condition{}, err
	}
	if object.Spec.Suspend {
		return dorav1alpha1.ReceiverSuspended(), nil
	}
	return dorav1alpha1.Receiving(), nil
}

// refusal is the condition of a receiver that cannot be used.
func refusal(err error) metav1.Condition {
	if mend, ok := errors.AsType[*kube.SecretError](err); ok {
		text := mend.Error()
		return dorav1alpha1.SecretMissing(strings.ToUpper(text[:1]) + text[1:])
	}
	return dorav1alpha1.InvalidSpec(err)
}

func (r *Reconciler) remove(s receive.Sender) {
	if r.Desk != nil {
		r.Desk.Remove(s)
	}
}

// write patches the status if it differs.
func (r *Reconciler) write(ctx context.Context, object *dorav1alpha1.DoraReceiver, ready metav1.Condition) error {
	changed := object.DeepCopy()
	status := &changed.Status
	status.Conditions = slices.Clone(object.Status.Conditions)
	status.SetConditions(object.Generation, ready)
	status.Path = object.Path()
	if r.Desk != nil {
		if tally, ok := r.Desk.Tally(receive.Sender{Namespace: object.Namespace, Name: object.Name}); ok {
			status.Accepted, status.Refused, status.LastRefusal = tally.Accepted, tally.Refused, string(tally.LastRefusal)
			status.LastAccepted, status.LastRefused = moment(tally.LastAccepted), moment(tally.LastRefused)
		}
	}
	if equality.Semantic.DeepEqual(&object.Status, status) {
		return nil
	}
	return kube.PatchStatus(ctx, r.Client, object, changed)
}

// tallyOf is what a status tells of before, as when another process led.
func tallyOf(status *dorav1alpha1.DoraReceiverStatus) receive.Tally {
	tally := receive.Tally{Accepted: status.Accepted, Refused: status.Refused, LastRefusal: receive.Reason(status.LastRefusal)}
	if status.LastAccepted != nil {
		tally.LastAccepted = status.LastAccepted.Time
	}
	if status.LastRefused != nil {
		tally.LastRefused = status.LastRefused.Time
	}
	return tally
}

// moment is a time as the API server stores it.
func moment(at time.Time) *metav1.Time {
	if at.IsZero() {
		return nil
	}
	return new(metav1.NewTime(at.UTC().Truncate(time.Second)))
}
