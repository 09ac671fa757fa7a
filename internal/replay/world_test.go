package replay_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/replay"
)

func policy(_ map[string]string, name string) deploy.Policy {
	return deploy.Policy{Service: name, FailureWindow: deploy.DefaultFailureWindow, VerdictTimeout: deploy.DefaultVerdictTimeout}
}

func eventsOf(t *testing.T, recording []byte) []dora.Event {
	t.Helper()
	world := replay.NewWorld("test", policy)
	var events []dora.Event
	err := replay.Read("recording", bytes.NewReader(recording), func(e replay.Event) {
		for _, step := range world.Apply(e) {
			events = append(events, step.Events...)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// What three kubectl processes print, one after the other and without arrival times, tells the same as a recording.
func TestKubectlsOutputTellsTheSame(t *testing.T) {
	for _, path := range recordings(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			recorded, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(words(eventsOf(t, recorded)), words(eventsOf(t, asKubectl(t, path)))); diff != "" {
				t.Errorf("(-recording +kubectl)\n%s", diff)
			}
		})
	}
}

// words are what must not depend on when a line arrived.
func words(events []dora.Event) []string {
	var all []string
	for i := range events {
		e := &events[i]
		text := e.ID + " " + string(e.Type) + " " + string(e.Outcome)
		if e.Version != nil {
			text += " " + e.Version.Tag
		}
		all = append(all, text+" "+e.OccurredAt.Truncate(10*time.Second).Format(time.TimeOnly))
	}
	return all
}
