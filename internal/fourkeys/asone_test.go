package fourkeys_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// in moves an event to a region: an Application of its own, with a registry of its own.
func in(region string) detail {
	return func(e *dora.Event) {
		e.ID, e.Subject.Name, e.Subject.UID = region+": "+e.ID, "shop-"+region, region
		if e.FailureID != "" {
			e.FailureID = region + ": " + e.FailureID
		}
		if e.CausedBy != "" {
			e.CausedBy = region + ": " + e.CausedBy
		}
		e.Version, e.Running, e.Previous.Version = mirrored(region, e.Version), mirrored(region, e.Running), mirrored(region, e.Previous.Version)
	}
}

func mirrored(region string, v *dora.Version) *dora.Version {
	if v == nil {
		return nil
	}
	return &dora.Version{Images: []string{region + ".registry.example/mirror/shop:" + v.Tag}, Tag: v.Tag}
}

func firstOfAll(e *dora.Event) { e.Previous = dora.Predecessor{Known: true} }

func said(verdict dora.Verdict) detail { return func(e *dora.Event) { *e = marked(*e, verdict) } }

func startedAt(hours float64) detail { return func(e *dora.Event) { e.StartedAt = at(hours) } }

func stillRuns(version string) detail { return func(e *dora.Event) { e.Running = images(version) } }

// regions were there before the week began.
func regions(names ...string) []fourkeys.Member {
	members := make([]fourkeys.Member, len(names))
	for i, name := range names {
		members[i] = fourkeys.Member{
			Cluster: "eu", Since: at(-100),
			Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "shop-" + name, UID: name},
		}
	}
	return members
}

func until(hours float64, m fourkeys.Member) fourkeys.Member {
	m.Until = at(hours)
	return m
}

func since(hours float64, m fourkeys.Member) fourkeys.Member {
	m.Since = at(hours)
	return m
}

func asOne(events []dora.Event, members []fourkeys.Member) []dora.Event {
	all := make([]*dora.Event, len(events))
	for i := range events {
		all[i] = &events[i]
	}
	var told []dora.Event
	for _, e := range fourkeys.AsOne(all, members) {
		told = append(told, *e)
	}
	return told
}

// telling is how a deployment of all is told: what, when it occurred, and when it began if that matters.
type telling struct {
	Outcome dora.Outcome
	Version string
	At      float64
}

func TestServicesThatAreSpreadAreDeployedOnce(t *testing.T) {
	t.Parallel()
	east, west := in("east"), in("west")
	both := regions("east", "west")
	for name, story := range map[string]struct {
		members []fourkeys.Member
		events  []dora.Event
		want    []telling
	}{
		"a version is deployed when the last region is Healthy": {
			both,
			[]dora.Event{success("v1", 10, east), success("v1", 12, west)},
			[]telling{{dora.Succeeded, "v1", 12}},
		},
		"a version that one region lacks is not deployed": {
			both, []dora.Event{success("v1", 10, east)}, nil,
		},
		"a region of which nothing is known yet holds it up": {
			regions("east", "west", "north"), []dora.Event{success("v1", 10, east), success("v1", 12, west)}, nil,
		},
		"it failed as soon as one region failed, once": {
			regions("east", "west", "north"),
			[]dora.Event{success("v1", 10, east), failure("v1", 12, west), failure("v1", 13, in("north"))},
			[]telling{{dora.Failed, "v1", 12}},
		},
		"a region that gets it after another failed adds nothing": {
			both,
			[]dora.Event{failure("v1", 10, east), success("v1", 12, west)},
			[]telling{{dora.Failed, "v1", 10}},
		},
		"a second try after a failure is a second attempt": {
			both,
			[]dora.Event{failure("v1", 10, east), success("v1", 12, west), success("v1", 14, east, id("again"))},
			[]telling{{dora.Failed, "v1", 10}, {dora.Succeeded, "v1", 14}},
		},
		"an abort in one region stops it for all": {
			both,
			[]dora.Event{success("v1", 10, east), abort("v1", 12, west, exposed(false))},
			[]telling{{dora.RolledBack, "v1", 12}},
		},
		"a version that was replaced before all had it is superseded": {
			both,
			[]dora.Event{success("v1", 10, east), success("v2", 12, east), success("v2", 14, west)},
			[]telling{{dora.Succeeded, "v2", 14}},
		},
		"a superseded version that a late region still gets is nothing": {
			both,
			[]dora.Event{success("v1", 10, east), success("v2", 12, east), success("v1", 13, west), success("v2", 14, west)},
			[]telling{{dora.Succeeded, "v2", 14}},
		},
		"a rollback of all is one": {
			both,
			[]dora.Event{
				success("v1", 8, east), success("v1", 9, west), success("v2", 10, east), success("v2", 12, west),
				rollback("v1", "v2", 20, west), rollback("v1", "v2", 21, east),
			},
			[]telling{{dora.Succeeded, "v1", 9}, {dora.Succeeded, "v2", 12}, {dora.RolledBack, "v1", 20}},
		},
		"a region that goes back before the other has it was a failed rollout of all": {
			both,
			[]dora.Event{success("v2", 10, east), rollback("v1", "v2", 11, east)},
			[]telling{{dora.RolledBack, "v2", 11}},
		},
		"and forward again is a deployment": {
			both,
			[]dora.Event{success("v2", 10, east), success("v2", 12, west), rollback("v1", "v2", 20, west), success("v2", 30, west, id("again"))},
			[]telling{{dora.Succeeded, "v2", 12}, {dora.RolledBack, "v1", 20}, {dora.Succeeded, "v2", 30}},
		},
		"a new region joins": {
			[]fourkeys.Member{both[0], since(15, both[1])},
			[]dora.Event{success("v1", 10, east), success("v1", 16, west, firstOfAll)},
			[]telling{{dora.Succeeded, "v1", 10}},
		},
		"a new region that is not up yet holds nobody up": {
			[]fourkeys.Member{both[0], since(5, both[1])},
			[]dora.Event{success("v1", 10, east), success("v2", 12, east), success("v2", 16, west, firstOfAll)},
			[]telling{{dora.Succeeded, "v1", 10}, {dora.Succeeded, "v2", 12}},
		},
		"the very first deployment is one": {
			both,
			[]dora.Event{success("v1", 10, east, firstOfAll), success("v1", 12, west, firstOfAll)},
			[]telling{{dora.Succeeded, "v1", 10}},
		},
		"two new regions join in the same second": {
			regions("east", "west", "south"),
			[]dora.Event{success("v1", 10, east, firstOfAll), success("v1", 12, west, firstOfAll), success("v1", 12, in("south"), firstOfAll)},
			[]telling{{dora.Succeeded, "v1", 10}},
		},
		"two regions that begin in the same second are one deployment": {
			both,
			[]dora.Event{success("v1", 10, east, firstOfAll), success("v1", 10, west, firstOfAll)},
			[]telling{{dora.Succeeded, "v1", 10}},
		},
		"a verdict that comes after the next version began elsewhere": {
			regions("east", "west", "south"),
			[]dora.Event{
				success("v1", 10, east), success("v1", 10, west), success("v1", 10, in("south")),
				success("v2", 20, east), success("v2", 20, in("south")), success("v3", 21, east), failure("v2", 22, west),
				success("v3", 23, west), success("v3", 23, in("south")),
			},
			[]telling{{dora.Succeeded, "v1", 10}, {dora.Failed, "v2", 22}, {dora.Succeeded, "v3", 23}},
		},
		"a region that was given up holds nobody up any more": {
			[]fourkeys.Member{both[0], until(20, both[1])},
			[]dora.Event{success("v1", 10, east), success("v2", 25, east)},
			[]telling{{dora.Succeeded, "v1", 10}, {dora.Succeeded, "v2", 25}},
		},
		"nobody knows how it ended in one region": {
			both,
			[]dora.Event{noVerdict("v1", 10, east), success("v1", 12, west)},
			[]telling{{dora.Unknown, "v1", 12}},
		},
		"people say that it did not fail in the east": {
			both,
			[]dora.Event{failure("v1", 10, east, stillRuns("v1"), said(dora.NotAFailure)), success("v1", 12, west)},
			[]telling{{dora.Succeeded, "v1", 12}},
		},
		"configuration is each region's own": {
			both,
			[]dora.Event{success("v1", 10, east, config), success("v1", 12, west, config)},
			[]telling{{dora.Succeeded, "east", 10}, {dora.Succeeded, "west", 12}},
		},
		"what healed runs": {
			both,
			[]dora.Event{
				failure("v1", 10, east), degraded("f", 10, "v1", east), recovered("f", 11, "v1", east), success("v1", 12, west),
				success("v2", 20, west), success("v2", 21, east),
			},
			[]telling{{dora.Failed, "v1", 10}, {dora.Succeeded, "v2", 21}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []telling
			for _, e := range asOne(story.events, story.members) {
				if e.Type == dora.TypeDeploy {
					name := strings.TrimPrefix(e.Version.Images[0], "shop:")
					if e.Change == dora.ChangeConfig {
						name = e.Subject.UID
					}
					got = append(got, telling{e.Outcome, name, e.OccurredAt.Sub(start).Hours()})
				}
			}
			diff(t, story.want, got)
		})
	}
}

func TestFiguresOfAServiceThatIsSpread(t *testing.T) {
	t.Parallel()
	east, west := in("east"), in("west")
	events := []dora.Event{
		success("v1", 10, east, firstCommit(2), startedAt(9)), success("v1", 12, west, firstCommit(3), startedAt(11)),
		// A quarter of an hour after the east had it, the east breaks. The west gets it all the same.
		success("v2", 20, east, firstCommit(14)), degraded("f", 20.25, "v2", east), success("v2", 21, west, firstCommit(14)),
		recovered("f", 21.25, "v2", east),
		// The west stops v3 before a user could meet it, the east has it already, and goes back.
		success("v3", 30, east), abort("v3", 31, west, exposed(false), stillRuns("v2")), rollback("v2", "v3", 32, east),
	}
	together := fourkeys.Compute(asOne(events, regions("east", "west")), week)
	diff(t, figures{
		deployed: 2, attempts: 3, failed: 2, leads: 2, failures: 1, recoveries: 1,
		counts: fourkeys.Counts{Succeeded: 2, Aborted: 1},
	}, figuresOf(together))
	// v1: from hour 2 to 12; v2: from 14 to 21. The median of 10 and 7 hours.
	if want := 8.5 * 3600; *together.LeadTime.P50 != want {
		t.Errorf("the median of the lead times is %v, want %v", *together.LeadTime.P50, want)
	}
	// Each region for itself: four deployments and one more that was taken back, and one that nobody met.
	diff(t, figures{
		deployed: 5, attempts: 5, failed: 2, leads: 4, failures: 1, recoveries: 1,
		counts: fourkeys.Counts{Succeeded: 5, Unexposed: 1, Returned: 1},
	}, figuresOf(fourkeys.Compute(events, week)))
}

func TestOneMemberAloneIsItself(t *testing.T) {
	t.Parallel()
	east := in("east")
	events := []dora.Event{
		success("v1", 10, east, firstCommit(2)), failure("v2", 20, east, stillRuns("v2")), degraded("f", 20, "v2", east),
		rollback("v1", "v2", 21, east), recovered("f", 21, "v1", east), success("v3", 30, east, unplanned),
		rollback("v1", "v3", 31, east), abort("v4", 40, east, exposed(false), stillRuns("v1")), abort("v4", 41, east, exposed(true), stillRuns("v1")),
		noVerdict("v5", 50, east), success("v6", 60, east),
	}
	diff(t, fourkeys.Compute(events, week), fourkeys.Compute(asOne(events, regions("east")), week))
	for i, verdict := range []dora.Verdict{dora.Failure, dora.NotAFailure, dora.Ignore} {
		for j := i; j < len(events); j += 3 {
			events[j] = marked(events[j], verdict)
		}
	}
	diff(t, fourkeys.Compute(events, week), fourkeys.Compute(asOne(events, regions("east")), week))
}

// The same however the events come, and however often.
func TestTheOrderOfReadingDoesNotMatter(t *testing.T) {
	t.Parallel()
	regionsOf := []string{"east", "west", "north"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var events []dora.Event
		for i := range 12 {
			version := string(rune('a' + random.IntN(4)))
			region := in(regionsOf[random.IntN(3)])
			e := []func(string, float64, ...detail) dora.Event{success, failure, abort, noVerdict}[random.IntN(4)](version, float64(i), region)
			e.ID += time.Duration(i).String()
			events = append(events, e)
		}
		want := asOne(events, regions(regionsOf...))
		again := append(slices.Clone(events), events...)
		random.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		diff(t, want, asOne(again, regions(regionsOf...)))
	}
}
