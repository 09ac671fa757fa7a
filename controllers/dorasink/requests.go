package dorasink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// heed does what is asked of a sink, once for each time that it is asked, and returns what was done last.
func (r *Reconciler) heed(ctx context.Context, object *dorav1alpha1.DoraSink) (*dorav1alpha1.SinkRequests, error) {
	done := r.recall(object)
	before := *done
	err := errors.Join(r.backfill(ctx, object, done), r.retry(ctx, object, done), r.resend(ctx, object, done))
	if *done != before {
		r.remember(object, done)
		r.Dispatcher.Notify()
	}
	if err != nil {
		return nil, err
	}
	if *done == (dorav1alpha1.SinkRequests{}) {
		return nil, nil //nolint:nilnil // nothing was ever asked
	}
	return done, nil
}

// heeded is what was asked of a sink, and done.
type heeded struct {
	uid      types.UID
	requests dorav1alpha1.SinkRequests
}

// recall is what was done last. The status may not say so yet, if it could not be written.
func (r *Reconciler) recall(object *dorav1alpha1.DoraSink) *dorav1alpha1.SinkRequests {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.heeded[kube.SinkKey(object)]; ok && known.uid == object.UID {
		return known.requests.DeepCopy()
	}
	if object.Status.Requests != nil {
		return object.Status.Requests.DeepCopy()
	}
	return &dorav1alpha1.SinkRequests{}
}

func (r *Reconciler) remember(object *dorav1alpha1.DoraSink, done *dorav1alpha1.SinkRequests) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heeded == nil {
		r.heeded = map[string]heeded{}
	}
	r.heeded[kube.SinkKey(object)] = heeded{object.UID, *done.DeepCopy()}
}

func (r *Reconciler) unlearn(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.heeded, name)
	delete(r.known, name)
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
	name := kube.SinkKey(object)
	if _, err := r.Ledger.Requeue(ctx, name); err != nil {
		return fmt.Errorf("cannot requeue parked events: %w", err)
	}
	if _, err := r.Ledger.Hasten(ctx, name, r.Clock.Now()); err != nil {
		return fmt.Errorf("cannot hasten deliveries: %w", err)
	}
	known, err := r.figures(ctx, name)
	if err != nil {
		return err
	}
	done.Retry, done.Retried = request, 0
	if known != nil {
		done.Retried = known.Pending
	}
	r.Dispatcher.Hurry(name)
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
	key := kube.SinkKey(object)
	all, incidents := meant(r.Subjects(func(*ledger.Subject) bool { return true }), targets, func(selection kube.Selection) bool {
		return slices.Contains(sinks.OfEvents(selection), key)
	})
	q.Cluster, q.UIDs = r.Cluster, all
	owed, err := r.Ledger.Owe(ctx, key, q, r.Clock.Now())
	if err != nil || len(incidents) == 0 {
		return owed, err
	}
	q.UIDs, q.Types = incidents, []dora.Type{dora.TypeDegraded, dora.TypeRecovered}
	more, err := r.Ledger.Owe(ctx, key, q, r.Clock.Now())
	return owed + more, err
}

// meant are the uids of subjects of which a sink gets all events, and of those of which it gets incidents alone: others report their
// deployments too, but nobody selects these, or Argo shows them.
func meant(rows []ledger.Subject, targets kube.View, gets func(kube.Selection) bool) (all, incidents []string) {
	type service struct{ name, environment string }
	all, inArgo := []string{}, map[service]bool{}
	for _, row := range rows {
		if gets(targets.Remembering(row.Kind, row.Namespace, row.Labels)) {
			all = append(all, row.UID)
			inArgo[service{row.Service, row.Environment}] = inArgo[service{row.Service, row.Environment}] || row.DeletedAt.IsZero()
		}
	}
	for _, row := range rows {
		switch {
		case row.Kind != dora.KindReported:
		case gets(targets.Reporting(&row)) && !inArgo[service{row.Service, row.Environment}]:
			all = append(all, row.UID)
		case gets(targets.Hearing(row.Namespace)):
			incidents = append(incidents, row.UID)
		}
	}
	return all, incidents
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
