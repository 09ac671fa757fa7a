package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The reasons of a DoraReceiver's condition Ready, beside Suspended and InvalidSpec.
const (
	// ReasonReceiving: everything is in order.
	ReasonReceiving = "Receiving"
	// ReasonSecretMissing: the Secret cannot be read, or lacks the key that this type needs.
	ReasonSecretMissing = "SecretMissing"
	// ReasonTokenTaken: another receiver has the same token, so nobody could tell which of them a request is for.
	ReasonTokenTaken = "TokenTaken"
	// ReasonReceiversOff: the controller does not listen for anybody.
	ReasonReceiversOff = "ReceiversOff"
)

// Receiving is Ready: the receiver takes what it is sent.
func Receiving() metav1.Condition {
	return ready(metav1.ConditionTrue, ReasonReceiving, "The receiver takes what it is sent")
}

// ReceiverSuspended is not Ready: spec.suspend is true.
func ReceiverSuspended() metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonSuspended, "Suspended, senders are told to come again; set spec.suspend to false to go on")
}

// SecretMissing is not Ready: the Secret cannot be used until somebody mends it. The message says what to do.
func SecretMissing(message string) metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonSecretMissing, message)
}

// TokenTaken is not Ready: another receiver has the same token.
func TokenTaken() metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonTokenTaken,
		"Another DoraReceiver that was there before has the same token, by which a sender is known; make a token for this one alone")
}

// ReceiversOff is not Ready: the controller does not listen for anybody.
func ReceiversOff() metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonReceiversOff,
		"The controller does not listen for senders; start it with --receivers-bind-address, in the chart receivers.enabled")
}

// SetConditions makes this the condition Ready of the status, for this generation of the spec. Stalled follows from it. It reports whether
// anything changed.
func (s *DoraReceiverStatus) SetConditions(generation int64, ready metav1.Condition) bool {
	wanted := []metav1.Condition{ready}
	if ready.Status != metav1.ConditionTrue && ready.Reason != ReasonSuspended {
		ready.Type, ready.Status = ConditionStalled, metav1.ConditionTrue
		wanted = append(wanted, ready)
	}
	changed := s.ObservedGeneration != generation
	s.ObservedGeneration = generation
	return setConditions(&s.Conditions, generation, wanted, ConditionReady, ConditionReconciling, ConditionStalled) || changed
}
