// Package argocd reads Argo CD Applications: only the fields that decisions need, in types of its own, and maps them to
// deploy.Observation. It is the only package that imports github.com/argoproj/argo-cd/v2, and of that only the identity of the
// API (docs/design/argo-types.md says why).
//
//	API server → Application.UnmarshalJSON   never fails for an object: what does not fit is left out
//	           → Trim                        drops rows that no decision reads, before the cache keeps the object
//	           → Observe                     a pure mapping; no clock, no lookup, no decision
//
// Nothing here decides. Two rules keep it honest: a value that Argo CD did not tell stays zero, and a value that a newer or older
// Argo CD spells in an unknown way is handed on as it is. Argo CD writes its status by merge patches, so while an operation
// runs, and at times after it, status.operationState may hold leftovers of the operation before: a manual sync can carry
// the self-heal count of its predecessor. Observe reports both that and the top-level request, and internal/deploy weighs them.
//
// +kubebuilder:object:generate=true
package argocd
