package doratarget

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// addReported takes in what receivers of the target's namespace heard: the services that the target selects by spec.reported, unless Argo shows
// them, and the incidents of all services that it counts.
// It returns the subjects of which nothing but incidents count.
func (r *Reconciler) addReported(s *scope) map[string]ledger.Subject {
	spec := &s.target.Object.Spec
	if spec.Reported == nil && spec.Incidents == nil {
		return nil
	}
	heard := map[string]ledger.Subject{}
	rows := r.Memory.Remembered(func(row *ledger.Subject) bool {
		return row.Kind == dora.KindReported && row.Namespace == s.target.Object.Namespace
	})
	for _, row := range rows {
		service := fourkeys.Service{Name: row.Service, Environment: row.Environment}
		_, inArgo := s.followed[service]
		switch selected := s.target.Reports(&row); {
		case selected && !inArgo:
			s.subjects.Reported++
			s.reported[row.UID], s.known[row.UID] = true, row
			s.followed[service], s.teams[service] = row.FollowedSince, row.Team
			continue
		case selected:
			s.twice = append(s.twice, row.Service)
		}
		if spec.Incidents != nil && s.counts(service) {
			heard[row.UID] = row
		}
	}
	return heard
}

// missingReceivers are those that spec.incidents names and that are not in the target's namespace.
func (r *Reconciler) missingReceivers(ctx context.Context, object *dorav1alpha1.DoraTarget) ([]string, error) {
	if object.Spec.Incidents == nil || len(object.Spec.Incidents.Receivers) == 0 {
		return nil, nil
	}
	var list dorav1alpha1.DoraReceiverList
	if err := r.Client.List(ctx, &list, client.InNamespace(object.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("cannot list DoraReceivers: %w", err)
	}
	var missing []string
	for _, name := range object.Spec.Incidents.Receivers {
		if !slices.ContainsFunc(list.Items, func(there dorav1alpha1.DoraReceiver) bool { return there.Name == string(name) }) {
			missing = append(missing, string(name))
		}
	}
	return missing, nil
}

// announceMissing tells once of receivers that a target waits for in vain, after the status has it.
func (r *Reconciler) announceMissing(object *dorav1alpha1.DoraTarget, status *dorav1alpha1.DoraTargetStatus) {
	was := meta.FindStatusCondition(object.Status.Conditions, dorav1alpha1.ConditionReceiversMissing)
	now := meta.FindStatusCondition(status.Conditions, dorav1alpha1.ConditionReceiversMissing)
	if now != nil && (was == nil || was.Message != now.Message) {
		r.Notices.Eventf(object, nil, corev1.EventTypeWarning, now.Reason, "Listened", "%s", now.Message)
	}
}

// all are the uids of which something counts, in order.
func (s *scope) all() []string {
	return slices.Sorted(slices.Values(slices.AppendSeq(slices.Clone(s.uids), maps.Keys(s.heard))))
}

// selection are the targets of which events of a subject count, those that decide first.
func selection(view kube.View, row *ledger.Subject) kube.Selection {
	if row.Kind == dora.KindReported {
		return view.Concerned(row)
	}
	return view.Remembering(row.Kind, row.Namespace, row.Labels)
}

// counts says whether the target counts deployments of a service, be it of an object that is gone.
func (s *scope) counts(service fourkeys.Service) bool {
	if _, followed := s.followed[service]; followed {
		return true
	}
	for _, row := range s.known {
		if row.Service == service.Name && row.Environment == service.Environment {
			return true
		}
	}
	return false
}

// silence notes of which subjects incidents count alone.
func (s *scope) silence(services map[fourkeys.Service]subjects) {
	for service, of := range services {
		of.silent = slices.DeleteFunc(slices.Clone(of.uids), func(uid string) bool { return s.heard[uid].UID == "" })
		services[service] = of
	}
}

// counted leaves of events of the target's subjects those that its figures are of: the spec says which incidents count, and whether what Argo
// shows as a failure does. A failure has two events, and counts as a whole if one of them had a severity that counts.
func (b *book) counted(of subjects, rows []ledger.Row) []ledger.Row {
	counts := map[string]bool{}
	for i := range rows {
		if e := &rows[i].Event; b.incidents.Counts(e.Receiver, e.Severity) {
			counts[e.FailureID] = true
		}
	}
	return slices.DeleteFunc(rows, func(row ledger.Row) bool {
		e := &row.Event
		switch e.Type {
		case dora.TypeChange:
			return true
		case dora.TypeDeploy:
			return e.Subject.Kind == dora.KindReported && slices.Contains(of.silent, e.Subject.UID)
		case dora.TypeDegraded, dora.TypeRecovered:
		}
		return !counts[e.FailureID]
	})
}
