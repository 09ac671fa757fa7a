package deploy_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/enrich"
)

// The versions that a deployment's commits are counted from are read from events, long after they were decided. They must be those that
// the ranks told at that time, in that order, whatever else happened on the day.
func TestEventsTellTheRanks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDay(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		for range 3 + d.pick(20) {
			d.happens()
		}
		for d.carry != nil {
			d.happens()
		}
		d.now = d.now.Add(2 * time.Hour)
		d.line(d.script().then("wait"))
		w := newWorld(d.story.policy)
		told, problems := d.story.play(w)
		if len(problems) > 0 {
			t.Fatalf("%s\n%s", strings.Join(problems, "\n"), told)
		}
		for _, service := range w.services {
			for i := range w.got {
				agree(t, w.got, &w.got[i], service.Ranks, told)
			}
		}
	})
}

// agree compares what ran before a deployment, as events tell it and as the ranks do.
func agree(t *rapid.T, events []dora.Event, of *dora.Event, ranks []deploy.Rank, told string) {
	if of.Type != dora.TypeDeploy || of.Outcome != dora.Succeeded {
		return
	}
	image := (&commit.Source{}).Carrier(of)
	repository, _, _ := dora.SplitImage(image)
	tags := map[string]string{} // by what identifies a version among the ranks
	for i := range events {
		for _, v := range []*dora.Version{events[i].Version, events[i].Previous.Version} {
			if v != nil {
				tags[dora.ID(repository+":"+v.Tag)] = v.Tag
			}
		}
	}
	var want, got []string
	for _, r := range ranks {
		if tag := tags[r.Version]; tag != "" && r.At.Before(of.OccurredAt) {
			want = append([]string{tag}, want...)
		}
	}
	for _, v := range enrich.Earlier(events, of, image) {
		got = append(got, dora.ImageTag(v.Image))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("before %s ran %v as events tell it, %v as the ranks do\n%s", of.Version.Tag, got, want, told)
	}
}
