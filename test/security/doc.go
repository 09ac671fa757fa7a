// Package security proves what SECURITY.md promises.
//
// threats.yaml lists who may try what, what holds them, and the tests that show it. The table of SECURITY.md is made of it, and a test
// fails where the two differ, where an entry is not complete, or where a test that is named does not exist any more.
//
// # Tenancy
//
// Layouts of namespaces, trusted ones among them, of targets, sinks, Applications and Rollouts are made at random. In each one the real
// reconcilers work on a cluster and a ledger in memory, and all that comes out is gathered: statuses, Kubernetes events, deliveries, figures.
// Two questions are then asked, by an oracle that knows the rule of the documentation and none of the code:
//
//	does each event go to exactly those sinks, and is it counted by exactly those targets, that the rule names?
//	does anything that a namespace is shown hold a word of an object that it may not see?
//
// and where no service is shared, a third: does a namespace see the same if all that it may not see is taken away?
package security
