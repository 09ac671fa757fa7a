// Package fourkeys turns events into DORA's five metrics of software delivery and says which band they are in.
//
// It is a pure function of its arguments: no clock, no store, no log. The same events give the same figures in
// whatever order they come and however often each is repeated, so a figure can always be worked out again, and by hand.
//
// What one deploy event means to the figures (docs/metrics.md has the reasons):
//
//	outcome      success  exposed       class      change failure rate        frequency and lead time
//	succeeded    true                   succeeded  attempt; failed if blamed  counted
//	failed       false                  failed     attempt that failed        counted when it heals
//	rolled_back  false    yes, unknown  aborted    attempt that failed        left out
//	rolled_back  false    no            unexposed  left out of both
//	rolled_back  true                   returned   left out of both
//	unknown      null                   unknown    left out of both
//
// What people say of an event (dora.Mark) comes before what Argo told. An ignored event is left out, as if it had never been handed in, and so is
// a failure that was none: whoever named an ignored deployment as its cause is neither an incident nor its failure. A deployment that was
// not a failure has the class succeeded and is never blamed; a failure that names it is an incident. One that was a failure is blamed if it
// succeeded, aborted if it was rolled back, and else failed.
//
// A succeeded attempt is blamed when a failure names it as its cause, or when the next thing that was put before users
// of that subject brought an earlier version back. A failed one healed when its failure ended with its own version
// still running and no other deployment before that.
//
// A change belongs to the window in which it occurred, with all that is known of it, even if its failure began or
// ended after the window did. So figures about a past window grow truer as evidence comes in, and never double.
// The evidence about a change is never older than the change, except that a failed attempt can heal much later:
// give Compute the events from somewhat before the window on.
//
// No data is nil, never zero. Zero is a measurement: nothing was deployed although somebody was watching all the time.
package fourkeys
