package dorasink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// heed does what is asked of a sink, once for each time that it is asked, and returns what was done last.
func (r *Reconciler) heed(ctx context.Context, object *dorav1alpha1.DoraSink) (*dorav1alpha1.SinkRequests, error) {
	done := object.Status.Requests.DeepCopy()
	if done == nil {
		done = &dorav1alpha1.SinkRequests{}
	}
	before := *done
	err := errors.Join(r.backfill(ctx, object, done), r.retry(ctx, object, done), r.resend(ctx, object, done))
	if err != nil {
		return nil, err
	}
	if *done != before {
		r.Dispatcher.Notify()
	}
	if *done == (dorav1alpha1.SinkRequests{}) {
		return nil, nil //nolint:nilnil // nothing was ever asked
	}
	return done, nil
}

func (r *Reconciler) backfill(ctx context.Context, object *dorav1alpha1.DoraSink, done *dorav1alpha1.SinkRequests) error {
	since := object.Spec.BackfillSince
	if since == nil || since.Equal(done.BackfillSince) {
		return nil
	}
	owed, err := r.owe(ctx, object, ledger.EventQuery{Since: since.UTC()})
	if err != nil {
		return fmt.Errorf("cannot queue earlier events: %w", err)
	}
	done.BackfillSince, done.Backfilled = new(metav1.NewTime(since.Time)), owed
	return nil
}

func (r *Reconciler) retry(ctx context.Context, object *dorav1alpha1.DoraSink, done *dorav1alpha1.SinkRequests) error {
	request := bounded(object.Annotations[dorav1alpha1.AnnotationRetry], 256)
	if request == "" || request == done.Retry {
		return nil
	}
	requeued, err := r.Ledger.Requeue(ctx, kube.SinkKey(object))
	if err != nil {
		return fmt.Errorf("cannot requeue parked events: %w", err)
	}
	hastened, err := r.Ledger.Hasten(ctx, kube.SinkKey(object), r.Clock.Now())
	if err != nil {
		return fmt.Errorf("cannot hasten deliveries: %w", err)
	}
	done.Retry, done.Retried = request, requeued+hastened
	return nil
}

func (r *Reconciler) resend(ctx context.Context, object *dorav1alpha1.DoraSink, done *dorav1alpha1.SinkRequests) error {
	request := bounded(object.Annotations[dorav1alpha1.AnnotationResend], 1024)
	if request == "" || request == done.Resend {
		return nil
	}
	q, err := readResend(request)
	if err != nil {
		done.Resend, done.Resent = request, 0
		done.Error = bounded(fmt.Sprintf("annotation %s: %v", dorav1alpha1.AnnotationResend, err), 1024)
		return nil
	}
	owed, err := r.owe(ctx, object, q)
	if err != nil {
		return fmt.Errorf("cannot queue events again: %w", err)
	}
	done.Resend, done.Resent, done.Error = request, owed, ""
	return nil
}

// owe makes events owed to a sink again, of those that it is meant to get.
func (r *Reconciler) owe(ctx context.Context, object *dorav1alpha1.DoraSink, q ledger.EventQuery) (int64, error) {
	targets, err := r.Targets.View(ctx)
	if err != nil {
		return 0, err
	}
	sinks, err := r.Sinks.View(ctx)
	if err != nil {
		return 0, err
	}
	q.Cluster, q.UIDs = r.Cluster, []string{}
	for _, row := range r.Subjects(func(row *ledger.Subject) bool {
		selection := targets.Remembering(row.Kind, row.Namespace, row.Labels)
		return slices.Contains(sinks.OfEvents(selection), kube.SinkKey(object))
	}) {
		q.UIDs = append(q.UIDs, row.UID)
	}
	return r.Ledger.Owe(ctx, kube.SinkKey(object), q, r.Clock.Now())
}

// readResend reads which events are to be sent again.
func readResend(request string) (ledger.EventQuery, error) {
	request, _, _ = strings.Cut(request, "#")
	var q ledger.EventQuery
	for word := range strings.FieldsSeq(request) {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case value == "":
			return q, fmt.Errorf("%q says nothing: write since=TIME, event=ID,ID or service=NAME", word)
		case key == "event":
			q.IDs = strings.Split(value, ",")
		case key == "service":
			q.Service = value
		case key == "since":
			since, err := time.Parse(time.RFC3339, value)
			if err != nil {
				return q, fmt.Errorf("%q is no time: write it as 2026-01-31T00:00:00Z", value)
			}
			q.Since = since
		default:
			return q, fmt.Errorf("there is no %q: write since=TIME, event=ID,ID or service=NAME", key)
		}
	}
	if q.IDs == nil && q.Service == "" && q.Since.IsZero() {
		return q, errors.New("it says nothing: write since=TIME, event=ID,ID or service=NAME")
	}
	return q, nil
}

// bounded shortens a text to what the status takes.
func bounded(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
