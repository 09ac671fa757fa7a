// Package v1alpha1 is the dora-controller.io/v1alpha1 API: DoraTarget, which says whose deployments count and
// shows how they are going.
//
// A DoraTarget that the API server admitted is complete and sound: every default is filled in, and every rule that
// needs no other object is checked by the schema and its CEL rules, with a message for a person. Reading a spec in Go
// gives the same defaults, so an object that never met a server means the same, and a string that an older schema let
// through is an error and never a panic.
//
// Status holds what was counted, and no time of the last look and no ages, so a reconcile that learns nothing writes
// nothing. A figure that is not known is absent and never 0.
//
// Conditions follow kstatus. Ready is always there; Reconciling and Stalled are there only while true, and never
// together. See conditions.go for every reason and what it asks of a person.
//
// +kubebuilder:object:generate=true
// +groupName=dora-controller.io
package v1alpha1
