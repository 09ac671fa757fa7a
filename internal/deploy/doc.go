// Package deploy decides what a deployment was.
//
// It is pure. Decide takes what the ledger remembers of a subject (State) and of its service (Service), one look at the cluster
// (Observation), what the deciding target says (Policy) and the time, and returns the new memory, the events that
// follow and the named decisions that explain the rest. It reads no clock, logs nothing and modifies nothing.
//
// # How an attempt becomes an event
//
//	operation or revision seen ──► open ──┬─► succeeded    the version is Healthy, and that Healthy is fresh
//	                                      ├─► failed       Degraded lasted, or the operation failed after it applied a workload
//	                                      ├─► rolled_back  aborted, or reverted before a verdict; or an earlier version brought back
//	                                      ├─► unknown      Argo no longer tells, or no verdict within the timeout
//	                                      └─► no event     superseded, drift, same images, nothing applied (a Decision says which)
//
// Two kinds of evidence tell what an attempt brought:
//
//   - Of a visible Rollout, its revisions: exact images, aborts and promotions (rollout.go collects facts, owners.go tells whose they
//     are, revisions.go judges them).
//   - Of everything else, the Application's operations (operations.go), live images (live.go) and health (application.go, attempt.go, fresh.go).
//     summary.images is a union over pods and lags, so the version is read anew at each look and fixed by the verdict.
//
// # What holds
//
//   - At most one deploy event for an attempt, however often it is seen: ids are made of facts that do not change.
//   - Deciding again on the same observation changes nothing; neither does a restart in between.
//   - After a gap in observation there may be fewer events, or unknown ones, or ones with basis history, but none invented.
//   - An observation that differs in nothing that matters costs no allocation (fingerprint.go).
//
// The numbered rules in the comments are those of docs/concepts.md.
package deploy
