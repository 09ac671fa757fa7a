package security_test

import (
	"slices"
	"strings"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// What follows is the rule of docs/doratarget.md ("Selecting") and docs/dorasink.md ("Which sinks get what"), written down once more in
// its plainest form, so that it shares no code with what it judges.

func (l *layout) trusts(namespace string) bool { return slices.Contains(l.trusted, namespace) }

// refused: a target names a namespace that it may not see.
func (l *layout) refused(t *dorav1alpha1.DoraTarget) bool {
	if l.trusts(t.Namespace) {
		return false
	}
	for _, s := range []*dorav1alpha1.SubjectSelector{t.Spec.Applications, t.Spec.Rollouts} {
		if s == nil {
			continue
		}
		for _, named := range s.Namespaces {
			if string(named) != t.Namespace {
				return true
			}
		}
	}
	return false
}

// selects: a target sees objects of its own namespace, or of all if its own is trusted; then its labels and namespaces decide.
func (l *layout) selects(t *dorav1alpha1.DoraTarget, o *thing) bool {
	s := t.Spec.Applications
	if o.kind == dora.KindRollout {
		s = t.Spec.Rollouts
	}
	if s == nil || l.refused(t) || t.Namespace != o.namespace && !l.trusts(t.Namespace) {
		return false
	}
	if len(s.Namespaces) > 0 && !slices.Contains(s.Namespaces, dorav1alpha1.NamespaceName(o.namespace)) {
		return false
	}
	team, asked := s.MatchLabels["team"]
	return !asked || string(team) == o.team
}

func (l *layout) followed(o *thing) bool {
	return slices.ContainsFunc(l.targets, func(t *dorav1alpha1.DoraTarget) bool { return !t.Spec.Suspend && l.selects(t, o) })
}

// claims: an Application manages a Rollout if the Rollout's tracking id names it and it lists the Rollout or deploys to its namespace; or,
// without such an id, if it lists the Rollout and either the Rollout's instance label names it or it deploys to its namespace.
func claims(app, ro *thing) bool {
	if app.kind != dora.KindApplication || ro.kind != dora.KindRollout {
		return false
	}
	lists, deploys := slices.Contains(app.lists, ro.key()), app.destination == ro.namespace
	named := func(by string) bool { return by == app.name || by == app.namespace+"_"+app.name }
	if ro.tracking != "" {
		return named(ro.tracking) && (lists || deploys)
	}
	return lists && (named(ro.instance) || deploys)
}

// subject: a followed Application, or a followed Rollout that none of those manages that exist besides it and are followed.
func (l *layout) subject(o *thing, there func(*thing) bool) bool {
	managed := slices.ContainsFunc(l.things, func(app *thing) bool { return there(app) && claims(app, o) && l.followed(app) })
	return l.followed(o) && !managed
}

// sinksOf are the sinks of a target for something: those that it names in its own namespace, also before they exist, and those of others
// that are shared from a trusted namespace; without names the defaults of its namespace.
func (l *layout) sinksOf(t *dorav1alpha1.DoraTarget, content dorav1alpha1.SinkContent) []string {
	var names []string
	takes := func(s *dorav1alpha1.DoraSink) bool {
		return len(s.Spec.Sends) == 0 || slices.Contains(s.Spec.Sends, content)
	}
	if len(t.Spec.Sinks) == 0 {
		for _, s := range l.sinks {
			if s.Namespace == t.Namespace && s.Spec.Default && takes(s) {
				names = append(names, s.Namespace+"/"+s.Name)
			}
		}
		return names
	}
	for _, named := range t.Spec.Sinks {
		key := string(named)
		if !strings.Contains(key, "/") {
			key = t.Namespace + "/" + key
		}
		own := strings.HasPrefix(key, t.Namespace+"/")
		i := slices.IndexFunc(l.sinks, func(s *dorav1alpha1.DoraSink) bool { return s.Namespace+"/"+s.Name == key })
		switch {
		case i < 0 && own:
			names = append(names, key)
		case i >= 0 && takes(l.sinks[i]) && (own || l.sinks[i].Spec.Shared && l.trusts(l.sinks[i].Namespace)):
			names = append(names, key)
		}
	}
	return names
}

// owed are the sinks that the events of an object go to.
func (l *layout) owed(o *thing) []string {
	names := []string{}
	for _, t := range l.targets {
		if !t.Spec.Suspend && l.selects(t, o) {
			names = append(names, l.sinksOf(t, dorav1alpha1.SendEvents)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// shows: whoever writes in a namespace may be shown what concerns an object. It is of that namespace, or the namespace is trusted; or it is part of
// the story of an object of that namespace: a Rollout that its Application manages, or a predecessor of the same service in the same place. That is
// one which is gone, or a Rollout that is no subject any more.
func (l *layout) shows(namespace string, o *thing) bool {
	if l.trusts(namespace) || o.namespace == namespace {
		return true
	}
	over := o.leaves || o.kind == dora.KindRollout
	return slices.ContainsFunc(l.things, func(own *thing) bool {
		succeeds := over && own.serviceName() == o.serviceName() && own.destination == o.destination
		return own.namespace == namespace && (claims(own, o) || succeeds)
	})
}
