package doratarget

import (
	"cmp"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// share gives the figures of a target to its sinks.
func (r *Reconciler) share(object *dorav1alpha1.DoraTarget, s *scope, h *history, t thresholds) {
	names := s.sinks.OfFigures(object)
	if len(names) == 0 {
		return
	}
	target := client.ObjectKeyFromObject(object).String()
	figures := figuresFor(target, r.Cluster, s, h, t)
	for _, name := range names {
		r.Share(name, target, figures)
	}
}

// figuresFor are the figures of each service, of each team and of the target.
func figuresFor(target, cluster string, s *scope, h *history, t thresholds) []sink.Figures {
	if len(h.services) == 0 {
		return nil
	}
	about := sink.Figures{Schema: sink.FiguresSchema, Cluster: cluster, Target: target, From: h.window.From, To: h.window.To}
	fleet := h.fleet()
	whole := about
	whole.Scope, whole.Primary = sink.ScopeTarget, true
	whole.Measure(&fleet.Whole, t.Bands(fleet.Whole))

	all := []sink.Figures{whole}
	primary := s.primary()
	for service, summary := range fleet.Services {
		f := about
		f.Scope, f.Service, f.Environment, f.Primary = sink.ScopeService, service.Name, service.Environment, primary[service]
		f.Team = h.teamOf(s, service)
		f.Measure(&summary, t.Bands(summary))
		all = append(all, f)
	}
	for of, services := range h.teams(s) {
		f := about
		f.Scope, f.Team, f.Environment = sink.ScopeTeam, of.name, of.environment
		f.Primary = slices.ContainsFunc(services, func(service fourkeys.Service) bool { return primary[service] })
		summary := fleet.Pool(services...)
		f.Measure(&summary, t.Bands(summary))
		f.Standing = h.standing(t, services)
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b sink.Figures) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Team, b.Team), cmp.Compare(a.Service, b.Service))
	})
	return all
}

// standing is how a team of these services stands.
func (h *history) standing(t thresholds, services []fourkeys.Service) *sink.Standing {
	now, before := h.fleet(), &fourkeys.Fleet{}
	if h.length > 0 {
		before = h.before()
	}
	s := &sink.Standing{
		Spread: now.Distribution(t, services...).Overall, Trends: fourkeys.TrendsOf(new(before.Pool(services...)), new(now.Pool(services...))),
	}
	for _, d := range now.Drags(t, services...) {
		s.Drags = append(s.Drags, d.Service.Name)
	}
	return s
}
