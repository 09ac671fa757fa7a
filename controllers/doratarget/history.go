package doratarget

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// margin is how long before the window events are read too: a failed attempt can heal much later, and then counts when it did.
const margin = 30 * 24 * time.Hour

// Figures move with the window even if nothing happens: an event leaves it, or it covers more of the time followed.
const (
	soonest = 10 * time.Second
	latest  = time.Hour
)

// within is no longer than a target is left alone that has objects nobody looked at yet.
func (s *scope) within(wait time.Duration) time.Duration {
	if s.waiting > 0 {
		return min(wait, impatience)
	}
	return wait
}

// impatience is how soon a target is looked at again that has objects nobody looked at yet.
const impatience = 2 * time.Second

// history is what the ledger knows of a target's subjects.
type history struct {
	window   fourkeys.Window
	kinds    []dora.ChangeKind
	accounts map[fourkeys.Service]*account
	// services are those that figures are about: that are followed now, or have an event in the window.
	services map[fourkeys.Service]time.Time
	// length is how long the window before is that figures are compared with; 0 if they are not.
	length time.Duration
	// last is the latest deployment ever. Nil if there is none.
	last                    *dorav1alpha1.LastDeployment
	measured, measuredOfOld *fourkeys.Fleet
	// commits says what is known of the commits of the window's deployments.
	commits ledger.Resolutions
}

// fleet is the figures of the services.
func (h *history) fleet() *fourkeys.Fleet {
	if h.measured == nil {
		h.measured = new(h.fleetOver(h.window, func(a *account) fourkeys.Tally { return a.tally }))
	}
	return h.measured
}

// before is the figures of the same services over the window before.
func (h *history) before() *fourkeys.Fleet {
	if h.measuredOfOld == nil {
		w := fourkeys.Window{From: h.window.From.Add(-h.length), To: h.window.From}
		h.measuredOfOld = new(h.fleetOver(w, func(a *account) fourkeys.Tally { return a.before }))
	}
	return h.measuredOfOld
}

func (h *history) fleetOver(w fourkeys.Window, of func(*account) fourkeys.Tally) fourkeys.Fleet {
	tallies := make(map[fourkeys.Service]fourkeys.Tally, len(h.services))
	for service := range h.services {
		var none account
		tallies[service] = of(cmp.Or(h.accounts[service], &none))
	}
	return fourkeys.FleetOf(tallies, w, h.services)
}

// read finds out what a target's figures need, from what is known of its services and from the ledger where that changed.
func (r *Reconciler) read(ctx context.Context, s *scope, queued ledger.Resolutions) (*history, error) {
	h := &history{
		window: fourkeys.Last(s.target.Timings.Window, s.now, time.Time{}),
		kinds:  kindsOf(&s.target.Object.Spec),
		length: s.compared(),
	}
	services, revision, err := r.services(ctx, s)
	if err != nil {
		return nil, err
	}
	s.silence(services)
	b := r.books.open(s.target.Object, h.kinds, h.length)
	if err := r.bring(ctx, b, s, services, h.window.From); err != nil {
		return nil, err
	}
	h.accounts = b.accounts
	h.stretch()
	h.about(s)
	h.countCommits(queued)
	return h, r.readLast(ctx, b, s.uids, revision, h)
}

// countCommits adds what was found of the window's deployments to what is still looked for.
func (h *history) countCommits(queued ledger.Resolutions) {
	h.commits = ledger.Resolutions{Pending: queued.Pending, Failing: queued.Failing}
	unknown := map[string]int64{}
	for _, a := range h.accounts {
		h.commits.Resolved += a.resolved
		for reason, n := range a.unknown {
			unknown[reason] += n
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(unknown)) {
		h.commits.Unknown = append(h.commits.Unknown, ledger.ReasonCount{Reason: reason, Count: unknown[reason]})
	}
}

// stretch lets the window end after the newest event: Argo's clock may be ahead of ours, and what has happened counts.
func (h *history) stretch() {
	for _, a := range h.accounts {
		h.window.To = past(h.window.To, a.newest)
	}
}

// readLast finds the latest deployment, however long ago it was. The accounts have those since the margin before the window.
func (r *Reconciler) readLast(ctx context.Context, b *book, uids []string, revision int64, h *history) error {
	var last *latestDeployment
	for _, a := range h.accounts {
		if a.last != nil && last.before(a.last.at, a.last.seq) {
			last = a.last
		}
	}
	if long := &b.long; last == nil {
		if long.revision != revision || !slices.Equal(long.uids, uids) {
			found, err := r.longAgo(ctx, uids, h.kinds)
			if err != nil {
				return err
			}
			long.revision, long.uids, long.last = revision, uids, found
		}
		last = long.last
	}
	if last != nil {
		h.last = last.what
	}
	return nil
}

func (r *Reconciler) longAgo(ctx context.Context, uids []string, kinds []dora.ChangeKind) (*latestDeployment, error) {
	q := ledger.EventQuery{Cluster: r.Cluster, UIDs: append([]string{}, uids...), Types: []dora.Type{dora.TypeDeploy}, Newest: true}
	for row, err := range r.Events.Events(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("cannot read the latest deployment: %w", err)
		}
		if slices.Contains(kinds, row.Event.Change) {
			return latestOf(&row), nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// about finds the services, and since when they are followed.
func (h *history) about(s *scope) {
	h.services = maps.Clone(s.followed)
	for service, a := range h.accounts {
		for _, uid := range a.active {
			row, deploys := s.known[uid] // else somebody was paged, which says nothing about since when its deployments are followed
			if known, ok := h.services[service]; deploys && (!ok || row.FollowedSince.Before(known)) {
				h.services[service] = row.FollowedSince
			}
		}
	}
}

// teamOf is the team that the service's objects name, or of a service that is gone its latest event.
func (h *history) teamOf(s *scope, service fourkeys.Service) string {
	if _, followed := s.followed[service]; followed || h.accounts[service] == nil {
		return s.teams[service]
	}
	return h.accounts[service].team
}

// openFailures are those that began in a service that figures are about, and did not end in one.
func (h *history) openFailures() []dorav1alpha1.OpenFailure {
	ended := map[string]bool{}
	for service := range h.services {
		if a := h.accounts[service]; a != nil {
			for _, id := range a.ended {
				ended[id] = true
			}
		}
	}
	var open []dorav1alpha1.OpenFailure
	for service := range h.services {
		if a := h.accounts[service]; a != nil {
			for _, f := range a.open {
				if !ended[f.id] {
					open = append(open, f.shown(service))
				}
			}
		}
	}
	return open
}

func (f *failure) shown(service fourkeys.Service) dorav1alpha1.OpenFailure {
	return dorav1alpha1.OpenFailure{
		Service: service.Name, Environment: service.Environment, Since: metav1.NewTime(f.since), EventID: f.event, CausedBy: f.cause,
	}
}

func serviceOf(e *dora.Event) fourkeys.Service {
	return fourkeys.Service{Name: e.Service, Environment: e.Environment}
}

func kindsOf(spec *dorav1alpha1.DoraTargetSpec) []dora.ChangeKind {
	kinds := []dora.ChangeKind{dora.ChangeImage}
	if spec.Counts(dorav1alpha1.ChangeConfig) {
		kinds = append(kinds, dora.ChangeConfig)
	}
	return kinds
}

// next is when the figures may change though nothing happens.
func next(s *scope, h *history) time.Duration {
	wait := latest
	if len(s.target.Object.Spec.Clusters) > 0 {
		wait = visit
	}
	for _, a := range h.accounts {
		if !a.leaves.IsZero() {
			wait = min(wait, a.leaves.Sub(h.window.From)+time.Millisecond)
		}
	}
	return max(wait, soonest)
}
