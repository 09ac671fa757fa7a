// Package drift holds our narrow reading of Argo's objects against Argo's own types.
//
// The main module cannot import Argo CD's types package (docs/design/argo-types.md), so a field that Argo renames, or whose meaning we
// mistake, would go unnoticed there: it would read as "Argo did not tell". Here both readings meet. For every recorded object, and for
// hundreds that are filled at random,
//
//	Argo's type → JSON → our type   must equal   the same fields taken from Argo's type by name
//	our type → JSON → Argo's type   must know every field that we name
//
// and the words and rules that we repeat (phases, reasons, annotations, the effective phase of a Rollout, what a tracking id
// says) must be Argo's. A name that Argo drops does not even compile.
//
// This is a module of its own, with the replace lines that Argo CD itself builds with. They leave the main module and its users alone.
package drift
