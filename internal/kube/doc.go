// Package kube is the Kubernetes plumbing that several controllers share: which targets select an object, how Applications, Rollouts
// and ReplicaSets are read from the cache and put together, which of their kinds are installed, and what is told once a decision
// was recorded.
//
// # Who may see what
//
// A target sees objects of its own namespace, and of all namespaces if the administrator trusts its namespace. A target that names a
// namespace it may not see is refused as a whole, so that a typing error never looks like "nothing happened".
//
// # Which Rollout belongs to whom
//
//	Application lists it in status.resources ──┐
//	valid tracking id of an Application        ├─▶ some target follows that Application ─▶ evidence for its attempts
//	  that deploys to the Rollout's namespace ─┘        │ none does
//	neither ────────────────────────────────────────────┴─▶ a subject of its own, if a target selects it
//
// Nothing here decides about deployments, and nothing writes to Argo's objects.
package kube
