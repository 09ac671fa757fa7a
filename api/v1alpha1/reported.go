package v1alpha1

import (
	"slices"
	"strings"
)

// Hears says whether incidents of the receiver of that name count, whatever their severity. Without spec.incidents none do.
func (i *Incidents) Hears(receiver string) bool {
	return i != nil && (len(i.Receivers) == 0 || slices.Contains(i.Receivers, ReceiverName(receiver)))
}

// Severe says whether incidents of that severity count.
func (i *Incidents) Severe(severity string) bool {
	return i != nil && (len(i.Severities) == 0 || slices.ContainsFunc(i.Severities, func(s Severity) bool { return strings.EqualFold(string(s), severity) }))
}

// Counts says whether a failure counts: one that the receiver of that name reported, by the severities that it had when it opened and when it
// ended, or one that Argo shows, of no receiver.
func (i *Incidents) Counts(receiver string, severities ...string) bool {
	if receiver == "" {
		return i.CountsArgo()
	}
	return i.Hears(receiver) && slices.ContainsFunc(severities, i.Severe)
}

// Has says whether the target counts deployments of a service in an environment, as far as its bounded list of services tells.
func (s *DoraTargetStatus) Has(service, environment string) bool {
	return s.ServicesOmitted > 0 || slices.ContainsFunc(s.Services, func(listed ServiceStatus) bool {
		return listed.Service == service && listed.Environment == environment
	})
}

// EnvironmentsOf are those in which the target counts deployments of a service, as far as its list of services tells.
func (s *DoraTargetStatus) EnvironmentsOf(service string) (environments []string) {
	for i := range s.Services {
		if s.Services[i].Service == service {
			environments = append(environments, s.Services[i].Environment)
		}
	}
	return environments
}

// CountsArgo says whether failures count that Argo shows.
func (i *Incidents) CountsArgo() bool { return i == nil || i.Argo != ArgoIgnore }
