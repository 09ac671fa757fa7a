package incident_test

import (
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/incident"
)

const (
	first  = "5d41402abc4b2a76b9719d911017c592aaaaaaaa"
	second = "7d793037a0760186574b0282f2f435e7bbbbbbbb"
)

func deployment(id string, minutes float64, outcome dora.Outcome, tag, commit string) dora.Event {
	return dora.Event{
		ID: id, Type: dora.TypeDeploy, Outcome: outcome, OccurredAt: at(minutes), Version: &dora.Version{Tag: tag, Commit: commit},
	}
}

const digest = "0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427"

func slashed() []dora.Event {
	return []dora.Event{deployment("e1", -50, dora.Succeeded, "tagx/v1.0.0", ""), deployment("e2", -10, dora.Succeeded, "tagx/v1.1.0", "")}
}

func digested() []dora.Event {
	one, two := deployment("e1", -50, dora.Succeeded, "", ""), deployment("e2", -10, dora.Succeeded, "", "")
	one.Version.Images = []string{"r.example.com/shop@sha256:" + digest}
	two.Version.Images = []string{"r.example.com/shop@sha256:" + digest[32:] + digest[:32]}
	return []dora.Event{one, two}
}

func TestCauses(t *testing.T) {
	events := []dora.Event{
		deployment("e1", -3000, dora.Succeeded, "v1.0.0", first), // two days before
		deployment("e2", -30, dora.Succeeded, "v1.1.0", second),
		{ID: "d1", Type: dora.TypeDegraded, OccurredAt: at(-1)},
		deployment("e9", 10, dora.Succeeded, "v1.2.0", "900150983cd24fb0d6963f7d28e17f72cccccccc"), // after it
	}
	for name, tc := range map[string]struct {
		mentions []string
		events   []dora.Event
		window   time.Duration
		want     string
	}{
		"the latest within the window":                         {events: events, want: "e2"},
		"none within the window":                               {events: events, window: 29 * time.Minute, want: ""},
		"one at the very edge of it":                           {events: events, window: 30 * time.Minute, want: "e2"},
		"named by its tag, however long ago":                   {mentions: []string{"Checkout slow since v1.0.0."}, events: events, want: "e1"},
		"named by its commit":                                  {mentions: []string{"see https://git.example.com/shop/commit/" + first}, events: events, want: "e1"},
		"named by seven digits of its commit":                  {mentions: []string{"broken by (5D41402)"}, events: events, want: "e1"},
		"six digits are not enough":                            {mentions: []string{"5d4140"}, events: events, want: "e2"},
		"named by the id of its event":                         {mentions: []string{"", "dora: E1"}, events: events, want: "e1"},
		"of two that are named the later":                      {mentions: []string{"v1.0.0 or v1.1.0"}, events: events, want: "e2"},
		"a fix that is named was no cause":                     {mentions: []string{"fixed by v1.2.0"}, events: events, want: "e2"},
		"part of a word is no name":                            {mentions: []string{"xv1.0.0 v1.0.0x"}, events: events, want: "e2"},
		"a number could be anything":                           {mentions: []string{"port 8080"}, events: []dora.Event{deployment("e1", -300, dora.Succeeded, "8080", "")}, want: ""},
		"latest is a word":                                     {mentions: []string{"the latest one"}, events: []dora.Event{deployment("e1", -300, dora.Succeeded, "latest", "")}, want: ""},
		"a commit that is known by seven digits":               {mentions: []string{first}, events: []dora.Event{deployment("e1", -300, dora.Succeeded, "", "5d41402")}, want: "e1"},
		"named by a tag with a slash":                          {mentions: []string{"regression introduced by tagx/v1.0.0."}, events: slashed(), want: "e1"},
		"named by a tag with a slash in an address":            {mentions: []string{"https://git.example.com/shop/tree/tagx/v1.0.0/main.go"}, events: slashed(), want: "e1"},
		"part of a tag with a slash is no name":                {mentions: []string{"atagx/v1.0.0 v1.0.0 tagx"}, events: slashed(), want: "e2"},
		"named by the digest of an image":                      {mentions: []string{"bad image sha256:" + digest}, events: digested(), want: "e1"},
		"named by an image":                                    {mentions: []string{"r.example.com/shop@sha256:" + digest}, events: digested(), want: "e1"},
		"part of a digest is no name":                          {mentions: []string{digest[:40]}, events: digested(), want: "e2"},
		"nothing was deployed":                                 {mentions: []string{"v1.0.0"}, want: ""},
		"a failed one, that users met":                         {events: append(events[:2:2], deployment("e3", -5, dora.Failed, "", "")), want: "e3"},
		"a rollback, if that was the last":                     {events: append(events[:2:2], deployment("e3", -5, dora.RolledBack, "", "")), want: "e3"},
		"one that was stopped before anybody met it is passed": {events: append(events[:2:2], unexposed(deployment("e3", -5, dora.RolledBack, "", ""))), want: "e2"},
		"one of which nobody knows the end is passed":          {events: append(events[:2:2], deployment("e3", -5, dora.Unknown, "", "")), want: "e2"},
		"one that had begun before and is judged by now":       {mentions: []string{"v1.3.0"}, events: append(events[:2:2], begun(deployment("e3", 5, dora.Succeeded, "v1.3.0", ""))), want: "e3"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.window == 0 {
				tc.window = time.Hour
			}
			if got, _ := incident.CauseOf(noon, tc.mentions, tc.events, tc.window); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhyAnIncidentBelongsToADeployment(t *testing.T) {
	events := []dora.Event{deployment("e1", -3000, dora.Succeeded, "v1.0.0", first), deployment("e2", -30, dora.Succeeded, "v1.1.0", second)}
	for mention, want := range map[string]incident.Tie{
		"see e1": incident.NamedByEvent, "since v1.0.0": incident.NamedByVersion, "since 5d41402": incident.NamedByCommit, "it is slow": incident.WithinWindow,
	} {
		if _, why := incident.CauseOf(noon, []string{mention}, events, time.Hour); why != want {
			t.Errorf("%q: %s, want %s", mention, why, want)
		}
	}
	if _, why := incident.CauseOf(noon, nil, events, time.Minute); why != incident.NoDeployment {
		t.Errorf("none is near: %s", why)
	}
}

func unexposed(e dora.Event) dora.Event {
	e.Exposed = new(false)
	return e
}

func begun(e dora.Event) dora.Event {
	e.StartedAt = at(-1)
	return e
}
