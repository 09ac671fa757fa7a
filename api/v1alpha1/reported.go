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

// CountsArgo says whether failures count that Argo shows.
func (i *Incidents) CountsArgo() bool { return i == nil || i.Argo != ArgoIgnore }
