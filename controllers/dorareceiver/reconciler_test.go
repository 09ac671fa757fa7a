package dorareceiver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/controllers/dorareceiver"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/receive"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	key  = types.NamespacedName{Namespace: "payments", Name: "ci"}
)

// desk notes what it is given.
type desk struct {
	put     *receive.Receiver
	known   receive.Tally
	removed int
	taken   error
	tally   *receive.Tally
}

func (d *desk) Put(r *receive.Receiver, known receive.Tally) error {
	d.put, d.known = r, known
	return d.taken
}

func (d *desk) Remove(receive.Sender) { d.removed++ }

func (d *desk) Tally(receive.Sender) (receive.Tally, bool) {
	if d.tally == nil {
		return receive.Tally{}, false
	}
	return *d.tally, true
}

type world struct {
	dorareceiver.Reconciler

	desk    *desk
	writes  int
	refuses error // what the API server says when asked for a Secret
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{desk: &desk{}}
	server := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&dorav1alpha1.DoraReceiver{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, into client.Object, options ...client.GetOption) error {
				if _, secret := into.(*corev1.Secret); secret && w.refuses != nil {
					return w.refuses
				}
				return c.Get(ctx, name, into, options...)
			},
			SubResourcePatch: func(
				ctx context.Context, c client.Client, part string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption,
			) error {
				w.writes++
				return c.SubResource(part).Patch(ctx, object, patch, options...)
			},
		}).Build()
	w.Reconciler = dorareceiver.Reconciler{Client: server, Live: server, Desk: w.desk, Make: func(
		object *dorav1alpha1.DoraReceiver, secret map[string][]byte,
	) (*receive.Receiver, error) {
		if len(secret["token"]) == 0 {
			return nil, kube.UnusableSecret(object.Namespace, object.Spec.SecretRef.Name, "it has no token")
		}
		return &receive.Receiver{Sender: receive.Sender(key), Secret: secret}, nil
	}}
	return w
}

func (w *world) look(t *testing.T) *dorav1alpha1.DoraReceiver {
	t.Helper()
	result, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
	if err != nil || result.RequeueAfter != 30*time.Second {
		t.Fatalf("%+v, %v", result, err)
	}
	object := &dorav1alpha1.DoraReceiver{}
	if err := w.Client.Get(t.Context(), key, object); err != nil {
		t.Fatal(err)
	}
	return object
}

func receiver() *dorav1alpha1.DoraReceiver {
	return &dorav1alpha1.DoraReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Generation: 1},
		Spec:       dorav1alpha1.DoraReceiverSpec{Type: dorav1alpha1.ReceiverEvents, SecretRef: dorav1alpha1.SecretReference{Name: "ci-token"}},
	}
}

func secret(token string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "payments", Name: "ci-token"}, Data: map[string][]byte{"token": []byte(token)}}
}

func ready(object *dorav1alpha1.DoraReceiver) string {
	condition := meta.FindStatusCondition(object.Status.Conditions, dorav1alpha1.ConditionReady)
	return string(condition.Status) + " " + condition.Reason
}

// TestAReceiverIsSeated with its Secret as it is now, and its status tells of it, written once.
func TestAReceiverIsSeated(t *testing.T) {
	g, first, second := NewWithT(t), sinktest.Secret("first"), sinktest.Secret("second")
	w := newWorld(t, receiver(), secret(first))
	object := w.look(t)
	g.Expect(ready(object)).To(Equal("True Receiving"))
	g.Expect(object.Status.Path).To(Equal("/events/deploy"))
	g.Expect(string(w.desk.put.Secret["token"])).To(Equal(first))
	w.look(t)
	g.Expect(w.writes).To(Equal(1), "a look that finds nothing new writes nothing")
	g.Expect(w.Client.Update(t.Context(), secret(second))).To(Succeed())
	w.look(t)
	g.Expect(string(w.desk.put.Secret["token"])).To(Equal(second))
	g.Expect(w.desk.removed).To(BeZero())
}

// TestWhatStandsInTheWay is told, and requests are refused meanwhile, but for a Secret that cannot be read for a moment.
func TestWhatStandsInTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		objects []client.Object
		change  func(*world)
		want    string
		removed int
	}{
		"no Secret":                     {nil, nil, "False SecretMissing", 1},
		"a Secret that lacks something": {[]client.Object{secret("")}, nil, "False SecretMissing", 1},
		"another's token":               {[]client.Object{secret("a")}, func(w *world) { w.desk.taken = receive.ErrTokenTaken }, "False TokenTaken", 0},
		"nobody listens":                {[]client.Object{secret("a")}, func(w *world) { w.Desk = nil }, "False ReceiversOff", 0},
		"a spec that cannot be": {[]client.Object{secret("a")}, func(w *world) {
			w.Make = func(*dorav1alpha1.DoraReceiver, map[string][]byte) (*receive.Receiver, error) {
				return nil, errors.New("spec.generic.id: no")
			}
		}, "False InvalidSpec", 1},
	} {
		t.Run(name, func(t *testing.T) {
			g, w := NewWithT(t), newWorld(t, append(c.objects, receiver())...)
			if c.change != nil {
				c.change(w)
			}
			object := w.look(t)
			g.Expect(ready(object)).To(Equal(c.want))
			g.Expect(meta.IsStatusConditionTrue(object.Status.Conditions, dorav1alpha1.ConditionStalled)).To(BeTrue())
			g.Expect(w.desk.removed).To(Equal(c.removed))
		})
	}
	g, w := NewWithT(t), newWorld(t, receiver(), secret("a"))
	w.look(t)
	w.refuses = errors.New("the server is busy")
	_, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
	g.Expect(err).To(MatchError(ContainSubstring("the server is busy")))
	g.Expect(w.desk.removed).To(BeZero(), "what is known of it goes on to hold")
}

// TestSuspended is neither ready nor stalled, and is seated, so that senders are told to come again.
func TestSuspended(t *testing.T) {
	suspended := receiver()
	suspended.Spec.Suspend = true
	g, w := NewWithT(t), newWorld(t, suspended, secret("a"))
	object := w.look(t)
	g.Expect(ready(object)).To(Equal("False Suspended"))
	g.Expect(object.Status.Conditions).To(HaveLen(1))
	g.Expect(w.desk.put).NotTo(BeNil())
}

// TestWhatWasReceived is shown, and goes on from there after a restart.
func TestWhatWasReceived(t *testing.T) {
	g, w := NewWithT(t), newWorld(t, receiver(), secret("a"))
	w.desk.tally = &receive.Tally{Accepted: 3, Refused: 1, LastAccepted: noon, LastRefused: noon.Add(time.Second), LastRefusal: receive.TooOften}
	status := w.look(t).Status
	g.Expect([]int64{status.Accepted, status.Refused}).To(Equal([]int64{3, 1}))
	g.Expect(status.LastAccepted.UTC()).To(Equal(noon))
	g.Expect(status.LastRefusal).To(Equal("TooOften"))
	*w.desk = desk{}
	status = w.look(t).Status
	g.Expect([]int64{status.Accepted, status.Refused}).To(Equal([]int64{3, 1}), "of one who is not asked any more what is known stays")
	g.Expect(w.desk.known.Accepted).To(BeEquivalentTo(3))
	g.Expect(w.desk.known.LastAccepted.UTC()).To(Equal(noon))
	g.Expect(w.desk.known.LastRefusal).To(Equal(receive.TooOften))
}

// TestOneThatIsGone is heard no more.
func TestOneThatIsGone(t *testing.T) {
	g, w := NewWithT(t), newWorld(t)
	_, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.desk.removed).To(Equal(1))
}
