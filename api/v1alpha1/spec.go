package v1alpha1

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// The labels that tell a name when the spec does not.
const (
	LabelService     = "service"
	LabelPartOf      = "app.kubernetes.io/part-of"
	LabelTeam        = "team"
	LabelEnvironment = "environment"
	LabelEnv         = "env"
)

// The defaults of the spec, which the schema has too.
const (
	DefaultEnvironment    = "production"
	DefaultDegradedFor    = "60s"
	DefaultFailureWindow  = "1h"
	DefaultVerdictTimeout = "24h"
	DefaultWindow         = "30d"
	DefaultStatusInterval = "10s"
	DefaultWorsening      = "25%"
)

// Timings are the durations of a spec.
type Timings struct {
	DegradedFor    time.Duration
	FailureWindow  time.Duration
	VerdictTimeout time.Duration
	Window         time.Duration
	StatusInterval time.Duration
}

// Timings reads the durations of the spec, with its defaults. An error names the field.
func (s *DoraTargetSpec) Timings() (Timings, error) {
	var t Timings
	for _, field := range []struct {
		name           string
		text, fallback Duration
		read           *time.Duration
	}{
		{"degradedFor", s.DegradedFor, DefaultDegradedFor, &t.DegradedFor},
		{"failureWindow", s.FailureWindow, DefaultFailureWindow, &t.FailureWindow},
		{"verdictTimeout", s.VerdictTimeout, DefaultVerdictTimeout, &t.VerdictTimeout},
		{"window", s.Window, DefaultWindow, &t.Window},
		{"statusInterval", s.StatusInterval, DefaultStatusInterval, &t.StatusInterval},
	} {
		read, err := or(field.text, field.fallback).Parse()
		if err != nil {
			return Timings{}, fmt.Errorf("spec.%s: %w", field.name, err)
		}
		*field.read = read
	}
	return t, nil
}

// ServiceOf names the service of an object with that name and these labels.
func (s *DoraTargetSpec) ServiceOf(name string, have map[string]string) string {
	return s.Service.resolve(have, name, LabelService, LabelPartOf)
}

// TeamOf names the team of an object with these labels. It is empty when there is none.
func (s *DoraTargetSpec) TeamOf(have map[string]string) string {
	return s.Team.resolve(have, "", LabelTeam)
}

// EnvironmentOf names the environment of an object with these labels.
func (s *DoraTargetSpec) EnvironmentOf(have map[string]string) string {
	return s.Environment.resolve(have, DefaultEnvironment, LabelEnvironment, LabelEnv)
}

// resolve takes the fixed value, else the named label, else the first default label that is there, else the fallback.
func (n *NameSource) resolve(have map[string]string, fallback string, defaults ...string) string {
	if n.Value != "" {
		return string(n.Value)
	}
	for _, key := range append([]string{string(n.FromLabel)}, defaults...) {
		if value := have[key]; value != "" {
			return value
		}
	}
	return fallback
}

// Counts says whether a kind of change counts as a deployment. A new image always does.
func (s *DoraTargetSpec) Counts(kind ChangeKind) bool {
	return kind == ChangeImage || slices.Contains(s.Changes, kind)
}

// PresetOrDefault is the set of thresholds to begin with.
func (b *Bands) PresetOrDefault() BandPreset {
	return or(b.Preset, PresetPort)
}

// LabelSelector is the labels' part of the selector. A nil selector selects nothing, an empty one everything. An
// error names the part that is wrong.
func (s *SubjectSelector) LabelSelector() (labels.Selector, error) {
	if s == nil {
		return labels.Nothing(), nil
	}
	plain := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for key, value := range s.MatchLabels {
		plain.MatchLabels[key] = string(value)
	}
	for _, r := range s.MatchExpressions {
		plain.MatchExpressions = append(plain.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: string(r.Key), Operator: metav1.LabelSelectorOperator(r.Operator), Values: texts(r.Values),
		})
	}
	return metav1.LabelSelectorAsSelector(plain)
}

// NamespaceNames are the namespaces that the selector names. None means all that the target may see.
func (s *SubjectSelector) NamespaceNames() []string {
	if s == nil {
		return nil
	}
	return texts(s.Namespaces)
}

func texts[T ~string](values []T) []string {
	plain := make([]string, 0, len(values))
	for _, value := range values {
		plain = append(plain, string(value))
	}
	return plain
}

func or[T ~string](value, fallback T) T {
	if value == "" {
		return fallback
	}
	return value
}
