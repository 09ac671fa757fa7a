package enrich

import (
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
		default:
			e.Outcome, e.IsRollback = dora.Outcome(words[2]), new(false)
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
			"10:00 web succeeded b over a", "11:00 web unknown c over b", "12:00 web succeeded d",
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
		"nothing where nothing is known": {[]string{"10:00 web succeeded b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			events := history(t, c.history...)
			of := &events[len(events)-1]
			slices.Reverse(events[:len(events)-1]) // their order must not matter
			var got []string
			source := commit.Source{}
			for _, v := range earlier(events, of, source.Carrier(of)) {
				got = append(got, strings.TrimPrefix(v.Image, "acme/shop:main-"))
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
		got := earlier(elsewhere, &elsewhere[1], "acme/shop:main-c")
		if len(got) != 1 || got[0].Image != "acme/shop:main-a" {
			t.Errorf("got %v, want a alone", got)
		}
	}
}

func TestTheCounterpartOfAnImage(t *testing.T) {
	const full = "0123456789abcdef0123456789abcdef01234567"
	for name, c := range map[string]struct {
		images []string
		want   string
	}{
		"the same repository":             {[]string{"a.example/x/shop:1", "b.example/shop:2"}, "a.example/x/shop:1"},
		"the same name in a new registry": {[]string{"b.example/shop:2", "envoy:3"}, "b.example/shop:2"},
		"the only one":                    {[]string{"b.example/store:2"}, "b.example/store:2"},
		"none among others":               {[]string{"b.example/store:2", "envoy:3"}, ""},
	} {
		v := &dora.Version{Images: c.images}
		if got := counterpart(v, "a.example/x/shop:9"); got.Image != c.want {
			t.Errorf("%s: got %q, want %q", name, got.Image, c.want)
		}
	}
	v := &dora.Version{Images: []string{"a/shop:main-1", "envoy:3"}, Tag: "main-1", Commit: full}
	if got := counterpart(v, "a/shop:main-2"); got.Commit != full {
		t.Errorf("a commit that was found before is asked for again: %+v", got)
	}
	if got := counterpart(v, "envoy:4"); got.Commit != "" {
		t.Errorf("the commit of one image was taken for another's: %+v", got)
	}
	v.Commit = full[:7]
	if got := counterpart(v, "a/shop:main-2"); got.Commit != "" {
		t.Errorf("the first digits of a commit were taken for all of it: %+v", got)
	}
}
