package fourkeys_test

import (
	"testing"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

type counts = fourkeys.Counts

type story struct {
	events []dora.Event
	kinds  []dora.ChangeKind
	want   figures
}

func tell(t *testing.T, stories map[string]story) {
	t.Helper()
	for name, s := range stories {
		t.Run(name, func(t *testing.T) {
			diff(t, s.want, figuresOf(fourkeys.Compute(s.events, week, s.kinds...)))
		})
	}
}

func TestWhatIsAFailedChange(t *testing.T) {
	tell(t, map[string]story{
		"A success is an attempt that did not fail": {
			events: []dora.Event{success("v2", 10)},
			want:   figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1}},
		},
		"An attempt fails by its own verdict": {
			events: []dora.Event{failure("v2", 10)},
			want:   figures{attempts: 1, failed: 1, counts: counts{Failed: 1}},
		},
		"An attempt whose operation failed though all was Healthy fails too and opens no failure": {
			events: []dora.Event{failure("v2", 10), success("v3", 11, unplanned)},
			want:   figures{deployed: 1, attempts: 2, failed: 1, reworked: 1, counts: counts{Failed: 1, Succeeded: 1}},
		},
		"A success fails when a failure names it as its cause": {
			events: []dora.Event{success("v2", 10), degraded("f", 10.5, "v2"), recovered("f", 10.6, "v2")},
			want:   figures{deployed: 1, attempts: 1, failed: 1, failures: 1, recoveries: 1, counts: counts{Succeeded: 1}},
		},
		"A success fails when the next operation brings the earlier version back": {
			events: []dora.Event{success("v1", 9), success("v2", 10), rollback("v1", "v2", 30)},
			want:   figures{deployed: 2, attempts: 2, failed: 1, counts: counts{Succeeded: 2, Returned: 1}},
		},
		"A failed verdict, its failure and the rollback after it are one failed change": {
			events: []dora.Event{
				success("v1", 9), failure("v2", 10), degraded("f", 10, "v2"), rollback("v1", "v2", 11), recovered("f", 11, "v1"),
			},
			want: figures{
				deployed: 1, attempts: 2, failed: 1, failures: 1, recoveries: 1,
				counts: counts{Succeeded: 1, Failed: 1, Returned: 1},
			},
		},
		"Two failures of one deployment are one failed change, and two recoveries": {
			events: []dora.Event{
				success("v2", 10),
				degraded("f", 10.1, "v2"), recovered("f", 10.2, "v2"),
				degraded("g", 10.3, "v2"), recovered("g", 10.4, "v2"),
			},
			want: figures{deployed: 1, attempts: 1, failed: 1, failures: 2, recoveries: 2, counts: counts{Succeeded: 1}},
		},
		"A rollback past several versions is charged to the one that it left": {
			events: []dora.Event{success("v1", 1), success("v2", 2), success("v3", 3), rollback("v1", "v3", 4)},
			want:   figures{deployed: 3, attempts: 3, failed: 1, counts: counts{Succeeded: 3, Returned: 1}},
		},
		"A version that was replaced before the rollback did not fail": {
			events: []dora.Event{success("v2", 2), success("v3", 3), rollback("v1", "v2", 4)},
			want:   figures{deployed: 2, attempts: 2, counts: counts{Succeeded: 2, Returned: 1}},
		},
		"Another rollback in between keeps a version from failing": {
			events: []dora.Event{success("v2", 2), success("v3", 3), rollback("v2", "v3", 4), rollback("v1", "v2", 5)},
			want:   figures{deployed: 2, attempts: 2, failed: 1, counts: counts{Succeeded: 2, Returned: 2}},
		},
		"An attempt of which Argo no longer tells in between keeps a version from failing": {
			events: []dora.Event{success("v2", 2), noVerdict("v3", 3), rollback("v1", "v2", 4)},
			want:   figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1, Unknown: 1, Returned: 1}},
		},
		"An attempt that no user met in between deployed nothing, so the rollback is charged to the version before it": {
			events: []dora.Event{success("v2", 2), abort("v3", 3, exposed(false)), rollback("v1", "v2", 4)},
			want:   figures{deployed: 1, attempts: 1, failed: 1, counts: counts{Succeeded: 1, Unexposed: 1, Returned: 1}},
		},
		"A rollback that does not tell what it left is charged to nobody": {
			events: []dora.Event{success("v2", 2), rollback("v1", "v2", 3, func(e *dora.Event) { e.Previous = dora.Predecessor{} })},
			want:   figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1, Returned: 1}},
		},
		"Versions without images are never taken for the same": {
			events: []dora.Event{
				success("v2", 2, func(e *dora.Event) { e.Version = &dora.Version{} }),
				rollback("v1", "v2", 3, func(e *dora.Event) { e.Previous.Version = &dora.Version{} }),
			},
			want: figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1, Returned: 1}},
		},
		"A rollback is charged to the version that it left in its own cluster": {
			events: []dora.Event{success("v2", 2, inCluster("us")), success("v3", 3), rollback("v1", "v2", 4, inCluster("us"))},
			want:   figures{deployed: 2, attempts: 2, failed: 1, counts: counts{Succeeded: 2, Returned: 1}},
		},
		"A subject that was recreated under its name goes on with its history": {
			events: []dora.Event{success("v2", 2), rollback("v1", "v2", 4, recreated)},
			want:   figures{deployed: 1, attempts: 1, failed: 1, counts: counts{Succeeded: 1, Returned: 1}},
		},
		"An operation and its rollback in the same second are told apart by their starts": {
			events: []dora.Event{
				rollback("v1", "v2", 2, func(e *dora.Event) { e.StartedAt = at(1.9) }),
				success("v2", 2, func(e *dora.Event) { e.StartedAt = at(1.8) }),
			},
			want: figures{deployed: 1, attempts: 1, failed: 1, counts: counts{Succeeded: 1, Returned: 1}},
		},
		"A revert of a revert is a success like any other": {
			events: []dora.Event{success("v2", 2), rollback("v1", "v2", 3), success("v2", 4, id("v2 again"), unplanned)},
			want:   figures{deployed: 2, attempts: 2, failed: 1, reworked: 1, counts: counts{Succeeded: 2, Returned: 1}},
		},
	})
}

func TestAttemptsThatWereStopped(t *testing.T) {
	tell(t, map[string]story{
		"A canary that is aborted while users meet it is an attempt that failed": {
			events: []dora.Event{
				success("v1", 1), abort("v2", 2, exposed(true)), degraded("f", 2, "v2"), recovered("f", 2.1, "v1"),
			},
			want: figures{
				deployed: 1, attempts: 2, failed: 1, failures: 1, recoveries: 1, aborts: 1,
				counts: counts{Succeeded: 1, Aborted: 1},
			},
		},
		"A retry after the abort is a further attempt": {
			events: []dora.Event{
				success("v1", 1), abort("v2", 2, exposed(true)), degraded("f", 2, "v2"), recovered("f", 2.1, "v1"),
				success("v2", 3, id("v2 retried"), unplanned),
			},
			want: figures{
				deployed: 2, attempts: 3, failed: 1, failures: 1, recoveries: 1, aborts: 1, reworked: 1,
				counts: counts{Succeeded: 2, Aborted: 1},
			},
		},
		"A canary that is reverted in flight is an attempt that failed, without a failure": {
			events: []dora.Event{success("v1", 1), abort("v2", 2, exposed(true))},
			want:   figures{deployed: 1, attempts: 2, failed: 1, counts: counts{Succeeded: 1, Aborted: 1}},
		},
		"A blue-green preview that is aborted before it took traffic is in neither number and shown apart": {
			events: []dora.Event{success("v1", 1), abort("v2", 2, exposed(false))},
			want:   figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1, Unexposed: 1}},
		},
		"An abort counts as exposed when nobody knows": {
			events: []dora.Event{abort("v2", 2)},
			want:   figures{attempts: 1, failed: 1, counts: counts{Aborted: 1}},
		},
		"An abort that is not over yet is open": {
			events: []dora.Event{abort("v2", 2, exposed(true)), degraded("f", 2, "v2")},
			want:   figures{attempts: 1, failed: 1, failures: 1, aborts: 1, open: 1, counts: counts{Aborted: 1, OpenFailures: 1}},
		},
	})
}

func TestFailedAttemptsThatHealByThemselves(t *testing.T) {
	const commit = -14
	tell(t, map[string]story{
		"One that reaches Healthy later is deployed then, and has failed": {
			events: []dora.Event{failure("v2", 10, firstCommit(commit)), degraded("f", 10, "v2"), recovered("f", 12, "v2")},
			want: figures{
				deployed: 1, leads: 1, attempts: 1, failed: 1, failures: 1, recoveries: 1, counts: counts{Failed: 1},
			},
		},
		"One whose failure ended with nothing else deployed counts though what runs is not known": {
			events: []dora.Event{failure("v2", 10), degraded("f", 10, "v2"), recovered("f", 12, "")},
			want:   figures{deployed: 1, attempts: 1, failed: 1, failures: 1, recoveries: 1, counts: counts{Failed: 1}},
		},
		"One whose failure ended with images that are not known counts too": {
			events: []dora.Event{
				failure("v2", 10), degraded("f", 10, "v2"), recovered("f", 12, "", func(e *dora.Event) { e.Running = &dora.Version{} }),
			},
			want: figures{deployed: 1, attempts: 1, failed: 1, failures: 1, recoveries: 1, counts: counts{Failed: 1}},
		},
		"One that a fix forward replaced in the second of the recovery was not deployed": {
			events: []dora.Event{
				failure("v2", 10, firstCommit(commit)), degraded("f", 10, "v2"), success("v3", 12, unplanned), recovered("f", 12, ""),
			},
			want: figures{
				deployed: 1, attempts: 2, failed: 1, failures: 1, recoveries: 1, reworked: 1,
				counts: counts{Failed: 1, Succeeded: 1},
			},
		},
		"One that was replaced after it had healed was deployed": {
			events: []dora.Event{failure("v2", 10), degraded("f", 10, "v2"), recovered("f", 12, "v2"), success("v3", 13)},
			want: figures{
				deployed: 2, attempts: 2, failed: 1, failures: 1, recoveries: 1, counts: counts{Failed: 1, Succeeded: 1},
			},
		},
		"One whose failure ended with another version running was not deployed": {
			events: []dora.Event{failure("v2", 10), degraded("f", 10, "v2"), recovered("f", 12, "v1")},
			want:   figures{attempts: 1, failed: 1, failures: 1, recoveries: 1, counts: counts{Failed: 1}},
		},
		"One that is still degraded was not deployed": {
			events: []dora.Event{failure("v2", 10), degraded("f", 10, "v2")},
			want:   figures{attempts: 1, failed: 1, failures: 1, open: 1, counts: counts{Failed: 1, OpenFailures: 1}},
		},
		"One that heals twice is deployed once": {
			events: []dora.Event{
				failure("v2", 10), degraded("f", 10, "v2"), recovered("f", 11, "v2"),
				degraded("g", 11.5, "v2"), recovered("g", 12, "v2"),
			},
			want: figures{deployed: 1, attempts: 1, failed: 1, failures: 2, recoveries: 2, counts: counts{Failed: 1}},
		},
		"A stopped attempt never heals: what recovered is the version before it": {
			events: []dora.Event{abort("v2", 10), degraded("f", 10, "v2"), recovered("f", 11, "")},
			want:   figures{attempts: 1, failed: 1, failures: 1, recoveries: 1, aborts: 1, counts: counts{Aborted: 1}},
		},
	})
}

func TestWhatIsInNoFigure(t *testing.T) {
	tell(t, map[string]story{
		"An attempt of which Argo no longer tells is only counted as such": {
			events: []dora.Event{noVerdict("v2", 2, firstCommit(1), unplanned)},
			want:   figures{counts: counts{Unknown: 1}},
		},
		"A failure of an attempt of which Argo no longer tells is in no figure either": {
			events: []dora.Event{noVerdict("v2", 2), degraded("f", 2.1, "v2"), recovered("f", 3, "v2")},
			want:   figures{counts: counts{Unknown: 1}},
		},
		"An outcome of a later schema is not guessed at": {
			events: []dora.Event{deploy("v2", 2, "paused", nil)},
			want:   figures{counts: counts{Unknown: 1}},
		},
		"An event of a type of a later schema is passed over": {
			events: []dora.Event{event("freeze", "f", 2)},
			want:   figures{},
		},
		"An event read from history counts like one that was seen": {
			events: []dora.Event{success("v2", 2, fromHistory, firstCommit(1))},
			want:   figures{deployed: 1, leads: 1, attempts: 1, counts: counts{Succeeded: 1}},
		},
		"A failure that began too late after any deployment is an incident and no failed change": {
			events: []dora.Event{success("v2", 2), degraded("f", 20, ""), recovered("f", 21, "v2")},
			want:   figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1, Incidents: 1}},
		},
		"An open incident is an open failure": {
			events: []dora.Event{degraded("f", 20, "")},
			want:   figures{counts: counts{Incidents: 1, OpenFailures: 1}},
		},
		"An end of a failure whose start nobody told is nothing": {
			events: []dora.Event{recovered("f", 20, "v1")},
			want:   figures{},
		},
		"A failure without an id has no end that could be told": {
			events: []dora.Event{degraded("", 20, ""), recovered("", 21, "v1")},
			want:   figures{counts: counts{Incidents: 1, OpenFailures: 1}},
		},
		"A failure whose cause was not handed in is neither an incident nor a failed change": {
			events: []dora.Event{degraded("f", 2, "long ago"), recovered("f", 3, "v1")},
			want:   figures{},
		},
		"The failure of an operation that brought an earlier version back is a recovery time but no failed change": {
			events: []dora.Event{
				rollback("v1", "v2", 4, id("back")), degraded("f", 4.5, "back"), recovered("f", 5, "v1"),
			},
			want: figures{failures: 1, recoveries: 1, counts: counts{Returned: 1}},
		},
	})
}

func TestKindsOfChange(t *testing.T) {
	both := []dora.ChangeKind{dora.ChangeImage, dora.ChangeConfig}
	events := []dora.Event{
		success("v2", 2, id("image")), success("v2", 3, id("config"), config),
		degraded("f", 3.5, "config"), recovered("f", 4, "v2"),
		rollback("v1", "v2", 5),
	}
	tell(t, map[string]story{
		"Without configuration its deployment is nothing, its failure an incident, and the rollback is charged to the image": {
			events: events,
			want:   figures{deployed: 1, attempts: 1, failed: 1, counts: counts{Succeeded: 1, Returned: 1, Incidents: 1}},
		},
		"With configuration it is a deployment that failed and that the rollback left": {
			events: events, kinds: both,
			want: figures{
				deployed: 2, attempts: 2, failed: 1, failures: 1, recoveries: 1, counts: counts{Succeeded: 2, Returned: 1},
			},
		},
		"A rollback of configuration that does not count is charged to nobody": {
			events: []dora.Event{success("v2", 2), rollback("v2", "v2", 3, config)},
			want:   figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1}},
		},
		"A change of which nobody knows the kind is in nothing": {
			events: []dora.Event{success("v2", 2, func(e *dora.Event) { e.Change = "" })}, kinds: both,
			want: figures{},
		},
	})
}

func TestTellingTwiceChangesNothing(t *testing.T) {
	early := success("v2", 2)
	enriched := success("v2", 2, firstCommit(1))
	later := success("v2", 2)
	later.ObservedAt = at(9)
	want := figures{deployed: 1, leads: 1, attempts: 1, counts: counts{Succeeded: 1}}
	tell(t, map[string]story{
		"The telling with the commit counts if it comes first":    {events: []dora.Event{enriched, early, later}, want: want},
		"The telling with the commit counts if it comes between":  {events: []dora.Event{early, enriched, later}, want: want},
		"The telling with the commit counts if it comes the last": {events: []dora.Event{early, later, enriched}, want: want},
	})
}
