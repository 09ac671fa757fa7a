package v1alpha1

import (
	"reflect"
	"slices"
	"strings"
)

// Before tells whether this target is asked before another that selects the same object: the older one is, then the
// one whose namespace and name come first. The first of all decides how the object is judged.
func (t *DoraTarget) Before(other *DoraTarget) bool {
	if !t.CreationTimestamp.Time.Equal(other.CreationTimestamp.Time) {
		return t.CreationTimestamp.Time.Before(other.CreationTimestamp.Time)
	}
	if t.Namespace != other.Namespace {
		return t.Namespace < other.Namespace
	}
	return t.Name < other.Name
}

// PolicyDiffers lists the fields, by their JSON names, by which this spec would judge an object differently than the
// owner's: another name for it, another version, another verdict. What only this target's own figures depend on
// (window, bands) is no policy. Where only one of them has a source, it holds for both.
func (s *DoraTargetSpec) PolicyDiffers(owner *DoraTargetSpec, name string, labels map[string]string) []string {
	var fields []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"service", s.ServiceOf(name, labels) == owner.ServiceOf(name, labels)},
		{"team", s.TeamOf(labels) == owner.TeamOf(labels)},
		{"environment", s.EnvironmentOf(labels) == owner.EnvironmentOf(labels)},
		{"images", sameSet(s.Images.Include, owner.Images.Include) && sameSet(s.Images.Exclude, owner.Images.Exclude)},
		{"changes", s.Counts(ChangeConfig) == owner.Counts(ChangeConfig)},
		{"source", s.Source == nil || owner.Source == nil || reflect.DeepEqual(s.Source.plain(), owner.Source.plain())},
		{"degradedFor", sameDuration(s.DegradedFor, owner.DegradedFor, DefaultDegradedFor)},
		{"failureWindow", sameDuration(s.FailureWindow, owner.FailureWindow, DefaultFailureWindow)},
		{"verdictTimeout", sameDuration(s.VerdictTimeout, owner.VerdictTimeout, DefaultVerdictTimeout)},
	} {
		if !field.same {
			fields = append(fields, field.name)
		}
	}
	return fields
}

// plain is the source with its defaults, and its sets in order, so that sources that mean the same are the same.
func (s *Source) plain() *Source {
	plain := s.DeepCopy()
	plain.Provider, plain.Time = or(s.Provider, ProviderAuto), or(s.Time, CommitterTime)
	plain.Hosts = slices.Sorted(slices.Values(s.Hosts))
	plain.PullSecrets = slices.SortedFunc(slices.Values(s.PullSecrets), func(a, b SecretReference) int { return strings.Compare(a.Name, b.Name) })
	return plain
}

func sameSet(a, b []ImageGlob) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// sameDuration compares what durations mean: 60s is 1m. What cannot be read differs from everything but itself.
func sameDuration(a, b, fallback Duration) bool {
	a, b = or(a, fallback), or(b, fallback)
	x, errX := a.Parse()
	y, errY := b.Parse()
	return a == b || errX == nil && errY == nil && x == y
}
