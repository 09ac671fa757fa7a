package doratarget

import (
	"context"
	"maps"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/mark"
)

// scope is whose deployments a target counts at this moment.
type scope struct {
	target   *kube.Target
	now      time.Time
	subjects dorav1alpha1.ObservedSubjects
	// followed are the services of the objects that exist, and since when.
	followed map[fourkeys.Service]time.Time
	teams    map[fourkeys.Service]string
	// known are the rows of all subjects that count, those that are gone among them, by uid.
	known map[string]ledger.Subject
	uids  []string
	// heard are the rows of services that incidents are reported of, by uid. Nothing else that is reported of them counts.
	heard map[string]ledger.Subject
	// elsewhere are other clusters, and missingClusters those that the target names and that have no ledger here.
	elsewhere       []place
	missingClusters []string
	// waiting is the number of objects that were not looked at yet.
	waiting int
	owners  map[*kube.Target]*dorav1alpha1.PolicyOwner
	view    kube.View
	// sinks are all there are; missingSinks those that the target names and cannot use.
	sinks        kube.SinkView
	missingSinks []string
	// missingReceivers are those that spec.incidents names and that are not there.
	missingReceivers []string
	// marks counts what people say in this target, and refused is what of it marks nothing.
	marks   *dorav1alpha1.MarkCounts
	refused []mark.Refusal
	// missing are the kinds that the target asks for and that are not installed.
	missing []string
	// reported are the uids of reported services whose deployments count, and twice the services that Argo shows too.
	reported map[string]bool
	twice    []string
}

// gather finds the subjects of a target.
func (r *Reconciler) gather(ctx context.Context, target *kube.Target) (*scope, error) {
	s := &scope{
		target: target, now: r.Clock.Now(),
		followed: map[fourkeys.Service]time.Time{}, teams: map[fourkeys.Service]string{}, known: map[string]ledger.Subject{},
		owners: map[*kube.Target]*dorav1alpha1.PolicyOwner{}, reported: map[string]bool{},
	}
	view, err := r.Targets.View(ctx)
	if err != nil {
		return nil, err
	}
	if s.sinks, err = r.Sinks.View(ctx); err != nil {
		return nil, err
	}
	s.view, s.missingSinks = view, s.sinks.Missing(target.Object)
	if s.missingReceivers, err = r.missingReceivers(ctx, target.Object); err != nil {
		return nil, err
	}
	if err := r.addApplications(ctx, s, view); err != nil {
		return nil, err
	}
	if err := r.addRollouts(ctx, s, view); err != nil {
		return nil, err
	}
	for _, kind := range []dora.Kind{dora.KindApplication, dora.KindRollout} {
		if target.Asks(kind) && !r.Served.Served(kind) {
			s.missing = append(s.missing, string(kind))
		}
	}
	r.addGone(s)
	s.heard = r.addReported(s)
	s.uids = slices.Sorted(maps.Keys(s.known))
	if err := r.addNeighbours(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

func (r *Reconciler) addApplications(ctx context.Context, s *scope, view kube.View) error {
	apps, err := r.World.Applications(ctx, s.target)
	for i := range apps {
		if apps[i].DeletionTimestamp.IsZero() {
			s.subjects.Applications++
			r.add(s, dora.KindApplication, &apps[i], view)
		}
	}
	return err
}

// addRollouts leaves out those that a followed Application manages.
func (r *Reconciler) addRollouts(ctx context.Context, s *scope, view kube.View) error {
	ros, err := r.World.Rollouts(ctx, s.target)
	if err != nil {
		return err
	}
	for i := range ros {
		manager, err := r.World.Manager(ctx, view, &ros[i])
		if err != nil {
			return err
		}
		if manager == nil && ros[i].DeletionTimestamp.IsZero() {
			s.subjects.Rollouts++
			r.add(s, dora.KindRollout, &ros[i], view)
		}
	}
	return nil
}

// add takes in an object that exists.
func (r *Reconciler) add(s *scope, kind dora.Kind, object client.Object, view kube.View) {
	selection := view.Selecting(kind, object)
	if len(selection) == 0 {
		return // the target has changed meanwhile, and will be looked at again
	}
	policy := selection.Policy(object.GetName(), object.GetLabels())
	service := fourkeys.Service{Name: policy.Service, Environment: policy.Environment}
	since := s.now
	if row, ok := r.Memory.Lookup(string(object.GetUID())); ok {
		s.known[row.UID] = row
		since = row.FollowedSince
	}
	if !r.Memory.Looked(string(object.GetUID())) {
		s.waiting++
	}
	if known, ok := s.followed[service]; !ok || since.Before(known) {
		s.followed[service] = since
	}
	if s.teams[service] == "" {
		s.teams[service] = policy.Team
	}
	s.compare(selection[0], object)
}

// compare notes that another target decides about an object, and would decide otherwise.
func (s *scope) compare(owner *kube.Target, object client.Object) {
	if owner.Object.UID == s.target.Object.UID {
		return
	}
	fields := s.target.Object.Spec.PolicyDiffers(&owner.Object.Spec, object.GetName(), object.GetLabels())
	if len(fields) == 0 {
		return
	}
	noted := s.owners[owner]
	if noted == nil {
		noted = &dorav1alpha1.PolicyOwner{Namespace: owner.Object.Namespace, Name: owner.Object.Name}
		s.owners[owner] = noted
	}
	noted.Objects++
	noted.Fields = slices.Compact(slices.Sorted(slices.Values(append(noted.Fields, fields...))))
}

// addGone takes in the subjects that are gone, by the labels that they had, and those whose kind is not installed at the moment.
func (r *Reconciler) addGone(s *scope) {
	gone := r.Memory.Remembered(func(row *ledger.Subject) bool {
		return (!row.DeletedAt.IsZero() || !r.Served.Served(row.Kind)) && s.target.Selects(row.Kind, row.Namespace, row.Labels)
	})
	for _, row := range gone {
		if _, exists := s.known[row.UID]; !exists {
			s.known[row.UID] = row
		}
	}
}

// primary are the services of the own cluster of which no older target decides everything.
func (s *scope) primary() map[fourkeys.Service]bool {
	primary := map[fourkeys.Service]bool{}
	for _, uid := range s.uids {
		row := s.known[uid]
		selection := s.view.Remembering(row.Kind, row.Namespace, row.Labels)
		if s.reported[row.UID] {
			selection = s.view.Reporting(&row)
		}
		if len(selection) > 0 && selection[0].Object.UID == s.target.Object.UID {
			primary[fourkeys.Service{Name: row.Service, Environment: row.Environment}] = true
		}
	}
	return primary
}

// gaps counts, for each service, the deployments that Argo no longer tells of.
func (s *scope) gaps() map[fourkeys.Service]int64 {
	counted := map[fourkeys.Service]int64{}
	for _, row := range s.known {
		if row.Gaps > 0 {
			counted[fourkeys.Service{Name: row.Service, Environment: row.Environment}] += int64(row.Gaps)
		}
	}
	return counted
}
