package v1alpha1

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionParked is there while a sink has events that it refused for good.
const ConditionParked = "Parked"

// The conditions of a DoraTarget that speak of sinks.
const (
	// ConditionSinksMissing is there while a target names sinks that it cannot use.
	ConditionSinksMissing = "SinksMissing"
	// ReasonSinkNotFound: there is no DoraSink of that name, or it is not shared.
	ReasonSinkNotFound = "SinkNotFound"
)

// The reasons of a DoraSink's condition Ready, beside those that say what stands in the way of deliveries (docs/dorasink.md).
const (
	// ReasonDelivering: everything is in order.
	ReasonDelivering = "Delivering"
	// ReasonInvalidFilter: spec.filter cannot be read.
	ReasonInvalidFilter = "InvalidFilter"
	// ReasonEventsRefused is of the condition Parked: events were refused for good.
	ReasonEventsRefused = "EventsRefused"
)

// Delivering is Ready: the sink takes what it is sent.
func Delivering() metav1.Condition {
	return ready(metav1.ConditionTrue, ReasonDelivering, "The destination takes what it is sent")
}

// SinkStarting is Ready unknown, before the destination was asked for the first time.
func SinkStarting() metav1.Condition {
	return ready(metav1.ConditionUnknown, ReasonStarting, "The destination was not asked yet; if this stays, look at the controller's log")
}

// SinkSuspended is not Ready: spec.suspend is true.
func SinkSuspended(pending int64) metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonSuspended, fmt.Sprintf(
		"Suspended, with %s kept for it; set spec.suspend to false to go on", count(pending, "event")))
}

// InvalidFilter is not Ready: spec.filter cannot be read, and nothing is sent until it is mended.
func InvalidFilter(err error) metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonInvalidFilter, "Correct spec.filter, what is owed is kept meanwhile: "+err.Error())
}

// SinkFailing is not Ready: the destination does not take what it is sent. The message says what to do.
func SinkFailing(reason, message string) metav1.Condition {
	return ready(metav1.ConditionFalse, reason, message)
}

// EventsParked says that events were refused for good.
func EventsParked(events int64, lastError string) metav1.Condition {
	return metav1.Condition{
		Type: ConditionParked, Status: metav1.ConditionTrue, Reason: ReasonEventsRefused,
		Message: fmt.Sprintf("%s refused: %s; list them with `dora-controller deliveries --parked`, mend the cause, and send them again with the "+
			"annotation %s", were(events, "event"), lastError, AnnotationRetry),
	}
}

// SinkNotFound says that a target names sinks that it cannot use. What is owed to one that does not exist is kept for a while.
func SinkNotFound(names ...string) metav1.Condition {
	return metav1.Condition{
		Type: ConditionSinksMissing, Status: metav1.ConditionTrue, Reason: ReasonSinkNotFound,
		Message: "No DoraSink that this target may use: " + sorted(names) + "; create it, correct spec.sinks, or ask for spec.shared " +
			"in a namespace that the administrator trusts",
	}
}

// SetConditions makes these the conditions of the status, for this generation of the spec. Reconciling and Stalled follow from ready; parked
// is EventsParked where that holds. It reports whether anything changed.
func (s *DoraSinkStatus) SetConditions(generation int64, ready metav1.Condition, parked ...metav1.Condition) bool {
	wanted := append([]metav1.Condition{ready}, parked...)
	if ready.Status != metav1.ConditionTrue && ready.Reason != ReasonSuspended {
		ready.Type, ready.Status = sinkAbnormal(ready.Reason), metav1.ConditionTrue
		wanted = append(wanted, ready)
	}
	changed := s.ObservedGeneration != generation
	s.ObservedGeneration = generation
	return setConditions(&s.Conditions, generation, wanted, ConditionReady, ConditionReconciling, ConditionStalled, ConditionParked) || changed
}

// sinkAbnormal tells which of kstatus' two abnormal conditions goes with a reason: some mend themselves.
func sinkAbnormal(reason string) string {
	if slices.Contains([]string{ReasonStarting, "Unreachable", "RateLimited", "ReadOnly", "Full", "Failing"}, reason) {
		return ConditionReconciling
	}
	return ConditionStalled
}

// setConditions makes some conditions those that are wanted, and removes those of the other kinds.
func setConditions(have *[]metav1.Condition, generation int64, wanted []metav1.Condition, kinds ...string) (changed bool) {
	for _, kind := range kinds {
		i := slices.IndexFunc(wanted, func(c metav1.Condition) bool { return c.Type == kind })
		if i < 0 {
			changed = meta.RemoveStatusCondition(have, kind) || changed
			continue
		}
		wanted[i].ObservedGeneration = generation
		changed = meta.SetStatusCondition(have, wanted[i]) || changed
	}
	return changed
}

func were(n int64, noun string) string {
	if n == 1 {
		return count(n, noun) + " was"
	}
	return count(n, noun) + " were"
}
