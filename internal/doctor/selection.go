package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// listed is how many names a finding lists.
const listed = 5

// selection are the checks of targets, and of what they select.
func selection() []Check {
	targets := []Part{PartTargets}
	subjects := []Part{PartTargets, PartApplications, PartRollouts}
	return []Check{
		{"no-targets", "Does anything say what to count?", Warning, targets, noTargets},
		{"target-not-ready", "Is each target followed?", Problem, targets, targetNotReady},
		{"target-suspended", "Is none suspended?", Warning, targets, targetSuspended},
		{"target-unobserved", "Does the controller see each target?", Problem, []Part{PartTargets, PartReadyPod}, targetUnobserved},
		{"namespace-not-trusted", "May each target see what it selects?", Problem, targets, namespaceNotTrusted},
		{"namespace-not-watched", "Does the controller watch its namespace?", Problem, []Part{PartTargets, PartWorkload}, namespaceNotWatched},
		{"policy-conflict", "Do targets that overlap agree?", Warning, targets, policyConflict},
		{"argocd-missing", "Is Argo CD installed where Applications are selected?", Problem, []Part{PartTargets, PartCRDs}, argoCDMissing},
		{"argocd-old", "Does Argo CD tell since when an Application is Healthy?", Problem, []Part{PartTargets, PartCRDs}, argoCDOld},
		{"rollouts-missing", "Is Argo Rollouts installed where only Rollouts are selected?", Problem, []Part{PartTargets, PartCRDs}, rolloutsMissing},
		{"selects-nothing", "Does each target select something?", Problem, subjects, selectsNothing},
		{"service-in-several-namespaces", "Is each service's name one service's?", Warning, subjects, serviceInSeveralNamespaces},
	}
}

func objectOf(t *dorav1alpha1.DoraTarget) string { return "DoraTarget " + t.Namespace + "/" + t.Name }

func ready(conditions []metav1.Condition) *metav1.Condition {
	return meta.FindStatusCondition(conditions, dorav1alpha1.ConditionReady)
}

// reasonOf is that of the condition Ready, if it is not True.
func reasonOf(conditions []metav1.Condition) string {
	if c := ready(conditions); c != nil && c.Status != metav1.ConditionTrue {
		return c.Reason
	}
	return ""
}

// each calls find with each target and collects what is wrong with it and what to do.
func (s *Snapshot) each(find func(*dorav1alpha1.DoraTarget) (wrong, mend string)) (found []Finding) {
	for i := range s.Targets {
		if wrong, mend := find(&s.Targets[i]); wrong != "" {
			found = append(found, Finding{Object: objectOf(&s.Targets[i]), Wrong: wrong, Mend: mend})
		}
	}
	return found
}

func noTargets(s *Snapshot) []Finding {
	if len(s.Targets) > 0 {
		return nil
	}
	return []Finding{{
		Object: "DoraTarget", Wrong: "there is none, so nothing is counted", Mend: "make one: docs/doratarget.md begins with the smallest",
	}}
}

// toldElsewhere are the reasons that checks of their own speak of.
var toldElsewhere = []string{
	"", dorav1alpha1.ReasonSuspended, dorav1alpha1.ReasonNothingSelected, dorav1alpha1.ReasonNamespaceNotAllowed, dorav1alpha1.ReasonArgoCRDsMissing,
}

func targetNotReady(s *Snapshot) []Finding {
	return s.each(func(t *dorav1alpha1.DoraTarget) (wrong, mend string) {
		reason := reasonOf(t.Status.Conditions)
		if slices.Contains(toldElsewhere, reason) {
			return "", ""
		}
		return "it is not ready: " + reason, ready(t.Status.Conditions).Message
	})
}

func targetSuspended(s *Snapshot) []Finding {
	return s.each(func(t *dorav1alpha1.DoraTarget) (wrong, mend string) {
		if !t.Spec.Suspend {
			return "", ""
		}
		return "it is suspended, and its figures stand still", "set spec.suspend to false, unless it is meant"
	})
}

// targetUnobserved finds targets that a ready controller does not look at.
func targetUnobserved(s *Snapshot) []Finding {
	return s.each(func(t *dorav1alpha1.DoraTarget) (wrong, mend string) {
		seen := t.Status.ObservedGeneration >= t.Generation && ready(t.Status.Conditions) != nil
		if seen || s.Now.Sub(t.CreationTimestamp.Time) < youngPod || !s.watches(t.Namespace) {
			return "", ""
		}
		return "the controller is ready and has not looked at its spec", "see the controller's log for errors about this target"
	})
}

// watches says whether --namespaces has a namespace.
func (s *Snapshot) watches(namespace string) bool {
	return s.Workload == nil || len(s.Workload.Namespaces) == 0 || slices.Contains(s.Workload.Namespaces, namespace)
}

func namespaceNotWatched(s *Snapshot) []Finding {
	return s.each(func(t *dorav1alpha1.DoraTarget) (wrong, mend string) {
		if s.watches(t.Namespace) {
			return "", ""
		}
		return "the controller does not watch its namespace: it runs with --namespaces=" + strings.Join(s.Workload.Namespaces, ","),
			"add " + t.Namespace + " to --namespaces of the controller"
	})
}

func (s *Snapshot) trusts(namespace string) bool {
	return s.Workload != nil && slices.Contains(s.Workload.Trusted, namespace)
}

// namespaceNotTrusted finds targets that select in namespaces that they may not see. What the controller runs with is known only where its
// deployment could be read; what it said of the target always is.
func namespaceNotTrusted(s *Snapshot) []Finding {
	return s.each(func(t *dorav1alpha1.DoraTarget) (wrong, mend string) {
		if reasonOf(t.Status.Conditions) != dorav1alpha1.ReasonNamespaceNotAllowed {
			return "", ""
		}
		others := slices.Concat(t.Spec.Applications.NamespaceNames(), t.Spec.Rollouts.NamespaceNames())
		others = slices.DeleteFunc(others, func(n string) bool { return n == t.Namespace })
		slices.Sort(others)
		return "it selects in " + strings.Join(slices.Compact(others), ", ") + ", and its namespace is not trusted, so it follows nothing",
			"remove these from spec, or add " + t.Namespace + " to --trusted-namespaces of the controller"
	})
}

// condition finds targets with a condition, of which the message says what to do, unless there is more to say of its reason.
func condition(kind, wrong string, mend func(reason string) string) func(s *Snapshot) []Finding {
	return func(s *Snapshot) []Finding {
		return s.each(func(t *dorav1alpha1.DoraTarget) (string, string) {
			if c := meta.FindStatusCondition(t.Status.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
				if mend != nil {
					return fmt.Sprintf(wrong, c.Reason) + ": " + c.Message, mend(c.Reason)
				}
				return fmt.Sprintf(wrong, c.Reason), c.Message
			}
			return "", ""
		})
	}
}

var policyConflict = condition(dorav1alpha1.ConditionPolicyOverridden, "an older target judges some of its objects otherwise (%s)", nil)

func argoCDMissing(s *Snapshot) []Finding {
	if _, there := s.CRDs[ApplicationCRD]; there {
		return nil
	}
	return s.each(func(t *dorav1alpha1.DoraTarget) (wrong, mend string) {
		if t.Spec.Applications == nil {
			return "", ""
		}
		return "it selects Applications, and Argo CD's kind Application is not installed", "install Argo CD, or remove spec.applications"
	})
}

func argoCDOld(s *Snapshot) []Finding {
	crd, there := s.CRDs[ApplicationCRD]
	asked := slices.ContainsFunc(s.Targets, func(t dorav1alpha1.DoraTarget) bool { return t.Spec.Applications != nil })
	if !there || !asked || crd.Fields[timedHealth] {
		return nil
	}
	return []Finding{{
		Object: "CustomResourceDefinition " + ApplicationCRD,
		Wrong:  "it does not know " + timedHealth + ", which tells when an Application became Healthy or Degraded",
		Mend:   "upgrade Argo CD to 2.14 or later, with its CustomResourceDefinitions",
	}}
}

func rolloutsMissing(s *Snapshot) []Finding {
	if _, there := s.CRDs[RolloutCRD]; there {
		return nil
	}
	return s.each(func(t *dorav1alpha1.DoraTarget) (wrong, mend string) {
		if t.Spec.Rollouts == nil || t.Spec.Applications != nil {
			return "", "" // with Applications as well it is in order
		}
		return "it selects Rollouts alone, and Argo Rollouts' kind Rollout is not installed", "install Argo Rollouts, or set spec.applications"
	})
}

// selected are the objects that a target selects, as the controller would, as far as it is known what it trusts.
func (s *Snapshot) selected(t *dorav1alpha1.DoraTarget) []Subject {
	var found []Subject
	for _, kind := range []struct {
		all      []Subject
		selector *dorav1alpha1.SubjectSelector
	}{{s.Applications, t.Spec.Applications}, {s.Rollouts, t.Spec.Rollouts}} {
		selector, err := kind.selector.LabelSelector()
		if err != nil {
			continue // target-not-ready says it
		}
		namespaces := kind.selector.NamespaceNames()
		for _, o := range kind.all {
			sees := o.Namespace == t.Namespace || s.trusts(t.Namespace) && len(namespaces) == 0 || slices.Contains(namespaces, o.Namespace)
			if sees && selector.Matches(labels.Set(o.Labels)) {
				found = append(found, o)
			}
		}
	}
	return found
}

// following are the targets that follow something: those that are suspended or refused tell so elsewhere.
func (s *Snapshot) following() []*dorav1alpha1.DoraTarget {
	var all []*dorav1alpha1.DoraTarget
	for i := range s.Targets {
		t := &s.Targets[i]
		reason := reasonOf(t.Status.Conditions)
		if !t.Spec.Suspend && reason != dorav1alpha1.ReasonNamespaceNotAllowed && reason != dorav1alpha1.ReasonInvalidSpec {
			all = append(all, t)
		}
	}
	return all
}

func selectsNothing(s *Snapshot) (found []Finding) {
	for _, t := range s.following() {
		reason := reasonOf(t.Status.Conditions)
		if t.Spec.Reported != nil && reason != dorav1alpha1.ReasonNothingSelected {
			continue // what is reported to it is something, and only the controller knows of it
		}
		if t.Spec.Applications == nil && t.Spec.Rollouts == nil {
			found = append(found, Finding{
				Object: objectOf(t), Wrong: "nothing was reported of the services of spec.reported to a DoraReceiver of its namespace",
				Mend: "report a deployment, see docs/dorareceiver.md, or compare spec.reported.services with the names that are reported",
			})
			continue
		}
		if reason == dorav1alpha1.ReasonArgoCRDsMissing || reason != dorav1alpha1.ReasonNothingSelected && len(s.selected(t)) > 0 {
			continue
		}
		if ready(t.Status.Conditions) != nil && reason == "" && s.Workload == nil {
			continue // the controller follows something; what it trusts is not known here
		}
		found = append(found, Finding{
			Object: objectOf(t), Wrong: "its selectors match no Application and no Rollout in the namespaces that it may see" + s.near(t),
			Mend: "compare spec.applications and spec.rollouts with kubectl get applications,rollouts -A --show-labels",
		})
	}
	return found
}

// near names objects of other namespaces that the selectors would match.
func (s *Snapshot) near(t *dorav1alpha1.DoraTarget) string {
	selector, err := t.Spec.Applications.LabelSelector()
	if err != nil {
		return ""
	}
	namespaces := map[string]bool{}
	for _, o := range s.Applications {
		if o.Namespace != t.Namespace && selector.Matches(labels.Set(o.Labels)) {
			namespaces[o.Namespace] = true
		}
	}
	if len(namespaces) == 0 {
		return ""
	}
	return "; in other namespaces they would: " + some(slices.Sorted(maps.Keys(namespaces)))
}

func serviceInSeveralNamespaces(s *Snapshot) (found []Finding) {
	type service struct{ name, environment string }
	at := map[service]map[string]bool{}
	for _, t := range s.following() {
		for _, o := range s.selected(t) {
			key := service{t.Spec.ServiceOf(o.Name, o.Labels), t.Spec.EnvironmentOf(o.Labels)}
			if at[key] == nil {
				at[key] = map[string]bool{}
			}
			at[key][o.Namespace] = true
		}
	}
	for key, namespaces := range at {
		if len(namespaces) > 1 {
			found = append(found, Finding{
				Object: "service " + key.name + " in " + key.environment,
				Wrong: "objects of several namespaces bear this name, and their deployments are counted as one service's: " +
					some(slices.Sorted(maps.Keys(namespaces))),
				Mend: "if they are not one service, tell them apart by spec.service or spec.environment, or by their labels",
			})
		}
	}
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Object, b.Object) })
	return found
}

// some lists the first few names, and counts the rest.
func some(names []string) string {
	if len(names) <= listed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:listed], ", "), len(names)-listed)
}

func cutImage(ref string) (repository, tag, digest string) { return dora.SplitImage(ref) }
