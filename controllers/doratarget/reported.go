package doratarget

import (
	"maps"
	"slices"

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
