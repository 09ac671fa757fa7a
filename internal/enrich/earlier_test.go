package enrich

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// history tells events, one a line: TIME SUBJECT OUTCOME VERSION over PREVIOUS. A version is a letter, or several images with a plus between:
// a is acme/shop:main-a, worker:a that of another repository. "over none" is a first deployment, without "over" the previous is not known.
func history(t *testing.T, lines ...string) []dora.Event {
	t.Helper()
	var events []dora.Event
	for _, line := range lines {
		words := strings.Fields(line)
		at, err := time.Parse("2006-01-02 15:04", "2026-03-02 "+words[0])
		if err != nil {
			t.Fatal(err)
		}
		e := dora.Event{
			ID: line, Type: dora.TypeDeploy, Service: "shop", Environment: "prod", Cluster: "c", Change: dora.ChangeImage,
			Subject:   dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: words[1], UID: words[1]},
			StartedAt: at.Add(-time.Minute), OccurredAt: at, Version: version(words[3]),
		}
		switch words[2] {
		case "recovered":
			e.Type, e.Running, e.Version = dora.TypeRecovered, e.Version, nil
		case "aborted":
			e.Outcome, e.Success, e.IsRollback = dora.RolledBack, new(false), new(true)
		case "returned":
			e.Outcome, e.Success, e.IsRollback = dora.RolledBack, new(true), new(true)
		case "hook-failed": // it ran Healthy all the same
			e.Outcome, e.IsRollback, e.Unplanned, e.Version.SettledAt = dora.Failed, new(false), new(false), new(at.Add(-time.Second))
		case "failed-back": // it was to bring an earlier version back
			e.Outcome, e.IsRollback = dora.Failed, new(false)
		default:
			e.Outcome, e.IsRollback, e.Unplanned = dora.Outcome(words[2]), new(false), new(false)
		}
		if len(words) > 5 {
			e.Previous = dora.Predecessor{Known: true, Version: version(words[5])}
		}
		events = append(events, e)
	}
	return events
}

func version(text string) *dora.Version {
	if text == "none" {
		return nil
	}
	v := &dora.Version{}
	for image := range strings.SplitSeq(text, "+") {
		name, tag, other := strings.Cut(image, ":")
		if !other {
			name, tag = "shop", image
		}
		v.Images = append(v.Images, "acme/"+name+":main-"+tag)
	}
	slices.Sort(v.Images)
	v.Tag = dora.ImageTag(v.Images[0])
	return v
}

// The last line of each history is the deployment that is asked about.
func TestWhichVersionsRanBefore(t *testing.T) {
	for name, c := range map[string]struct {
		history []string
		want    string // newest by rank first
	}{
		"the one that it replaced": {[]string{"10:00 web succeeded b over a"}, "a"},
		"all of them, the newest first": {[]string{
			"10:00 web succeeded b over a", "11:00 web succeeded c over b", "12:00 web succeeded d over c",
		}, "c b a"},
		"what was delivered before a rollback is no news": {[]string{
			"10:00 web succeeded b over a", "11:00 web succeeded c over b", "12:00 web returned a over c", "13:00 web succeeded d over a",
		}, "c b a"},
		"a version that only failed delivered nothing": {[]string{
			"10:00 web succeeded b over a", "11:00 web failed c over b", "12:00 web succeeded d over b",
		}, "b a"},
		"one that failed and recovered did": {[]string{
			"10:00 web succeeded b over a", "11:00 web failed c over b", "11:30 web recovered c", "12:00 web succeeded d over c",
		}, "c b a"},
		"one that was aborted did not": {[]string{
			"10:00 web succeeded b over a", "11:00 web aborted c over b", "12:00 web succeeded d over b",
		}, "b a"},
		"one of which nobody knows how it ended may have": {[]string{
			"10:00 web succeeded b over a", "11:00 web unknown c over b", "12:00 web succeeded d over c",
		}, "c b a"},
		"where nobody knows what ran just before, that comes first": {[]string{
			"10:00 web succeeded b over a", "12:00 web succeeded d",
		}, "? b a"},
		"and is known again after it": {[]string{
			"10:00 web succeeded b over a", "12:00 web succeeded d", "13:00 web succeeded e over d",
		}, "d b a"},
		"one whose hook failed ran Healthy": {[]string{
			"10:00 web succeeded b over a", "11:00 web hook-failed c over b", "12:00 web returned b over c", "13:00 web succeeded d over b",
		}, "c b a"},
		"what a failed attempt replaced had run": {[]string{
			"11:00 web failed c over b", "11:30 web recovered c", "12:00 web succeeded d over c",
		}, "c b"},
		"what an operation leaves that fails to bring an earlier version back need not have": {[]string{
			"10:00 web succeeded b over a", "11:00 web failed c over b", "12:00 web failed-back a over c", "13:00 web succeeded d over b",
		}, "b a"},
		"an image has the rank of the first version that had it": {[]string{
			"10:00 web succeeded b+worker:a over a+worker:a", "11:00 web succeeded c+worker:a over b+worker:a", "12:00 web succeeded b+worker:b over c+worker:a",
			"13:00 web succeeded d+worker:b over b+worker:b",
		}, "c b a"},
		"a version keeps its first rank": {[]string{
			"10:00 web succeeded b over a", "11:00 web succeeded c over b", "12:00 web returned b over c", "13:00 web succeeded d over b",
		}, "c b a"},
		"one that is only known as brought back ran before all others": {[]string{
			"11:00 web succeeded c over b", "12:00 web returned a over c", "13:00 web succeeded d over a",
		}, "c b a"},
		"the revert of a revert was delivered before": {[]string{
			"10:00 web succeeded b over a", "11:00 web returned a over b", "12:00 web succeeded b over a",
		}, "b a"},
		"a service's other subject delivered it, but not here": {[]string{
			"10:00 eu succeeded b over a", "10:10 us succeeded b over a",
		}, "a"},
		"what a service's other subject delivered counts as delivered": {[]string{
			"10:00 eu succeeded b over a", "10:05 eu succeeded c over b", "10:10 us succeeded d over a",
		}, "c b a"},
		"what came later does not": {[]string{
			"10:00 web succeeded b over a", "12:00 web succeeded d over c", "11:00 web succeeded c over b",
		}, "b a"},
		"of several images the one that takes the same place": {[]string{
			"10:00 web succeeded b+worker:a over a+worker:a", "11:00 web succeeded b+worker:b over b+worker:a", "12:00 web succeeded c+worker:b over b+worker:b",
		}, "b a"},
		"nothing where nothing is known": {[]string{"10:00 web succeeded b"}, "?"},
	} {
		t.Run(name, func(t *testing.T) {
			events := history(t, c.history...)
			of := &events[len(events)-1]
			slices.Reverse(events[:len(events)-1]) // their order must not matter
			var got []string
			source := commit.Source{}
			for _, v := range Earlier(events, of, source.Carrier(of)) {
				got = append(got, cmp.Or(strings.TrimPrefix(v.Image, "acme/shop:main-"), "?"))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

func TestAVersionInAnotherEnvironmentOrClusterDeliveredNothing(t *testing.T) {
	events := history(t, "10:00 web succeeded b over a", "11:00 web succeeded c over a")
	for _, change := range []func(*dora.Event){
		func(e *dora.Event) { e.Environment = "staging" },
		func(e *dora.Event) { e.Cluster = "other" },
	} {
		elsewhere := slices.Clone(events)
		change(&elsewhere[0])
		got := Earlier(elsewhere, &elsewhere[1], "acme/shop:main-c")
		if len(got) != 1 || got[0].Image != "acme/shop:main-a" {
			t.Errorf("got %v, want a alone", got)
		}
	}
}

func TestACommitThatWasFoundBeforeIsNotAskedForAgain(t *testing.T) {
	const full = "0123456789abcdef0123456789abcdef01234567"
	r := ranking{of: &dora.Event{Version: &dora.Version{Images: []string{"a/shop:main-2", "envoy:4"}}}}
	v := &dora.Version{Images: []string{"a/shop:main-1", "envoy:3"}, Tag: "main-1", Commit: full}
	if got := r.counterpart(v, "a/shop:main-2"); got.Commit != full {
		t.Errorf("a commit that was found before is asked for again: %+v", got)
	}
	if got := r.counterpart(v, "envoy:4"); got.Commit != "" {
		t.Errorf("the commit of one image was taken for another's: %+v", got)
	}
	v.Commit = full[:7]
	if got := r.counterpart(v, "a/shop:main-2"); got.Commit != "" {
		t.Errorf("the first digits of a commit were taken for all of it: %+v", got)
	}
}

// An event tells ranks that no other event tells, so what is known as the previous version late is not taken for a new one.
func TestARankThatAnEventTellsHolds(t *testing.T) {
	events := history(t, "10:00 eu succeeded b over a", "11:00 us succeeded b over x", "12:00 us succeeded c over b")
	events[1].Previous.Version.SettledAt = new(events[0].OccurredAt.Add(-time.Hour))
	if got := Earlier(events, &events[2], "acme/shop:main-c"); len(got) != 3 || got[2].Image != "acme/shop:main-x" {
		t.Errorf("got %v, want x last", got)
	}
}

// Of what was settled before the oldest event that was read not all is known, so nothing is counted from there.
func TestWhatWasSettledBeforeTheOldestEventIsNoBase(t *testing.T) {
	events := history(t, "10:00 web succeeded b over a", "12:00 web succeeded c over b")
	events[0].Previous.Version.SettledAt = new(events[0].OccurredAt.Add(-time.Hour))
	read := slices.Repeat(events[:1], remembered)
	got := Earlier(read, &events[1], "acme/shop:main-c")
	if len(got) != 3 || got[0].Image != "acme/shop:main-b" || got[1].Image != "" || got[2].Image != "acme/shop:main-a" {
		t.Errorf("got %v, want b, one that is not known, and a", got)
	}
}

func TestANewImageHasNothingToBeCountedFrom(t *testing.T) {
	for line, want := range map[string]struct{ image, first string }{
		"10:00 web succeeded a+redis:b over a":                  {"acme/redis:main-b", ""},
		"10:00 web succeeded b+redis:b over a":                  {"acme/shop:main-b", "acme/shop:main-a"},
		"10:00 web succeeded other:b over a":                    {"acme/other:main-b", "acme/shop:main-a"}, // renamed, each alone
		"10:00 web succeeded a+redis:b over a+worker:a":         {"acme/redis:main-b", ""},
		"10:00 web succeeded b+redis:b over a+redis:a":          {"acme/redis:main-b", "acme/redis:main-a"},
		"10:00 web succeeded other:b over a+worker:a":           {"acme/other:main-b", ""},
		"10:00 web succeeded redis:b+other:b over redis:a+a":    {"acme/redis:main-b", "acme/redis:main-a"},
		"10:00 web succeeded a+redis:b+worker:b over a+redis:a": {"acme/redis:main-b", "acme/redis:main-a"},
	} {
		req := requestOf(&history(t, line)[0], &commit.Source{}, nil)
		if req.Version.Image != want.image || len(req.Earlier) == 0 || req.Earlier[0].Image != want.first {
			t.Errorf("%s: asks about %+v over %+v, want %s over %q first", line, req.Version, req.Earlier, want.image, want.first)
		}
	}
}
