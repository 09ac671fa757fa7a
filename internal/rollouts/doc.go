// Package rollouts reads Argo Rollouts and their ReplicaSets and maps them to deploy.Rollout: evidence for an Application's attempt, or
// the subject itself where no Application manages the Rollout.
//
// A Rollout's status is only true together with two checks that Argo Rollouts makes on the client's side (GetRolloutPhase in its
// utils/rollout): that the controller has seen the current spec, and the current template of a referenced workload; and that nobody has
// just resumed a pause. Observe makes them. What remains misleading for one patch, such as the condition of an aborted version that is
// still there when an older version comes back, is told apart by pod-template hash, never by generation.
//
// The Rollout is a type of our own. Argo's CRD does not validate the resource limits in a pod template, so with the original type one
// Rollout with an odd quantity fails the decoding of every list that it is in, and the fields that are needed are few. What the kind is
// called comes from Argo's own package; test/drift holds the rest against Argo's types.
//
// +kubebuilder:object:generate=true
package rollouts
