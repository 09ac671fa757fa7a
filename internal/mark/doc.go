// Package mark says what people want to be said about events, and which facts are to be appended so that it is.
//
// People say it in a DoraTarget: in an annotation about one event, or with a freeze about all events of a span of time. Both are
// declarations, and Plan is the one place that turns them into facts: it compares what is wanted with what stands in the ledger, and tells
// the marks that are missing. What stands and is wanted by nobody is withdrawn by one more mark: by whom and why the annotation tells that takes
// it back, or by the removal of the one that said it. So nothing is written when nothing changed, a plan that was carried out half is finished by
// the next, and an event that is recorded late is marked when it is seen.
//
// An annotation comes before a freeze. A freeze marks the deployments in it and the failures that began in it, and no recovery: a failure
// that began before a freeze ends whenever it ends.
//
//	annotations ─▶ Read ──▶ said ─┐
//	                              ├─▶ Plan ─▶ marks to append
//	freezes ──────────────────────┤     └──▶ what is refused, and why
//	the ledger ─▶ events, marks ──┘
//
// The package is pure: no clock, no store, no log.
package mark
