package replay_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/replay"
)

// uidOf is the uid of the object that an event carries.
func uidOf(e *replay.Event) string {
	switch {
	case e.Application != nil:
		return string(e.Application.UID)
	case e.Rollout != nil:
		return string(e.Rollout.UID)
	case e.ReplicaSet != nil:
		return string(e.ReplicaSet.UID)
	}
	return ""
}

// begunAt is what a controller sees whose caches are filled after n events: every object as it is then, those that others
// depend on first, and from there on what happens.
func begunAt(events []replay.Event, n int) []replay.Event {
	var begun []replay.Event
	for _, e := range slices.Backward(events[:n]) {
		uid := uidOf(&e)
		if !slices.ContainsFunc(begun, func(b replay.Event) bool { return uidOf(&b) == uid }) {
			e.Seen = events[n-1].Seen
			begun = append(begun, e)
		}
	}
	begun = slices.DeleteFunc(begun, func(e replay.Event) bool { return e.Type == replay.Deleted })
	for i := range begun {
		begun[i].Type = replay.Added
	}
	slices.SortStableFunc(begun, func(a, b replay.Event) int { return layer(&a) - layer(&b) })
	return append(begun, events[n:]...)
}

func layer(e *replay.Event) int {
	switch {
	case e.ReplicaSet != nil:
		return 0
	case e.Rollout != nil:
		return 1
	}
	return 2
}

// A controller that is installed while deployments are under way counts none that were over by then, and invents nothing.
func TestWhereverFollowingBeginsNothingIsInvented(t *testing.T) {
	for _, path := range recordings(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var events []replay.Event
			if err := replay.Read(path, bytes.NewReader(data), func(e replay.Event) { events = append(events, e) }); err != nil {
				t.Fatal(err)
			}
			full := follow(events, time.Time{})
			for n := 1; n < len(events); n += 1 + len(events)/60 {
				got := follow(begunAt(events, n), events[n-1].Seen)
				for i := range got {
					if !among(&got[i], full, events[n-1].Seen) {
						t.Errorf("begun after line %d: invented %s %s at %s", n, got[i].Outcome, got[i].Version.Tag, got[i].OccurredAt)
					}
				}
			}
		})
	}
}

func follow(events []replay.Event, since time.Time) []dora.Event {
	world := replay.NewWorld("test", func(labels map[string]string, name string) deploy.Policy {
		p := policy(labels, name)
		p.FollowedSince = since
		return p
	})
	var deploys []dora.Event
	for _, e := range events {
		for _, step := range world.Apply(e) {
			for _, e := range step.Events {
				if e.Type == dora.TypeDeploy {
					deploys = append(deploys, e)
				}
			}
		}
	}
	return deploys
}

// among: the same event, or one that says less. What was over before the following began is none. That a version ran earlier is
// not known if that was before; a subject that is created later has a first deployment.
func among(e *dora.Event, full []dora.Event, since time.Time) bool {
	if e.Previous.Known && e.Previous.Version == nil {
		return !e.OccurredAt.Before(since)
	}
	return slices.ContainsFunc(full, func(f dora.Event) bool {
		tag := e.Version.Tag == f.Version.Tag || e.Version.Tag == ""
		outcome := e.Outcome == f.Outcome || e.Outcome == dora.Unknown ||
			e.Outcome == dora.Succeeded && f.Outcome == dora.RolledBack && *f.Success
		return tag && outcome && !f.OccurredAt.Before(since.Add(-3*time.Second))
	})
}
