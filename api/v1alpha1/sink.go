package v1alpha1

import "slices"

// Takes says whether a sink is sent something of that kind.
func (s *DoraSinkSpec) Takes(content SinkContent) bool {
	return len(s.Sends) == 0 || slices.Contains(s.Sends, content)
}

// Secret is the Secret that a sink names, and the field in which; nil if it names none.
func (s *DoraSinkSpec) Secret() (ref *SecretReference, field string) {
	switch {
	case s.Port != nil:
		return &s.Port.SecretRef, "spec.port.secretRef"
	case s.Postgres != nil:
		return &s.Postgres.SecretRef, "spec.postgres.secretRef"
	case s.CloudEvents != nil:
		return s.CloudEvents.SecretRef, "spec.cloudEvents.secretRef"
	}
	return nil, ""
}
