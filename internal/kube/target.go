package kube

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// Target is a DoraTarget that was read and understood.
type Target struct {
	// Object is shared with the cache and must not be modified.
	Object  *dorav1alpha1.DoraTarget
	Timings dorav1alpha1.Timings
	// Refused says why the target follows nothing until its spec is mended. Nil if it is in order.
	Refused *metav1.Condition
	// Source is spec.source, understood. Nil if there is none.
	Source *Source

	applications, rollouts reach
}

// Selects says whether the target selects an object of that kind and namespace with these labels. A suspended target still does. What is
// reported has no labels, and is selected by its service: see Reports.
func (t *Target) Selects(kind dora.Kind, namespace string, have map[string]string) bool {
	if kind == dora.KindReported {
		return false
	}
	r := t.reach(kind)
	return r.sees(namespace) && r.selector.Matches(labels.Set(have))
}

// Asks says whether the target selects objects of that kind at all.
func (t *Target) Asks(kind dora.Kind) bool {
	if kind == dora.KindApplication {
		return t.Object.Spec.Applications != nil
	}
	return t.Object.Spec.Rollouts != nil
}

// Selector returns what a list of the objects that are selected is restricted to. No namespaces means all of them.
func (t *Target) Selector(kind dora.Kind) (selector labels.Selector, namespaces []string) {
	r := t.reach(kind)
	return r.selector, r.namespaces
}

func (t *Target) reach(kind dora.Kind) *reach {
	if kind == dora.KindApplication {
		return &t.applications
	}
	return &t.rollouts
}

// reach is what one selector of a target selects.
type reach struct {
	selector   labels.Selector
	namespaces []string // none means every namespace
}

func (r *reach) sees(namespace string) bool {
	return len(r.namespaces) == 0 || slices.Contains(r.namespaces, namespace)
}

// compile understands a target. Trusted says that its namespace may see all others.
func compile(object *dorav1alpha1.DoraTarget, trusted bool) *Target {
	t := &Target{Object: object, applications: reach{selector: labels.Nothing()}, rollouts: reach{selector: labels.Nothing()}}
	if others := forbidden(object, trusted); len(others) > 0 {
		t.Refused = new(dorav1alpha1.NamespaceNotAllowed(object.Namespace, others...))
	} else if len(object.Spec.Clusters) > 0 && !trusted {
		t.Refused = new(dorav1alpha1.ClustersNotAllowed(object.Namespace))
	} else if err := t.understand(trusted); err != nil {
		t.Refused = new(dorav1alpha1.InvalidSpec(err))
	}
	return t
}

// forbidden are the namespaces that the target names and may not see.
func forbidden(object *dorav1alpha1.DoraTarget, trusted bool) []string {
	if trusted {
		return nil
	}
	named := slices.Concat(object.Spec.Applications.NamespaceNames(), object.Spec.Rollouts.NamespaceNames())
	named = slices.DeleteFunc(named, func(n string) bool { return n == object.Namespace })
	slices.Sort(named)
	return slices.Compact(named)
}

// understand leaves the target selecting nothing if there is an error.
func (t *Target) understand(trusted bool) error {
	spec := &t.Object.Spec
	timings, err := spec.Timings()
	if err != nil {
		return err
	}
	applications, err := spec.Applications.LabelSelector()
	if err != nil {
		return fmt.Errorf("spec.applications: %w", err)
	}
	rollouts, err := spec.Rollouts.LabelSelector()
	if err != nil {
		return fmt.Errorf("spec.rollouts: %w", err)
	}
	source, err := readSource(spec.Source)
	if err != nil {
		return err
	}
	t.Timings, t.Source = timings, source
	t.applications = reach{applications, t.visible(spec.Applications, trusted)}
	t.rollouts = reach{rollouts, t.visible(spec.Rollouts, trusted)}
	return nil
}

func (t *Target) visible(selector *dorav1alpha1.SubjectSelector, trusted bool) []string {
	if !trusted {
		return []string{t.Object.Namespace}
	}
	return selector.NamespaceNames()
}

// Selection is the targets that select one object, the one that decides first.
type Selection []*Target

// Followed says that somebody counts the object's deployments. A target that is suspended does not.
func (s Selection) Followed() bool {
	return slices.ContainsFunc(s, func(t *Target) bool { return !t.Object.Spec.Suspend })
}

// Policy is the deciding target's, for the object of that name with these labels: the oldest one's, suspended or not, so that
// suspending a target changes nothing for others. Following began, as far as targets are concerned, when the first was created.
func (s Selection) Policy(name string, have map[string]string) deploy.Policy {
	owner := s[0]
	spec := &owner.Object.Spec
	commits := s.commits()
	return deploy.Policy{
		Sourced: s.sourced() != nil, CommitImage: string(commits.spec.Image), Tags: commits.tags, ImportHistory: commits.spec.Backfill,
		Service: spec.ServiceOf(name, have), Team: spec.TeamOf(have), Environment: spec.EnvironmentOf(have),
		Include: globs(spec.Images.Include), Exclude: globs(spec.Images.Exclude),
		CountConfig:    spec.Counts(dorav1alpha1.ChangeConfig),
		DegradedFor:    owner.Timings.DegradedFor,
		FailureWindow:  owner.Timings.FailureWindow,
		VerdictTimeout: owner.Timings.VerdictTimeout,
		FollowedSince:  owner.Object.CreationTimestamp.UTC(),
	}
}

func globs(patterns []dorav1alpha1.ImageGlob) []string {
	if len(patterns) == 0 {
		return nil
	}
	plain := make([]string, len(patterns))
	for i, p := range patterns {
		plain[i] = string(p)
	}
	return plain
}
